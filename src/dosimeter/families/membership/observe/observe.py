"""Queries trained models: signals of all models on all judged records, games, truth."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from dosimeter.data.views import apply_view
from dosimeter.defenses.query import describe_defense, guard
from dosimeter.families.membership.observe.language import stacked, text_signals
from dosimeter.families.membership.observe.probes import PROBES, Model, Situation, Subject, Training, probe
from dosimeter.families.membership.observe.probes.subject import Load
from dosimeter.families.membership.observe.signals import SIGNALS, signals_of
from dosimeter.families.membership.observe.text_queries import QUERIES
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.jobs.keyed import FollowingJob
from dosimeter.models.access import Access
from dosimeter.models.architectures import as_float
from dosimeter.models.weights import load_state
from dosimeter.training.chain import Link, build_chain, parts_of
from dosimeter.training.features import FeatureJob, forward, load_features
from dosimeter.training.keys import rows_hash
from dosimeter.training.loop import seed_torch
from dosimeter.training.packs import PackJob
from dosimeter.training.recipe import ChangesAnswers


@dataclass(frozen=True)
class ObserveJob(FollowingJob):
    """Signals of one pack of models.

    Attributes:
        pack: the models.
        rows: observed rows of the stage's data: candidates, then population `[n + z]`.
        population: how many of them are population.
        views: query views.
        features: jobs of the frozen features of all views, empty if nothing is frozen.
        test: key of test records, or None.
        test_features: jobs of the test records' frozen features.
        signals: names from `SIGNALS` and `PROBES`.
        access: what the models give away.
        defenses: of their answers, in order.
        data: key of the records' entry, where they are not those that the models were trained on.
    """

    pack: PackJob
    rows: Array
    population: int
    views: tuple[str, ...]
    features: tuple[FeatureJob, ...]
    test: str | None
    test_features: tuple[FeatureJob, ...]
    signals: tuple[str, ...]
    access: Access
    defenses: tuple[ChangesAnswers, ...] = ()
    data: str | None = None

    @property
    def follows(self) -> PackJob:
        """Implements `FollowingJob`."""
        return self.pack

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        return {
            "kind": "outputs",
            "models": self.pack.key,
            "rows": rows_hash(self.rows),
            "views": list(self.views),
            "signals": list(self.signals),
            "access": str(self.access.name),
            "code": package_code(__name__),
            **({"probes": {"population": self.population}} if self.probe_signals else {}),
            **({"defenses": [describe_defense(one) for one in self.defenses]} if self.defenses else {}),
            "test": self.test,
            **({"data": self.data} if self.data else {}),
        }

    def decides(self, signal: str) -> dict[str, Any]:
        """Everything that the values of one signal depend on, whatever other signals are stored beside it."""
        left_out = ("signals", "test", *(() if signal in PROBES else ("probes",)))
        return {"signal": signal, **{key: value for key, value in self.definition.items() if key not in left_out}}

    @property
    def probe_signals(self) -> tuple[str, ...]:
        """Names of the signals that probes compute."""
        return tuple(name for name in self.signals if name in PROBES)

    @property
    def alike(self) -> object:
        """Implements `Costed`."""
        return (self.signals, len(self.pack.links), len(self.pack.models), len(self.rows))

    @property
    def size(self) -> int:
        """Implements `Costed`."""
        return len(self.pack.models) * len(self.rows) * len(self.views) * len(self.signals) * 8

    def cost(self, pace: Any) -> float:
        """Implements `Costed`: the queries, and the training and solving that probes do beside their forward passes."""
        probes = list({id(PROBES[name]): PROBES[name] for name in self.probe_signals}.values())
        classes, models = self.pack.links[-1].classes, len(self.pack.models)
        load = Load(
            models=models,
            pool=2 * self.pack.rows.shape[1],
            population=self.population,
            classes=classes,
            width=pace.width,
            pace=lambda: pace.trained(self.pack),
        )
        solving = sum(one.seconds(load) for one in probes)
        if self.pack.heads and self.features:
            whole = sum(one.passes for one in probes if one.from_records)
            each = whole * (pace.frozen or 0.0) + 1e-8 * len(self.views) * classes
            return each * len(self.rows) * models + solving
        passes = len(self.views) + sum(one.passes for one in probes)
        passes += sum(QUERIES[name].passes for name in self.signals if name in QUERIES)
        return float(pace.answer(self.pack)) * len(self.rows) * passes + solving

    def perform(self) -> None:
        """Queries the models and stores their signals and which answers are correct."""
        data = self.store.load(self.data or self.pack.data)
        if self.pack.links[-1].language:
            self.store.save(self.key, self._of_texts(data["inputs"]), self.definition)
            return
        labels = data["labels"][torch.from_numpy(self.rows)]
        views = [self.inputs_of(view) for view in self.views]
        test = self.store.load(self.test) if self.test else None
        kept: list[dict[str, Tensor]] = []
        correct, test_correct = [], []
        models, plain = self.parts(), [name for name in self.signals if name in SIGNALS]
        for model in map(self._answer, models, self.pack.seeds()):
            outputs = [model(inputs) for inputs in views]
            if not all(bool(torch.isfinite(logits).all()) for logits in outputs) and not self.defenses:
                raise TrainingError(
                    f"stage {self.pack.links[-1].name!r}: a trained model gave NaN or infinite logits (models "
                    f"{self.pack.models[0]} to {self.pack.models[-1]}, entry {self.pack.key}): lower the learning rate"
                )
            kept.append(signals_of(outputs, labels, plain, self.access, probabilities=bool(self.defenses)))
            correct.append(outputs[0].argmax(1) == labels)
            if test is not None:
                test_correct.append(model(self._test_inputs).argmax(1) == test["labels"])
        tensors = {name: torch.stack([one[name] for one in kept]) for name in plain}
        if self.probe_signals:
            found = probe(self._subject(data, views[0], models), self.probe_signals)
            tensors |= {name: torch.stack([values] * len(views), 1) for name, values in found.items()}
        tensors["correct"] = torch.stack(correct).to(torch.uint8)
        if test_correct:
            tensors["test_correct"] = torch.stack(test_correct).to(torch.uint8)
        self.store.save(self.key, tensors, self.definition)

    def _of_texts(self, tokens: Tensor) -> dict[str, Tensor]:
        """Signals of the only model of the pack, a language model, on texts, and which next tokens are right."""
        (model,), device, place = self.parts(), torch.device(self.pack.device), f"stage {self.pack.links[-1].name!r}"
        own = tokens[torch.from_numpy(self.rows)]
        context = own[len(own) - self.population :]
        found = stacked(text_signals(model, own, self.signals, device, place=place, context=context))
        if self.test is not None:
            test = text_signals(model, self.store.load(self.test)["inputs"], (), device, place=place)
            found["test_correct"] = test["correct"][None]
        return {name: one.to(torch.uint8) if one.dtype == torch.bool else one for name, one in found.items()}

    def inputs_of(self, view: str) -> Tensor:
        """Inputs of the trained part of the models, for the observed rows under one view."""
        rows = torch.from_numpy(self.rows)
        if self.features:
            return load_features(self.store, [job for job in self.features if job.view == view])[rows]
        data = self.store.load(self.data or self.pack.data)
        return self._through(apply_view(as_float(data["inputs"][rows]), view))

    @cached_property
    def _test_inputs(self) -> Tensor:
        """Inputs of the trained part of the models, for test records."""
        assert self.test is not None
        if self.test_features:
            return load_features(self.store, self.test_features)
        return self._through(self.store.load(self.test)["inputs"])

    def _through(self, inputs: Tensor) -> Tensor:
        """Records after the frozen part of the models, if there is one and its features are not stored."""
        return (
            inputs if self._frozen is None else forward(self._frozen, as_float(inputs), torch.device(self.pack.device))
        )

    @cached_property
    def _frozen(self) -> nn.Sequential | None:
        """The frozen part of the models; None if there is none, or if it is stored with the trained part."""
        pack, index = self.pack, len(self.pack.links) - 1
        if not pack.links[index].frozen_prefix or pack.whole:
            return None
        return parts_of(pack.links, index, self._chain(0)).frozen

    def parts(self) -> list[nn.Module]:
        """The trained part of each model of the pack; a head is a linear layer."""
        pack = self.pack
        state = pack.state()
        if pack.heads:
            return [_head(weight, bias) for weight, bias in zip(state["weight"], state["bias"], strict=True)]
        model = self._fresh_part(0)
        return [load_state(model, state, f"stage {pack.links[-1].name!r}")]

    def _fresh_part(self, seed: int) -> nn.Module:
        """The part that is trained, with fresh weights if the stage has any."""
        pack, index = self.pack, len(self.pack.links) - 1
        model = self._chain(seed)
        return model if pack.whole or pack.links[index].fit else parts_of(pack.links, index, model).trained

    def _chain(self, seed: int) -> nn.Module:
        """The whole chain of the model, untrained."""
        pack = self.pack
        parent = self.store.load(pack.parent) if pack.parent else None
        return build_chain(pack.links, len(pack.links) - 1, seed, parent)

    def _answer(self, model: nn.Module, seed: int) -> Callable[[Tensor], Tensor]:
        """A trained part as a function from inputs (or frozen features) to logits, after the defenses."""
        if self.pack.heads:
            assert isinstance(model, nn.Linear)
            answer = _linear(model.weight.detach(), model.bias.detach())
        else:
            answer = functools.partial(_forward, model, torch.device(self.pack.device))
        return guard(answer, self.defenses, seed)

    def _subject(self, data: Mapping[str, Tensor], inputs: Tensor, models: Sequence[nn.Module]) -> Subject:
        """The subject of the probes: models, records and training of this pack."""
        pack, rows, device = self.pack, torch.from_numpy(self.rows), torch.device(self.pack.device)
        link = pack.links[-1]
        frozen = self._frozen

        def through(model: nn.Module, seed: int) -> Callable[[Tensor], Tensor]:
            answer = self._answer(model, seed)
            return answer if frozen is None else lambda records: answer(forward(frozen, as_float(records), device))

        training = None
        if link.fit is None:
            view = [job for job in self.features if job.view == self.views[0]]
            training = Training(
                hp=link.hyperparameters,
                inputs=load_features(self.store, view) if view else data["inputs"],
                rows=pack.rows,
                labels=data["labels"],
                observed=self.rows,
                seeds=pack.seeds(),
                fresh=functools.partial(_fresh_head, inputs.shape[1], link.classes) if pack.heads else self._fresh_part,
            )
        return Subject(
            models=tuple(
                Model(through(*one), one[0], self._answer(*one)) for one in zip(models, pack.seeds(), strict=True)
            ),
            records=data["inputs"][rows],
            inputs=inputs,
            labels=data["labels"][rows],
            population=self.population,
            device=device,
            training=training,
        )


def situation_of(link: Link, inputs: Array, population: int, *, single: bool, cut: bool) -> Situation:
    """The situation of a stage's models for probes, known before any is trained."""
    own, hp = link.fit is None, link.hyperparameters
    return Situation(
        supplied=False,
        network=True,
        heads=own and link.transfer == "head" and hp.optimizer == "sgd" and not hp.defenses,
        recipe=own,
        continuous=inputs.ndim == 4 or inputs.dtype.kind == "f",
        population=population,
        single=single,
        cut=cut,
    )


def _forward(model: nn.Module, device: torch.device, inputs: Tensor) -> Tensor:
    """Logits of a network."""
    return forward(model, as_float(inputs), device)


def _linear(weight: Tensor, bias: Tensor) -> Callable[[Tensor], Tensor]:
    """A head as a function; products are summed in float64, so that signals do not depend on the batch size."""
    return lambda features: torch.addmm(bias.double(), features.double(), weight.double().T)


def _head(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A head as a linear layer."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta").to_empty(device="cpu")
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer


def _fresh_head(features: int, classes: int, seed: int) -> nn.Linear:
    """A head before training, drawn from its seed."""
    with seed_torch(seed):
        return nn.Linear(features, classes)
