"""Entries of data sets in the store."""

from __future__ import annotations

import torch

from dosimeter.data import Dataset
from dosimeter.jobs.store import Store, key_of


def data_key(dataset: Dataset) -> str:
    """The key of a data set's entry."""
    return key_of({"kind": "data", "fingerprint": dataset.fingerprint})


def save_data(dataset: Dataset, store: Store) -> None:
    """Puts a data set's tensors where every worker can read them."""
    key = data_key(dataset)
    if not store.verify(key):
        tensors = {"inputs": torch.from_numpy(dataset.inputs), "labels": torch.from_numpy(dataset.labels)}
        if dataset.compressed is not None:
            tensors["compressed"] = torch.from_numpy(dataset.compressed)
        tensors |= {} if dataset.cells is None else dataset.cells.tensors()
        store.save(key, tensors, {"kind": "data", "fingerprint": dataset.fingerprint})
