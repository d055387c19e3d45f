"""From a validated audit to everything that can be known before training: data, split, design, and all jobs by key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from dosimeter.config.audit import Audit, VariantRow, with_variant
from dosimeter.data import Dataset
from dosimeter.data.entries import data_key
from dosimeter.families.membership.design.canaries import Canaries, plant
from dosimeter.families.membership.design.design import Design, Split
from dosimeter.families.membership.design.draw import design_of, matrix_of, split_of
from dosimeter.families.membership.observe.observations import Observations, gather, with_reference
from dosimeter.families.membership.observe.observe import ObserveJob, situation_of
from dosimeter.families.membership.observe.probes import PROBES, lacking
from dosimeter.families.membership.observe.signals import SIGNALS, readable
from dosimeter.families.threat import ThreatModel
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.seeds import seed_for
from dosimeter.foundation.user_code import import_from
from dosimeter.jobs.job import Job
from dosimeter.jobs.runners import one_thread
from dosimeter.jobs.store import Store, key_of
from dosimeter.models.access import Access
from dosimeter.pipeline.recipe.chain import check_rows, links_of, try_chains
from dosimeter.pipeline.recipe.data import read_data
from dosimeter.training.chain import Link, chain_key
from dosimeter.training.defending import DefenseRow, answering
from dosimeter.training.features import FeatureJob, feature_jobs
from dosimeter.training.later_stages import Further, Later, transfer
from dosimeter.training.packs import HEADS_PER_PACK, PackJob
from dosimeter.training.preflight import Together, about, check_device, check_sources


@dataclass(frozen=True)
class Jobs:
    """All work of a run, in the order in which it depends on each other.

    Attributes:
        common: stages before the one at risk, one model each, in order.
        features: frozen features of all records and views.
        packs: the fleet.
        observations: the deployed fleet's outputs.
        canaries: the fleet's outputs on natural records and canaries together; empty if none were planted.
        later: the stages after the one at risk.
        before: where there are any, the outputs of the models at risk themselves.
        canaries_before: the same on natural records and canaries together.
    """

    common: tuple[PackJob, ...]
    features: tuple[FeatureJob, ...]
    packs: tuple[PackJob, ...]
    observations: tuple[ObserveJob, ...]
    canaries: tuple[ObserveJob, ...] = ()
    later: tuple[Later, ...] = ()
    before: tuple[ObserveJob, ...] = ()
    canaries_before: tuple[ObserveJob, ...] = ()

    @property
    def phases(self) -> list[tuple[str, Sequence[Job]]]:
        """All jobs under the names of what they are, in order; those of one phase do not depend on each other."""
        found: list[tuple[str, Sequence[Job]]] = [(f"stage {job.links[-1].name}", [job]) for job in self.common]
        found += [("features", self.features), ("models", self.packs)]
        for one in self.later:
            found += [(f"features for stage {one.name}", one.features), (f"stage {one.name}", one.packs)]
        return [*found, ("queries", (*self.observations, *self.before, *self.canaries, *self.canaries_before))]

    @property
    def everything(self) -> list[Job]:
        """The jobs of all phases."""
        return [job for _, kind in self.phases for job in kind]

    def gathered(self, *, canaries: bool = False) -> Observations:
        """What was observed: of natural records, or of canaries beside them."""
        deployed = gather(self.canaries if canaries else self.observations)
        return (
            with_reference(deployed, gather(self.canaries_before if canaries else self.before))
            if self.before
            else deployed
        )


@dataclass(frozen=True)
class Prepared:
    """An audit with its data read and its work laid out; nothing is trained yet.

    Attributes:
        audit: the settings.
        store: the cache.
        device: where models are trained.
        data: per stage, None for a given one.
        test: test records of the last stage, or None.
        links: the chain.
        split: of the records at risk.
        design: who is trained on what.
        canaries: records planted in the data of the stage at risk, or None.
    """

    audit: Audit
    store: Store
    device: str
    data: tuple[Dataset | None, ...]
    test: Dataset | None
    links: tuple[Link, ...]
    split: Split
    design: Design
    canaries: Canaries | None = None

    @property
    def at_risk(self) -> Dataset:
        """The data of the stage at risk."""
        data = self.data[self.audit.at_risk]
        assert data is not None
        return data

    @property
    def threat(self) -> ThreatModel:
        """The adversary, for the report."""
        threat = self.audit.threat
        name = self.audit.stages[self.audit.at_risk].name
        return ThreatModel(name, threat.granted, threat.shadows, len(self.split.population), self.audit.views)

    @cached_property
    def matrix(self) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
        """Which model trains on which record of the pool."""
        return matrix_of(self.audit, self.at_risk, self.split)

    @property
    def null_matrix(self) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
        """Another matrix, drawn alike, that no model was trained on; for the candidates."""
        matrix = matrix_of(self.audit, self.at_risk, self.split, "null membership")
        return matrix[:, self.split.candidates]

    @cached_property
    def jobs(self) -> Jobs:
        """All jobs, keyed."""
        return _lay_out(self)

    @cached_property
    def key(self) -> str:
        """The audit's key: equal for runs whose results must be equal."""
        threat = self.audit.threat.model_dump(mode="json")
        new = {"unit": "record", "knows": [], "fold_pairs": 1}  # of which releases without these settings knew nothing
        settings = {
            "seed": self.audit.seed,
            "threat": {key: value for key, value in threat.items() if (key, value) not in new.items()},
            "attacks": [[row.id, row.name, row.settings] for row in self.audit.attacks],
            "report": self.audit.report.model_dump(mode="json"),
            "observations": [job.key for job in self.jobs.observations],
            "name": self.audit.name,
        }
        if self.audit.variants:
            settings["variants"] = [[row.id, one.key] for row, one in self.variants]
        return key_of(settings)

    @cached_property
    def variants(self) -> tuple[tuple[DefenseRow | VariantRow, Prepared], ...]:
        """The same audit with each `[[defense]]` or `[[variant]]`: same data, split, matrix and seeds."""
        found = []
        for row in self.audit.variants:
            with about(f"variant {row.id!r}" if isinstance(row, VariantRow) else "defense"):
                audit = with_variant(self.audit, row)
                own = replace(self, audit=audit, links=links_of(audit, self.data))
                _ = own.key  # what a job cannot be asked for is told now
            found.append((row, own))
        return tuple(found)


