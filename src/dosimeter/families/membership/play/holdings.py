"""Holdings of a run's adversary beside signals: features and recipe, the records themselves, a way to train more.

A play gets the description of them, which is small, and reads the rest from the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dosimeter.data.record_features import few_columns
from dosimeter.families.membership.game import Holdings, Needs
from dosimeter.families.membership.play.frozen_head import HeadSource, RetrainSource
from dosimeter.families.membership.play.modules import WeightsSource
from dosimeter.families.membership.play.texts import TextsHeld, TextsJob
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.jobs.arrays import arrays_hash
from dosimeter.jobs.job import Job
from dosimeter.jobs.keyed import KeyedJob
from dosimeter.jobs.store import Store
from dosimeter.training.features import FeatureJob, load_features


@dataclass(frozen=True)
class ColumnsJob(KeyedJob):
    """The records at risk as a few columns of numbers: of frozen features if there are any, else of the records.

    They are learned on all records, of which nothing but the records enters.

    Attributes:
        store: the store.
        data: key of the records' entry.
        features: jobs of their frozen features, or none.
        rows: records that have signals, as rows of the data `[r]`.
        seed: seed of the components.
        tokens: the records are tokens.
    """

    store: Store
    data: str
    features: tuple[FeatureJob, ...]
    rows: Array
    seed: int
    tokens: bool

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        return {
            "kind": "columns",
            "data": self.data,
            "features": [job.key for job in self.features],
            "rows": arrays_hash(rows=self.rows),
            "seed": self.seed,
            "tokens": self.tokens,
            "code": package_code(__name__),
        }

    @property
    def place(self) -> str:
        """The records, in words."""
        return "columns of the records"

    def perform(self) -> None:
        """Computes and stores the columns."""
        import torch

        inputs = self.store.load(self.data)["inputs"].numpy()
        if self.features:
            inputs = load_features(self.store, self.features).flatten(1).numpy()
        columns = few_columns(inputs, self.seed, tokens=self.tokens and not self.features)
        self.store.save(self.key, {"columns": torch.from_numpy(columns[self.rows])}, self.definition)

    def load(self) -> Array:
        """The columns `[r d]`."""
        found: Array = self.store.load(self.key)["columns"].numpy()
        return found


@dataclass(frozen=True)
class HoldingsSource:
    """Description of an adversary's holdings, which `load` reads; what no attack asks for is None.

    Attributes:
        columns: the records as a few columns.
        head: frozen features and recipe.
        retrain: training of further shadows.
        weights: the models themselves.
        texts: lengths, sizes and base of texts.
    """

    columns: ColumnsJob | None = None
    head: HeadSource | None = None
    retrain: RetrainSource | None = None
    weights: WeightsSource | None = None
    texts: TextsJob | TextsHeld | None = None

    @property
    def phases(self) -> list[tuple[str, Sequence[Job]]]:
        """Jobs that make what is held, by phase."""
        job = self.texts if isinstance(self.texts, TextsJob) else None
        return [
            ("columns", [] if self.columns is None else [self.columns]),
            ("base" if job is not None and job.links else "texts", [] if job is None else [job]),
        ]

    def definition(self, needs: Needs) -> dict[str, Any]:
        """Content of the key of a play of an attack with such needs."""
        found: dict[str, Any] = {}
        if needs.inputs and self.columns is not None:
            found["columns"] = self.columns.key
        if needs.features and self.head is not None:
            found["head"] = self.head.definition
        if needs.retrain and self.retrain is not None:
            found["retrain"] = self.retrain.definition
        if needs.weights and self.weights is not None:
            found["weights"] = self.weights.definition
        if (needs.texts or needs.base) and self.texts is not None:
            found["texts"] = self.texts.key
        return found

    def load(self, needs: Needs) -> Holdings:
        """The holdings that an attack with such needs gets, once they are in the store."""
        return Holdings(
            head=self.head.load() if needs.features and self.head is not None else None,
            inputs=self.columns.load() if needs.inputs and self.columns is not None else None,
            retrain=self.retrain.load() if needs.retrain and self.retrain is not None else None,
            weights=self.weights.load() if needs.weights and self.weights is not None else None,
            texts=self.texts.load() if (needs.texts or needs.base) and self.texts is not None else None,
        )
