"""Membership of a supplied model: the shadows that the user's `fit` trains, and the answers of all models."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dosimeter.data import Dataset
from dosimeter.data.entries import data_key
from dosimeter.data.supplied import held_of, join_column
from dosimeter.data.views import unfit
from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.case.blind_job import BlindJob
from dosimeter.families.membership.case.collect import count_distinct, save_evidence
from dosimeter.families.membership.case.holdings import reads_known_texts, supplied_holdings
from dosimeter.families.membership.case.refusals import Offer, cheapest, refusals
from dosimeter.families.membership.case.resources import resources_of
from dosimeter.families.membership.case.shadows import AnyShadow, shadows_of_classes, shadows_of_texts
from dosimeter.families.membership.case.sizes import other_sizes, shown_with
from dosimeter.families.membership.case.texts import (
    ask_texts,
    base_of,
    baseless,
    classes_or_tokens,
    hold_texts,
    notes_of_texts,
    told_of_texts,
    usual_tokens,
    withheld_of_texts,
)
from dosimeter.families.membership.design.design import Design
from dosimeter.families.membership.design.labelled import set_apart
from dosimeter.families.membership.design.supplied import check_halves, stated_design, stated_null
from dosimeter.families.membership.gates.numbers import saturation
from dosimeter.families.membership.gates.supplied import base_alike, likeness
from dosimeter.families.membership.measures.blind import Blind
from dosimeter.families.membership.observe.observations import Observations, supplied_answers
from dosimeter.families.membership.observe.shadow_job import observe
from dosimeter.families.membership.observe.signals import readable
from dosimeter.families.membership.observe.supplied_probes import TRIED, Probing, gives_gradients, probing
from dosimeter.families.membership.play.arena import Arena
from dosimeter.families.membership.play.leaders import Plays, plays_of
from dosimeter.families.membership.play.texts import TextsHeld
from dosimeter.families.membership.stored import BLIND, save_game
from dosimeter.families.membership.threat import HALVES_SET_THRESHOLDS, Threat
from dosimeter.families.resources import Resources
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.gate import Gate
from dosimeter.jobs.arrays import arrays_hash, save_arrays
from dosimeter.jobs.job import Job
from dosimeter.jobs.runners import one_thread
from dosimeter.jobs.store import key_of
from dosimeter.models.access import Access
from dosimeter.models.architectures import as_float
from dosimeter.training.system import SuppliedSystem


@dataclass(frozen=True)
class StatedCase:
    """One threat of membership on a supplied model, whose members the user states; no shadow is trained yet.

    Attributes:
        system: the model and its records.
        threat: the adversary; `shadows`, `views`, `rehearsals` and `labelled` are read.
        attacks: attacks to run, in order.
        access: access to the model's outputs.
        design: the design of the audit; the target stands before the shadows.
        asked: key of the model's own answers; empty until it was asked.
        held: key of the judged texts of a language model, and of what its base says of them; empty for other records.
    """

    system: SuppliedSystem
    threat: Threat
    attacks: tuple[NamedAttack, ...]
    access: Access
    design: Design
    asked: str = ""
    held: str = ""

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
        if system.language is not None:
            withheld = withheld_of_texts(self.signals, len(self.design.population_ids), supplied=True)
            return Probing((), withheld, system.device)
        inputs = torch.from_numpy(system.pool.inputs)
        return probing(system.adapted, inputs, self.signals, self.access, system.device)

    @cached_property
    def offer(self) -> Offer:
        """What the threat gives an attack."""
        return Offer(
            self.access,
            len(self.design.population_ids),
            self.shadows,
            supplied=True,
            trains=self.system.trains,
            withheld=self.probing.withheld,
            views=len(self.views),
            labelled=self.design.known_of_each,
            untunable=self._untunable,
            tokens=usual_tokens(self.system.pool),
            baseless=baseless(self.system),
        )

    @property
    def _untunable(self) -> str:
        """Text: why no copy of each model can be trained, if an attack asks for that; empty if it can."""
        if not any(row.attack.needs.weights for row in self.attacks):
            return ""
        if not gives_gradients(self.system.adapted, as_float(torch.from_numpy(self.system.pool.inputs[:TRIED]))):
            return (
                "trains copies of the target, so it needs a PyTorch module that takes the records as floats and "
                "returns their logits, got another model: bring such a module or leave the attack out"
            )
        if self.shadows:
            return (
                "trains copies of each model, and the weights of shadows that `fit` trains are not kept: leave out "
                "fit, or the attack"
            )
        return ""

    def refusals(self) -> Mapping[str, str]:
        """Implements `Case`."""
        return refusals(self.attacks, self.offer)

    def resources(self) -> Mapping[str, Resources]:
        """Implements `UsesResources`."""
        return resources_of(self.running, self.shadows, len(self.views))

    @property
    def running(self) -> tuple[NamedAttack, ...]:
        """Attacks that are not refused."""
        refused = self.refusals()
        return tuple(row for row in self.attacks if row.id not in refused)

    @cached_property
    def jobs(self) -> tuple[AnyShadow, ...]:
        """One job per shadow."""
        if self.system.language is not None:
            return shadows_of_texts(self.system, self.design, self._readable)
        return shadows_of_classes(self.system, self.design, self.views, self.access, self.probing)

    @cached_property
    def blind(self) -> BlindJob:
        """The baseline of classifiers that never ask the model."""
        system = self.system
        pool = system.pool
        return BlindJob(system.store, data_key(pool), self.design, system.seed, pool.tokens, pool.vocabulary)

    @cached_property
    def null_matrix(self) -> Array:
        """A membership that no model was trained on, for a single target and its pairs of shadows."""
        n = len(self.design.ids)
        return stated_null(self.design.training.shape[1], self.shadows, self.system.seed)[:, :n]

    @cached_property
    def arena(self) -> Arena:
        """Where the attacks play, once the model was asked."""
        assert self.asked
        return Arena(
            store=self.system.store,
            seed=self.system.seed,
            design=self.design,
            null_member=self.null_matrix,
            answers=supplied_answers(self.system.store, self.asked, self.jobs, self._readable),
            views=len(self.views),
            holdings=supplied_holdings(self.system, self.attacks, self.design.training.shape[1], self.held),
        )

    @cached_property
    def plays(self) -> Plays:
        """Plays of the attacks that are not refused, once the model was asked."""
        return plays_of(self.arena, self.running) if self.asked else Plays()

    def phases(self) -> list[tuple[str, Sequence[Job]]]:
        """Implements `Case`."""
        columns = self.arena.holdings.columns if self.asked else None
        return [
            ("shadows", self.jobs),
            ("columns", [] if columns is None else [columns]),
            *self.plays.phases(),
            ("blind baseline", [self.blind]),
        ]

    def definition(self) -> Mapping[str, Any]:
        """Implements `Case`."""
        system = self.system
        return {
            "target": system.adapted.fingerprint,
            "output": system.adapted.output,
            "data": system.pool.fingerprint,
            "members": len(system.parts["members"]),
            "candidates": len(self.design.ids),
            "threat": [str(self.access.name), self.shadows, list(self.views), self.threat.rehearsals],
            "attacks": [[row.id, row.name, row.settings] for row in self.attacks],
            "shadows": [job.key for job in self.jobs],
            **base_of(system),
        }

    def datasets(self) -> list[Dataset]:
        """Implements `Case`."""
        return self.system.datasets

    def records(self) -> int:
        """Implements `Case`."""
        return int(self.design.training[0].sum())

    def begin(self, progress: Callable[[str, int, int], None]) -> StatedCase:
        """Implements `Case`: asks the model, before any training of the user's, which might change it.

        Its answers are kept by what they are. So a model that answers otherwise than before, such as one behind a
        network, is never judged by its old answers.
        """
        self.resources()  # refuses attacks that say of themselves what is no count
        progress("queries", 0, 1)
        with one_thread():
            own = self._ask()
        progress("queries", 1, 1)
        content = arrays_hash(**{name: values.numpy() for name, values in own.items()})
        definition = {"kind": "answers", "model": self.system.adapted.fingerprint, "content": content}
        key = key_of(definition)
        if not self.system.store.verify(key):
            self.system.store.save(key, own, definition)
        if self.system.language is None:
            return replace(self, asked=key)
        with one_thread():
            return replace(self, asked=key, held=hold_texts(self.system, self._texts_read))

    @property
    def _texts_read(self) -> int:
        """Number of texts that are compared with the base: the judged ones, and the known ones after them."""
        known = reads_known_texts([row.attack.needs for row in self.running])
        return self.design.training.shape[1] if known else len(self.design.ids)

    @property
    def _readable(self) -> tuple[str, ...]:
        """Signals that attacks read and the model gives."""
        return readable(sorted(self.signals - self.probing.withheld.keys()), self.access)

    def _ask(self) -> dict[str, Tensor]:
        """Answers of the target, in the form of a shadow's entry."""
        if self.system.language is not None:
            return ask_texts(self.system, self._readable, len(self.design.population_ids))
        pool, adapted = self.system.pool, self.system.adapted
        inputs, labels = torch.from_numpy(pool.inputs), torch.from_numpy(pool.labels)
        own = observe(adapted, held_of(pool), labels, self.views, self.access)
        return own | self.probing.of(adapted, inputs, labels, len(self.views))

    def entries(self) -> list[Mapping[str, Tensor]]:
        """Stored answers of target and shadows, target first."""
        return [self.system.store.load(key) for key in (self.asked, *(job.key for job in self.jobs))]

    def notes(self) -> list[str]:
        """Implements `Case`."""
        notes = [f"{gate.name}: {gate.message}" for gate in self.system.gates if gate.status != "pass"]
        notes += notes_of_texts(self.system.pool)
        if not self.jobs:
            why = "" if self.system.trains else " without `fit`"
            notes.append(f"shadows: none{why}; {HALVES_SET_THRESHOLDS}")
        elif not len(self.design.rehearsal_rows):
            notes.append(f"shadows: {self.shadows}, so none rehearses; {HALVES_SET_THRESHOLDS}")
        return notes + cheapest(self.attacks, self.shadows, texts=self.system.language is not None)

    def sizes(self) -> Mapping[str, StatedCase]:
        """Implements `Resizable`: none without `fit`."""
        system, found = self.system, {}
        for threat in other_sizes(self.threat) if system.trains else ():
            design = _design(system.parts, threat, trains=True, seed=system.seed)
            other = replace(self, threat=threat, design=design)
            found[shown_with(threat.shadows, other.running)] = other
        return found

    def collect(self, folder: Path) -> Mapping[str, Any]:
        """Implements `Case`."""
        system, design = self.system, self.design
        observations = self.arena.answers.load()
        save_game(folder, design, observations, self.null_matrix)
        refused = self.refusals()
        save_evidence(self.attacks, self.plays.every, self.arena, folder)
        blind = self.blind.load()
        save_arrays(folder / BLIND, dataclasses.asdict(blind))
        gates = self._gates(observations, blind)
        members, others = (system.parts[name] for name in ("members", "nonmembers"))
        population = len(design.population_ids)
        return {
            "threat": {
                "at_risk": "target",
                "access": str(self.access.name).lower(),
                "shadows": self.shadows,
                "targets": 1,
                "population": population,
                "views": list(self.views),
                **({"labelled": len(design.labelled.ids)} if design.labelled else {}),
            },
            "data": {
                "name": system.names.get("members", "members and non-members"),
                "records": len(system.pool),
                "candidates": len(design.ids),
                "population": population,
                **classes_or_tokens(system.pool, design.labels),
                "members_per_target": int(design.training[0].sum()),
                "persons": count_distinct(members.persons, others.persons),
                "groups": count_distinct(members.groups, others.groups),
            },
            "attacks": [row.listed(refused.get(row.id, "")) for row in self.attacks],
            "gates": [dataclasses.asdict(gate) for gate in gates],
            **self._told(observations),
            "resources": {name: dataclasses.asdict(one) for name, one in self.resources().items()},
        }

    def _gates(self, observations: Observations, blind: Blind) -> list[Gate]:
        """Checks of the answers, of the model, and of what the records show without it."""
        system, design = self.system, self.design
        held = TextsHeld(system.store, self.held).load() if self.held else None
        return [
            saturation(observations.signals, self.access),
            *system.gates,
            *likeness(system, design, observations.correct, self.entries(), blind),
            *([] if held is None else base_alike(design, held, system.seed)),
        ]

    def _told(self, observations: Observations) -> dict[str, Any]:
        """What run.json says of texts."""
        pool, parts = self.system.pool, self.system.parts
        persons = join_column(parts["members"].persons, parts["nonmembers"].persons)
        rows = np.arange(len(self.design.ids))
        return told_of_texts(pool, rows, self.arena, observations, self.running, persons)


