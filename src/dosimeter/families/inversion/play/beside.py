"""Jobs of what adversaries train beside one model, and with its answers: a conditional generator, students."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dosimeter.families.inversion.attacks.reading import margin
from dosimeter.families.inversion.attacks.views import AROUND, seen
from dosimeter.families.inversion.game import Needs
from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.foundation.seeds import generator
from dosimeter.jobs.keyed import FollowingJob
from dosimeter.models.architectures import as_float
from dosimeter.models.learners import ClassDecoder, finite, inert
from dosimeter.training.deployment.network import answers, deployed
from dosimeter.training.learners.guided import BATCH, Guidance, Guided, fit_guided, pseudo_labelled
from dosimeter.training.learners.students import Lessons, fit_students, fresh_student
from dosimeter.training.packs import PackJob

PROBE = 2
"""Steps of a training by which its duration is estimated."""
GRADIENT = 3.0
"""Work of an answer with its gradient, in answers."""


@dataclass(frozen=True)
class Held:
    """What an adversary has: one model, and records of other people.

    Attributes:
        pack: the pack of the model.
        number: place of the model in the pack.
        public: key of the public records.
        records: number of public records.
        seed: root of all randomness; the same for all models, so that they are compared fairly.
    """

    pack: PackJob
    number: int
    public: str
    records: int
    seed: int

    @property
    def definition(self) -> dict[str, Any]:
        """Everything that it depends on."""
        return {
            "model": [self.pack.key, self.number],
            "public": self.public,
            "seed": self.seed,
            "device": self.pack.device.split(":")[0],
        }

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one record."""
        return self.pack.links[-1].shape

    @property
    def classes(self) -> int:
        """Classes of the model."""
        return self.pack.links[-1].classes

    def shown(self) -> tuple[nn.Module, Float[Tensor, "p ..."], Float[Tensor, "p v"]]:
        """The model, the public records on its device, and the logarithms of its probabilities for them."""
        model = deployed(self.pack, self.number)
        records = as_float(self.pack.store.load(self.public)["inputs"])
        found = answers(model, records, self.pack.device).double().log_softmax(1)
        return model, records.to(self.pack.device), found

    def drawn(self) -> tuple[Float[Tensor, "p ..."], Float[Tensor, "p v"]]:
        """Random records and answers, by which a training is tried before there is a model."""
        rng = np.random.default_rng(0)
        records = rng.random((self.records, *self.shape), dtype=np.float32)
        said = torch.from_numpy(rng.standard_normal((self.records, self.classes))).log_softmax(1)
        return torch.from_numpy(records).to(self.pack.device), said


@dataclass(frozen=True)
class _BesideJob(FollowingJob):
    """What the jobs of this file have in common.

    Attributes:
        held: the model and the records.
    """

    held: Held

    @property
    def follows(self) -> PackJob:
        """Implements `FollowingJob`."""
        return self.held.pack

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        settings = asdict(self.settings)
        return {"kind": self.kind, **self.held.definition, "settings": settings, "code": package_code(__name__)}

    @property
    @abstractmethod
    def settings(self) -> Guidance | Lessons:
        """Sizes of the training."""

    @property
    @abstractmethod
    def kind(self) -> str:
        """What it trains, in a word."""

    @property
    def alike(self) -> object:
        """Implements `Costed`."""
        return (self.kind, self.settings, id(self.held.pack.links))

    @property
    def size(self) -> int:
        """Implements `Costed`."""
        return 4 * sum(int(tensor.numel()) for one in self.empty() for tensor in one.state_dict().values())

    @abstractmethod
    def empty(self) -> Sequence[nn.Module]:
        """Networks of the form that is trained, with weights of no meaning."""

    def _seconds(self, steps: int) -> float:
        """Duration of so many steps, by two of them on random records."""
        passes = []
        for count in (1, 1 + PROBE):
            start = time.perf_counter()
            self._tried(count)
            passes.append(time.perf_counter() - start)
        return steps * max(passes[1] - passes[0], 0.0) / PROBE

    @abstractmethod
    def _tried(self, steps: int) -> None:
        """Trains for a few steps on random records."""


