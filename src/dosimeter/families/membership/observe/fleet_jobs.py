"""Jobs that train and ask the models of one threat on a chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dosimeter.families.membership.observe.observations import Answers, fleet_answers
from dosimeter.families.membership.observe.observe import ObserveJob
from dosimeter.jobs.job import Job
from dosimeter.training.features import FeatureJob
from dosimeter.training.later_stages import StageJobs
from dosimeter.training.packs import PackJob


@dataclass(frozen=True)
class FleetJobs:
    """Training and queries, in the order of their dependencies.

    Attributes:
        common: stages before the one at risk, one model each, in order.
        features: frozen features of all records and views.
        packs: the fleet.
        observations: the deployed fleet's outputs.
        canaries: the fleet's outputs on natural records and canaries together; empty if none were planted.
        later: jobs of the stages after the one at risk.
        before: outputs of the models at risk themselves, if later stages follow; else empty.
        canaries_before: outputs of the models at risk on natural records and canaries together.
    """

    common: tuple[PackJob, ...]
    features: tuple[FeatureJob, ...]
    packs: tuple[PackJob, ...]
    observations: tuple[ObserveJob, ...]
    canaries: tuple[ObserveJob, ...] = ()
    later: tuple[StageJobs, ...] = ()
    before: tuple[ObserveJob, ...] = ()
    canaries_before: tuple[ObserveJob, ...] = ()

    @property
    def phases(self) -> list[tuple[str, Sequence[Job]]]:
        """All jobs, grouped by kind in order; jobs of one phase do not depend on each other."""
        found: list[tuple[str, Sequence[Job]]] = [(f"stage {job.links[-1].name}", [job]) for job in self.common]
        found += [("features", self.features), ("models", self.packs)]
        for one in self.later:
            found += [(f"features for stage {one.name}", one.features), (f"stage {one.name}", one.packs)]
        return [*found, ("queries", (*self.observations, *self.before, *self.canaries, *self.canaries_before))]

    def answers(self, *, canaries: bool = False) -> Answers:
        """Answers on natural records, or on canaries together with them."""
        return (
            fleet_answers(self.canaries, self.canaries_before)
            if canaries
            else fleet_answers(self.observations, self.before)
        )
