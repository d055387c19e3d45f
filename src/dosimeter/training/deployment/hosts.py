"""A deployed network in the form in which jobs run it, whoever trained it: how it is built, asked and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.jobs.store import Store
from dosimeter.models.architectures import as_float
from dosimeter.models.cuts.graph import ModelGraph, read_graph
from dosimeter.training.deployment.network import deployed
from dosimeter.training.packs import PackJob


@runtime_checkable
class Host(Protocol):
    """A deployed network, as jobs of any process run it.

    Records that are handed to it are those of the store, or the same as fractions; each method says what it gives.
    """

    @property
    def store(self) -> Store:
        """The cache."""
        ...

    @property
    def device(self) -> str:
        """Where it runs."""
        ...

    @property
    def seed(self) -> int:
        """Root of all randomness."""
        ...

    @property
    def index(self) -> int:
        """Number of the model among those that were trained alike."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one record."""
        ...

    @property
    def definition(self) -> list[Any]:
        """Everything that its answers depend on, for keys."""
        ...

    @property
    def place(self) -> str:
        """The model, in the user's words."""
        ...

    @property
    def users_code(self) -> tuple[str, ...]:
        """The user's own code in it."""
        ...

    @property
    def alike(self) -> object:
        """A hashable value that networks of equal cost share."""
        ...

    def graph(self, records: Tensor) -> ModelGraph:
        """Its graph, in evaluation mode.

        Args:
            records: two of the store or more.

        Raises:
            AuditError: it cannot be read.
        """
        ...

    def prepare(self, records: Tensor) -> Tensor:
        """Records in the form that the network takes, on its device; gradients flow where that form has any."""
        ...

    def read(self, answer: Tensor) -> Float[Tensor, "b c"]:
        """What the network returned as logits or log-probabilities, one column for each class in order."""
        ...

    def own(self, most: int) -> Tensor:
        """Some of its training records, as fractions; for defenses that take scales from them."""
        ...

    def seconds(self, pace: Any) -> float:
        """Rough duration of one answer.

        Args:
            pace: speed of this machine on the work of a chain.
        """
        ...


@dataclass(frozen=True)
class TrainedHost:
    """One model of a pack that is trained here; a `Host`.

    Attributes:
        pack: the pack.
        number: place of the model in the pack.
    """

    pack: PackJob
    number: int

    @property
    def store(self) -> Store:
        """Implements `Host`."""
        return self.pack.store

    @property
    def device(self) -> str:
        """Implements `Host`."""
        return self.pack.device

    @property
    def seed(self) -> int:
        """Implements `Host`."""
        return self.pack.seed

    @property
    def index(self) -> int:
        """Implements `Host`."""
        return self.pack.models[self.number]

    @property
    def shape(self) -> tuple[int, ...]:
        """Implements `Host`."""
        return self.pack.links[-1].shape

    @property
    def definition(self) -> list[Any]:
        """Implements `Host`."""
        return [self.pack.key, self.number]

    @property
    def place(self) -> str:
        """Implements `Host`."""
        return self.pack.place

    @property
    def users_code(self) -> tuple[str, ...]:
        """Implements `Host`."""
        return self.pack.users_code

    @property
    def alike(self) -> object:
        """Implements `Host`."""
        return id(self.pack.links)

    def graph(self, records: Tensor) -> ModelGraph:
        """Implements `Host`."""
        return read_graph(deployed(self.pack, self.number), self.prepare(records[:2]))

    def prepare(self, records: Tensor) -> Tensor:
        """Implements `Host`."""
        return as_float(records).to(self.device)

    def read(self, answer: Tensor) -> Float[Tensor, "b c"]:
        """Implements `Host`."""
        return answer.float()

    def own(self, most: int) -> Tensor:
        """Implements `Host`."""
        rows = torch.from_numpy(self.pack.rows[self.number][:most])
        return as_float(self.store.load(self.pack.data)["inputs"][rows])

    def seconds(self, pace: Any) -> float:
        """Implements `Host`."""
        return float(pace.answer(self.pack))
