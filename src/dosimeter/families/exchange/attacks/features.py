"""From messages to numbers that a classifier reads: sets of representations, and gradients."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

WIDEST = 5_000
"""Entries of one layer's gradient that are kept one by one; of wider dense layers the largest of each unit."""
TINY = 1e-12
"""Least number that is divided by."""
QUARTILES = (0.25, 0.5, 0.75)


def of_set(rows: Float[Tensor, "k b d"]) -> Float[Tensor, "k e"]:
    """Mean, standard deviation and quartiles of each unit, so that the order of records does not count."""
    quartiles = torch.quantile(rows, torch.tensor(QUARTILES, dtype=rows.dtype), dim=1)
    return torch.cat([rows.mean(1), rows.std(1, correction=0), *quartiles], 1)


def of_moments(rows: Float[Tensor, "k b d"]) -> Float[Tensor, "k e"]:
    """Mean and upper triangle of the covariance: all that an alignment by CORAL needs."""
    centred = rows - rows.mean(1, keepdim=True)
    covariance = centred.transpose(1, 2) @ centred / max(1, rows.shape[1] - 1)
    above = torch.triu_indices(rows.shape[2], rows.shape[2])
    return torch.cat([rows.mean(1), covariance[:, above[0], above[1]]], 1)


def of_told_moments(told: Mapping[str, Float[Tensor, "k ..."]]) -> Float[Tensor, "k e"]:
    """The same where "mean" `[k d]`, "second" moment `[k d d]` and "count" `[k 1]` are told in place of rows."""
    mean, count = told["mean"], told["count"][..., None]
    covariance = count / (count - 1).clamp_min(1) * (told["second"] - mean[:, :, None] * mean[:, None])
    above = torch.triu_indices(mean.shape[1], mean.shape[1])
    return torch.cat([mean, covariance[:, above[0], above[1]]], 1)


def of_entries(gradients: Mapping[str, Float[Tensor, "k ..."]]) -> Float[Tensor, "k e"]:
    """Absolute gradients of the weights as rows of length 1, reduced as in the code of Melis et al., 2018.

    Biases are left out. Of a convolution's kernel the largest entry counts, of a dense layer with more than `WIDEST`
    entries the largest of each unit; wider convolutions are left out.
    """
    kept = []
    for one in gradients.values():
        if one.ndim < 3:
            continue
        size = one.abs()
        if size.ndim > 3:
            size = size.flatten(3).amax(3)
            if size[0].numel() > WIDEST:
                continue
        elif size.ndim == 3 and size[0].numel() > WIDEST:
            size = size.amax(2)
        kept.append(size.flatten(1))
    rows = torch.cat(kept or [one.abs().flatten(1) for one in gradients.values()], 1).float()
    found: Tensor = rows / rows.norm(dim=1, keepdim=True).clamp_min(TINY)
    return found


def of_both(gradients: Mapping[str, Float[Tensor, "k ..."]]) -> Float[Tensor, "k e"]:
    """By `of_inputs` and `of_entries`: where few entries are sent, most biases are missing, and inputs say little."""
    return torch.cat([of_inputs(gradients), of_entries(gradients)], 1)


def of_inputs(gradients: Mapping[str, Float[Tensor, "k ..."]]) -> Float[Tensor, "k e"]:
    """What came into each layer, in the mean over records and units, weighted by their errors.

    The gradient of a unit's weights is the sum over records of its error times what came in, that of its bias the sum
    of its errors. So sum_u sign(b_u) W_u / sum_u |b_u| is a weighted mean of what came in. It depends little on how
    large errors are, and so on the head and on how well the records are fitted already, which the adversary does not
    know. Closed form: Phong et al., 2018, https://doi.org/10.1109/TIFS.2017.2787987, for a single record.

    Layers without a bias have no such mean. If no layer has one, entries are read as by `of_entries`.
    """
    kept = []
    for name, one in gradients.items():
        bias = gradients.get(name.removesuffix("weight") + "bias")
        if not name.endswith("weight") or bias is None or one.ndim < 3 or bias.shape != one.shape[:2]:
            continue
        rows = one.flatten(2)
        total = bias.abs().sum(1, keepdim=True).clamp_min(TINY)
        kept.append((bias.sign()[..., None] * rows).sum(1) / total)
    return torch.cat(kept, 1).float() if kept else of_entries(gradients)
