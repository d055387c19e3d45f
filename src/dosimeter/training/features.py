"""Outputs of a frozen prefix, computed once for all models of a fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from dosimeter.data.views import apply_view
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.jobs.keyed import KeyedJob
from dosimeter.jobs.store import Store
from dosimeter.models.architectures import as_float
from dosimeter.training.chain import Link, build_chain, parts_of, place_of, users_code
from dosimeter.training.loop import layout_for, move

RECORDS_PER_CHUNK = 128
"""Number of records whose frozen features are one job."""
INFERENCE_BATCH = 64


@dataclass(frozen=True)
class FeatureJob(KeyedJob):
    """Job that computes the frozen prefix's outputs on one chunk of records under one view.

    Attributes:
        store: store to write to.
        links: the chain up to this stage.
        data: key of the records' entry.
        inputs: what the records are, whatever their labels.
        chunk: which chunk of `size` records.
        view: name of the view.
        prefix: key of everything that decides the prefix.
        parent: key of the parent's trained weights, or None if it is given.
        device: device to compute on.
        size: records of a chunk.
    """

    store: Store
    links: tuple[Link, ...]
    data: str
    inputs: str
    chunk: int
    view: str
    prefix: str
    parent: str | None
    device: str
    size: int = RECORDS_PER_CHUNK

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        part = {"chunk": self.chunk, "size": self.size, "view": self.view}
        return {
            "kind": "features",
            "prefix": self.prefix,
            "inputs": self.inputs,
            "code": package_code(__name__),
            **part,
        }

    @property
    def place(self) -> str:
        """The stage whose prefix it runs."""
        return place_of(self.links)

    @property
    def users_code(self) -> tuple[str, ...]:
        """The user's own code in its chain."""
        return users_code(self.links)

    def perform(self) -> None:
        """Computes and stores the features."""
        parent = self.store.load(self.parent) if self.parent else None
        model = build_chain(self.links, len(self.links) - 1, 0, parent)
        frozen = parts_of(self.links, len(self.links) - 1, model).frozen
        assert frozen is not None
        start = self.chunk * self.size
        inputs = self.store.load(self.data)["inputs"][start : start + self.size]
        features = forward(frozen, apply_view(as_float(inputs), self.view), torch.device(self.device))
        self.store.save(self.key, {"features": features}, self.definition)


def forward(model: nn.Module, inputs: Tensor, device: torch.device) -> Tensor:
    """A model's outputs in evaluation mode, in float32, by batches, on the CPU."""
    layout = layout_for(model, images=inputs.ndim == 4)
    model = move(model, device, images=inputs.ndim == 4).eval()
    with torch.inference_mode():
        outputs = [
            model(batch.to(device).contiguous(memory_format=layout)).float().cpu()
            for batch in torch.split(inputs, INFERENCE_BATCH)
        ]
    return torch.cat(outputs).contiguous()


def load_features(store: Store, jobs: Sequence[FeatureJob]) -> Tensor:
    """The features of all chunks of one view, in the order of the records."""
    return torch.cat([store.load(job.key)["features"] for job in sorted(jobs, key=lambda job: job.chunk)])


def feature_jobs(
    store: Store, links: tuple[Link, ...], *, data: tuple[str, str], records: int, prefix: str, parent: str | None,
    device: str, views: Sequence[str], size: int = RECORDS_PER_CHUNK,
) -> list[FeatureJob]:  # fmt: skip
    """Jobs that compute the frozen features of all records of a data set under some views.

    Args:
        store: store to write to.
        links: the chain up to this stage.
        data: key of the records' entry, and what their inputs are.
        records: number of records.
        prefix: key of everything that decides the prefix.
        parent: key of the parent's trained weights, or None if it is given.
        device: device to compute on.
        views: names of the views.
        size: records of one job.
    """
    return [
        FeatureJob(store, links, *data, chunk, view, prefix, parent, device, size)
        for view in views
        for chunk in range(-(-records // size))
    ]
