"""Where a play gets the deployed models: from the store, if they were trained here, or the user's own."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor, nn

from dosimeter.families.membership.observe.observe import ObserveJob
from dosimeter.families.membership.weights import Weights
from dosimeter.jobs.arrays import arrays_hash
from dosimeter.jobs.store import Store
from dosimeter.models.architectures import as_float

NOBODY = np.empty(0, np.int64)


@dataclass(frozen=True)
class FleetModules:
    """Models that were trained here; a `Modules`.

    Attributes:
        jobs: that query them, pack by pack.
    """

    jobs: tuple[ObserveJob, ...]

    def __call__(self, row: int) -> nn.Module:
        """Implements `Modules`."""
        job = next(one for one in self.jobs if row in one.pack.models)
        return copy.deepcopy(job.parts()[job.pack.models.index(row)])

    @property
    def definition(self) -> dict[str, Any]:
        """Content of the key of a play."""
        first = self.jobs[0]
        return {
            "packs": [job.pack.key for job in self.jobs],
            "rows": arrays_hash(rows=first.rows),
            "data": first.data or first.pack.data,
        }

    def inputs(self) -> Tensor:
        """What the models take for all observed records."""
        return self.jobs[0].inputs_of(self.jobs[0].views[0])


@dataclass(frozen=True, eq=False)
class SuppliedModule:
    """The user's model, the only target; a `Modules`.

    Attributes:
        module: the network.
        fingerprint: changes with it.
        store: the store.
        data: key of its records.
    """

    module: nn.Module
    fingerprint: str
    store: Store
    data: str

    def __call__(self, row: int) -> nn.Module:
        """Implements `Modules`."""
        return copy.deepcopy(self.module).cpu()

    @property
    def definition(self) -> dict[str, Any]:
        """Content of the key of a play."""
        return {"model": self.fingerprint, "data": self.data}

    def inputs(self) -> Tensor:
        """All records as floats."""
        return as_float(self.store.load(self.data)["inputs"])


@dataclass(frozen=True)
class WeightsSource:
    """Description of `Weights`, which `load` reads.

    Attributes:
        modules: the models.
        records: judged and known records, the first of those that the models are asked about.
    """

    modules: FleetModules | SuppliedModule
    records: int

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Content of the key of a play that gets the models."""
        return {**self.modules.definition, "records": self.records}

    def load(self) -> Weights:
        """The models of nobody as yet; a game says who plays target."""
        return Weights(self.modules, self.modules.inputs()[: self.records], NOBODY, NOBODY)