def stated_case(system: SuppliedSystem, threat: Threat, attacks: Sequence[NamedAttack]) -> StatedCase:
    """One threat on the members that the user stated.

    Raises:
        ConfigError: more is granted than the model gives.
    """
    system = replace(system, parts=set_apart(system.parts, threat.labelled, system.seed))
    design = _design(system.parts, threat, trains=system.trains, seed=system.seed)
    return StatedCase(system, threat, tuple(attacks), access_of(threat, system), design)


def check_parts(parts: Mapping[str, Dataset], threat: Threat, *, trains: bool, seed: int) -> None:
    """Checks records whose membership is stated.

    Raises:
        AuditError: views do not fit them, or their halves cannot set thresholds.
    """
    if threat.views != "auto" and (wrong := unfit("threat.views", threat.views, parts["members"])):
        raise ConfigError(*wrong)
    parts = set_apart(parts, threat.labelled, seed)
    check_halves(_design(parts, threat, trains=trains, seed=seed), parts, seed)


def _design(parts: Mapping[str, Dataset], threat: Threat, *, trains: bool, seed: int) -> Design:
    """The target's stated membership, and the shadows over the same records."""
    shadows = threat.shadows if trains else 0
    return stated_design(parts, shadows=shadows, rehearsals=threat.rehearsals, seed=seed)


def access_of(threat: Threat, system: SuppliedSystem) -> Access:
    """The adversary's access: what the user granted, if the model gives it; by default all that the model gives.

    Raises:
        ConfigError: more is granted than the model gives.
    """
    gives = Access.LOGITS if system.adapted.output == "logits" else Access.PROBS
    if "access" not in threat.model_fields_set:
        return gives
    granted = threat.access_flag
    if Access.LOGITS in granted.includes and gives is Access.PROBS:
        raise ConfigError(
            f"threat.access: the model gives probabilities, got access {threat.access!r}: use 'probs', or bring a "
            "model that returns logits"
        )
    return granted
