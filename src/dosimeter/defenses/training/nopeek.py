"""NoPeek: what crosses the cut shall depend little on the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor

from dosimeter.defenses.training.dependence import distance_correlation
from dosimeter.foundation import checks


@dataclass(frozen=True)
class NoPeek:
    """Add α dCor(X, Z) to the loss of a batch, where Z crosses the cut and X are the records.

    Paper: Vepakomma, Singh, Gupta, Raskar, "NoPeek: Information Leakage Reduction to Share Activations in Distributed
    Deep Learning", 2020, https://arxiv.org/abs/2008.09161. dCor is the distance correlation of Szekely, Rizzo, Bakirov
    (Annals of Statistics 2007): the root of dCov² / √(dVar²(X) dVar²(Z)), from 0 to 1, not its square.

    In small batches dCor is far above 0 where X and Z are independent, the more numbers they have; take batches of 256
    and more. A low dCor is no bound: features of low dCor can give records away (https://arxiv.org/abs/2012.02670).

    Stronger: a larger alpha.
    Deviations: cross-entropy has the weight 1.
    Cost: that of one training, and b² distances of whole records for batches of b.

    Attributes:
        cut: layer whose output crosses, a module of the model that is trained, as `plan --topology` names it; empty for
            the input of the last layer.
        alpha: α, above 0.
    """

    paper: ClassVar[str] = "Vepakomma et al., 2020, https://arxiv.org/abs/2008.09161"
    place: ClassVar[str] = "loss"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"alpha": 0.5}, {"alpha": 2.0}, {"alpha": 10.0})

    cut: str = ""
    alpha: float = 1.0

    def __post_init__(self) -> None:
        checks.in_range("alpha", self.alpha, 0, 1e6, open_low=True)

    def charge_cut(self, records: Float[Tensor, "b d"], features: Float[Tensor, "b k"], labels: Tensor) -> Tensor:
        """α times the distance correlation of a batch; `labels` are not read."""
        return self.alpha * distance_correlation(records, features)
