"""What an audit's settings and data decide before any job is known: the chain as links, the split, the design."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from dosimeter._defense_rows import trained_with
from dosimeter._impossible import is_file
from dosimeter.chain import Link
from dosimeter.config import Audit, Stage, VariantRow
from dosimeter.data import Dataset
from dosimeter.data.duplicates import contents
from dosimeter.design import Design, Split, membership_matrix, split_records
from dosimeter.errors import ConfigError
from dosimeter.games import Array
from dosimeter.preflight import Together, about, check_sources, try_models


def split_of(audit: Audit, dataset: Dataset) -> Split:
    """The split of the records at risk."""
    threat = audit.threat
    split = split_records(
        dataset.labels,
        population=threat.population,
        candidates=threat.candidates,
        stratify=threat.stratify,
        seed=audit.seed,
        person=_persons(audit, dataset),
    )
    if len(split.pool) < 4:
        raise ConfigError(
            f"threat.population: must leave at least 4 records to train on, got {len(split.pool)} of {len(dataset)}: "
            "lower it or use more records"
        )
    return split


def check_rows(audit: Audit, data: Sequence[Dataset | None]) -> None:
    """Refuse views and augmentation of images for other records, and those of texts for what is no text.

    Args:
        audit: the settings.
        data: of each stage, None for one without.
    """
    problems = []
    for index, (stage, dataset) in enumerate(zip(audit.stages, data, strict=True)):
        at_risk = index == audit.at_risk
        place = f"threat.views and stage[{index}].augment" if at_risk else f"stage[{index}].augment"
        if dataset is not None:
            problems += unfit(place, (*stage.augment, *(audit.views if at_risk else ())), dataset)
    if problems:
        raise ConfigError(*problems)


def unfit(place: str, names: Sequence[str], records: Dataset) -> list[str]:
    """What is wrong with views or kinds of augmentation for these records, one line at most for each kind.

    Args:
        place: how messages begin.
        names: of views and kinds of augmentation.
        records: that they are made of.
    """
    inputs = records.inputs
    got = f"got inputs of shape {inputs.shape} and type {inputs.dtype}"
    words = [name for name in names if name.startswith("drop")]
    problems = []
    if set(names) - {"identity", *words} and inputs.ndim != 4:
        problems.append(
            f"{place}: flips and shifts need images [n, channels, height, width], {got}: use views = ['identity'] and "
            "no augment"
        )
    if words and not records.tokens:
        problems.append(
            f"{place}: words can be dropped from texts, rows of tokens [n, length], {got}: use views = "
            "['identity'] and no augment"
        )
    return problems


def links_of(audit: Audit, data: Sequence[Dataset | None]) -> tuple[Link, ...]:
    """The chain with the shapes and classes of its data; a given first stage takes those of the next."""
    links = []
    for index, stage in enumerate(audit.stages):
        own = next(one for one in data[index:] if one is not None)
        link = _link(stage, own, audit.base)
        links.append(replace(link, hyperparameters=trained_with(stage.hyperparameters, audit.defenses[index])))
    return tuple(links)


def try_chains(
    audit: Audit, links: Sequence[Link], data: Sequence[Dataset | None], split: Split, together: Together
) -> None:
    """Try the models of an audit, and those of its variants that have other settings of training.

    Args:
        audit: the settings.
        links: its chain.
        data: of each stage, None for one without.
        split: of the records at risk.
        together: collects what is wrong; of a variant with its id in front.
    """
    try_models(links, data, records=_trained_on(audit, data, split), together=together)
    for row in audit.variants:
        if not isinstance(row, VariantRow) or not row.table.stage:
            continue
        own, its = Together(), links_of(row.audit, data)
        for link in its:
            with own:
                check_sources(link)
        with own:
            check_rows(row.audit, data)
        if not own.errors:
            try_models(its, data, records=_trained_on(row.audit, data, split), together=own)
        for error in own.errors:
            with together, about(f"variant {row.id!r}"):
                raise error


def _trained_on(audit: Audit, data: Sequence[Dataset | None], split: Split) -> list[int]:
    """How many records one model of each stage trains on; 0 of a given one."""
    sizes = [0 if own is None else len(own) for own in data]
    later = [max(1, round(stage.sample * size)) for stage, size in zip(audit.stages, sizes, strict=True)]
    return [*sizes[: audit.at_risk], len(split.pool) // 2, *later[audit.at_risk + 1 :]]


def _link(stage: Stage, dataset: Dataset, base: Path) -> Link:
    """One stage as a link, without its defenses."""
    names = ("name", "model", "transfer", "last_k", "lora_rank", "lora_alpha", "head", "options", "fit", "depends")
    weights = stage.weights
    if weights and is_file(base / weights):
        weights = str(base / weights)
    shape = tuple(int(side) for side in dataset.inputs.shape[1:])
    classes = stage.classes or len(dataset.classes)
    return Link(shape=shape, classes=classes, weights=weights, **{name: getattr(stage, name) for name in names})


def design_of(audit: Audit, dataset: Dataset, split: Split) -> Design:
    """Who is trained on what, for the candidates; copies of a record are one cluster, as one piece of evidence."""
    rows = split.pool[split.candidates]
    matrix = matrix_of(audit, dataset, split)
    persons = None if dataset.persons is None else dataset.persons[rows]
    whole = persons if audit.threat.unit == "person" else None
    return Design(
        ids=dataset.ids[rows],
        labels=dataset.labels[rows],
        classes=len(dataset.classes),
        member=matrix[:, split.candidates],
        targets=audit.threat.targets,
        rehearsals=audit.threat.rehearsals,
        record=contents(dataset.inputs[rows]) if whole is None else np.unique(whole, return_inverse=True)[1],
        population_ids=dataset.ids[split.population],
        population_labels=dataset.labels[split.population],
        groups=None if dataset.groups is None else dataset.groups[rows],
        persons=persons,
        fold_pairs=audit.threat.fold_pairs,
    )


def _persons(audit: Audit, dataset: Dataset) -> Array | None:
    """Whose record each is, 0 to u - 1, where whole persons are drawn."""
    if audit.threat.unit == "record":
        return None
    if dataset.persons is None:
        raise ConfigError(
            f"threat.unit: 'person' needs to know whose each record is, got data without persons "
            f"({dataset.name}): name their column in data_options.person, or use unit = 'record'"
        )
    return np.unique(dataset.persons, return_inverse=True)[1].reshape(-1)


def matrix_of(audit: Audit, dataset: Dataset, split: Split, purpose: str = "membership") -> Array:
    """A membership matrix of single records or of whole persons."""
    persons = _persons(audit, dataset)
    person = None if persons is None else np.unique(persons[split.pool], return_inverse=True)[1].reshape(-1)
    return membership_matrix(len(split.pool), audit.models, audit.seed, purpose, person=person)
