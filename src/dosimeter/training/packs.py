"""The fleet: jobs that train it in packs, each stored under a key of everything it depends on."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.foundation.seeds import seed_for
from dosimeter.jobs.keyed import KeyedJob
from dosimeter.jobs.store import Store
from dosimeter.models.architectures import as_float
from dosimeter.models.lora import merge_adapters
from dosimeter.models.weights import load_state
from dosimeter.training.chain import Link, build_chain, parts_of, place_of, users_code
from dosimeter.training.construction.joining import LEFT, inform
from dosimeter.training.distillation import pupil, soft_labels, teach_heads, teacher
from dosimeter.training.features import FeatureJob, forward, load_features
from dosimeter.training.keys import rows_hash, torch_version
from dosimeter.training.loop import train
from dosimeter.training.recipe import Hyperparameters, settle
from dosimeter.training.user_fit import Records, user_fit

HEADS_PER_PACK = 64
"""Number of linear heads that train as one batched program."""


@dataclass(frozen=True)
class PackJob(KeyedJob):
    """Job that trains a pack of models: many linear heads as one program, or one model of any other kind.

    Attributes:
        store: store to write to.
        links: the chain up to this stage.
        data: key of the stage's records.
        features: jobs whose features replace the inputs, empty if nothing is frozen.
        parent: key of the parent's trained weights, or None.
        prefix: key of the frozen prefix, or None.
        models: numbers of the models in the fleet.
        rows: training rows of each model `[m k]`.
        seed: seed of the audit.
        device: device to train on.
        whole: store the whole model, not only the trained part (a stage that others start from).
        alike: all models of the fleet start from the same fresh weights.
    """

    store: Store
    links: tuple[Link, ...]
    data: str
    features: tuple[FeatureJob, ...]
    parent: str | None
    prefix: str | None
    models: tuple[int, ...]
    rows: Array
    seed: int
    device: str
    whole: bool = False
    alike: bool = False

    @cached_property
    def recipe(self) -> Hyperparameters:
        """Hyperparameters of its stage, with the privacy bound if a defense gives one."""
        try:
            return settle(self.links[-1].hyperparameters, self.rows.shape[1])
        except ConfigError as error:
            raise ConfigError(*[f"stage {self.links[-1].name!r}: {one}" for one in error.problems]) from error

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        privacy = self.recipe.privacy
        private = None if privacy is None else asdict(privacy)
        return {
            "kind": "models",
            "stage": self.links[-1].definition,
            "data": self.data,
            "parent": self.prefix or self.parent,
            "models": list(self.models),
            "rows": rows_hash(self.rows),
            "seed": self.seed,
            "device": self.device.split(":")[0],
            "threads": 1,
            **({"alike": True} if self.alike else {}),
            **({} if private is None else {"private": private}),
            "torch": torch_version(),
            "code": package_code(__name__),
        }

    def state(self) -> dict[str, Tensor]:
        """What the trained models hold; adversaries that took part in their training are left out."""
        return {name: one for name, one in self.store.load(self.key).items() if not name.startswith(LEFT)}

    def adversaries(self) -> dict[str, Tensor]:
        """Weights of the adversaries that took part in the training of its model."""
        found = self.store.load(self.key).items()
        return {name.removeprefix(LEFT): one for name, one in found if name.startswith(LEFT)}

    def seeds(self) -> list[int]:
        """Seeds of the models."""
        return [seed_for(self.seed, "model", number) for number in self.models]

    @property
    def place(self) -> str:
        """The stage and the models that it trains."""
        return place_of(self.links, self.models)

    @property
    def users_code(self) -> tuple[str, ...]:
        """The user's own code in its chain."""
        return users_code(self.links)

    @property
    def trained(self) -> int:
        """Number of models that the job trains."""
        return len(self.models)

    def perform(self) -> None:
        """Trains and stores the pack."""
        data = self.store.load(self.data)
        if self.heads:
            features = load_features(self.store, self.features)
            link = self.links[-1]
            heads = teach_heads(
                features, data["labels"], self.rows, self.recipe, classes=link.classes, seeds=self.seeds(),
                device=torch.device(self.device),
            )  # fmt: skip
            tensors = {"weight": heads.weight, "bias": heads.bias, "loss": heads.loss}
        else:
            assert len(self.models) == 1
            tensors = self._one_model(data)
        self.store.save(self.key, tensors, self.definition)

    @property
    def heads(self) -> bool:
        """Returns whether the pack consists of linear heads."""
        return self.links[-1].transfer == "head" and self.links[-1].fit is None and not self.whole

    def _one_model(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        """Trains one model by the built-in loop or the user's `fit`; returns the weights of its trained part."""
        link, seed, rows = self.links[-1], self.seeds()[0], torch.from_numpy(self.rows[0])
        device = torch.device(self.device)
        parent = self.store.load(self.parent) if self.parent else None
        start = self.seed if self.alike else seed
        model = build_chain(self.links, len(self.links) - 1, seed_for(start, "initialisation"), parent)
        labels = data["labels"][rows]
        if link.fit:
            trained = user_fit(link, model, Records(as_float(data["inputs"][rows]), labels), seed % 2**31)
            load_state(model, trained.state_dict(), f"stage {link.name!r}, fit {link.fit!r}")
            return _state(model)
        parts = parts_of(self.links, len(self.links) - 1, model, seed_for(start, "adapters"))
        inputs = load_features(self.store, self.features)[rows] if self.features else data["inputs"][rows]
        if parts.frozen is not None and not self.features:
            inputs = forward(parts.frozen, as_float(inputs), device)
        records = None if parts.frozen is None else data["inputs"][rows]
        if link.language:
            labels = inputs
        found, hp = teacher(self.recipe), pupil(self.recipe)
        if found is not None:
            answers = functools.partial(self._answers, inputs, records, labels, parent)
            labels = soft_labels(found, len(rows), seed, answers)
        hp, told = inform(hp, data, rows)
        train(parts.trained, inputs, labels, hp, seed=seed, device=device, records=records)
        if not self.whole:
            left = {} if told is None else {LEFT + name: tensor for name, tensor in told.left.items()}
            return _state(parts.trained) | left
        merge_adapters(parts.trained)  # in place: adapters stand in the model itself
        return _state(model.cpu())

    def _answers(
        self, inputs: Tensor, records: Tensor | None, labels: Tensor, parent: dict[str, Tensor] | None, seed: int,
        own: Array,
    ) -> Tensor:  # fmt: skip
        """Probabilities `[k c]` of a sub-model on all of a model's records, after training on some of them."""
        model = build_chain(self.links, len(self.links) - 1, seed_for(seed, "initialisation"), parent)
        drawn, rows = seed_for(seed, "adapters"), torch.from_numpy(own)
        trained = parts_of(self.links, len(self.links) - 1, model, drawn).trained
        device, hp = torch.device(self.device), pupil(self.links[-1].hyperparameters)
        known = None if records is None else records[rows]
        train(trained, inputs[rows], labels[rows], hp, seed=seed, device=device, records=known)
        return torch.softmax(forward(trained, as_float(inputs), device), 1)


def _state(model: nn.Module) -> dict[str, Tensor]:
    """A model's tensors on the CPU, without shared memory, as safetensors requires."""
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
