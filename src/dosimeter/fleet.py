"""The fleet: the jobs that train it in packs, each cached by what made it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from dosimeter._fit import Records, user_fit
from dosimeter._package_code import package_code
from dosimeter._resolve import describe, is_users_fault
from dosimeter._seeds import seed_for
from dosimeter.adapters import merged
from dosimeter.chain import Link, build_chain, load_state, parts_of, place_of, rows_hash, torch_version, users_code
from dosimeter.errors import AuditError, ConfigError, StoreError, TrainingError
from dosimeter.models import as_float
from dosimeter.runners import Runner
from dosimeter.store import Store, key_of
from dosimeter.teaching import pupil, taught, teach_heads, teacher
from dosimeter.training import Hyperparameters, move, settled, train
from dosimeter.views import apply_view

Array = np.ndarray[Any, np.dtype[Any]]
HEADS_PER_PACK = 64
"""Linear heads that train as one batched program."""
RECORDS_PER_CHUNK = 128
"""Records whose frozen features are one job."""
INFERENCE_BATCH = 64


@runtime_checkable
class Job(Protocol):
    """A piece of work that ends in one entry of the store."""

    @property
    def store(self) -> Store:
        """Where its entry is."""
        ...

    @property
    def key(self) -> str:
        """Key of its entry."""
        ...

    @property
    def definition(self) -> dict[str, Any]:
        """What the key is made of."""
        ...

    @property
    def place(self) -> str:
        """What it works on, as the user knows it: "stage 'head', model 0 to 63"."""
        ...

    @property
    def users_code(self) -> tuple[str, ...]:
        """What of it is the user's own code, in words: "the model", "the defense Noise"."""
        ...

    def perform(self) -> None:
        """Make the entry."""
        ...


def perform(job: Job) -> None:
    """Do a job; a module-level function, so that other processes can be sent it.

    Raises:
        AuditError: what the job raised, with its place; so too what a user's code raised, or want of memory.
    """
    place = job.place
    try:
        job.perform()
    except StoreError:
        raise
    except AuditError as error:
        told = tuple(one if one.startswith(place) else f"{place}: {one}" for one in error.problems)
        if told == error.problems:
            raise
        raise type(error)(*told) from error
    except (RuntimeError, MemoryError, SystemExit) as error:
        remedy = "try --workers 1 or a smaller batch_size" if "memory" in repr(error).lower() else "correct the model"
        raise TrainingError(f"{place}: raised {describe(error)}: {remedy}") from error
    except Exception as error:
        if not job.users_code and not is_users_fault(error):
            raise  # nobody's code but ours
        raise TrainingError(
            f"{place}: raised {describe(error)}: correct {' or '.join(job.users_code) or 'it'}"
        ) from error


def missing(jobs: Sequence[Job]) -> list[Job]:
    """The jobs whose entries are absent or damaged."""
    return [job for job in jobs if not job.store.verify(job.key)]


def ensure(jobs: Sequence[Job], runner: Runner, advance: Callable[[int, int], None]) -> int:
    """Do the jobs that are not cached.

    Args:
        jobs: all jobs of one kind; they do not depend on each other.
        runner: where they are done.
        advance: called with (done, total), cached jobs counted as done.

    Returns:
        How many were done now.
    """
    todo = missing(jobs)
    done = len(jobs) - len(todo)
    advance(done, len(jobs))

    def one_more(_: int) -> None:
        nonlocal done
        done += 1
        advance(done, len(jobs))

    if todo:
        runner.run(perform, todo, one_more)
    return len(todo)


@dataclass(frozen=True)
class FeatureJob:
    """The frozen prefix's outputs on one chunk of records under one view.

    Attributes:
        store: where to write.
        links: the chain up to this stage.
        data: key of the records' entry.
        inputs: what the records are, whatever their labels.
        chunk: which chunk of `size` records.
        view: name of the view.
        prefix: key of everything that decides the prefix.
        parent: key of the parent's trained weights, or None if it is given.
        device: where to compute.
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
        """What the key is made of."""
        part = {"chunk": self.chunk, "size": self.size, "view": self.view}
        return {
            "kind": "features",
            "prefix": self.prefix,
            "inputs": self.inputs,
            "code": package_code(__name__),
            **part,
        }

    @cached_property
    def key(self) -> str:
        """Key of the entry."""
        return key_of(self.definition)

    @property
    def place(self) -> str:
        """The stage whose prefix it runs."""
        return place_of(self.links)

    @property
    def users_code(self) -> tuple[str, ...]:
        """What of its chain is the user's own."""
        return users_code(self.links)

    def perform(self) -> None:
        """Compute and store the features."""
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
    layout = torch.channels_last if inputs.ndim == 4 else torch.contiguous_format
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


