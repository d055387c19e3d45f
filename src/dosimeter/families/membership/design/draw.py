"""What an audit's settings and data decide of a membership audit: split, design, matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dosimeter.config.audit import Audit
from dosimeter.data import Dataset
from dosimeter.data.duplicates import contents
from dosimeter.families.membership.design.design import Design, Split, membership_matrix, split_records
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import ConfigError


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


def trained_on(audit: Audit, data: Sequence[Dataset | None], split: Split) -> list[int]:
    """How many records one model of each stage trains on; 0 of a given one."""
    sizes = [0 if own is None else len(own) for own in data]
    later = [max(1, round(stage.sample * size)) for stage, size in zip(audit.stages, sizes, strict=True)]
    return [*sizes[: audit.at_risk], len(split.pool) // 2, *later[audit.at_risk + 1 :]]


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
