"""One shadow of a supplied language model: finetuned from the same base on half of the texts, and asked about all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from dosimeter.families.membership.observe.language import ONE_PASS, entry_of, text_signals
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import ConfigError, TrainingError
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.jobs.keyed import KeyedJob
from dosimeter.jobs.store import Store
from dosimeter.models.language.given import read_finetuned
from dosimeter.training.keys import rows_hash, torch_version
from dosimeter.training.language.finetune import finetune, finetuning_key
from dosimeter.training.language.recipe import Finetuning
from dosimeter.training.user_fit import Fit, Records, call_fit


@dataclass(frozen=True, eq=False)
class TextShadowJob(KeyedJob):
    """One shadow: finetuned by a recipe or by the user's `fit`, and asked at once; the store keeps its signals.

    Attributes:
        store: the store to write to.
        data: key of all texts.
        number: number of the shadow.
        rows: texts that it trains on.
        recipe: how the base is finetuned, or the user's function, or its reference.
        base: the model that a recipe starts from; None for a function.
        start: fingerprint of the base; empty for a function.
        sources: names and hashes of the code that the user's function depends on.
        seed: seed of its training.
        vocabulary: number of tokens that there are.
        population: how many texts, the last ones, are outside every model.
        queries: signals for which texts are asked further; those of the one pass are always kept.
        device: device that trains and asks it.
    """

    store: Store
    data: str
    number: int
    rows: Array
    recipe: Finetuning | Fit | str
    base: nn.Module | None
    start: str
    sources: tuple[tuple[str, str], ...]
    seed: int
    vocabulary: int
    population: int
    queries: tuple[str, ...]
    device: str

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        own = {"recipe": finetuning_key(self.recipe), "base": self.start} if isinstance(self.recipe, Finetuning) else {}
        asked = {"queries": list(self.queries), "population": self.population} if self.queries else {}
        return {
            "kind": "shadow of texts",
            "data": self.data,
            "number": self.number,
            "rows": rows_hash(self.rows),
            **own,
            "sources": dict(self.sources),
            "seed": self.seed,
            "vocabulary": self.vocabulary,
            **asked,
            "device": self.device.split(":")[0],
            "threads": 1,
            "torch": torch_version(),
            "code": package_code(__name__),
        }

    def decides(self, signal: str) -> dict[str, Any]:
        """Everything that the values of one signal depend on, whatever other signals are stored beside it."""
        kept = self.definition
        if signal in ONE_PASS:
            kept = {name: one for name, one in kept.items() if name not in ("queries", "population")}
        return {"signal": signal, **kept}

    @property
    def place(self) -> str:
        """The shadow's number, in words."""
        return f"shadow {self.number}"

    @property
    def trained(self) -> int:
        """Number of models that the job trains: one."""
        return 1

    def perform(self) -> None:
        """Finetunes the shadow, asks it and stores its signals."""
        texts = self.store.load(self.data)["inputs"]
        own, device = texts[torch.from_numpy(self.rows)], torch.device(self.device)
        if isinstance(self.recipe, Finetuning):
            assert self.base is not None
            net = finetune(self.base, own, self.recipe, seed=self.seed, device=device)
        else:
            net = self._by_function(own, texts)
        found = text_signals(
            net, texts, (*ONE_PASS, *self.queries), device, place=self.place,
            context=texts[len(texts) - self.population :],
        )  # fmt: skip
        self.store.save(self.key, entry_of(found), self.definition)

    def _by_function(self, own: Tensor, texts: Tensor) -> nn.Module:
        """The model that the user's function trains on these texts.

        Raises:
            AuditError: it raised, or returned no causal model of these tokens.
        """
        place = f"shadow {self.number}: fit"
        assert not isinstance(self.recipe, Finetuning)
        records = Records(own, torch.zeros(len(own), dtype=torch.int64))
        trained = call_fit(self.recipe, records, self.seed, place, advise=False)
        try:
            return read_finetuned(trained, None, texts=texts, vocabulary=self.vocabulary, places=(place, "")).net
        except ConfigError as error:
            raise TrainingError(*error.problems) from error
