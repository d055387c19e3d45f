"""Split, design and matrix that follow from an audit's settings and data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from dosimeter.data import Dataset
from dosimeter.data.duplicates import contents
from dosimeter.families.membership.design.design import Design, Split, membership_matrix, split_records
from dosimeter.families.membership.design.labelled import Labelled, draw_judged, draw_labelled
from dosimeter.families.membership.measures.cross_fitting import HALVES, halvings
from dosimeter.families.membership.threat import Threat
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.seeds import generator

NULL = "null membership"
"""Purpose of the matrix that no model is trained on."""


def split_of(threat: Threat, seed: int, dataset: Dataset) -> Split:
    """The split of the records at risk, drawn by the audit's seed."""
    split = split_records(
        dataset.labels,
        population=threat.population,
        candidates=None if threat.labelled else threat.candidates,
        stratify=threat.stratify,
        seed=seed,
        person=_persons(threat, dataset),
    )
    if len(split.pool) < 4:
        raise ConfigError(
            f"threat.population: must leave at least 4 records to train on, got {len(split.pool)} of {len(dataset)}: "
            "lower it or use more records"
        )
    if not threat.labelled:
        return split
    own = _persons(threat, dataset)
    pool = split.pool
    cluster = contents(dataset.inputs[pool]) if own is None else np.unique(own[pool], return_inverse=True)[1]
    known = draw_labelled(cluster.reshape(-1), threat.labelled, seed)
    return replace(split, known=known, candidates=draw_judged(len(pool), known, threat.candidates, seed))


def design_of(threat: Threat, seed: int, dataset: Dataset, split: Split) -> Design:
    """The design of the candidates; copies of a record are one cluster, because they are one piece of evidence."""
    rows = split.pool[split.candidates]
    matrix = matrix_of(threat, seed, dataset, split)
    persons = None if dataset.persons is None else dataset.persons[rows]
    whole = persons if threat.unit == "person" else None
    labelled, own = None, split.pool[split.known]
    if len(own):
        null = matrix_of(threat, seed, dataset, split, NULL)
        bits = (one[:, split.known] for one in (matrix, null))
        labelled = Labelled(dataset.ids[own], dataset.labels[own], *bits)
    return Design(
        ids=dataset.ids[rows],
        labels=dataset.labels[rows],
        classes=len(dataset.classes),
        member=matrix[:, split.candidates],
        targets=threat.targets,
        rehearsals=threat.rehearsals,
        record=contents(dataset.inputs[rows]) if whole is None else np.unique(whole, return_inverse=True)[1],
        population_ids=dataset.ids[split.population],
        population_labels=dataset.labels[split.population],
        groups=None if dataset.groups is None else dataset.groups[rows],
        persons=persons,
        fold_pairs=threat.fold_pairs,
        labelled=labelled,
    )


def check_drawn_halves(design: Design, seed: int) -> None:
    """Refuses records of which no two halves have members and non-members, where halves set thresholds for each other.

    Raises:
        ConfigError: with how many different records there are.
    """
    member = design.member[: design.targets]
    if len(design.rehearsal_rows) or len(halvings(design.record, member, generator(seed, HALVES), drawn=True)):
        return
    raise ConfigError(
        "threat.shadows: halves of the records set thresholds for each other, copies and whole persons together, got "
        f"{len(np.unique(design.record))} different ones among {len(design.record)}: use more different records, or "
        "shadows, which rehearse"
    )


def _persons(threat: Threat, dataset: Dataset) -> Array | None:
    """Person of each record, 0 to u - 1, if whole persons are drawn; else None."""
    if threat.unit == "record":
        return None
    if dataset.persons is None:
        raise ConfigError(
            f"threat.unit: 'person' needs to know whose each record is, got data without persons "
            f"({dataset.name}): name their column in data_options.person, or use unit = 'record'"
        )
    return np.unique(dataset.persons, return_inverse=True)[1].reshape(-1)


def matrix_of(
    threat: Threat, seed: int, dataset: Dataset, split: Split, purpose: str = "membership"
) -> Bool[Array, "m p"]:
    """A membership matrix of single records or of whole persons."""
    persons = _persons(threat, dataset)
    person = None if persons is None else np.unique(persons[split.pool], return_inverse=True)[1].reshape(-1)
    return membership_matrix(len(split.pool), threat.models, seed, purpose, person=person)
