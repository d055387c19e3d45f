"""One threat of exchange on a chain whose last stage parties train together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from dosimeter.data import Dataset
from dosimeter.data.entries import data_key
from dosimeter.families.attack import NamedAttack
from dosimeter.families.exchange.case.batches import coins_of, mixed, shuffled
from dosimeter.families.exchange.case.people import Partners, partners_of
from dosimeter.families.exchange.case.refusals import named_or_able, refusals, require_telling
from dosimeter.families.exchange.case.told import counted, listed, notes_of
from dosimeter.families.exchange.play.answers import AnswersJob, worth_of
from dosimeter.families.exchange.play.job import Arena, PlayJob
from dosimeter.families.exchange.play.model import divided
from dosimeter.families.exchange.stored import evidence_file, truth_file
from dosimeter.families.exchange.threat import ExchangeThreat
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.jobs.arrays import save_arrays
from dosimeter.jobs.job import Job
from dosimeter.training.joint.job import Active, JointJob, Member, check_joint
from dosimeter.training.joint.transcript import COORDINATOR
from dosimeter.training.preflight import about
from dosimeter.training.system import TrainedSystem


@dataclass(frozen=True)
class ExchangeCase:
    """One threat on one chain; nothing is trained yet.

    Attributes:
        system: the chain.
        threat: the adversary.
        attacks: to run, in order.
        partners: who trains together, and what the adversary has.
    """

    system: TrainedSystem
    threat: ExchangeThreat
    attacks: tuple[NamedAttack, ...]
    partners: Partners

    @property
    def size(self) -> int:
        """Records of a batch."""
        return self.system.link.hyperparameters.batch_size

    @cached_property
    def steps(self) -> int:
        """Steps, or rounds, of one joint training: as the threat says, or so many epochs of the victim's records."""
        hp = self.system.link.hyperparameters
        records = len(self.partners.parties[self.partners.victim])
        return self.threat.steps or max(20, hp.epochs * (records // hp.batch_size) // self.local_steps)

    @property
    def local_steps(self) -> int:
        """Batches of each party in one step, of "fedavg" in one round."""
        return 1 if self.system.joint is None else self.system.joint.local_steps

    def coins(self, mixture: int | None) -> Bool[Array, "t n"]:
        """The coin of each step of each run; of None those of runs that do not depend on them."""
        seed, index = self.system.seed, -1 if mixture is None else mixture
        return np.stack(
            [
                coins_of(self.steps, generator(seed, "exchange coins", index, one))
                for one in range(self.threat.targets)
            ]
        )  # fmt: skip

    @property
    def _active(self) -> Active | None:
        """What the adversary adds to its own loss; None if it follows the protocol."""
        known = self.partners
        return Active(data_key(known.auxiliary), known.known) if self.threat.active else None

    def _job(self, mixture: int | None, target: int) -> JointJob:
        """One joint training: with a mixture the coins choose the victim's batches, without one nothing does."""
        system, partners, members = self.system, self.partners, []
        assert system.joint is not None
        for index, (name, own) in enumerate(partners.parties.items()):
            # parties other than the victim take the same batches whatever the mixture is
            rng = generator(system.seed, "exchange batches", index, target)
            if name == partners.victim and mixture is not None:
                rng = generator(system.seed, "exchange batches", index, target, mixture)
                coins = self.coins(mixture)[target].repeat(self.local_steps)
                batches = mixed(coins, partners.has, self.threat.mixtures[mixture], self.size, rng)
            else:
                batches = shuffled(self.steps * self.local_steps, len(own), self.size, rng)
            members.append(Member(name, data_key(own), batches, self._active if name == partners.adversary else None))
        return JointJob(
            store=system.store, links=system.links, method=str(system.link.transfer), members=tuple(members),
            weight=system.joint.alignment, parent=system.parent,
            seed=seed_for(system.seed, "exchange run", target), device=system.device, local_steps=self.local_steps,
        )  # fmt: skip

    @cached_property
    def runs(self) -> tuple[tuple[JointJob, ...], ...]:
        """Joint trainings of each mixture and target `[m][t]`."""
        return tuple(
            tuple(self._job(mixture, one) for one in range(self.threat.targets))
            for mixture in range(len(self.threat.mixtures))
        )

    @cached_property
    def plain(self) -> tuple[JointJob, ...]:
        """Joint trainings in which no coin chooses: the null audit, and what the model is worth."""
        return tuple(self._job(None, one) for one in range(self.threat.targets))

    @cached_property
    def answers(self) -> tuple[AnswersJob, ...]:
        """Answers of the receiver's models for the test records; none without any."""
        test = self.system.test
        if test is None:
            return ()
        receiver = self.partners.order.index(self.partners.receiver)
        return tuple(AnswersJob(one, receiver, data_key(test)) for one in self.plain)

    @cached_property
    def arena(self) -> Arena:
        """Where attacks play."""
        partners = self.partners
        return Arena(
            self.system.seed, partners.victim, partners.adversary, data_key(partners.auxiliary), partners.known
        )

    def plays(self, row: NamedAttack) -> tuple[tuple[PlayJob, ...], ...]:
        """Plays of one attack by mixture and target; the last ones where no coin chooses, as if by the first."""
        mixtures = self.threat.mixtures
        real = [
            tuple(PlayJob(self.arena, row, one, mixture) for one in runs)
            for mixture, runs in zip(mixtures, self.runs, strict=True)
        ]
        return (*real, tuple(PlayJob(self.arena, row, one, mixtures[0]) for one in self.plain))

    @property
    def running(self) -> list[NamedAttack]:
        """Attacks that are not refused."""
        refused = self.refusals()
        return [row for row in self.attacks if row.id not in refused]

    @property
    def shown_attacks(self) -> tuple[NamedAttack, ...]:
        """Implements `LeavesOutDefaults`."""
        return self.attacks

    def refusals(self) -> Mapping[str, str]:
        """Implements `Case`."""
        link = self.system.link
        return refusals(self.attacks, self.partners, str(link.transfer), link.hyperparameters)

    def stages(self, jobs: Sequence[Job]) -> list[tuple[str, Sequence[Job]]]:
        """The first phases: the stages before, and the joint one, of which these are the trainings."""
        before = [(f"stage {job.links[-1].name}", [job]) for job in self.system.before]
        return [*before, (f"stage {self.system.link.name}", jobs)]

    def phases(self) -> list[tuple[str, Sequence[Job]]]:
        """Implements `Case`."""
        return [
            *self.stages([*self.plain, *(one for runs in self.runs for one in runs)]),
            ("models", self.answers),
            ("attacks", [play for row in self.running for plays in self.plays(row) for play in plays]),
        ]

    def datasets(self) -> list[Dataset]:
        """Implements `Case`."""
        return [*self.system.datasets, self.partners.auxiliary]

    def records(self) -> int:
        """Implements `Case`."""
        return len(self.system.at_risk)

    def definition(self) -> Mapping[str, Any]:
        """Implements `Case`."""
        return {
            "threat": self.threat.model_dump(mode="json", exclude={"id"}),
            "attacks": [[row.id, row.name, row.settings] for row in self.attacks],
            "runs": [job.key for job in (*self.plain, *(one for runs in self.runs for one in runs))],
            "answers": [job.key for job in self.answers],
            "plays": [play.key for row in self.running for plays in self.plays(row) for play in plays],
        }

    def begin(self, progress: Callable[[str, int, int], None]) -> ExchangeCase:
        """Implements `Case`: nothing is to be done."""
        return self

    def notes(self) -> list[str]:
        """Implements `Case`."""
        return notes_of(self.system, self.threat, self.partners, self.steps)

    def adversary(self) -> dict[str, Any]:
        """What a result says of the adversary, whatever is asked."""
        threat, partners = self.threat, self.partners
        return {
            "at_risk": self.system.link.name, "access": threat.access, "targets": threat.targets,
            "method": str(self.system.link.transfer), "parties": partners.order, "victim": partners.victim,
            "adversary": partners.adversary, "receiver": partners.receiver, "auxiliary": str(threat.auxiliary),
            "steps": self.steps, "batch_size": self.size,
        }  # fmt: skip

    def collect(self, folder: Path) -> Mapping[str, Any]:
        """Implements `Case`."""
        coins = np.stack([self.coins(one) for one in range(len(self.threat.mixtures))])
        save_arrays(truth_file(folder), {"coins": coins, "null_coins": self.coins(None), **worth_of(self.answers)})
        refused, threat, partners = self.refusals(), self.threat, self.partners
        for index, row in enumerate(self.attacks):
            if row.id not in refused:
                *real, null = ([play.load() for play in plays] for plays in self.plays(row))
                found = {"guesses": np.stack([np.stack(one) for one in real]), "null_guesses": np.stack(null)}
                save_arrays(evidence_file(folder, index), found)
        return {
            "threat": {
                **self.adversary(), "property": str(threat.property), "value": partners.value,
                "mixtures": [list(one) for one in threat.mixtures], **({"active": True} if threat.active else {}),
            },
            "data": counted(self.system, partners),
            "attacks": [listed(row, refused.get(row.id, "")) for row in self.attacks],
            "gates": [],
        }  # fmt: skip


def exchange_case(system: TrainedSystem, threat: ExchangeThreat, attacks: Sequence[NamedAttack]) -> ExchangeCase:
    """One threat on one chain.

    Raises:
        AuditError: the threat does not fit the chain or the records.
    """
    require_joint(system, threat)
    case = ExchangeCase(system, threat, tuple(attacks), partners_of(threat, system))
    require_trainable(case)
    return able(case)


def able(case: ExchangeCase) -> ExchangeCase:
    """The case without default attacks that can run with no defenses either.

    Raises:
        ConfigError: no attack that reads messages can run.
    """
    require_telling(case.attacks, case.refusals())
    link = case.system.link
    bare = refusals(case.attacks, case.partners, str(link.transfer), replace(link.hyperparameters, defenses=()))
    return replace(case, attacks=named_or_able(case.attacks, bare))


def require_joint(system: TrainedSystem, threat: ExchangeThreat) -> None:
    """Refuses a chain whose last stage is no joint one that fits the threat.

    Raises:
        ConfigError: what does not fit.
    """
    if system.joint is None or system.transferred:
        raise ConfigError(
            f"threat.at_risk: exchange is about a stage that parties train together, got {system.link.name!r}, which "
            "is none: give the last stage a joint transfer, such as 'fedsgd' or 'coral', and `parties`"
        )
    method = str(system.link.transfer)
    if method == "soft" and threat.adversary == COORDINATOR:
        raise ConfigError(
            "threat.adversary: transfer 'soft' has no coordinator, got 'coordinator': name the other party"
        )
    if threat.steps is not None and system.link.hyperparameters.share < 1:
        raise ConfigError(
            f"threat.steps: would undo early stopping, which ends after a share of the epochs, got {threat.steps}: "
            "remove steps, so that epochs count, or remove the defense"
        )


def require_trainable(case: ExchangeCase) -> None:
    """Refuses parties, a recipe or a model that cannot be trained together.

    Raises:
        AuditError: why not.
    """
    system = case.system
    members = [Member(name, "", np.zeros((case.local_steps, case.size), np.int64)) for name in case.partners.order]
    with about(f"stage {system.link.name!r}"):
        check_joint(str(system.link.transfer), members, system.link.hyperparameters, case.local_steps)
        divided(system.links, 0, None)  # refuses a model that cannot be shared