def prepare(audit: Audit, *, store: Path, device: str = "cpu") -> Prepared:
    """Read the data, draw the split, build one model of each stage, and find all that is wrong.

    Args:
        audit: the settings.
        store: folder of the cache.
        device: "cpu", "cuda", "cuda:1", "mps" ...

    Raises:
        AuditError: every problem found, one line each.
    """
    import_from(audit.base)
    together = Together()
    with together:
        check_device(device)
    data, test = read_data(audit, together)
    known = all(own is not None or stage.given for own, stage in zip(data, audit.stages, strict=True))
    links = links_of(audit, data) if known else ()
    before = len(together.errors)
    for link in links:
        with together:
            check_sources(link)
    sound = len(together.errors) == before
    at_risk = data[audit.at_risk]
    split = None
    if at_risk is not None:
        with together:
            check_rows(audit, data)
        with together:
            split = split_of(audit, at_risk)
    if split is not None and sound:
        with one_thread():
            try_chains(audit, links, data, split, together)
    together.tell()
    assert at_risk is not None
    assert split is not None
    canaries = None
    if audit.spike is not None:
        at_risk, split, canaries = plant(at_risk, split, audit.spike, models=audit.models, seed=audit.seed)
        data = tuple(at_risk if index == audit.at_risk else one for index, one in enumerate(data))
    design = design_of(audit, at_risk, split)
    return Prepared(audit, Store(store), device, data, test, links, split, design, canaries)


def _lay_out(prepared: Prepared) -> Jobs:
    """Make all jobs."""
    common, parent = _common(prepared)
    own, test = _features(prepared, parent)
    packs = _packs(prepared, parent, own)
    later = transfer(packs, _further(prepared), prepared.audit.seed)
    deployed = later[-1].packs if later else packs
    observations = tuple(_observation(prepared, pack, own, test) for pack in deployed)
    before = tuple(
        replace(job, pack=pack, test=None, signals=("logit_confidence",), access=Access.LOGITS, defenses=())
        for job, pack in zip(observations, packs, strict=True)
        if later
    )
    jobs = Jobs(common, (*own, *test), packs, observations, later=later, before=before)
    if prepared.canaries is None:
        return jobs
    population, planted = prepared.split.population, prepared.canaries.rows
    observed = np.concatenate([prepared.split.pool[prepared.split.candidates], planted, population])
    canaries, others = (
        tuple(replace(job, rows=observed, test=None, test_features=()) for job in known)
        for known in (observations, before)
    )
    return replace(jobs, canaries=canaries, canaries_before=others)


def _features(prepared: Prepared, parent: str | None) -> tuple[tuple[FeatureJob, ...], tuple[FeatureJob, ...]]:
    """The jobs of frozen features of the records at risk under each view, and of test records as they are."""
    index, found = prepared.audit.at_risk, []
    links = prepared.links[: index + 1]
    stored = links[index].frozen_prefix and len(prepared.links) == len(links)
    for of, views in ((prepared.at_risk, prepared.audit.views), (prepared.test, prepared.audit.views[:1])):
        jobs: list[FeatureJob] = []
        if of is not None and stored:
            jobs = feature_jobs(
                prepared.store,
                links,
                data=(data_key(of), of.inputs_fingerprint),
                records=len(of),
                prefix=chain_key(links, index, parent, prepared.device),
                parent=parent,
                device=prepared.device,
                views=views,
            )
        found.append(tuple(jobs))
    return found[0], found[1]


