"""One threat about a distribution, on a chain whose last stage parties train together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Int

from dosimeter.data.entries import data_key
from dosimeter.families.attack import NamedAttack
from dosimeter.families.exchange.attacks.simulating import PARTS
from dosimeter.families.exchange.case.batches import shuffled
from dosimeter.families.exchange.case.case import ExchangeCase, able, require_joint, require_trainable
from dosimeter.families.exchange.case.further import NO_TEST, FurtherCase
from dosimeter.families.exchange.case.held import held_notes
from dosimeter.families.exchange.case.people import partners_of
from dosimeter.families.exchange.case.refusals import readable
from dosimeter.families.exchange.case.told import counted, listed
from dosimeter.families.exchange.distribution.people import Drawn, drawn_of
from dosimeter.families.exchange.distribution.play import DistributionJob, WorldJob
from dosimeter.families.exchange.play.answers import worth_of
from dosimeter.families.exchange.stored import evidence_file, truth_file
from dosimeter.families.exchange.threat import Channel, ExchangeThreat
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.jobs.arrays import save_arrays
from dosimeter.jobs.job import Job
from dosimeter.training.joint.job import JointJob, Member
from dosimeter.training.system import TrainedSystem

Kind = Literal["world", "null", "shadow"]
"""The victim's, in a world that a coin chose; the victim's, in which nothing chose; or one that the adversary plays."""


@dataclass(frozen=True)
class DistributionCase(FurtherCase):
    """One threat about a distribution on one chain; nothing is trained yet.

    Trainings come in pairs, one of each world. The records of a pair are no other pair's: otherwise trainings of one
    world would share more records than trainings of different worlds do, and be alike for that reason alone.

    Its `joint` has one training on all that the victim has, for the accuracy.

    Attributes:
        drawn: what trainings are drawn from.
    """

    drawn: Drawn

    @cached_property
    def steps(self) -> int:
        """Steps, or rounds, of one training: as the threat says, or so many epochs of its records."""
        epochs, joint = self.system.link.hyperparameters.epochs, self.joint
        return self.threat.steps or max(20, epochs * (self.drawn.size // joint.size) // joint.local_steps)

    def _coins(self, purpose: str) -> Bool[Array, " v"]:
        """The world of each training; of each pair one is of world 1."""
        first = generator(self.system.seed, purpose).integers(2, size=self.threat.targets // 2).astype(bool)
        return np.stack([first, ~first], 1).ravel()

    @cached_property
    def coins(self) -> Bool[Array, " v"]:
        """Whether the victim's records are of world 1, in each training."""
        return self._coins("exchange worlds")

    @cached_property
    def null_coins(self) -> Bool[Array, " v"]:
        """Coins that chose nothing."""
        return self._coins("exchange null worlds")

    @property
    def own_worlds(self) -> Int[Array, " m"]:
        """The world of each training that the adversary plays."""
        return np.arange(self.threat.shadows) % 2

    @cached_property
    def worlds(self) -> tuple[WorldJob, ...]:
        """Trainings of which a coin chose the world."""
        return tuple(self._world("world", one, self._share(coin)) for one, coin in enumerate(self.coins))

    @cached_property
    def nulls(self) -> tuple[WorldJob, ...]:
        """Trainings on as many records in which nothing was chosen."""
        return tuple(self._world("null", one, None) for one in range(self.threat.targets))

    @cached_property
    def shadows(self) -> tuple[WorldJob, ...]:
        """Trainings that the adversary plays with records of its own in the victim's place."""
        return tuple(self._world("shadow", one, self._share(world)) for one, world in enumerate(self.own_worlds))

    @cached_property
    def _channels(self) -> tuple[Channel, ...]:
        """What of the messages can be read, whichever attacks run, so that another attack trains nothing anew."""
        link = self.system.link
        found = readable(self.joint.partners, str(link.transfer), link.hyperparameters)
        return tuple(one for one in found if not (self._hidden and one in PARTS))

    @property
    def _hidden(self) -> bool:
        """Returns whether parts are summed up in secret."""
        return self.joint.plain[0].agreement.sum_bits is not None

    def _share(self, world: Any) -> float:
        """Share of records with the property in a world."""
        return self.drawn.shares[0 if world else 1]

    def _world(self, kind: Kind, index: int, share: float | None) -> WorldJob:
        """One training; of a share of None records come as they are."""
        drawn, rng = self.drawn, generator(self.system.seed, f"exchange {kind}", index)
        pool, counts = (drawn.own, drawn.own_counts) if kind == "shadow" else (drawn.groups[index // 2], drawn.counts)
        rows = pool.draw(counts, share, rng)
        return WorldJob(self.joint.arena, self._job(kind, index, rows, rng), drawn.probes, self._channels)

    def _job(self, kind: Kind, index: int, rows: Int[Array, " m"], rng: np.random.Generator) -> JointJob:
        """One joint training; what the adversary plays holds no record of any other party."""
        joint, partners, members = self.joint, self.joint.partners, []
        assert self.system.joint is not None
        count, own = self.steps * joint.local_steps, partners.auxiliary
        for name, data in partners.parties.items():
            stands = kind == "shadow" and name != partners.adversary
            pool = self.drawn.own.rows if stands else np.arange(len(data))
            some = rows if name == partners.victim else pool
            batches = some[shuffled(count, len(some), joint.size, rng)]
            members.append(Member(name, data_key(own if stands else data), batches))
        return JointJob(
            store=self.system.store, links=self.system.links, method=str(self.system.link.transfer),
            members=tuple(members), weight=self.system.joint.alignment, parent=self.system.parent,
            seed=seed_for(self.system.seed, f"exchange {kind} run", index), device=self.system.device,
            local_steps=joint.local_steps,
        )  # fmt: skip

    def plays(self, row: NamedAttack) -> tuple[DistributionJob, DistributionJob]:
        """The play of one attack, and that on trainings in which no coin chose."""
        real, null = (
            DistributionJob(self.joint.arena, row, jobs, self.shadows, self.own_worlds, self.drawn.probe_world)
            for jobs in (self.worlds, self.nulls)
        )
        return real, null

    def refusals(self) -> Mapping[str, str]:
        """Implements `Case`."""
        hidden = {
            row.id: "needs the others' part of a secure sum, which holds this party's own too: read the joint model, "
            "or leave the attack out"
            for row in self.joint.attacks
            if self._hidden and row.attack.needs.channel in PARTS
        }
        return {**hidden, **self.joint.refusals()}

    def phases(self) -> list[tuple[str, Sequence[Job]]]:
        """Implements `Case`."""
        return [
            *self.joint.stages([*self.joint.plain, *self.nulls, *self.worlds]),
            ("shadows", self.shadows),
            ("models", self.joint.answers),
            ("attacks", [play for row in self.running for play in self.plays(row)]),
        ]

    def definition(self) -> Mapping[str, Any]:
        """Implements `Case`."""
        runs: list[Job] = [*self.joint.plain, *self.nulls, *self.worlds, *self.shadows]
        plays = [play for row in self.running for play in self.plays(row)]
        return self.keys(runs=runs, answers=self.joint.answers, plays=plays)

    def notes(self) -> list[str]:
        """Implements `Case`."""
        (high, low), drawn, threat = self.drawn.shares, self.drawn, self.threat
        told = (
            f"distribution: {threat.targets} trainings of {self.steps} steps on {drawn.size} records of "
            f"{threat.victim!r}, of which {high:.0%} or {low:.0%} have the property, in pairs that share no record; as "
            f"many in which nothing is chosen, {threat.shadows} that {threat.adversary!r} plays with "
            f"{int(drawn.own_counts.sum())} records each, and one on all records for the accuracy"
        )
        partners = self.joint.partners
        shared = held_notes(partners.parties, partners.victim)
        return [told, *([NO_TEST] if self.system.test is None else []), *shared]

    def collect(self, folder: Path) -> Mapping[str, Any]:
        """Implements `Case`."""
        truth = {"coins": self.coins[None, None], "null_coins": self.null_coins[None]}
        save_arrays(truth_file(folder), {**truth, **worth_of(self.joint.answers)})
        threat, partners, refused = self.threat, self.joint.partners, self.refusals()
        for index, row in enumerate(self.joint.attacks):
            if row.id not in refused:
                real, null = (play.load() for play in self.plays(row))
                save_arrays(evidence_file(folder, index), {"guesses": real[None, None], "null_guesses": null[None]})
        return {
            "threat": self.adversary(
                shadows=threat.shadows, property=str(threat.property), value=partners.value, steps=self.steps,
                mixtures=[list(self.drawn.shares)],
            ),
            "data": {
                **counted(self.system, partners), "drawn": self.drawn.size, "own": int(self.drawn.own_counts.sum()),
                "probes": len(self.drawn.probes),
            },
            "attacks": [listed(row, refused.get(row.id, "")) for row in self.joint.attacks],
            "gates": [],
        }  # fmt: skip


def distribution_case(
    system: TrainedSystem, threat: ExchangeThreat, attacks: Sequence[NamedAttack]
) -> DistributionCase:  # fmt: skip
    """One threat about a distribution on one chain.

    Raises:
        AuditError: the threat does not fit the chain or the records.
    """
    require_joint(system, threat)
    partners = partners_of(threat, system)
    joint = ExchangeCase(system, threat.model_copy(update={"targets": 1}), tuple(attacks), partners)
    require_trainable(joint)
    joint = able(joint)
    drawn = drawn_of(threat, partners, system.seed, joint.size)
    return DistributionCase(threat, joint, drawn)
