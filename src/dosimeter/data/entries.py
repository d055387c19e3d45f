"""Entries of data sets in the store."""

from __future__ import annotations

import numpy as np
import torch

from dosimeter.data import Dataset
from dosimeter.jobs.store import Store, key_of


def data_key(dataset: Dataset) -> str:
    """The key of a data set's entry."""
    return key_of(_definition(dataset))


def _definition(dataset: Dataset) -> dict[str, str]:
    """Everything that the key depends on; entries of data without attributes hold none."""
    told = {"attributes": "numbers"} if dataset.attributes else {}
    return {"kind": "data", "fingerprint": dataset.fingerprint, **told}


def save_data(dataset: Dataset, store: Store) -> None:
    """Puts a data set's tensors where every worker can read them.

    An attribute is there as `attribute NAME`, the place of each record's value among all values in order.
    """
    key = data_key(dataset)
    if not store.verify(key):
        tensors = {"inputs": torch.from_numpy(dataset.inputs), "labels": torch.from_numpy(dataset.labels)}
        if dataset.compressed is not None:
            tensors["compressed"] = torch.from_numpy(dataset.compressed)
        tensors |= {} if dataset.cells is None else dataset.cells.tensors()
        for name, values in dataset.attributes.items():
            tensors[f"attribute {name}"] = torch.from_numpy(np.unique(values, return_inverse=True)[1].astype(np.int64))
        store.save(key, tensors, _definition(dataset))
