"""Canaries: records planted in the user's own pipeline that leak by degrees, apart from the audited records.

A canary is made from a record that the split puts outside every model. Half of the models train on it, by complementary
pairs of rows, as often as its grade says. No number about natural records contains a canary: natural candidates, their
bits and their number in each training set are those of the same audit without canaries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.data import Dataset
from dosimeter.families.membership.design.design import Design, Split, membership_matrix
from dosimeter.families.membership.threat import Spike
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.seeds import generator
from dosimeter.foundation.wording import quote


@dataclass(frozen=True)
class Canaries:
    """Planted records `[c]`.

    Attributes:
        rows: rows of the data set that holds them.
        kind: "plain", "mislabelled" or "noise".
        copies: how often a model trains on each in every epoch.
        member: which model trains on which `[m c]`, in complementary pairs, half of each grade in each model.
    """

    rows: Int[Array, " c"]
    kind: Array
    copies: Int[Array, " c"]
    member: Bool[Array, "m c"]

    def training_rows(self, model: int) -> Int[Array, " k"]:
        """Rows that a model trains on beside its natural ones, with copies; their number is equal for all models."""
        inside = self.member[model]
        return np.asarray(np.repeat(self.rows[inside], self.copies[inside]))

    def redraw(self, models: int, seed: int) -> Canaries:
        """The same records under a membership of other models, drawn by the same rule.

        Args:
            models: how many, any number.
            seed: seed of the draw.
        """
        member = _membership(self.kind, self.copies, models + models % 2, seed)
        return replace(self, member=member[:models])


@dataclass(frozen=True)
class CanaryScores:
    """Scores of the canaries by all attacks; each canary is a cluster of its own.

    Attributes:
        kind: `[c]`.
        copies: `[c]`.
        member: of the targets `[t c]`.
        rehearsal_in: of the models that rehearsed `[k c]`.
        scores: per attack on the targets `[t c]`; attacks that were not run on canaries are absent.
        rehearsed: per attack on the models that rehearsed, once per fold `[f k c]`.
    """

    kind: Array
    copies: Int[Array, " c"]
    member: Bool[Array, "t c"]
    rehearsal_in: Bool[Array, "k c"]
    scores: Mapping[str, Float[Array, "t c"]]
    rehearsed: Mapping[str, Float[Array, "f k c"]]

    @property
    def grades(self) -> Sequence[tuple[str, int]]:
        """Kinds with their numbers of copies, in the order of planting."""
        return _grades(self.kind, self.copies)

    def of(self, kind: str, copies: int) -> Bool[Array, " c"]:
        """Mask of the canaries of a grade."""
        found: Array = (self.kind == kind) & (self.copies == copies)
        return found


def sources_needed(spike: Spike) -> int:
    """Number of records outside every model that the canaries are made from; noise needs none."""
    return spike.count * len(spike.copies) * sum(kind != "noise" for kind in spike.kinds)


def plant(dataset: Dataset, split: Split, spike: Spike, *, models: int, seed: int) -> tuple[Dataset, Split, Canaries]:
    """Makes the canaries from records of the population and appends them to the data set.

    Plain ones keep their label, mislabelled ones get another class, and noise draws each value on its own from what
    all records have in its place, with any class.

    Args:
        dataset: the records of the stage at risk.
        split: how they are divided; the canaries' sources leave the population.
        spike: what to plant.
        models: in the fleet, even.
        seed: seed of the audit.

    Raises:
        ConfigError: the population is too small.
    """
    needed, outside = sources_needed(spike), len(split.population)
    if needed > outside:
        raise ConfigError(
            f"spike: its canaries are made of {needed} records outside every model, got {outside} of them: set "
            f"threat.population to {needed} or more, or plant fewer (count, copies, kinds)"
        )
    other = sorted({kind for kind in spike.kinds if kind != "plain"})
    if dataset.vocabulary is not None and other:
        raise ConfigError(
            f"spike.kinds: canaries among texts of a language model are plain, since texts have no labels and noise no "
            f"end, got {quote(other[0])}: use kinds = ['plain']"
        )
    rng, n, classes = generator(seed, "canaries"), len(dataset), len(dataset.classes)
    grades = [(kind, copies) for kind in spike.kinds for copies in spike.copies]
    kind = np.repeat([one for one, _ in grades], spike.count)
    copies = np.repeat([one for _, one in grades], spike.count)
    own = kind != "noise"
    sources = rng.integers(n, size=len(kind))
    sources[own] = rng.permutation(split.population)[:needed]
    inputs, labels = dataset.inputs[sources].copy(), dataset.labels[sources].copy()
    inputs[~own] = _noise(dataset.inputs, int((~own).sum()), rng)
    labels[~own] = rng.integers(classes, size=int((~own).sum()))
    wrong = kind == "mislabelled"
    labels[wrong] = (labels[wrong] + rng.integers(1, classes, size=int(wrong.sum()))) % classes
    ids = np.array([f"canary {i}: {one} x {times}" for i, (one, times) in enumerate(zip(kind, copies, strict=True))])
    return (
        _append(dataset, sources, inputs, labels, ids),
        replace(split, population=np.setdiff1d(split.population, sources[own])),
        Canaries(np.arange(n, n + len(kind)), kind, copies, _membership(kind, copies, models, seed)),
    )


def _membership(kind: Array, copies: Int[Array, " c"], models: int, seed: int) -> Bool[Array, "m c"]:
    """Membership of canaries in an even number of models: half of each grade in each model."""
    grades = _grades(kind, copies)
    counts = [int(((kind == one) & (copies == times)).sum()) for one, times in grades]
    named = zip(grades, counts, strict=True)
    parts = [membership_matrix(n, models, seed, f"canaries {one} x {times}") for (one, times), n in named]
    return np.concatenate(parts, axis=1)


def _grades(kind: Array, copies: Int[Array, " c"]) -> list[tuple[str, int]]:
    """Kinds with their numbers of copies, in the order of planting."""
    return list(dict.fromkeys(zip(kind.tolist(), copies.tolist(), strict=True)))


def _noise(inputs: Array, count: int, rng: np.random.Generator) -> Array:
    """Records in which each value comes from a random record, at the same place."""
    flat = inputs.reshape(len(inputs), -1)
    rows = rng.integers(len(flat), size=(count, flat.shape[1]))
    return flat[rows, np.arange(flat.shape[1])].reshape(count, *inputs.shape[1:])


def _append(dataset: Dataset, sources: Array, inputs: Array, labels: Array, ids: Array) -> Dataset:
    """The data set with further records; their owners and attributes, which nobody reads, are those of the sources."""
    owners = dataset.persons, dataset.groups
    persons, groups = (None if own is None else np.concatenate([own, own[sources]]) for own in owners)
    return replace(
        dataset,
        inputs=np.concatenate([dataset.inputs, inputs]),
        labels=np.concatenate([dataset.labels, labels]),
        ids=np.concatenate([dataset.ids.astype(str), ids]),
        persons=persons,
        groups=groups,
        attributes={name: np.concatenate([own, own[sources]]) for name, own in dataset.attributes.items()},
        compressed=None
        if dataset.compressed is None
        else np.concatenate([dataset.compressed, dataset.compressed[sources]]),
    )


def with_canaries(design: Design, dataset: Dataset, canaries: Canaries) -> Design:
    """A design whose candidates are the natural ones and then the canaries, so that all scores share one scale.

    Args:
        design: design of the natural records.
        dataset: that holds the canaries.
        canaries: the planted records.
    """
    rows = canaries.rows
    return replace(
        design,
        ids=np.concatenate([np.asarray(design.ids).astype(str), dataset.ids[rows]]),
        labels=np.concatenate([design.labels, dataset.labels[rows]]),
        member=np.concatenate([design.member, canaries.member], axis=1),
        record=np.concatenate([design.record, np.arange(len(rows)) + design.record.max() + 1]),
        groups=None,
        persons=None,
    )
