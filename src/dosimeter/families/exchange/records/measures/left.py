"""What a run left of a threat about records, read from its folder."""

from __future__ import annotations

from dosimeter.families.exchange.measures.measured import Measured
from dosimeter.families.exchange.stored import Left, truth_file
from dosimeter.families.family import CaseFolder
from dosimeter.jobs.arrays import read_arrays, undamaged


def read_rebuilt(folder: CaseFolder) -> Left:
    """What a run left of one threat.

    Its truth holds `rows` `[t n b]` and `steps` `[n]` of the batches, `joint` and `alone` as of other questions, and
    `pictures` if they are to be shown. Of each attack `error` `[t n b]`, `lineup` `[t b n n]`, `null_lineup` `[t n n]`.

    Raises:
        StoreError: an array is missing or damaged.
    """
    with undamaged(folder.path):
        truth = read_arrays(truth_file(folder.path))
        evidence = folder.evidence()
        if any(one["error"].shape != truth["rows"].shape for one in evidence.values()):
            raise ValueError("evidence must be about the batches of the run")
    return Left(folder.summary, truth, evidence)


def worth_of(left: Left) -> Measured:
    """The same run as what asks what the exchange is worth reads it: without evidence."""
    return Measured(Left(left.summary, left.truth, {}))
