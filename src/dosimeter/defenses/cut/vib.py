"""VIB: the device sends its features with noise, and each nat that passes has a price in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.defenses.cut.additive import Additive
from dosimeter.foundation import checks
from dosimeter.training.cuts.place import CutPlace


@dataclass(frozen=True)
class VIB:
    """Train and send with noise at the cut, z = μ(x) + ε with ε from N(0, 1); add β R to the loss of a batch.

    Paper: Alemi, Fischer, Dillon, Murphy, "Deep Variational Information Bottleneck", 2017,
    https://arxiv.org/abs/1612.00410, equation 17. R is the mean divergence of q(z|x) from the best marginal r(z) of
    independent normal numbers, which has the mean and the variance of z:

        R = min over r of mean KL(N(μ(x), 1) || r) = ½ Σ_k log(1 + Var μ_k), nats,

    with the variance over the batch. For any r it bounds the mutual information of record and features from above. μ is
    what the layer `cut` gives, without a layer of its own.

    Stronger: a larger β.
    Deviations: the noise has variance 1 for every record, in place of one that a second head makes. What a head makes
    of the spread of all records is in the size of μ, which training moves; it could not differ by record, since the
    device adds the noise behind the model. r is fitted to the batch, so R is a little too small in small batches.
    Cost: that of one training, and one random number for each number that is sent.

    Attributes:
        cut: layer whose output crosses, a module of the model that is trained, as `plan --topology` names it; the only
            one of the threat's `cuts`.
        beta: β, nats of loss per nat that passes, above 0.
    """

    paper: ClassVar[str] = "Alemi et al., 2017, https://arxiv.org/abs/1612.00410"
    place: ClassVar[str] = "cut"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"beta": 0.001}, {"beta": 0.01}, {"beta": 0.1})

    cut: str = ""
    beta: float = 0.01

    def __post_init__(self) -> None:
        checks.in_range("beta", self.beta, 0, 1e3, open_low=True)

    def blur(self, features: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """Features with the noise of a training step, drawn from PyTorch's default generator."""
        return features + torch.randn_like(features)

    def charge_cut(self, records: Float[Tensor, "b d"], features: Float[Tensor, "b k"], labels: Tensor) -> Tensor:
        """β times the nats that pass; records and labels are not read."""
        return self.beta * rate(features)

    def fitted(self, place: CutPlace) -> Additive:
        """The same noise, as the device adds it."""
        return Additive("gaussian", 1.0)

    def restored(self, kept: Mapping[str, Tensor]) -> Additive:
        """The noise of a model that was stored."""
        return Additive("gaussian", float(kept["scale"]))

    @property
    def guarantee(self) -> str:
        """What it guarantees, in words."""
        return (
            "no ε can be given, since nothing bounds what two records may differ by; the bits that cross are bounded "
            "on average"
        )


def rate(features: Float[Tensor, "b k"]) -> Float[Tensor, ""]:
    """Nats that pass unit noise at most, on average over records: ½ Σ_k log(1 + variance of number k).

    It is the capacity of parallel normal channels, and so a bound for features of any law with these variances.

    Args:
        features: before the noise.

    >>> rate(torch.tensor([[-1.0, 5.0], [1.0, 5.0]]))
    tensor(0.3466)
    """
    found: Tensor = 0.5 * features.var(0, correction=0).log1p().sum()
    return found
