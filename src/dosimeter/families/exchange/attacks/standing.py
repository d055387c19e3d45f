"""The adversary in the place of others: parties that hold records of the adversary's own and follow the protocol."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from dosimeter.families.exchange.attacks.drawing import Drawn, any_batches
from dosimeter.families.exchange.game import ExchangeGame
from dosimeter.families.exchange.threat import Channel
from dosimeter.foundation.errors import AccessError
from dosimeter.training.joint.gradients import batch_gradients
from dosimeter.training.joint.losses.steering import Steering
from dosimeter.training.joint.methods import SHOWING
from dosimeter.training.joint.organisation import Holding, Organisation
from dosimeter.training.joint.transcript import COORDINATOR
from dosimeter.training.recipe import Hyperparameters

SHOWN = ("representations", "moments")
"""Channels that read what the source shows of its features."""


class Stand:
    """Says what parties with other records would have sent, by the code by which parties train.

    So what a simulated party sends went through the agreed defenses, with fresh randomness. The heads of others are
    private; heads of the adversary's own stand for them. They learn as those do: by the trunk of each step, on
    batches of auxiliary records, behind the same defenses.

    Args:
        game: one joint training.
        heads: last layers that stand for the victim's, as parties begin with.
        rng: generator of the batches by which they learn, and of the randomness of their defenses.
    """

    def __init__(self, game: ExchangeGame, heads: Sequence[nn.Linear], rng: np.random.Generator) -> None:
        self._game, self._rng = game, rng
        self._agreement = game.seen.agreement
        self._trunk = game.model.trunk()
        keeper = game.victim if self._agreement.method == "soft" else COORDINATOR
        self._trunks = game.seen.of("parameters" if self._agreement.method == "soft" else "trunk", keeper)
        self._pupils = [self._pupil(head) for head in heads]
        self._me = None if game.own is None else self._own()

    def said(self, step: int, channel: Channel, batches: Drawn, which: int = 0) -> dict[str, Tensor]:
        """What the adversary would have seen in a channel, had the victim trained on each of some batches `[k ...]`.

        Args:
            step: number of the update, or round.
            channel: what is read.
            batches: of the adversary's own records.
            which: number of the head that stands for the victim's.
        """
        head = self._head(which)
        found = self._each(step, channel, batches, head)
        for _ in range(self._further if channel in ("gradient", "update") else 0):
            more = self._each(step, channel, any_batches(self._game, len(batches.sides), self._rng), head)
            found = {name: one + more[name] for name, one in found.items()}
        return found

    def advance(self, step: int) -> None:
        """Lets heads, and the adversary's own party, do their step."""
        for pupil in self._pupils:
            pupil.adopt(self._trunks[step])
            if self._agreement.method == "fedavg":
                pupil.update(step, self._agreement.local_steps)
            else:
                pupil.gradient(step)
        if self._me is not None and self._agreement.method == "dann":
            shown = self._game.seen.of("representations", self._game.victim)[step]
            self._me.adopt(self._trunks[step])
            self._me.answer(step, shown, "dann", self._agreement.weight)
            self._me.gradient(step, task=False)

    def _each(self, step: int, channel: Channel, batches: Drawn, head: nn.Linear) -> dict[str, Tensor]:
        """What parties would have sent, one for each batch."""
        plain = not self._game.recipe.defenses and channel == "gradient"
        if plain and self._agreement.method not in SHOWING:  # the same numbers as below, by one program
            return batch_gradients(self._trunk, head, self._trunks[step], batches.inputs, batches.labels)
        pairs = zip(batches.inputs, batches.labels, strict=True)
        rows = [self._one(step, channel, self._party((*pair,), head, self._seed()), head) for pair in pairs]
        return {name: torch.stack([one[name] for one in rows]) for name in rows[0]}

    def _one(self, step: int, channel: Channel, victim: Organisation, head: nn.Linear) -> Mapping[str, Tensor]:
        """What one party would have sent."""
        method, weight = self._agreement.method, self._agreement.weight
        victim.adopt(self._trunks[step])
        if method == "fedavg":
            return victim.update(step, self._agreement.local_steps)
        if method not in SHOWING:
            return victim.gradient(step)
        if self._game.victim == self._agreement.parties[0]:
            shown = victim.show(step)
            if channel in SHOWN:
                return shown
            return victim.gradient(step, pull=self._other(step, head).answer(step, shown, method, weight))
        if self._game.own is None:
            shown = self._other(step, head).show(step)
        else:
            shown = dict(self._game.seen.of("representations", self._game.adversary)[step])
        back = victim.answer(step, shown, method, weight)
        return back if channel == "alignment_gradient" else victim.gradient(step, task=False)

    def _other(self, step: int, head: nn.Linear) -> Organisation:
        """Who is aligned with the victim: the adversary's own party, or for a coordinator somebody."""
        if self._me is None:
            if self._agreement.method == "dann":
                raise AccessError("needs the discriminator of 'dann', which the receiver alone has: leave it out")
            batch = any_batches(self._game, 1, self._rng)
            found = self._party((batch.inputs[0], batch.labels[0]), head, self._seed())
        else:
            found = copy.deepcopy(self._me)
        found.adopt(self._trunks[step])
        return found

    @property
    def _further(self) -> int:
        """Further parties whose part is in the sum that is read."""
        parties = len(self._agreement.parties)
        if self._game.adversary == COORDINATOR:
            return 0 if self._agreement.sum_bits is None else parties - 1
        return parties - 2

    def _seed(self) -> int:
        """A fresh seed."""
        return int(self._rng.integers(2**31))

    def _head(self, which: int) -> nn.Linear:
        """One of the heads as it is now."""
        known = self._pupils[which].head()
        out, width = known["weight"].shape
        head = nn.Linear(width, out, bias="bias" in known)
        head.load_state_dict(known)
        return head

    def _pupil(self, head: nn.Linear) -> Organisation:
        """A party whose head learns on batches that do not depend on the property."""
        own, local = self._game.auxiliary, self._agreement.local_steps
        size, count = len(own.labels), self._agreement.steps * local
        pick = (self._rng.choice(size, self._game.batch, replace=size < self._game.batch) for _ in range(count))
        return self._organisation(Holding(own.inputs, own.labels, np.stack([*pick])), head, self._seed())

    def _party(self, records: tuple[Tensor, ...], head: nn.Linear, seed: int) -> Organisation:
        """A party that holds the records of one step, or of one round, and trains on them at every one."""
        inputs, labels = records
        rows = np.arange(len(labels)).reshape(self._agreement.local_steps, -1)
        every = np.tile(rows, (self._agreement.steps, 1))
        return self._organisation(Holding(inputs, labels, every), head, seed)

    def _own(self) -> Organisation:
        """The adversary's own party, as it began."""
        own = self._game.own
        assert own is not None
        rows = np.arange(own.labels.numel()).reshape(own.labels.shape)
        known, size = self._game.auxiliary, own.labels.shape[1]
        steering = Steering(known.inputs, known.has, size, own.seed) if own.active else None
        holding = Holding(own.inputs.flatten(0, 1), own.labels.flatten(), rows, steering)
        return self._organisation(holding, own.head, own.seed, own.recipe)

    def _organisation(
        self, holding: Holding, head: nn.Linear, seed: int, recipe: Hyperparameters | None = None
    ) -> Organisation:  # fmt: skip
        """A party of the agreed recipe."""
        recipe = self._game.recipe if recipe is None else recipe
        return Organisation(
            "stand", holding, (self._trunk, head), recipe, seed=seed, device=torch.device("cpu")
        )  # fmt: skip

    def own_parts(self) -> dict[int, dict[str, Tensor]]:
        """What the adversary's own party gave to the sum at each step, which it knows though nothing shows it."""
        assert self._me is not None
        me, found = copy.deepcopy(self._me), {}
        for step, trunk in sorted(self._game.seen.of("trunk", COORDINATOR).items()):
            if step >= self._agreement.steps:
                break
            me.adopt(trunk)
            local = self._agreement.local_steps
            found[step] = me.update(step, local) if self._agreement.method == "fedavg" else me.gradient(step)
        return found