def _packs(prepared: Prepared, parent: str | None, own: Sequence[FeatureJob]) -> tuple[PackJob, ...]:
    """The jobs that train the stage at risk; whole models one by one where stages follow."""
    index, models = prepared.audit.at_risk, len(prepared.design.member)
    links, link = prepared.links[: index + 1], prepared.links[index]
    transferred = len(prepared.links) > len(links)
    size = HEADS_PER_PACK if link.transfer == "head" and link.fit is None and not transferred else 1
    rows = [_training_rows(prepared, model) for model in range(models)]
    return tuple(
        PackJob(
            store=prepared.store,
            links=links,
            data=data_key(prepared.at_risk),
            features=tuple(job for job in own if job.view == prepared.audit.views[0]),
            parent=parent,
            prefix=chain_key(links, index, parent, prepared.device) if index or link.frozen_prefix else None,
            models=tuple(range(start, min(start + size, models))),
            rows=np.stack(rows[start : start + size]),
            seed=prepared.audit.seed,
            device=prepared.device,
            whole=transferred,
            alike="initialisation" in prepared.audit.threat.knows,
        )
        for start in range(0, models, size)
    )


def _further(prepared: Prepared) -> list[Further]:
    """The stages after the one at risk."""
    audit, found = prepared.audit, []
    for index in range(audit.at_risk + 1, len(prepared.links)):
        own, links = prepared.data[index], prepared.links[: index + 1]
        assert own is not None
        data, known = (data_key(own), own.inputs_fingerprint), "finetuning-data" in audit.threat.knows
        found.append(Further(links, data, len(own), audit.stages[index].sample, known))
    return found


def _training_rows(prepared: Prepared, model: int) -> Array:
    """What a model trains on: its half of the pool, and its half of the canaries as often as their grade tells."""
    rows = np.asarray(prepared.split.pool[prepared.matrix[model]])
    canaries = prepared.canaries
    return rows if canaries is None else np.concatenate([rows, canaries.training_rows(model)])


def withheld(prepared: Prepared) -> Mapping[str, str]:
    """Signals of probes that attacks ask for and these models cannot give, each with the reason."""
    wanted = {signal for row in prepared.audit.attacks for signal in row.attack.signals}
    link = prepared.links[prepared.audit.at_risk]
    if len(prepared.links) > prepared.audit.at_risk + 1:
        reason = (
            f"asks the models of stage {link.name!r} themselves, which are transferred before anyone sees them: end "
            "the chain at that stage, or leave the attack out"
        )
        return {name: reason for name in wanted if name in PROBES}
    single = prepared.audit.threat.unit == "record" and prepared.canaries is None
    population = len(prepared.split.population)
    return lacking(situation_of(link, prepared.at_risk.inputs, population, single=single), wanted)


def _observation(
    prepared: Prepared, pack: PackJob, own: Sequence[FeatureJob], test: Sequence[FeatureJob]
) -> ObserveJob:
    """The job that queries one pack."""
    observed = np.concatenate([prepared.split.pool[prepared.split.candidates], prepared.split.population])
    wanted = {signal for row in prepared.audit.attacks for signal in row.attack.signals} - withheld(prepared).keys()
    data = data_key(prepared.at_risk)
    return ObserveJob(
        pack=pack,
        rows=observed,
        population=len(prepared.split.population),
        views=prepared.audit.views,
        features=tuple(own),
        test=None if prepared.test is None else data_key(prepared.test),
        test_features=tuple(test),
        signals=_readable(prepared, wanted),
        access=prepared.audit.threat.granted,
        defenses=answering([row for rows in prepared.audit.defenses[prepared.audit.at_risk :] for row in rows]),
        data=None if data == pack.data else data,
    )


def _readable(prepared: Prepared, wanted: set[str]) -> tuple[str, ...]:
    """Of the wanted signals those that this access gives, and the record's class where the deployed model has it."""
    found = readable(sorted(wanted), prepared.audit.threat.granted)
    if knows_classes(prepared):
        return found
    kept = tuple(name for name in found if name in SIGNALS and not SIGNALS[name].labels)
    return kept or ("entropy" if Access.PROBS in prepared.audit.threat.granted.includes else "predicted_class",)


def knows_classes(prepared: Prepared) -> bool:
    """Whether the classes of the records at risk are those of the deployed model, so that a record's own is one."""
    last = prepared.data[-1]
    return last is None or last.classes == prepared.at_risk.classes


def _common(prepared: Prepared) -> tuple[tuple[PackJob, ...], str | None]:
    """The jobs of the stages before the one at risk, and the key of the last one's weights."""
    jobs: list[PackJob] = []
    parent: str | None = None
    for index in range(prepared.audit.at_risk):
        dataset = prepared.data[index]
        if dataset is None:
            parent = None
            continue
        above = chain_key(prepared.links, index, parent, prepared.device) if index else None
        jobs.append(
            PackJob(
                store=prepared.store,
                links=prepared.links[: index + 1],
                data=data_key(dataset),
                features=(),
                parent=parent,
                prefix=above,
                models=(0,),
                rows=np.arange(len(dataset))[None],
                seed=seed_for(prepared.audit.seed, "stage", index),
                device=prepared.device,
                whole=True,
            )
        )
        parent = jobs[-1].key
    return tuple(jobs), parent
