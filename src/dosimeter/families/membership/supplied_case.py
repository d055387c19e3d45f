"""Membership of a supplied model: the shadows that the user's `fit` trains, and the answers of all models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.design.design import Design
from dosimeter.families.membership.observe.observations import Observations
from dosimeter.families.membership.observe.shadow_job import ShadowJob, held_of, observe
from dosimeter.families.membership.observe.signals import readable
from dosimeter.families.membership.observe.supplied_probes import Probing, probing
from dosimeter.families.membership.threat import Threat
from dosimeter.foundation.gate import Gate
from dosimeter.foundation.seeds import seed_for
from dosimeter.jobs.store import key_of
from dosimeter.models.access import Access
from dosimeter.training.system import SuppliedSystem


@dataclass(frozen=True)
class SuppliedCase:
    """One threat model of membership on a supplied model; no shadow is trained yet.

    Attributes:
        system: the model and its records.
        threat: the threat model; `shadows`, `views` and `rehearsals` are read.
        attacks: attacks to run, in order.
        access: access to the model's outputs.
        design: the design of the audit; the target stands before the shadows.
        gates: checks that were decided before measuring.
    """

    system: SuppliedSystem
    threat: Threat
    attacks: tuple[NamedAttack, ...]
    access: Access
    design: Design
    gates: tuple[Gate, ...]

    @property
    def shadows(self) -> int:
        """Number of shadow models."""
        return len(self.design.member) - 1

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the query views."""
        return ("identity",) if isinstance(self.threat.views, str) else self.threat.views

    @property
    def signals(self) -> set[str]:
        """Names of the signals that the attacks read."""
        return {name for row in self.attacks for name in row.attack.signals}

    @cached_property
    def probing(self) -> Probing:
        """Probes that the attacks need of the models themselves."""
        system = self.system
        inputs = torch.from_numpy(system.pool.inputs)
        return probing(system.adapted, inputs, self.signals, self.access, system.device)

    @cached_property
    def jobs(self) -> tuple[ShadowJob, ...]:
        """One job per shadow."""
        system = self.system
        if system.fit is None or not self.shadows:
            return ()
        return tuple(
            ShadowJob(
                store=system.store,
                data=key_of({"kind": "data", "fingerprint": system.pool.fingerprint}),
                number=number,
                rows=np.flatnonzero(self.design.member[1 + number]),
                views=self.views,
                access=self.access,
                fit=system.fit,
                sources=tuple(sorted(system.sources.items())),
                seed=seed_for(system.seed, "shadow", number),
                classes=self.design.classes,
                output=system.adapted.output,
                device=system.device,
                form=system.adapted.form,
                names=system.pool.classes,
                tokens=system.pool.tokens,
                probing=self.probing,
            )
            for number in range(self.shadows)
        )

    def ask(self) -> dict[str, Tensor]:
        """Answers of the target, in the form of a shadow's entry."""
        pool, adapted = self.system.pool, self.system.adapted
        inputs, labels = torch.from_numpy(pool.inputs), torch.from_numpy(pool.labels)
        own = observe(adapted, held_of(pool), labels, self.views, self.access)
        return own | self.probing.of(adapted, inputs, labels, len(self.views))

    def answers(self, own: Mapping[str, Tensor]) -> list[Mapping[str, Tensor]]:
        """Answers of target and shadows, target first.

        Args:
            own: what `ask` gave before the shadows were trained.
        """
        return [own, *(self.system.store.load(job.key) for job in self.jobs)]

    def observations(self, answers: Sequence[Mapping[str, Tensor]]) -> Observations:
        """Signals that the attacks read, from all answers of target and shadows, target first."""
        names = readable(sorted(self.signals - self.probing.withheld.keys()), self.access)
        joined = {name: torch.stack([one[name] for one in answers]).numpy() for name in (*names, "correct")}
        correct = joined.pop("correct").astype(bool)
        return Observations(joined, correct, None)
