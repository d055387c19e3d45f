"""Plays of attacks as jobs, and what the judges say of them: cached by everything that can change either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.defenses.query import describe_defense, guard
from dosimeter.families.attack import NamedAttack
from dosimeter.families.inversion.game import Asked, InversionGame, Starts
from dosimeter.families.inversion.play.beside import Beside
from dosimeter.families.inversion.play.judges import JudgeJob
from dosimeter.families.inversion.play.priors import PriorJob
from dosimeter.families.play import AttackJob, attack_key, blamed, check_reconstructions
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.foundation.seeds import generator
from dosimeter.jobs.keyed import KeyedJob
from dosimeter.jobs.store import Store
from dosimeter.models.access import Access
from dosimeter.models.architectures import as_float
from dosimeter.training.deployment.network import opened, origin
from dosimeter.training.learners.judges import nearest
from dosimeter.training.packs import PackJob
from dosimeter.training.recipe import ChangesAnswers

GRADIENT = 3.0
"""Work of an answer with its gradient, in answers."""


@dataclass(frozen=True)
class Arena:
    """Where the attacks of a case play.

    Attributes:
        seed: root of all randomness.
        access: what the model gives away.
        public: key of the public records.
        prior: the adversary's prior.
        defenses: of the deployed model's answers.
    """

    seed: int
    access: Access
    public: str
    prior: PriorJob
    defenses: tuple[ChangesAnswers, ...] = ()


@dataclass(frozen=True)
class PlayJob(AttackJob):
    """One attack on some identities of one model; its entry holds the reconstructions `[n k ...]`.

    Attributes:
        arena: where it plays.
        row: the attack.
        pack: the pack of the model.
        number: place of the model in the pack.
        classes: the identities, by the number of their output.
        beside: what the attack has beside the model.
    """

    arena: Arena
    row: NamedAttack
    pack: PackJob
    number: int
    classes: tuple[int, ...]
    beside: Beside = Beside()

    @property
    def follows(self) -> PackJob:
        """Implements `FollowingJob`."""
        return self.pack

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        row, arena = self.row, self.arena
        return {
            "kind": "play",
            "family": "inversion",
            "attack": attack_key(row),
            "model": [self.pack.key, self.number],
            "classes": list(self.classes),
            "seed": arena.seed,
            "access": str(arena.access.name),
            "public": arena.public,
            "prior": arena.prior.key,
            "beside": self.beside.definition,
            "defenses": [describe_defense(one) for one in arena.defenses],
            "code": package_code(__name__),
        }

    @property
    def alike(self) -> object:
        """Implements `Costed`."""
        return ("play", self.row.id, len(self.classes), id(self.pack.links))

    @property
    def size(self) -> int:
        """Implements `Costed`."""
        return 4 * 5 * len(self.classes) * int(np.prod(self.pack.links[-1].shape))

    def cost(self, pace: Any) -> float:
        """Implements `Costed`: answers, or answers with gradients; an attack of the user's does not say how many."""
        passes = float(getattr(self.row.attack, "passes", 0)) * len(self.classes)
        gradients = Access.WEIGHTS in self.row.attack.needs.access
        return passes * (GRADIENT if gradients else 1.0) * float(pace.answer(self.pack))

    def perform(self) -> None:
        """Plays, and stores the reconstructions and the number of queries."""
        game = self.game()
        rng = generator(self.arena.seed, f"attack {self.row.id}", *self.classes)
        tensors = played(self.row, game, rng, self.pack.links[-1].shape)
        self.store.save(self.key, tensors, self.definition)

    def game(self) -> InversionGame:
        """What the attack gets."""
        arena, device = self.arena, self.pack.device
        one, prior = opened(self.pack, self.number), arena.prior.load().to(device)
        seed = self.pack.seeds()[self.number]
        answer = guard(lambda records: _logits(one.model, records, device), arena.defenses, seed)
        classes, own = np.array(self.classes), self.beside
        return InversionGame(
            ids=classes.astype(str),
            classes=classes,
            public=as_float(self.store.load(arena.public)["inputs"]).to(device),
            prior=prior,
            starts=Starts(arena.seed, classes, prior.latent),
            asked=Asked(answer, arena.access),
            opened=one if arena.access == Access.WEIGHTS else None,
            guided=None if own.guided is None else own.guided.load(),
            students=() if own.students is None else own.students.load(),
            origin=origin(self.pack) if own.origin else None,
        )


@dataclass(frozen=True)
class VerdictJob(KeyedJob):
    """Job that shows both judges what one attack made on one model; its entry holds their similarities `[n k v]`.

    Attributes:
        plays: of all identities, in order.
        judge: the judges.
    """

    plays: tuple[PlayJob, ...]
    judge: JudgeJob

    @property
    def store(self) -> Store:
        """The store to read from and write to."""
        return self.judge.store

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        played = [play.key for play in self.plays]
        return {"kind": "judged", "plays": played, "judge": self.judge.key, "code": package_code(__name__)}

    @property
    def place(self) -> str:
        """What is judged, in words."""
        return f"judging of {self.plays[0].place}"

    def perform(self) -> None:
        """Judges and stores."""
        self.store.save(self.key, judged(self.judge, self.records()), self.definition)

    def records(self) -> Array:
        """The reconstructions of all identities `[n k ...]`."""
        return np.concatenate([self.store.load(play.key)["records"].numpy() for play in self.plays])

    def queries(self) -> int:
        """How often the model was asked."""
        return sum(int(self.store.load(play.key)["queries"].sum()) for play in self.plays)

    def load(self) -> dict[str, Array]:
        """Similarities by judge, and distances to the nearest record, `[n k v]`."""
        return {name: tensor.numpy() for name, tensor in self.store.load(self.key).items()}


def judged(judge: JudgeJob, records: Float[Array, "n k ..."]) -> dict[str, Tensor]:
    """What both judges say of reconstructions `[n k v]`, and how near the lineup finds records that the models learned.

    Args:
        judge: the judges, fitted.
        records: of each identity.
    """
    flat = records.reshape(-1, int(np.prod(records.shape[2:]))).astype(np.float64)
    (lineup, classifier), (learned, labels) = judge.load(), judge.learned()
    found = {"lineup": lineup.similarity(flat), "classifier": classifier.similarity(flat)}
    found["nearest"] = nearest(lineup.places(flat), learned, labels, found["lineup"].shape[1])
    return {name: torch.from_numpy(one.reshape(*records.shape[:2], -1)) for name, one in found.items()}


def played(
    row: NamedAttack, game: InversionGame, rng: np.random.Generator, shape: tuple[int, ...]
) -> dict[str, Tensor]:
    """What an attack makes in one game `[n k ...]`, checked, and how often it asked.

    Args:
        row: the attack.
        game: what it gets.
        rng: what it draws from.
        shape: of one record.

    Raises:
        AuditError: it raised, or made something else than reconstructions.
    """
    with blamed(row):
        found = row.attack.run(game, rng)
        values = np.asarray(found.values, dtype=np.float32)
    check_reconstructions(row, values, len(game.classes), shape, "identity")
    return {"records": torch.from_numpy(values[0]), "queries": torch.tensor(game.asked.count)}


def chunks(identities: int, size: int = 64) -> Sequence[tuple[int, ...]]:
    """All identities, divided into those of one play; random starts do not depend on the division."""
    return [tuple(range(start, min(start + size, identities))) for start in range(0, identities, size)]


def _logits(model: torch.nn.Module, records: Tensor, device: str) -> Tensor:
    """Logits of a batch."""
    found: Tensor = model(records.to(device)).float()
    return found
