"""The blind baseline: classifiers that separate members from non-members by the records alone, without a model.

Published membership attacks have been beaten by such classifiers (Das, Zhang and Tramèr 2024, arXiv:2406.16201), since
their members and non-members came from different sources. What they find without the model is no leak of the model.

Everything that is learned without the bits (components, scales, weights of tokens) is learned on all records; what is
learned with them is learned on four fifths of the record clusters and applied to the rest. The same holds for the
fit of labels: how well each record's label fits its inputs. If the labels of one half are noisier, a model that saw
neither half shows this too. Axes: `n` records, `k` of them that are judged, `d` features.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse
from scipy.stats import rankdata

from dosimeter.data import record_features as few
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.statistics.area import area

MOST_RECORDS = 10_000
"""Most records that are judged; from a larger set this many are drawn."""
FOLDS = 5
RARE = 1e-4
"""Smallest probability of a label; lower ones count as this."""
_TREES = 20
"""Trees of the forest that learns the labels."""
_BATCH = 1_000

Matrix = Any
"""Features, a dense or a sparse matrix."""


@dataclass(frozen=True)
class Blind:
    """Scores by classifiers that never query the model.

    Attributes:
        rows: positions of the judged records, increasing `[k]`.
        scores: rank of each among the records of its fold, in (0, 1); higher means "more likely member" `[k]`.
    """

    rows: Int[Array, " k"]
    scores: Float[Array, " k"]


@dataclass(frozen=True)
class _Learner:
    """A classifier and the features that it reads."""

    features: Matrix
    make: Callable[[], Any]

    def judge(self, bits: Array, train: Array, test: Array) -> Array:
        """Ranks in (0, 1) of the rows `test`, after a fit on the rows `train`."""
        if bits[train].all() or not bits[train].any():
            return np.full(len(test), 0.5)
        model = self.make()
        with warnings.catch_warnings():  # a fit that stops early is a valid blind classifier
            warnings.simplefilter("ignore")
            model.fit(self.features[train], bits[train])
        return _ranks(model.predict_proba(self.features[test])[:, 1])


def blind_scores(
    inputs: Array, labels: Int[Array, " n"], is_member: Bool[Array, " n"], cluster: Int[Array, " n"], *, seed: int,
    tokens: bool = False,
) -> Blind:  # fmt: skip
    """Scores records by their content, without any answer of a model.

    Logistic regression and boosted trees read the inputs, the label, and how well the label fits
    (`label_confidence`); a third classifier reads this fit alone. They are cross-fitted over five folds of record
    clusters. Within each fold's training part a held-out fifth chooses between the three and the mean of their ranks;
    the fold itself plays no part in the choice, so the score is not optimistic. Scores are ranks within a fold, since
    folds have scales of their own.

    Args:
        inputs: pictures `[n c h w]`, tables `[n d]`, or tokens `[n length]`, which if there are few are read as columns
            too; anything else is laid flat.
        labels: class numbers.
        is_member: the bits, as stated.
        cluster: cluster of each record; a cluster is in one fold.
        seed: seed of the draw of records, folds and classifiers.
        tokens: the inputs are tokens.
    """
    rng = generator(seed, "blind")
    rows = _draw(is_member, cluster, rng)
    bits, cluster = is_member[rows], np.unique(cluster[rows], return_inverse=True)[1]
    learners = _learners(inputs[rows], labels[rows], cluster, seed, tokens)
    fold = _folds(bits, cluster, rng)
    scores = np.empty(len(rows))
    for number in range(FOLDS):
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if len(test):
            scores[test] = _fold_ranks(learners, bits, cluster, train, test, rng)
    return Blind(rows, scores)


def _draw(is_member: Array, cluster: Array, rng: np.random.Generator) -> Array:
    """All rows, or whole clusters in random order up to `MOST_RECORDS`; no cluster gives more than a tenth."""
    if len(cluster) <= MOST_RECORDS:
        return np.arange(len(cluster))
    _, index = np.unique(cluster, return_inverse=True)
    shuffled = rng.permutation(len(index))
    by_cluster = shuffled[np.argsort(index[shuffled], kind="stable")]
    sizes = np.bincount(index)
    place = np.arange(len(index)) - np.repeat(np.cumsum(sizes) - sizes, sizes)  # within its cluster, in a drawn order
    kept = by_cluster[place < MOST_RECORDS // 10]
    turn = rng.permutation(len(sizes))[index[kept]]
    return np.sort(kept[np.argsort(turn, kind="stable")][:MOST_RECORDS])


def _folds(bits: Array, cluster: Array, rng: np.random.Generator) -> Array:
    """Fold of each record: clusters of mostly members, and the others, are distributed separately."""
    inside = np.bincount(cluster, bits) > 0.5 * np.bincount(cluster)
    fold = np.empty(len(inside), np.int64)
    for kind in (True, False):
        of_kind = rng.permutation(np.flatnonzero(inside == kind))
        fold[of_kind] = np.arange(len(of_kind)) % FOLDS
    found: Array = fold[cluster]
    return found


def _fold_ranks(
    learners: Sequence[_Learner], bits: Array, cluster: Array, train: Array, test: Array, rng: np.random.Generator
) -> Array:
    """Ranks of one fold by the learner, or the mean of all, that did best on a held-out fifth of the training part."""
    own = np.unique(cluster[train], return_inverse=True)[1]
    inner = _folds(bits[train], own, rng) == 0
    fit, judged = train[~inner], train[inner]
    trials = [one.judge(bits, fit, judged) for one in learners]
    strength = [_auc(trial, bits[judged]) for trial in (*trials, np.sum(trials, axis=0))]
    best = int(np.argmax(strength))
    used = learners if best == len(learners) else [learners[best]]
    return _ranks(sum(one.judge(bits, train, test) for one in used))


def _ranks(values: Any) -> Array:
    """Ranks in (0, 1), mean rank for ties; values are rounded first, so that ranks do not depend on the last digit."""
    ranks: Array = rankdata(np.round(values, 9)) / (len(values) + 1)
    return ranks


def _auc(ranks: Array, bits: Array) -> float:
    """The AUC; 1/2 if a class is empty."""
    return 0.5 if bits.all() or not bits.any() else area(ranks, bits)


def _learners(inputs: Array, labels: Array, cluster: Array, seed: int, tokens: bool) -> list[_Learner]:
    """Logistic regression on all features, trees on the dense ones, and one learner on the fit of labels alone."""
    from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    rng, seed = generator(seed, "label confidence"), seed_for(seed, "blind classifiers") % 2**31
    dense = _picture(inputs, seed) if inputs.ndim == 4 else _columns(inputs.reshape(len(inputs), -1), seed)
    if tokens and inputs.shape[1] > few.COMPONENTS:
        dense = dense[:, -3:]  # places in a long text are no columns
    words = few.bag_of_tokens(inputs) if tokens else None
    strength, scaled = 1.0 if tokens else 0.1, few.standard(dense)
    read = (
        (_beside(words, scaled), lambda: LogisticRegression(C=strength, max_iter=100)),
        (scaled, lambda: ExtraTreesClassifier(_TREES, min_samples_leaf=3, random_state=seed)),
    )
    fit = np.stack([label_confidence(known, make, labels, cluster, rng) for known, make in read], axis=1)
    linear = _beside(words, np.concatenate([scaled, few.one_hot(labels), few.standard(fit)], axis=1))
    boosted = {"max_iter": 25, "learning_rate": 0.15, "max_leaf_nodes": 8, "max_bins": 63, "early_stopping": False}
    return [
        _Learner(linear, lambda: LogisticRegression(C=strength, max_iter=300)),
        _Learner(
            np.concatenate([dense, labels[:, None], fit], axis=1),
            lambda: HistGradientBoostingClassifier(random_state=seed, **boosted),
        ),
        _Learner(few.standard(fit), lambda: LogisticRegression()),
    ]


def _beside(words: Matrix | None, columns: Array) -> Matrix:
    """Columns, next to a bag of words if there is one."""
    return columns if words is None else sparse.hstack([words, sparse.csr_matrix(columns)]).tocsr()


def label_confidence(
    features: Matrix, make: Callable[[], Any], labels: Int[Array, " n"], cluster: Int[Array, " n"],
    rng: np.random.Generator,
) -> Float[Array, " n"]:  # fmt: skip
    """Fit of each record's label, by a classifier of labels that was trained on other records.

    The classifier is cross-fitted over folds of record clusters of the audited records, members and non-members alike:
    no membership bit enters, and no record's own label, or that of its copy, fits the classifier that judges it.

    Args:
        features: features of the records, without their labels.
        make: a new classifier of labels.
        labels: class numbers; all but the most frequent `record_features.MOST_LABELS` are one class.
        cluster: cluster of each record, 0 to k - 1; a cluster is in one fold.
        rng: generator for the folds.

    Returns:
        Log-odds of the label, in nats, at most about 9 from zero; of a label that no other fold has, the least.
    """
    names, counts = np.unique(labels, return_counts=True)
    frequent = names[np.argsort(-counts, kind="stable")[: few.MOST_LABELS]]
    classes = np.where(np.isin(labels, frequent), labels, names.max() + 1)
    fold = (rng.permutation(cluster.max() + 1) % FOLDS)[cluster]
    odds = np.zeros(len(labels))
    for number in range(FOLDS):
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if not len(test) or len(np.unique(classes[train])) < 2:
            continue
        model = make()
        with warnings.catch_warnings():  # as in `_Learner.judge`
            warnings.simplefilter("ignore")
            model.fit(features[train], classes[train])
            known = model.predict_proba(features[test])
        own = np.where(classes[test, None] == model.classes_, known, 0.0).sum(1).clip(RARE, 1 - RARE)
        odds[test] = np.log(own) - np.log1p(-own)
    return odds


def _columns(flat: Array, seed: int) -> Array:
    """Columns of a table, or their components if there are many; with mean, spread and share of zeros of each."""
    if flat.dtype == bool:
        flat = flat.astype(np.uint8)
    with np.errstate(over="ignore", invalid="ignore"):
        summary = [flat.mean(1, dtype=np.float64), flat.std(1, dtype=np.float64), (flat == 0).mean(1)]
    columns = flat.astype(np.float64) if flat.shape[1] <= few.WIDE else few.components(flat, seed)
    found: Array = np.nan_to_num(np.concatenate([columns, np.stack(summary, axis=1)], axis=1))
    return found


def _picture(images: Array, seed: int) -> Array:
    """Level, spread, ends and sharpness of each channel, with principal components of the reduced picture."""
    found = [_read(images[start : start + _BATCH]) for start in range(0, len(images), _BATCH)]
    statistics, small = (np.concatenate(part) for part in zip(*found, strict=True))
    return np.concatenate([statistics, few.components(small, seed)], axis=1)


def _read(images: Array) -> tuple[Array, Array]:
    """Statistics of a batch of pictures, and the pictures reduced by averaging, flat."""
    x = few.as_fractions(images)
    across, down = np.abs(np.diff(x, axis=3)), np.abs(np.diff(x, axis=2))
    flat = [x.mean((2, 3)), x.std((2, 3)), x.min((2, 3)), x.max((2, 3))]
    sharp = [one.mean((2, 3)) if one.size else np.zeros(x.shape[:2], np.float32) for one in (across, down)]
    return np.concatenate([*flat, *sharp], axis=1), few.average_down(x)
