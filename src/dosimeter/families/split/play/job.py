"""Job of one attack on one recording: what it says of each victim."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dosimeter.families.attack import NamedAttack
from dosimeter.families.play import AttackJob, attack_key, blamed, check_reconstructions, log_scores
from dosimeter.families.split.game import Auxiliary, Secret, SplitGame
from dosimeter.families.split.play.form import OwnForm
from dosimeter.families.split.play.halves import AskedHalf, CutModel, OpenHalf, Server
from dosimeter.families.split.play.record import Recording, RecordJob
from dosimeter.families.split.play.steered import Steered, steered_seed
from dosimeter.families.split.threat import LABEL
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.foundation.seeds import generator
from dosimeter.jobs.arrays import arrays_hash
from dosimeter.models.architectures import as_float

PRODUCT = 1e-9
"""Seconds for a number of a record and a pass over it on one core of 2024, of attacks that are not known better."""
BACKWARDS = 3.0
"""Work of an answer with a gradient, in units of an answer."""
STEP = 0.004
"""Seconds of one step of a small critic with its gradient penalty, in the same units."""
TOGETHER = 64
"""Records of a step."""
PASSES: dict[str, float] = {"attribute": 3e4, "input": 3e3}
"""Work of a training for each record and number of it, in the same units, by what is sought."""


@dataclass(frozen=True)
class Arena:
    """Where the attacks of a case play; it holds no input, label or attribute of a victim.

    Attributes:
        seed: root of all randomness.
        ids: of the victims `[n]`.
        persons: whose each auxiliary record is, as a number `[p]`.
    """

    seed: int
    ids: Array
    persons: Array


@dataclass(frozen=True)
class PlayJob(AttackJob):
    """One attack on one recording at one source; its entry holds `records` `[n ...]` or `guesses` `[n v]`.

    Attributes:
        arena: where it plays.
        row: the attack.
        record: what was recorded of the model.
        source: number of the cut whose features it reads; None if it reads the answers or the inputs.
        secret: the attribute that is sought, as the adversary knows it; None if the input is.
        moved: rows by which victims are exchanged in the null audit `[n]`; None otherwise.
        counterpart: whether an attack on features plays on the answers, or on those behind the cut `source`.
    """

    arena: Arena
    row: NamedAttack
    record: Recording
    source: int | None
    secret: Secret | None = None
    moved: Array | None = None
    counterpart: bool = False

    @property
    def follows(self) -> Recording:
        """Implements `FollowingJob`."""
        return self.record

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        row, secret = self.row, self.secret
        return {
            "kind": "play",
            "family": "split",
            "attack": attack_key(row),
            # Inputs are the same behind every defense and of every model.
            "recording": list(self.record.data) if self.reads_inputs else self.record.key,
            "source": self.source,
            "counterpart": self.counterpart,
            "secret": None if secret is None else [
                secret.name, list(secret.values), arrays_hash(rows=secret.rows, known=secret.known)
            ],
            "moved": None if self.moved is None else arrays_hash(moved=self.moved),
            "adaptive": adaptive(self.row),
            "arena": [self.arena.seed, arrays_hash(ids=self.arena.ids, persons=self.arena.persons)],
            "code": package_code(__name__),
        }  # fmt: skip

    @property
    def alike(self) -> object:
        """Implements `Costed`."""
        return ("play", self.row.id, self.source, self.counterpart)

    @property
    def size(self) -> int:
        """Implements `Costed`."""
        values = 2 if self.secret is not None else int(np.prod(self.record.shape))
        return 4 * self.record.sizes[0] * values

    def cost(self, pace: Any) -> float:
        """Implements `Costed`: a rough guess, since attacks differ."""
        if self.row.attack.control:
            return 0.0
        passes = int(getattr(self.row.attack, "passes", 0))
        if passes and isinstance(self.record, RecordJob):
            return BACKWARDS * passes * self.record.sizes[0] * self.record.host.seconds(pace)
        updates = int(getattr(self.row.attack, "updates", 0))
        if updates and isinstance(self.record, RecordJob):
            return updates * (STEP + BACKWARDS * TOGETHER * self.record.host.seconds(pace))
        width = min(256, int(np.prod(self.record.shape)))
        return PRODUCT * PASSES[self.row.attack.needs.goal] * self.record.sizes[1] * width

    def perform(self) -> None:
        """Plays, and stores what the attack says."""
        game = self.game()
        index = [] if self.source is None else [self.source, 1] if self.counterpart else [self.source]
        purpose = f"attack {self.row.id}" + ("" if self.secret is None else f" {self.secret.name}")
        with blamed(self.row):
            found = self.row.attack.run(game, generator(self.arena.seed, purpose, *index))
            values = np.asarray(found.values)
        self.store.save(self.key, self._checked(values, game), self.definition)

    @property
    def reads_answers(self) -> bool:
        """Returns whether what is read are answers, and not features."""
        return self.counterpart or self.row.attack.needs.reads == "answers"

    @property
    def reads_inputs(self) -> bool:
        """Returns whether it is a yardstick that reads the inputs themselves, and gets no model."""
        return bool(self.row.attack.needs.reads == "inputs")

    def game(self) -> SplitGame:
        """What the attack gets: of the victims nothing but what was recorded, unless it is a yardstick."""
        record, device = self.record, self.record.device
        own = self.store.load(record.data[1])
        inputs = as_float(own["inputs"]).to(device)
        if self.reads_inputs:
            victims, known = as_float(self.store.load(record.data[0])["inputs"]).float(), inputs.float().cpu()
        else:
            victims, known = record.load(self.source, answers=self.reads_answers, plain=not adaptive(self.row))
        needs = self.row.attack.needs
        known_by = {"answers": self.reads_answers, "plain": not adaptive(self.row)}
        model = None  # of traffic there is none
        if isinstance(record, RecordJob) and not self.reads_inputs:
            model = CutModel(record, self.source, **known_by)
        if needs.gradients and model is not None and not self.counterpart:
            victims, known = self._gradients(model, victims, known)
        if self.moved is not None:
            victims = victims[torch.from_numpy(self.moved)]
        if needs.knows == "nothing":
            known = known[:0]  # who knows nothing of the first half cannot make features of their own records
        labels = own["labels"].numpy().copy()
        if self.secret is not None and self.secret.name == LABEL:
            labels[~np.isin(np.arange(len(labels)), self.secret.rows)] = -1  # what is sought is not given away
        auxiliary = Auxiliary(known.to(device), inputs, labels, self.arena.persons)
        return SplitGame(
            self.arena.ids,
            victims.to(device),
            auxiliary,
            self.secret,
            asked=None if model is None or needs.knows == "nothing" else AskedHalf(model),
            half=OpenHalf(model) if model is not None and needs.knows == "weights" else None,
            rest=Server(model) if model is not None and needs.rest else None,
            training=self._steered() if needs.active else None,
            form=self._form(record) if needs.form and isinstance(record, RecordJob) else None,
        )

    def _form(self, record: RecordJob) -> OwnForm:
        """The layers of the first half; of the whole model where answers are read."""
        return OwnForm(CutModel(record, None if self.reads_answers else self.source))

    def _steered(self) -> Steered | None:
        """The training whose gradients the attack returns; None where there is none."""
        if not isinstance(self.record, RecordJob) or self.source is None or self.counterpart:
            return None
        return Steered(self.record, self.source, steered_seed(self.arena.seed, self.source), self.moved)

    def _gradients(self, model: CutModel, victims: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """What comes back over the cut for the victims and the auxiliary records, whose owner knows their classes."""
        own = (self.store.load(key)["labels"].long() for key in self.record.data)
        device = self.record.device
        first, second = (
            model.returned(seen.to(device), labels).cpu() for seen, labels in zip((victims, known), own, strict=True)
        )
        return first, second

    def load(self) -> Array:
        """Reconstructions `[n ...]` or guesses `[n v]`."""
        (found,) = self.store.load(self.key).values()
        values: Array = found.numpy()
        return values

    def _checked(self, values: Array, game: SplitGame) -> dict[str, Tensor]:
        """What an attack returned, in the form in which it is stored.

        Raises:
            AuditError: it has another shape, or numbers that are not allowed.
        """
        if self.secret is None:
            shape = tuple(game.auxiliary.inputs.shape[1:])
            check_reconstructions(self.row, values, len(game.ids), shape, "victim")
            return {"records": torch.from_numpy(values[0, :, 0].astype(np.float32))}
        return log_scores(self.row, values, (len(game.ids), len(self.secret.values)))


def adaptive(row: NamedAttack) -> bool:
    """Returns whether an attack learns on what the defenses of the cut send, and not on features without them."""
    return bool(getattr(row.attack, "adaptive", True))


def by_coin(secret: Secret, seed: int) -> Secret:
    """The attribute with its known values exchanged at random, for the null audit.

    Args:
        secret: as the adversary knows it.
        seed: root of all randomness.
    """
    return replace(secret, known=generator(seed, f"null {secret.name}").permutation(secret.known))
