"""From a validated audit to everything that can be known before training: data, split, design, and all jobs by key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from dosimeter._impossible import is_file
from dosimeter._resolve import import_from
from dosimeter._seeds import seed_for
from dosimeter.audit_data import read_data
from dosimeter.chain import Link, chain_key
from dosimeter.config import Audit, Stage
from dosimeter.data import Dataset
from dosimeter.design import Design, Split, membership_matrix, split_records
from dosimeter.errors import ConfigError
from dosimeter.fleet import HEADS_PER_PACK, FeatureJob, PackJob, feature_jobs
from dosimeter.games import ThreatModel
from dosimeter.observe import ObserveJob
from dosimeter.preflight import Together, check_device, check_sources, try_models
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
    """

    common: tuple[PackJob, ...]
    features: tuple[FeatureJob, ...]
    packs: tuple[PackJob, ...]
    observations: tuple[ObserveJob, ...]


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
    """

    audit: Audit
    store: Store
    device: str
    data: tuple[Dataset | None, ...]
    test: Dataset | None
    links: tuple[Link, ...]
    split: Split
    design: Design

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
        return membership_matrix(len(self.split.pool), self.audit.threat.shadows + 2, self.audit.seed)

    @cached_property
    def jobs(self) -> Jobs:
        """All jobs, keyed."""
        return _lay_out(self)

    @cached_property
    def key(self) -> str:
        """The audit's key: equal for runs whose results must be equal."""
        settings = {
            "seed": self.audit.seed,
            "threat": self.audit.threat.model_dump(mode="json"),
            "attacks": [[row.id, row.name, row.settings] for row in self.audit.attacks],
            "report": self.audit.report.model_dump(mode="json"),
            "observations": [job.key for job in self.jobs.observations],
            "name": self.audit.name,
        }
        return key_of(settings)


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
    return Prepared(audit, Store(store), device, data, test, links, split, _design(audit, at_risk, split))


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
        links.append(_link(stage, own, audit.base))
    return tuple(links)


def _link(stage: Stage, dataset: Dataset, base: Path) -> Link:
    """One stage as a link."""
    names = ("name", "model", "transfer", "last_k", "head", "options", "fit", "hyperparameters", "depends")
    weights = stage.weights
    if weights and is_file(base / weights):
        weights = str(base / weights)
    shape = tuple(int(side) for side in dataset.inputs.shape[1:])
    classes = stage.classes or len(dataset.classes)
    return Link(shape=shape, classes=classes, weights=weights, **{name: getattr(stage, name) for name in names})


def _design(audit: Audit, dataset: Dataset, split: Split) -> Design:
    """Who is trained on what, for the candidates."""
    rows = split.pool[split.candidates]
    matrix = membership_matrix(len(split.pool), audit.threat.shadows + 2, audit.seed)
    return Design(
        ids=dataset.ids[rows],
        labels=dataset.labels[rows],
        classes=len(dataset.classes),
        member=matrix[:, split.candidates],
        targets=audit.threat.targets,
        rehearsals=audit.threat.rehearsals,
        record=np.arange(len(rows)),
        population_ids=dataset.ids[split.population],
        population_labels=dataset.labels[split.population],
        groups=None if dataset.groups is None else dataset.groups[rows],
    )


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
    rows = [np.asarray(prepared.split.pool[row]) for row in prepared.matrix]
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
    return Jobs(common, tuple(own + test), packs, tuple(_observation(prepared, pack, own, test) for pack in packs))


def _observation(
    prepared: Prepared, pack: PackJob, own: Sequence[FeatureJob], test: Sequence[FeatureJob]
) -> ObserveJob:
    """The job that queries one pack."""
    observed = np.concatenate([prepared.split.pool[prepared.split.candidates], prepared.split.population])
    wanted = {signal for row in prepared.audit.attacks for signal in row.attack.signals}
    return ObserveJob(
        pack=pack,
        rows=observed,
        views=prepared.audit.views,
        features=tuple(own),
        test=None if prepared.test is None else data_key(prepared.test),
        test_features=tuple(test),
        signals=readable(sorted(wanted), prepared.audit.threat.granted),
        access=prepared.audit.threat.granted,
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
