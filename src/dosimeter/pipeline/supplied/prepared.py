"""A model that the user brings: its records, the shadows that their `fit` trains, and what all of them answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from dosimeter.config.tables import Report
from dosimeter.data import Dataset
from dosimeter.data.cells import Held, together
from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.design.design import Design
from dosimeter.families.membership.observe.observations import Observations
from dosimeter.families.membership.observe.shadow_job import ShadowJob, held_of, observe
from dosimeter.families.membership.observe.signals import readable
from dosimeter.families.membership.observe.supplied_probes import Probing, probing
from dosimeter.families.membership.threat import Threat
from dosimeter.foundation.errors import ConfigError, TrainingError
from dosimeter.foundation.gate import Gate
from dosimeter.foundation.seeds import seed_for
from dosimeter.foundation.wording import one_line
from dosimeter.jobs.store import Store, key_of
from dosimeter.models.access import Access
from dosimeter.models.supplied.adapt import Adapted, difference
from dosimeter.training.user_fit import Fit

CHANGED = 1e-3
"""Nats by which a model that was left alone may answer differently, as float32 sums do in another order."""


@dataclass(frozen=True)
class Brought:
    """A model with the records that its user knows to be members and non-members.

    Attributes:
        name: of the audit.
        seed: root of all randomness.
        model: anything that `adapt` takes.
        model_name: in the report.
        members: records that the model was trained on.
        nonmembers: records that it was not.
        population: further records that it was not trained on, known to the adversary; or None.
        fit: trains a shadow; None if there is no recipe.
        fit_name: in the report.
        depends: further modules and functions whose source belongs to the shadows' keys, by name or themselves.
        threat: of it `access`, `shadows`, `views` and `rehearsals`.
        access_given: whether the user set the access; otherwise it is what the model gives.
        attacks: what is run.
        report: how the report speaks.
        output: what the model returns.
        duplicates: what to do with records that are members and non-members at once.
        gates: what loading model and data had to tell.
        base: folder that user modules come from.
        sources: hashes of the code that shadows depend on.
        named: what the user called each part's records, where they have a name.
        settings: as the user gave them, for the run's folder.
    """

    name: str
    seed: int
    model: object
    model_name: str
    members: Dataset
    nonmembers: Dataset
    population: Dataset | None
    fit: Fit | str | None
    fit_name: str
    depends: tuple[object, ...]
    threat: Threat
    access_given: bool
    attacks: tuple[NamedAttack, ...]
    report: Report
    output: Literal["auto", "logits", "probs"] = "auto"
    duplicates: Literal["refuse", "exclude"] = "refuse"
    gates: tuple[Gate, ...] = ()
    base: Path = Path()
    sources: Mapping[str, str] = field(default_factory=dict)
    named: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PreparedTarget:
    """A brought model with its work laid out; nothing is trained yet.

    Attributes:
        brought: the model and its records.
        adapted: the model as one query.
        pool: members, non-members, population, in this order.
        design: who is trained on what; the target stands before the shadows.
        access: what the model gives away.
        store: the cache.
        device: where models are queried.
        gates: what was found before measuring.
        probe: some members and non-members.
        answers: what the target said of them when it was first asked.
        noise: by how much that changed when it was asked again, nats.
        seconds: that it took to answer one of them.
    """

    brought: Brought
    adapted: Adapted
    pool: Dataset
    design: Design
    access: Access
    store: Store
    device: str
    gates: tuple[Gate, ...]
    probe: Held
    answers: Tensor
    noise: float
    seconds: float = 0.0

    @property
    def shadows(self) -> int:
        """Number of shadow models."""
        return len(self.design.member) - 1

    @property
    def views(self) -> tuple[str, ...]:
        """Query views."""
        views = self.brought.threat.views
        return ("identity",) if isinstance(views, str) else views

    @cached_property
    def probing(self) -> Probing:
        """What attacks ask of the models themselves."""
        wanted = {name for row in self.brought.attacks for name in row.attack.signals}
        return probing(self.adapted, torch.from_numpy(self.pool.inputs), wanted, self.access, self.device)

    @cached_property
    def jobs(self) -> tuple[ShadowJob, ...]:
        """One job per shadow."""
        brought = self.brought
        if brought.fit is None or not self.shadows:
            return ()
        return tuple(
            ShadowJob(
                store=self.store,
                data=key_of({"kind": "data", "fingerprint": self.pool.fingerprint}),
                number=number,
                rows=np.flatnonzero(self.design.member[1 + number]),
                views=self.views,
                access=self.access,
                fit=brought.fit,
                sources=tuple(sorted(brought.sources.items())),
                seed=seed_for(brought.seed, "shadow", number),
                classes=self.design.classes,
                output=self.adapted.output,
                device=self.device,
                form=self.adapted.form,
                names=self.pool.classes,
                tokens=self.pool.tokens,
                probing=self.probing,
            )
            for number in range(self.shadows)
        )

    @cached_property
    def key(self) -> str:
        """The audit's key: equal for runs whose results must be equal."""
        brought = self.brought
        return key_of(
            {
                "door": "model",
                "seed": brought.seed,
                "name": brought.name,
                "target": self.adapted.fingerprint,
                "output": self.adapted.output,
                "data": self.pool.fingerprint,
                "members": len(brought.members),
                "candidates": len(self.design.ids),
                "threat": [str(self.access.name), self.shadows, list(self.views), brought.threat.rehearsals],
                "attacks": [[row.id, row.name, row.settings] for row in brought.attacks],
                "report": brought.report.model_dump(mode="json"),
                "shadows": [job.key for job in self.jobs],
            }
        )


