"""From a validated audit to everything that can be known before training: data, split, design, and all jobs by key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from dosimeter._defense_rows import answering, trained_with
from dosimeter._impossible import is_file
from dosimeter._resolve import import_from
from dosimeter._seeds import seed_for
from dosimeter.audit_data import read_data
from dosimeter.canaries import Canaries, plant
from dosimeter.chain import Link, chain_key
from dosimeter.config import Audit, DefenseRow, Stage
from dosimeter.data import Dataset
from dosimeter.design import Design, Split, membership_matrix, split_records
from dosimeter.errors import ConfigError
from dosimeter.fleet import HEADS_PER_PACK, FeatureJob, PackJob, feature_jobs
from dosimeter.games import Array, ThreatModel
from dosimeter.observe import ObserveJob, situation_of
from dosimeter.preflight import Together, check_device, check_sources, try_models
from dosimeter.probes import lacking
from dosimeter.runners import one_thread
from dosimeter.signals import readable
from dosimeter.store import Store, key_of


@dataclass(frozen=True)
class Jobs:
    """All work of a run, in the order in which it depends on each other.

    Attributes:
        common: stages before the one at risk, one model each, in order.
        features: frozen features of all records and views.
        packs: the fleet.
        observations: the fleet's outputs.
        canaries: the fleet's outputs on natural records and canaries together; empty if none were planted.
    """

    common: tuple[PackJob, ...]
    features: tuple[FeatureJob, ...]
    packs: tuple[PackJob, ...]
    observations: tuple[ObserveJob, ...]
    canaries: tuple[ObserveJob, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """An audit with its data read and its work laid out; nothing is trained yet.

    Attributes:
        audit: the settings.
        store: the cache.
        device: where models are trained.
        data: per stage, None for a given one.
        test: test records of the stage at risk, or None.
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
        return _matrix(self.audit, self.at_risk, self.split)

    @property
    def null_matrix(self) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
        """Another matrix, drawn alike, that no model was trained on; for the candidates."""
        matrix = _matrix(self.audit, self.at_risk, self.split, "null membership")
        return matrix[:, self.split.candidates]

    @cached_property
    def jobs(self) -> Jobs:
        """All jobs, keyed."""
        return _lay_out(self)

    @cached_property
    def key(self) -> str:
        """The audit's key: equal for runs whose results must be equal."""
        unit = self.audit.threat.unit  # the key of audits by record is that of releases without units
        settings = {
            "seed": self.audit.seed,
            "threat": self.audit.threat.model_dump(mode="json", exclude={"unit"} if unit == "record" else None),
            "attacks": [[row.id, row.name, row.settings] for row in self.audit.attacks],
            "report": self.audit.report.model_dump(mode="json"),
            "observations": [job.key for job in self.jobs.observations],
            "name": self.audit.name,
        }
        if self.audit.variants:
            settings["variants"] = [[row.id, one.key] for row, one in self.variants]
        return key_of(settings)

    @cached_property
    def variants(self) -> tuple[tuple[DefenseRow, Prepared], ...]:
        """The same audit with each `[[defense]]` in the stage at risk: same data, split, matrix and seeds."""
        found = []
        for row in self.audit.variants:
            defenses = list(self.audit.defenses)
            defenses[self.audit.at_risk] += (row,)
            audit = replace(self.audit, name=f"{self.audit.name}: {row.id}", defenses=tuple(defenses), variants=())
            found.append((row, replace(self, audit=audit, links=_links(audit, self.data))))
        return tuple(found)


def data_key(dataset: Dataset) -> str:
    """The key of a data set's entry."""
    return key_of({"kind": "data", "fingerprint": dataset.fingerprint})


