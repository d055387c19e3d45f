"""Records whose membership the adversary knows for each target; no attack judges them. Axis: `k` such records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.families.membership.texts import Texts
from dosimeter.foundation.arrays import Array


@dataclass(frozen=True)
class Known:
    """Records with known membership, in one game.

    They are drawn by seed before any model is trained, whole persons and all copies of a record together, and are
    disjoint from the judged records. The adversary knows the bits of their own shadows anyway.

    Attributes:
        ids: record ids `[k]`.
        labels: true classes `[k]`.
        is_member: which target trained on which record `[t k]`.
        shadow_in: which shadow did `[s k]`.
        outputs: for each signal the targets' values `[t q k]` or `[t q k c]`.
        shadow_outputs: for each signal the shadows' values `[s q k]` or `[s q k c]`.
        texts: of a language model: the texts themselves, where an attack compares them with the base, or None.

    Raises:
        ValueError: a shape does not fit.
    """

    ids: Array
    labels: Int[Array, " k"]
    is_member: Bool[Array, "t k"]
    shadow_in: Bool[Array, "s k"]
    outputs: Mapping[str, Float[Array, "_t q _k *c"]]
    shadow_outputs: Mapping[str, Float[Array, "_s q _k *c"]]
    texts: Texts | None = None

    def __post_init__(self) -> None:
        for kind, table, bits in (
            ("outputs", self.outputs, self.is_member),
            ("shadow_outputs", self.shadow_outputs, self.shadow_in),
        ):
            for name, values in table.items():
                if (len(values), values.shape[2]) != bits.shape:
                    raise ValueError(
                        f"known.{kind}[{name!r}] must have {bits.shape[0]} models and {bits.shape[1]} records, got "
                        f"{len(values)} and {values.shape[2]}"
                    )

    @property
    def fewest(self) -> int:
        """Fewest known records of one side, members or non-members, over all targets."""
        return fewest_of(self.is_member)

    def rehearse(self, rows: Int[Array, " r"], rest: Int[Array, " s"]) -> Known:
        """The same records in a game in which some shadows play target.

        Args:
            rows: shadows that play target.
            rest: shadows that are left.
        """

        def pick(which: Array) -> dict[str, Array]:
            return {name: values[which] for name, values in self.shadow_outputs.items()}

        bits = self.shadow_in[rows], self.shadow_in[rest]
        return Known(self.ids, self.labels, *bits, pick(rows), pick(rest), self.texts)


def fewest_of(is_member: Bool[Array, "m k"]) -> int:
    """Fewest members, or non-members if these are fewer, in any row; 0 without rows.

    >>> fewest_of(np.array([[True, True, False], [False, True, False]]))
    1
    """
    inside = is_member.sum(axis=1)
    return int(np.minimum(inside, is_member.shape[1] - inside).min(initial=is_member.shape[1]))


def enough(each: int) -> int:
    """A number of labelled records that gives every model so many members and non-members, in tens.

    Each model trains on half of the pool, so its members among R records vary about R / 2 with a standard deviation of
    at most √R / 2. Four of these are left on either side, so that the draw fails about once in 15,000 models.

    >>> enough(1), enough(10), enough(25)
    (20, 50, 90)
    """
    return 10 * ceil((2 + sqrt(4 + 2 * each)) ** 2 / 10)
