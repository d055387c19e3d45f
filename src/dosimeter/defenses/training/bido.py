"""BiDO: hidden layers that depend little on the records and much on their labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.defenses.training.dependence import coco, gaussian_kernel, label_kernel, normalised_hsic
from dosimeter.foundation import checks

MEASURES = {"hsic": normalised_hsic, "coco": coco}


@dataclass(frozen=True)
class BiDO:
    """Add to the loss Σ_j λ_x d(X, Z_j) − λ_y d(Z_j, Y) over the hidden layers' outputs Z_j of a batch.

    Paper: Peng, Liu, Zhang, Lan, Ye, Liu, Han, "Bilateral Dependency Optimization: Defending Against Model-inversion
    Attacks", 2022, https://arxiv.org/abs/2206.05483. d is normalised HSIC or COCO with Gaussian kernels of width σ on
    the records X and the outputs Z_j, whose squared distances are means over their numbers, and products of labels for
    Y. X are the records as the model takes them, also where a part of the model is frozen.

    Normalised HSIC compares the spaces that the kernels span, at most b − 1 dimensions for b records of a batch. In
    small batches both may span nearly everything, and much of it is chance: take large batches.

    Stronger: larger λ_x and λ_y in the same proportion. What they cost in accuracy depends on the model; `coco` is a
    far smaller number than `hsic`, so it needs larger ones: the paper has (0.05, 0.5) for HSIC and (1, 50) for COCO.
    Deviations: COCO has the largest singular value, as it is defined, where the paper's code has the Frobenius norm.
    Layers are all blocks that are trained, and the input of the last layer.
    Cost: that of one training, and for each layer b³ for batches of b records.

    Attributes:
        measure: "hsic" or "coco".
        lambda_x: λ_x, from 0 on.
        lambda_y: λ_y, from 0 on.
        width: σ, above 0.
    """

    paper: ClassVar[str] = "Peng et al., 2022, https://arxiv.org/abs/2206.05483"
    place: ClassVar[str] = "loss"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = (
        {"lambda_x": 0.01, "lambda_y": 0.1}, {"lambda_x": 0.05, "lambda_y": 0.5}, {"lambda_x": 0.1, "lambda_y": 1.0},
    )  # fmt: skip

    measure: Literal["hsic", "coco"] = "hsic"
    lambda_x: float = 0.05
    lambda_y: float = 0.5
    width: float = 5.0

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise ValueError(f"measure must be one of {', '.join(MEASURES)}, got {self.measure!r}")
        checks.in_range("lambda_x", self.lambda_x, 0, 1e6)
        checks.in_range("lambda_y", self.lambda_y, 0, 1e6)
        checks.in_range("width", self.width, 0, 1e6, open_low=True)

    def penalty(
        self, records: Float[Tensor, "b d"], hidden: tuple[Float[Tensor, "b _"], ...], labels: Tensor
    ) -> Float[Tensor, ""]:
        """The sum over hidden layers, float64."""
        depends = MEASURES[self.measure]
        x, y = gaussian_kernel(records, self.width), label_kernel(labels)
        layers = [gaussian_kernel(z, self.width) for z in hidden]
        return torch.stack([self.lambda_x * depends(x, z) - self.lambda_y * depends(z, y) for z in layers]).sum()