def save_data(dataset: Dataset, store: Store) -> None:
    """Put a data set's tensors where every worker can read them."""
    key = data_key(dataset)
    if not store.verify(key):
        tensors = {"inputs": torch.from_numpy(dataset.inputs), "labels": torch.from_numpy(dataset.labels)}
        store.save(key, tensors, {"kind": "data", "fingerprint": dataset.fingerprint})


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
    links = _links(audit, data) if known else ()
    before = len(together.errors)
    for link in links:
        with together:
            check_sources(link)
    sound = len(together.errors) == before
    at_risk = data[audit.at_risk]
    split = None
    if at_risk is not None:
        with together:
            _check_rows(audit, at_risk)
        with together:
            split = _split(audit, at_risk)
    if split is not None and sound:
        with one_thread():
            try_models(links, data, at_risk=audit.at_risk, members=len(split.pool) // 2, together=together)
    together.tell()
    assert at_risk is not None
    assert split is not None
    canaries = None
    if audit.spike is not None:
        models = audit.threat.shadows + 2
        at_risk, split, canaries = plant(at_risk, split, audit.spike, models=models, seed=audit.seed)
        data = tuple(at_risk if index == audit.at_risk else one for index, one in enumerate(data))
    design = _design(audit, at_risk, split)
    return Prepared(audit, Store(store), device, data, test, links, split, design, canaries)


def _split(audit: Audit, dataset: Dataset) -> Split:
    """The split of the records at risk."""
    threat = audit.threat
    split = split_records(
        dataset.labels,
        population=threat.population,
        candidates=threat.candidates,
        stratify=threat.stratify,
        seed=audit.seed,
    )
    if len(split.pool) < 4:
        raise ConfigError(
            f"threat.population: must leave at least 4 records to train on, got {len(split.pool)} of {len(dataset)}: "
            "lower it or use more records"
        )
    return split


def _check_rows(audit: Audit, dataset: Dataset) -> None:
    """Refuse image views and augmentation for records that are no images."""
    stage = audit.stages[audit.at_risk]
    image = dataset.inputs.ndim == 4
    if not image and (len(audit.views) > 1 or stage.augment):
        raise ConfigError(
            f"threat.views and stage[{audit.at_risk}].augment: flips and shifts need images [n, channels, height, "
            f"width], got inputs of shape {dataset.inputs.shape}: use views = ['identity'] and no augment"
        )


def _links(audit: Audit, data: Sequence[Dataset | None]) -> tuple[Link, ...]:
    """The chain with the shapes and classes of its data; a given first stage takes those of the next."""
    links = []
    for index, stage in enumerate(audit.stages[: audit.at_risk + 1]):
        own = next(one for one in data[index:] if one is not None)
        link = _link(stage, own, audit.base)
        links.append(replace(link, hyperparameters=trained_with(stage.hyperparameters, audit.defenses[index])))
    return tuple(links)


def _link(stage: Stage, dataset: Dataset, base: Path) -> Link:
    """One stage as a link, without its defenses."""
    names = ("name", "model", "transfer", "last_k", "head", "options", "fit", "depends")
    weights = stage.weights
    if weights and is_file(base / weights):
        weights = str(base / weights)
    shape = tuple(int(side) for side in dataset.inputs.shape[1:])
    classes = stage.classes or len(dataset.classes)
    return Link(shape=shape, classes=classes, weights=weights, **{name: getattr(stage, name) for name in names})


def _design(audit: Audit, dataset: Dataset, split: Split) -> Design:
    """Who is trained on what, for the candidates."""
    rows = split.pool[split.candidates]
    matrix = _matrix(audit, dataset, split)
    persons = None if dataset.persons is None else dataset.persons[rows]
    whole = persons if audit.threat.unit == "person" else None
    return Design(
        ids=dataset.ids[rows],
        labels=dataset.labels[rows],
        classes=len(dataset.classes),
        member=matrix[:, split.candidates],
        targets=audit.threat.targets,
        rehearsals=audit.threat.rehearsals,
        record=np.arange(len(rows)) if whole is None else np.unique(whole, return_inverse=True)[1],
        population_ids=dataset.ids[split.population],
        population_labels=dataset.labels[split.population],
        groups=None if dataset.groups is None else dataset.groups[rows],
        persons=persons,
    )


def _matrix(
    audit: Audit, dataset: Dataset, split: Split, purpose: str = "membership"
) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """A membership matrix of single records or of whole persons."""
    person = None
    if audit.threat.unit == "person":
        if dataset.persons is None:
            raise ConfigError(
                f"threat.unit: 'person' needs to know whose each record is, got data without persons "
                f"({dataset.name}): name their column in data_options.person, or use unit = 'record'"
            )
        person = np.unique(dataset.persons[split.pool], return_inverse=True)[1].reshape(-1)
    return membership_matrix(len(split.pool), audit.threat.shadows + 2, audit.seed, purpose, person=person)


def _lay_out(prepared: Prepared) -> Jobs:
    """Make all jobs."""
    common, parent = _common(prepared)
    index = prepared.audit.at_risk
    links, dataset = prepared.links, prepared.at_risk
    frozen, views = links[index].frozen_prefix, prepared.audit.views
    prefix = chain_key(links, index, parent, prepared.device) if frozen else None
    given_parent = chain_key(links, index, parent, prepared.device) if index else None

    def features(of: Dataset | None, wanted: Sequence[str]) -> list[FeatureJob]:
        if of is None or prefix is None:
            return []
        return feature_jobs(
            prepared.store,
            links,
            data=data_key(of),
            records=len(of),
            prefix=prefix,
            parent=parent,
            device=prepared.device,
            views=wanted,
        )

    own, test = features(dataset, views), features(prepared.test, views[:1])
    size = HEADS_PER_PACK if links[index].transfer == "head" and links[index].fit is None else 1
    models = len(prepared.design.member)
    rows = [_training_rows(prepared, model) for model in range(models)]
    packs = tuple(
        PackJob(
            store=prepared.store,
            links=links,
            data=data_key(dataset),
            features=tuple(job for job in own if job.view == views[0]),
            parent=parent,
            prefix=prefix or given_parent,
            models=tuple(range(start, min(start + size, models))),
            rows=np.stack(rows[start : start + size]),
            seed=prepared.audit.seed,
            device=prepared.device,
        )
        for start in range(0, models, size)
    )
    observations = tuple(_observation(prepared, pack, own, test) for pack in packs)
    if prepared.canaries is None:
        return Jobs(common, tuple(own + test), packs, observations)
    population, planted = prepared.split.population, prepared.canaries.rows
    natural = prepared.split.pool[prepared.split.candidates]
    observed = np.concatenate([natural, planted, population])
    canaries = tuple(replace(job, rows=observed, test=None, test_features=()) for job in observations)
    return Jobs(common, tuple(own + test), packs, observations, canaries)


def _training_rows(prepared: Prepared, model: int) -> Array:
    """What a model trains on: its half of the pool, and its half of the canaries as often as their grade tells."""
    rows = np.asarray(prepared.split.pool[prepared.matrix[model]])
    canaries = prepared.canaries
    return rows if canaries is None else np.concatenate([rows, canaries.training_rows(model)])


def withheld(prepared: Prepared) -> Mapping[str, str]:
    """Signals of probes that attacks ask for and these models cannot give, each with the reason."""
    single = prepared.audit.threat.unit == "record" and prepared.canaries is None
    population = len(prepared.split.population)
    situation = situation_of(prepared.links[-1], prepared.at_risk.inputs, population, single=single)
    return lacking(situation, {signal for row in prepared.audit.attacks for signal in row.attack.signals})


def _observation(
    prepared: Prepared, pack: PackJob, own: Sequence[FeatureJob], test: Sequence[FeatureJob]
) -> ObserveJob:
    """The job that queries one pack."""
    observed = np.concatenate([prepared.split.pool[prepared.split.candidates], prepared.split.population])
    wanted = {signal for row in prepared.audit.attacks for signal in row.attack.signals} - withheld(prepared).keys()
    return ObserveJob(
        pack=pack,
        rows=observed,
        population=len(prepared.split.population),
        views=prepared.audit.views,
        features=tuple(own),
        test=None if prepared.test is None else data_key(prepared.test),
        test_features=tuple(test),
        signals=readable(sorted(wanted), prepared.audit.threat.granted),
        access=prepared.audit.threat.granted,
        defenses=answering(prepared.audit.defenses[prepared.audit.at_risk]),
    )


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
