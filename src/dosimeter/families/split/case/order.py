"""Whether recorded traffic is of the records beside it, row by row: a shuffled one tells nothing, whatever leaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.gate import Gate
from dosimeter.foundation.seeds import generator
from dosimeter.statistics.hypotheses.dependence import MOST, dependence_p

ODD = 0.05
"""p-value above which rows are not shown to belong together; of whole traffic it is 0.001 but for very few records."""
NAME = "Order of the traffic"
REMEDY = "write each row for the record that it is of, without shuffling"


def order_gate(
    parts: Mapping[str, Array], traffic: Mapping[str, Sequence[Tensor]], cuts: Sequence[str], seed: int
) -> Gate:
    """S5: whether answers, and what crossed each cut, depend on the records in the order in which both are given.

    Without that the answers are no yardstick, and attacks that learn from the adversary's rows learn noise. What
    crossed a cut may also depend on nothing because a defense leaves nothing, so of cuts it only warns.

    Args:
        parts: the records, by part.
        traffic: of each part the answers, then what crossed each cut.
        cuts: their names.
        seed: root of all randomness.
    """
    lost, worst = [], 0.0
    for part, name, p in _p_values(parts, traffic, cuts, seed):
        worst = max(worst, p)
        if p > ODD:
            lost.append((name, f"{name or 'answers'} of the {part}"))
    if not lost:
        return Gate("S5", NAME, "pass", worst, "Answers, and what crossed, go with the records row by row.")
    told = ", ".join(what for _, what in lost)
    if any(not name for name, _ in lost):
        return Gate(
            "S5", NAME, "fail", worst,
            f"Rows of {told} are not shown to have anything to do with the records in their order, so nothing can be "
            f"concluded: {REMEDY}.",
        )  # fmt: skip
    return Gate(
        "S5", NAME, "warn", worst,
        f"Rows of {told} are not shown to have anything to do with the records: either nothing of them crosses, or "
        f"the order is another: {REMEDY}.",
    )  # fmt: skip


def _p_values(
    parts: Mapping[str, Array], traffic: Mapping[str, Sequence[Tensor]], cuts: Sequence[str], seed: int
) -> Iterator[tuple[str, str, float]]:
    """Part, cut (empty for the answers) and p-value; what crossed may also go with answers that go with the records."""
    for part, inputs in parts.items():
        rng = generator(seed, f"split order {part}")
        some = rng.permutation(len(inputs))[:MOST]  # before anything large is copied
        answers, *sent = (one[torch.from_numpy(some)].flatten(1).double().numpy() for one in traffic[part])
        records = inputs[some].reshape(len(some), -1).astype(np.float64)
        whole = dependence_p(records, answers, rng)
        yield part, "", whole
        for cut, own in zip(cuts, sent, strict=True):
            p = dependence_p(records, own, rng)
            yield part, cut, p if p <= ODD else max(whole, dependence_p(answers, own, rng))
