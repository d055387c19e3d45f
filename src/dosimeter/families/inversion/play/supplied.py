"""Plays of attacks on a supplied model, in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from dosimeter.data import Dataset
from dosimeter.data.supplied import held_of
from dosimeter.families.attack import NamedAttack
from dosimeter.families.inversion.case.held import HeldRecords
from dosimeter.families.inversion.game import Asked, InversionGame, Starts
from dosimeter.families.inversion.play.given import GivenModel, given_model
from dosimeter.families.inversion.play.job import chunks, judged, played
from dosimeter.families.inversion.play.judges import JudgeJob
from dosimeter.families.inversion.play.priors import PriorJob
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.models.access import Access
from dosimeter.models.architectures import as_float
from dosimeter.models.supplied.adapt import PROBED, Examples, adapt
from dosimeter.models.supplied.classes import Classes
from dosimeter.training.system import SuppliedSystem
from dosimeter.training.user_fit import Records, call_fit

PLACE = "null audit: fit"
"""Where an error of the user's training is reported."""


@dataclass(frozen=True)
class Arena:
    """Where the attacks of a case play.

    Attributes:
        seed: root of all randomness.
        access: what the model gives away.
        public: the public records.
        prior: the adversary's prior.
        judge: the judges.
        outputs: the model's class of each identity.
        progress: is told how many attacks are done.
    """

    seed: int
    access: Access
    public: Dataset
    prior: PriorJob
    judge: JudgeJob
    outputs: tuple[int, ...]
    progress: Callable[[str, int, int], None]


@dataclass(frozen=True)
class Played:
    """What one attack made.

    Attributes:
        records: reconstructions `[n k ...]`.
        similarity: by judge, to each identity `[n k v]`.
        queries: how often the model was asked.
    """

    records: Float[Array, "n k ..."]
    similarity: Mapping[str, Float[Array, "n k v"]]
    queries: int


def play_all(
    arena: Arena, model: GivenModel, rows: Sequence[NamedAttack], *, told: str = "attacks"
) -> dict[str, Played]:
    """What each attack makes, by id; from the same starts as on any other model.

    Args:
        arena: where they play.
        model: the model.
        rows: the attacks.
        told: name of the phase.

    Raises:
        AuditError: an attack raised, or made something else than reconstructions.
    """
    prior = arena.prior.load().to(model.device)
    public = as_float(torch.from_numpy(arena.public.inputs)).to(model.device)
    found = {}
    for done, row in enumerate(rows):
        arena.progress(told, done, len(rows))
        parts, queries = [], 0
        for part in chunks(len(arena.outputs)):
            classes = np.array([arena.outputs[one] for one in part])
            game = InversionGame(
                ids=classes.astype(str), classes=classes, public=public, prior=prior,
                starts=Starts(arena.seed, classes, prior.latent), asked=Asked(model.answer, arena.access),
                opened=model.opened if arena.access == Access.WEIGHTS else None,
            )  # fmt: skip
            made = played(row, game, generator(arena.seed, f"attack {row.id}", *part), arena.prior.shape)
            parts.append(made["records"].numpy())
            queries += int(made["queries"].sum())
        records = np.concatenate(parts)
        seen = {name: one.numpy() for name, one in judged(arena.judge, records).items()}
        found[row.id] = Played(records, seen, queries)
    arena.progress(told, len(rows), len(rows))
    return found


def null_model(system: SuppliedSystem, held: HeldRecords) -> GivenModel:
    """A model that the user's `fit` trained on the members, their names exchanged at random.

    Args:
        system: the audited model, which has a `fit`.
        held: its records.

    Raises:
        TrainingError: `fit` raised, or gave no model that can be asked as the audited one.
    """
    assert system.fit is not None
    rows, adapted = held.split.trained, system.adapted
    members = held_of(held.at_risk.take(rows))
    labels = torch.from_numpy(np.array(held.outputs)[held.split.named])
    records, seed = Records(adapted.form.records(members), labels), seed_for(system.seed, "inversion null fit")
    trained = call_fit(system.fit, records, seed, PLACE)
    names = system.parts["members"].classes
    example = Examples(members[: min(PROBED, len(members))], form=adapted.form)
    again = adapt(
        trained, classes=Classes(names, ours=True), example=example, output=adapted.output, device=system.device,
        name=PLACE,
    )  # fmt: skip
    found = given_model(again, held.at_risk.inputs[:2], system.device)
    if found.closed and adapted.module is not None:
        raise TrainingError(f"{PLACE}: must return a network like the audited one, got that {found.closed}: correct it")
    return found
