"""One shadow of a supplied model: the user's `fit` trains it on half of the records; it is queried about all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from dosimeter.data.cells import Held, cells_from
from dosimeter.data.views import apply_view
from dosimeter.families.membership.observe.signals import SIGNALS, readable, signals_of
from dosimeter.families.membership.observe.supplied_probes import Probing
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.foundation.seeds import generator
from dosimeter.jobs.keyed import KeyedJob
from dosimeter.jobs.store import Store
from dosimeter.models.access import Access
from dosimeter.models.architectures import as_float
from dosimeter.models.supplied.adapt import PROBED, Adapted, Examples, adapt
from dosimeter.models.supplied.classes import Classes
from dosimeter.models.supplied.forms import Form
from dosimeter.training.keys import rows_hash, torch_version
from dosimeter.training.user_fit import Fit, Records, call_fit


@dataclass(frozen=True)
class ShadowJob(KeyedJob):
    """One shadow: trained by the user's `fit` and queried at once; the store keeps its signals.

    Attributes:
        store: the store to write to.
        data: key of all records.
        number: number of the shadow.
        rows: records that it trains on.
        views: query views.
        access: access to its outputs.
        fit: the user's function, or its reference.
        sources: names and hashes of the code that it depends on.
        seed: seed of its training.
        classes: number of classes.
        output: what its model returns, as the target's does.
        device: device that queries it.
        form: how the target is given its records, and so what `fit` gets.
        names: names of the classes.
        tokens: the inputs are tokens.
        probing: probes of the model itself.
    """

    store: Store
    data: str
    number: int
    rows: Array
    views: tuple[str, ...]
    access: Access
    fit: Fit | str
    sources: tuple[tuple[str, str], ...]
    seed: int
    classes: int
    output: Literal["logits", "probs"]
    device: str
    form: Form
    names: tuple[str, ...]
    tokens: bool
    probing: Probing

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        return {
            "kind": "shadow",
            "data": self.data,
            "number": self.number,
            "rows": rows_hash(self.rows),
            "views": list(self.views),
            "access": str(self.access.name),
            "sources": dict(self.sources),
            "seed": self.seed,
            "classes": self.classes,
            "output": self.output,
            "form": repr(self.form),
            "names": list(self.names),
            **self.probing.definition,
            "device": self.device.split(":")[0],
            "threads": 1,
            "torch": torch_version(),
            "code": package_code(__name__),
        }

    def decides(self, signal: str) -> dict[str, Any]:
        """Everything that the values of one signal depend on, whatever other signals are stored beside it."""
        kept = signal in self.probing.names
        definition = self.definition if kept else {k: v for k, v in self.definition.items() if k != "probes"}
        return {"signal": signal, **definition}

    @property
    def place(self) -> str:
        """The shadow's number, in words."""
        return f"shadow {self.number}"

    @property
    def trained(self) -> int:
        """Number of models that the job trains: one."""
        return 1

    def perform(self) -> None:
        """Trains the shadow, queries it and stores its signals."""
        data = self.store.load(self.data)
        every, labels = Held(data["inputs"], cells_from(data), self.tokens), data["labels"]
        records = Records(self.form.records(every[self.rows]), labels[torch.from_numpy(self.rows)])
        place = f"shadow {self.number}: fit"
        adapted = adapt(
            call_fit(self.fit, records, self.seed, place),
            classes=Classes(self.names, ours=True),
            example=Examples(as_given(self.form, every[:PROBED]), form=self.form),
            output=self.output,
            device=self.device,
            name=place,
        )
        found = observe(adapted, as_given(self.form, every), labels, self.views, self.access)
        found |= self.probing.of(adapted, data["inputs"], labels, len(self.views))
        self.store.save(self.key, found, self.definition)


def as_given(form: Form, records: Held) -> Held:
    """Records in the form in which `fit` got them; a shadow takes its named columns from these."""
    if form.kind != "frame" or form.names is None or records.cells is None:
        return records
    return replace(records, cells=records.cells.only(form.names))


def observe(
    adapted: Adapted, records: Held, labels: Tensor, views: tuple[str, ...], access: Access
) -> dict[str, Tensor]:
    """Signals `[q r]` of one model on all records, and which answers are correct `[r]`.

    The records are asked in a random order: answers of a model that depend on the batch, or on what was asked before,
    would else tell the parts apart, since these stand one after another.

    Raises:
        TrainingError: the model raised, or its answers are no class scores.
    """
    order = generator(0, "order of queries").permutation(len(records))
    back = torch.from_numpy(np.argsort(order))
    mixed = records[order]
    answers = [
        adapted.query(mixed if view == "identity" else apply_view(as_float(mixed.inputs), view))[back] for view in views
    ]
    found = signals_of(answers, labels, readable(SIGNALS, access), access, probabilities=adapted.output == "probs")
    found["correct"] = (answers[0].argmax(1) == labels).to(torch.uint8)
    return found
