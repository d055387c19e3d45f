"""The judged texts as an adversary holds them: a job that asks the model before finetuning, once for all targets."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from dosimeter.families.membership.observe.language import text_signals
from dosimeter.families.membership.texts import Texts
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.jobs.arrays import arrays_hash
from dosimeter.jobs.keyed import KeyedJob
from dosimeter.jobs.store import Store
from dosimeter.models.weights import load_state
from dosimeter.training.chain import Link, build_chain, users_code

OF_BASE = ("token_log_probs", "token_means", "token_deviations", "token_hits")
"""Signals of the base that attacks read."""


def sizes_of(entry: Mapping[str, Tensor], tokens: Tensor, rows: Tensor) -> Tensor:
    """Sizes of texts after zlib, bytes; where the data give none, those of their tokens as numbers of four bytes."""
    if "compressed" in entry:
        return entry["compressed"][rows]
    kept = [one[one >= 0].to(torch.int32).numpy().tobytes() for one in tokens]
    return torch.tensor([len(zlib.compress(one)) for one in kept])


@dataclass(frozen=True)
class TextsJob(KeyedJob):
    """Job that stores lengths and sizes of texts, and what the base says of each token.

    Attributes:
        store: the store.
        data: key of the texts' entry.
        rows: judged texts, as rows of the data `[n]`.
        links: the chain up to the base; empty if there is none.
        weights: key of the base's weights; None if they are given.
        device: device that runs it.
    """

    store: Store
    data: str
    rows: Array
    links: tuple[Link, ...]
    weights: str | None
    device: str

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        return {
            "kind": "texts",
            "data": self.data,
            "rows": arrays_hash(rows=self.rows),
            "base": self.weights or [link.definition for link in self.links],
            "device": self.device.split(":")[0],
            "code": package_code(__name__),
        }

    @property
    def place(self) -> str:
        """The base, in words."""
        return f"stage {self.links[-1].name!r}, the base" if self.links else "sizes of the texts"

    @property
    def users_code(self) -> tuple[str, ...]:
        """The user's own code in the chain up to the base."""
        return users_code(self.links)

    @property
    def alike(self) -> object:
        """Implements `Costed`."""
        return ("texts", len(self.links), len(self.rows))

    @property
    def size(self) -> int:
        """Implements `Costed`."""
        return len(self.rows) * 8 * (2 + (len(OF_BASE) * math.prod(self.links[-1].shape) if self.links else 0))

    def cost(self, pace: Any) -> float:
        """Implements `Costed`: one pass of the base."""
        return len(self.rows) * float(pace.answer(self)) if self.links else 0.0

    def perform(self) -> None:
        """Asks the base and stores what it says."""
        entry, rows = self.store.load(self.data), torch.from_numpy(self.rows)
        tokens = entry["inputs"][rows]
        found = {"lengths": (tokens >= 0).sum(1), "compressed": sizes_of(entry, tokens, rows)}
        if self.links:
            found |= self._of_base(tokens)
        self.store.save(self.key, found, self.definition)

    def _of_base(self, tokens: Tensor) -> dict[str, Tensor]:
        """Signals of each token under the base."""
        model = build_chain(self.links, len(self.links) - 1, 0, None)
        if self.weights is not None:
            load_state(model, self.store.load(self.weights), self.place)
        said = text_signals(model, tokens, OF_BASE, torch.device(self.device), place=self.place)
        return {name: said[name] for name in OF_BASE}

    def load(self) -> Texts:
        """The texts."""
        return TextsHeld(self.store, self.key).load()


@dataclass(frozen=True)
class TextsHeld:
    """Texts of which lengths, sizes and what the base says are in the store already.

    Attributes:
        store: the store.
        key: of the entry.
    """

    store: Store
    key: str

    def load(self) -> Texts:
        """The texts."""
        found = {name: one.numpy() for name, one in self.store.load(self.key).items()}
        base = {name: found[name] for name in OF_BASE if name in found}
        return Texts(found["lengths"], found["compressed"], base)
