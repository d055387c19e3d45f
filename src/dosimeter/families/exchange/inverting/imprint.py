"""Imprint: a dense layer that a malicious party puts first sorts records into bins, and a detector of such layers.

Axes: `k` bins, `p` numbers of a record, `q` outputs of the block.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dosimeter.families.exchange.inverting.dense import SILENT

REPEATED = 0.999
"""Cosine from which on two rows are one direction."""
FEW = 0.1
"""Share of rows of one direction that an honest layer does not reach."""
NOTHING = 1e-4
"""Gradient of a bin's bias that rounding explains, as a share of the largest row's."""


def imprint_block(known: Float[Tensor, "n p"], bins: int, outputs: int) -> nn.Sequential:
    """A block that a malicious party would put before a model: Linear, ReLU, Linear.

    Fowl, Geiping, Czaja, Goldblum, Goldstein, "Robbing the Fed", ICLR 2022, https://arxiv.org/abs/2110.13057. All rows
    measure the mean of a record, and their biases are minus its quantiles over the party's own records. The second
    layer treats all rows alike, so that a record sends the same error to every row that it activates.

    Args:
        known: the party's own records.
        bins: of equal mass.
        outputs: of the block, so that the model's next layer fits.

    Raises:
        ValueError: fewer than two bins, no outputs, or no records.
    """
    if bins < 2 or outputs < 1 or not len(known):
        raise ValueError(f"a block needs 2 bins, 1 output and 1 record or more, got {bins}, {outputs} and {len(known)}")
    width = known.shape[1]
    first, second = nn.Linear(width, bins), nn.Linear(bins, outputs)
    with torch.no_grad():
        first.weight.fill_(1 / width)
        shares = torch.arange(bins, dtype=torch.float64, device=known.device) / bins
        first.bias.copy_(-torch.quantile(known.double().mean(1), shares).float())
        first.bias[0] = 1.0 - float(known.min())  # the lowest bin holds whatever is below the second quantile
        second.weight.copy_(second.weight[:, :1].expand(-1, bins) / bins)
    return nn.Sequential(first, nn.ReLU(), second)


def imprinted_records(weight: Float[Tensor, "k p"], bias: Float[Tensor, " k"]) -> Float[Tensor, "m p"]:
    """Records that stand alone in a bin, from the gradient of the first layer of `imprint_block`.

    A row sums the records at and above its quantile, so the difference of two neighbouring rows is the sum of one bin.
    Where two records share a bin, their weighted mean comes out.

    Args:
        weight: gradient by the weights.
        bias: gradient by the biases.

    Returns:
        One for each bin that is not empty, from the darkest to the brightest.
    """
    above = torch.cat([weight.double()[1:], torch.zeros_like(weight[:1]).double()])
    rest = torch.cat([bias.double()[1:], torch.zeros_like(bias[:1]).double()])
    records, errors = weight.double() - above, bias.double() - rest
    filled = errors.abs() > max(NOTHING, SILENT) * bias.abs().max()
    return (records[filled] / errors[filled, None]).float()


def isolated_share(bins: int, size: int) -> float:
    """Expected share of a batch that stands alone in its bin, for bins of equal mass.

    Args:
        bins: number of bins.
        size: records in the batch.

    >>> round(isolated_share(64, 32), 2)
    0.61
    """
    return float((1 - 1 / bins) ** (size - 1))


def repeated_rows(weight: Float[Tensor, "k p"]) -> Bool[Tensor, " k"]:
    """Which rows of a received dense layer point where another row points: the mark of an imprint.

    Args:
        weight: of the layer as it was received.

    Raises:
        ValueError: an entry is not finite.
    """
    if not bool(torch.isfinite(weight).all()):
        raise ValueError("weights must be finite, got NaN or infinite values")
    length = weight.double().norm(dim=1, keepdim=True)
    unit = weight.double() / length.clamp_min(1e-30)
    alike = unit @ unit.T >= REPEATED
    alike.fill_diagonal_(False)
    found: Tensor = alike.any(1)
    return found


def looks_imprinted(weight: Float[Tensor, "k p"]) -> bool:
    """Returns whether a received dense layer has too many rows of one direction.

    It finds the attack as it was published. Who scales or turns the rows a little is not found, so False is no proof.

    Args:
        weight: of the layer as it was received.
    """
    return float(repeated_rows(weight).double().mean()) > FEW
