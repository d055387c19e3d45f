"""How many of some records are among those that a stage is trained on."""

from __future__ import annotations

import numpy as np

from dosimeter.data import Dataset
from dosimeter.data.duplicates import contents
from dosimeter.training.system import TrainedSystem


def trained_on(records: Dataset, system: TrainedSystem) -> int:
    """Number of the records whose inputs are also those of a training record of any stage.

    Args:
        records: to look for.
        system: the chain.
    """
    found = np.zeros(len(records), bool)
    for own in system.data:
        if own is None or (own.inputs.shape[1:], own.inputs.dtype) != (records.inputs.shape[1:], records.inputs.dtype):
            continue
        codes = contents(records.inputs, own.inputs)
        found |= np.isin(codes[: len(records)], codes[len(records) :])
    return int(found.sum())