def ask(prepared: PreparedTarget) -> dict[str, Tensor]:
    """What the target answers, as a shadow's entry holds it."""
    inputs, labels = torch.from_numpy(prepared.pool.inputs), torch.from_numpy(prepared.pool.labels)
    own = observe(prepared.adapted, held_of(prepared.pool), labels, prepared.views, prepared.access)
    return own | prepared.probing.of(prepared.adapted, inputs, labels, len(prepared.views))


def check_unchanged(prepared: PreparedTarget) -> None:
    """See that the target still answers as it did before the user's `fit` was called.

    Raises:
        TrainingError: it does not, by more than it changes from one query to the next.
    """
    change = difference(prepared.adapted.query(prepared.probe), prepared.answers)
    if change > max(CHANGED, 10 * prepared.noise):
        raise TrainingError(
            f"fit: must leave the audited model as it is, got log-confidences that changed by up to {change:.2g} nats "
            "while the shadows were trained: build a fresh model inside fit, since shadows that start from the audited "
            "one have seen its members"
        )


def answers_of(prepared: PreparedTarget, own: Mapping[str, Tensor]) -> list[Mapping[str, Tensor]]:
    """What target and shadows answer, target first.

    Args:
        prepared: the model and its shadows, which are trained.
        own: what `ask` gave before they were.
    """
    return [own, *(prepared.store.load(job.key) for job in prepared.jobs)]


def gather(prepared: PreparedTarget, answers: Sequence[Mapping[str, Tensor]]) -> Observations:
    """What the attacks read of all that target and shadows answered, target first."""
    wanted = {name for row in prepared.brought.attacks for name in row.attack.signals}
    names = readable(sorted(wanted - prepared.probing.withheld.keys()), prepared.access)
    joined = {name: torch.stack([one[name] for one in answers]).numpy() for name in (*names, "correct")}
    correct = joined.pop("correct").astype(bool)
    return Observations(joined, correct, None)


def access_of(brought: Brought, adapted: Adapted) -> Access:
    """What the adversary sees: what the user granted, if the model gives as much, else all that it gives.

    Raises:
        ConfigError: more is granted than the model gives.
    """
    gives = Access.LOGITS if adapted.output == "logits" else Access.PROBS
    if not brought.access_given:
        return gives
    granted = brought.threat.granted
    if Access.LOGITS in granted.includes and gives is Access.PROBS:
        raise ConfigError(
            f"threat.access: the model gives probabilities, got access {brought.threat.access!r}: use 'probs', or "
            "bring a model that returns logits"
        )
    return granted


def joined(parts: Mapping[str, Dataset]) -> Dataset:
    """All records of a brought model as one data set, in the order of the parts."""
    sets = list(parts.values())
    first = sets[0]
    return Dataset(
        inputs=np.concatenate([one.inputs for one in sets]),
        labels=np.concatenate([one.labels for one in sets]),
        classes=first.classes,
        ids=np.concatenate([one.ids.astype(str) for one in sets]),
        noun=first.noun,
        name=" and ".join(parts),
        columns=first.columns,
        categories=first.categories,
        cells=together([one.cells for one in sets]),
        tokens=first.tokens,
        ordered=all(one.ordered for one in sets),
    )


def name_of(thing: object) -> str:
    """What a function or a model is called in a report."""
    return one_line(getattr(thing, "__qualname__", None) or type(thing).__name__, 80)
