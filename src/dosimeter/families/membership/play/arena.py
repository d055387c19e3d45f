"""Where the attacks of a case play: who was trained on what, and how answers and holdings are read from the store.

An arena holds no signals. A job that plays takes it to whatever process does the job, which reads from the store the
signals that its attack declares.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from jaxtyping import Bool

from dosimeter.families.membership.design.design import Design
from dosimeter.families.membership.observe.observations import Answers
from dosimeter.families.membership.play.holdings import HoldingsSource
from dosimeter.foundation.arrays import Array
from dosimeter.jobs.arrays import arrays_hash
from dosimeter.jobs.store import Store


@dataclass(frozen=True)
class Arena:
    """Data of the games of one case.

    Attributes:
        store: the store.
        seed: root of all randomness.
        design: the design of the audit.
        null_member: membership that no model was trained on `[m n]`.
        answers: the models' answers.
        views: number of query views.
        holdings: holdings of the adversary beside them.
    """

    store: Store
    seed: int
    design: Design
    null_member: Bool[Array, "m n"]
    answers: Answers
    views: int
    holdings: HoldingsSource = field(default_factory=HoldingsSource)

    @cached_property
    def digest(self) -> str:
        """Digest of the design and the null membership."""
        one, more = self.design, {}
        if one.labelled is not None:
            own = one.labelled
            more = {"known": own.ids, "known labels": own.labels, "bits": own.member, "null bits": own.null_member}
        numbers = [one.classes, one.targets, one.rehearsals, int(one.lone), one.fold_pairs, self.views]
        return arrays_hash(
            numbers=numbers, ids=one.ids, labels=one.labels, member=one.member, null=self.null_member,
            record=one.record, population_ids=one.population_ids, population_labels=one.population_labels, **more,
        )  # fmt: skip
