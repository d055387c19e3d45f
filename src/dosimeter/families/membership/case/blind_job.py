"""The blind baseline of a supplied model as a job: classifiers that never ask the model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from dosimeter.data.files.texts import words_of
from dosimeter.families.membership.design.design import Design
from dosimeter.families.membership.measures.blind import Blind, blind_scores
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.jobs.arrays import arrays_hash
from dosimeter.jobs.keyed import KeyedJob
from dosimeter.jobs.store import Store


@dataclass(frozen=True)
class BlindJob(KeyedJob):
    """Scores of the candidates by classifiers that never query the model.

    Attributes:
        store: the store.
        data: key of all records, candidates first.
        design: the stated membership.
        seed: root of all randomness.
        tokens: the records are tokens.
        vocabulary: of texts of a language model, which are judged by their words; else None.
    """

    store: Store
    data: str
    design: Design
    seed: int
    tokens: bool
    vocabulary: int | None = None

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        return {
            "kind": "blind",
            "data": self.data,
            "design": arrays_hash(member=self.design.member[0], record=self.design.record),
            "seed": self.seed,
            "tokens": self.tokens,
            **({} if self.vocabulary is None else {"vocabulary": self.vocabulary}),
            "code": package_code(__name__),
        }

    @property
    def place(self) -> str:
        """The baseline, in words."""
        return "blind baseline"

    def perform(self) -> None:
        """Computes and stores the scores."""
        data, design = self.store.load(self.data), self.design
        inputs, labels = (data[name].numpy()[: len(design.ids)] for name in ("inputs", "labels"))
        if self.vocabulary is not None:
            inputs = words_of(inputs, self.vocabulary)
        found = blind_scores(inputs, labels, design.member[0], design.record, seed=self.seed, tokens=self.tokens)
        tensors = {"rows": torch.from_numpy(found.rows), "scores": torch.from_numpy(found.scores)}
        self.store.save(self.key, tensors, self.definition)

    def load(self) -> Blind:
        """The stored scores."""
        found = self.store.load(self.key)
        return Blind(found["rows"].numpy(), found["scores"].numpy())