@dataclass(frozen=True)
class PackJob:
    """The training of a pack of models: many linear heads as one program, or one model of any other kind.

    Attributes:
        store: where to write.
        links: the chain up to this stage.
        data: key of the stage's records.
        features: jobs whose features replace the inputs, empty if nothing is frozen.
        parent: key of the parent's trained weights, or None.
        prefix: key of the frozen prefix, or None.
        models: numbers of the models in the fleet.
        rows: training rows of each model `[m k]`.
        seed: of the audit.
        device: where to train.
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
        """The hyperparameters of its stage, with what bounds each record where a defense does that."""
        try:
            return settled(self.links[-1].hyperparameters, self.rows.shape[1])
        except ConfigError as error:
            raise ConfigError(*[f"stage {self.links[-1].name!r}: {one}" for one in error.problems]) from error

    @cached_property
    def definition(self) -> dict[str, Any]:
        """What the key is made of."""
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

    @cached_property
    def key(self) -> str:
        """Key of the entry."""
        return key_of(self.definition)

    def seeds(self) -> list[int]:
        """One seed per model."""
        return [seed_for(self.seed, "model", number) for number in self.models]

    @property
    def place(self) -> str:
        """The stage and the models that it trains."""
        return place_of(self.links, self.models)

    @property
    def users_code(self) -> tuple[str, ...]:
        """What of its chain is the user's own."""
        return users_code(self.links)

    def perform(self) -> None:
        """Train and store the pack."""
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
        """Whether the pack consists of linear heads."""
        return self.links[-1].transfer == "head" and self.links[-1].fit is None and not self.whole

    def _one_model(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        """Train one model, by the built-in loop or by the user's `fit`; gives the trained part's weights."""
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
        found, hp = teacher(self.recipe), pupil(self.recipe)
        if found is not None:
            labels = taught(found, len(rows), seed, functools.partial(self._answers, inputs, labels, parent))
        train(parts.trained, inputs, labels, hp, seed=seed, device=device)
        if not self.whole:
            return _state(parts.trained)
        merged(parts.trained)  # in place: adapters stand in the model itself
        return _state(model.cpu())

    def _answers(
        self, inputs: Tensor, labels: Tensor, parent: dict[str, Tensor] | None, seed: int, own: Array
    ) -> Tensor:
        """Probabilities `[k c]` of a fresh sub-model on all of a model's records, once trained on some of them."""
        model = build_chain(self.links, len(self.links) - 1, seed_for(seed, "initialisation"), parent)
        drawn, rows = seed_for(seed, "adapters"), torch.from_numpy(own)
        trained = parts_of(self.links, len(self.links) - 1, model, drawn).trained
        device = torch.device(self.device)
        train(trained, inputs[rows], labels[rows], pupil(self.links[-1].hyperparameters), seed=seed, device=device)
        return torch.softmax(forward(trained, as_float(inputs), device), 1)


def _state(model: nn.Module) -> dict[str, Tensor]:
    """A model's tensors on the CPU, none of which share memory."""
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}


def feature_jobs(
    store: Store, links: tuple[Link, ...], *, data: tuple[str, str], records: int, prefix: str, parent: str | None,
    device: str, views: Sequence[str], size: int = RECORDS_PER_CHUNK,
) -> list[FeatureJob]:  # fmt: skip
    """The jobs that compute the frozen features of all records of a data set under some views.

    Args:
        store: where to write.
        links: the chain up to this stage.
        data: key of the records' entry, and what their inputs are.
        records: how many.
        prefix: key of everything that decides the prefix.
        parent: key of the parent's trained weights, or None if it is given.
        device: where to compute.
        views: names of the views.
        size: records of one job.
    """
    return [
        FeatureJob(store, links, *data, chunk, view, prefix, parent, device, size)
        for view in views
        for chunk in range(-(-records // size))
    ]