@dataclass(frozen=True)
class GuidedJob(_BesideJob):
    """Job that trains a conditional generator for one model; its entry holds the generator.

    Attributes:
        guidance: sizes of the training.
    """

    guidance: Guidance

    @property
    def settings(self) -> Guidance:
        """Sizes of the training."""
        return self.guidance

    @property
    def kind(self) -> str:
        """What it trains, in a word."""
        return "guided"

    @property
    def place(self) -> str:
        """What it makes, in words."""
        return f"generator for {self.held.pack.place}"

    def cost(self, pace: Any) -> float:
        """Implements `Costed`: a training is tried for two steps; the model answers in each step."""
        asked = GRADIENT * BATCH * self.guidance.steps + self.held.records
        return self._seconds(self.guidance.steps) + asked * float(pace.answer(self.held.pack))

    def perform(self) -> None:
        """Sorts the public records, trains and stores."""
        model, records, found = self.held.shown()
        rng = generator(self.held.seed, "guided views")

        def steer(made: Float[Tensor, "b c h w"], labels: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
            return margin(model(seen(made, AROUND.draw(rng))).float(), labels)

        chosen = pseudo_labelled(found, self.guidance.top)
        maker = fit_guided(records, chosen, steer, self.guidance, self.held.seed)
        if not finite(maker):
            raise TrainingError(
                "the generator must have finite weights, got NaN: take fewer generator_steps or less guidance"
            )
        tensors = {name: tensor.detach().cpu().clone() for name, tensor in maker.state_dict().items()}
        tensors["value_range"] = torch.tensor([records.min(), records.max()], dtype=torch.float64)
        self.store.save(self.key, tensors, self.definition)

    def load(self) -> Guided:
        """The generator, on the model's device."""
        found = dict(self.store.load(self.key))
        low, high = found.pop("value_range").tolist()
        network = ClassDecoder(self.held.shape, self.guidance.latent, self.held.classes, (low, high))
        network.load_state_dict(found)
        return Guided(inert(network.to(self.held.pack.device)), self.guidance.latent, self.held.shape, low, high)

    def empty(self) -> Sequence[nn.Module]:
        """The generator."""
        return (ClassDecoder(self.held.shape, self.guidance.latent, self.held.classes, (0.0, 1.0)),)

    def _tried(self, steps: int) -> None:
        records, said = self.held.drawn()
        few = replace(self.guidance, steps=steps)
        fit_guided(records, pseudo_labelled(said, few.top), lambda made, _: made.flatten(1).mean(1), few, 0)


@dataclass(frozen=True)
class StudentsJob(_BesideJob):
    """Job that trains students of one model on the public records; its entry holds them by number.

    Attributes:
        lessons: sizes of the training.
    """

    lessons: Lessons

    @property
    def settings(self) -> Lessons:
        """Sizes of the training."""
        return self.lessons

    @property
    def kind(self) -> str:
        """What it trains, in a word."""
        return "students"

    @property
    def place(self) -> str:
        """What it makes, in words."""
        return f"students of {self.held.pack.place}"

    def cost(self, pace: Any) -> float:
        """Implements `Costed`: a training is tried for two steps."""
        return self._seconds(self.lessons.steps) + self.held.records * float(pace.answer(self.held.pack))

    def perform(self) -> None:
        """Asks the model about the public records, trains and stores."""
        _, records, found = self.held.shown()
        taught = fit_students(records, found, self.lessons, self.held.seed)
        if not all(finite(one) for one in taught):
            raise TrainingError("students must have finite weights, got NaN: take fewer student_steps")
        tensors = {
            f"{number}.{name}": tensor.detach().cpu().clone()
            for number, one in enumerate(taught)
            for name, tensor in one.state_dict().items()
        }
        tensors["value_range"] = torch.tensor([records.min(), records.max()], dtype=torch.float64)
        self.store.save(self.key, tensors, self.definition)

    def load(self) -> tuple[nn.Module, ...]:
        """The students, on the model's device."""
        found = dict(self.store.load(self.key))
        low, high = found.pop("value_range").tolist()
        taught = self._fresh((low, high))
        for number, one in enumerate(taught):
            own = {
                name.removeprefix(f"{number}."): tensor
                for name, tensor in found.items()
                if name.startswith(f"{number}.")
            }
            one.load_state_dict(own)
        return tuple(inert(one.to(self.held.pack.device)) for one in taught)

    def empty(self) -> Sequence[nn.Module]:
        """The students."""
        return self._fresh((0.0, 1.0))

    def _fresh(self, value_range: tuple[float, float]) -> list[nn.Sequential]:
        """Students before their training."""
        held = self.held
        return [fresh_student(one, held.shape, held.classes, value_range) for one in range(self.lessons.count)]

    def _tried(self, steps: int) -> None:
        fit_students(*self.held.drawn(), replace(self.lessons, steps=steps), 0)


@dataclass(frozen=True)
class Beside:
    """What an attack has beside the model.

    Attributes:
        guided: job of the generator, or None.
        students: job of the students, or None.
        origin: whether it has the network that the model was finetuned from.
    """

    guided: GuidedJob | None = None
    students: StudentsJob | None = None
    origin: bool = False

    @property
    def jobs(self) -> tuple[GuidedJob | StudentsJob, ...]:
        """Jobs to be done before the attack."""
        return tuple(one for one in (self.guided, self.students) if one is not None)

    @property
    def definition(self) -> dict[str, Any]:
        """Everything that it depends on; the network before finetuning is in the key of the model."""
        return {"trained": [one.key for one in self.jobs], "origin": self.origin}


def beside(needs: Needs, held: Held) -> Beside:
    """What an attack needs beside one model.

    Args:
        needs: of the attack.
        held: the model and the records.
    """
    guided = None if needs.guided is None else GuidedJob(held, needs.guided)
    students = None if needs.students is None else StudentsJob(held, needs.students)
    return Beside(guided, students, needs.checkpoint != "none")
