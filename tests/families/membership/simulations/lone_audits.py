"""Audits of a supplied model by its loss, with real blind classifiers, that cost a few hundred milliseconds each."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import numpy as np
from flat import result as flat_result
from sklearn.linear_model import LogisticRegression

from dosimeter.data.duplicates import contents
from dosimeter.families.membership import measure
from dosimeter.families.membership.measures.blind import blind_scores
from dosimeter.families.membership.measures.cross_fitting import CrossFit, halvings
from dosimeter.families.membership.measures.detection_limit import Detection
from dosimeter.families.membership.table.summary import scores_summary
from dosimeter.families.membership.table.table import Counts, ScoresTable
from dosimeter.pipeline.table import table_material
from dosimeter.statistics.evidence import Truth

CLASSES, FEATURES = 5, 20
CENTRES = np.random.default_rng(99).normal(size=(CLASSES, FEATURES))


def records(n, rng):
    """Points `[n 20]` in five noisy classes."""
    labels = rng.integers(0, CLASSES, n)
    return (CENTRES[labels] + 1.5 * rng.normal(size=(n, FEATURES))).astype(np.float32), labels


def relabelled(labels, share, rng):
    """Labels of which a share is drawn anew."""
    return np.where(rng.random(len(labels)) < share, rng.integers(0, CLASSES, len(labels)), labels)


def confidences(inputs, labels, rng, known=2000):
    """Log-odds of the label by a model that saw none of these records, but others of the same law."""
    own, classes = records(known, rng)
    every = LogisticRegression(max_iter=200).fit(own, classes).predict_proba(inputs).astype(np.float64)
    right = every[np.arange(len(labels)), labels].clip(1e-12, 1 - 1e-12)
    return np.log(right) - np.log1p(-right)


def noisier_outside(seed, n=600, share=0.2):
    """Half members; a share of the labels of non-members is drawn anew. The model saw neither half."""
    rng = np.random.default_rng([seed, 1])
    inputs, labels = records(n, rng)
    bits = np.arange(n) < n // 2
    labels = np.where(bits, labels, relabelled(labels, share, rng))
    return inputs, labels, bits, confidences(inputs, labels, rng)


def with_copies(seed, n=300, times=3):
    """Half members; a third of the records of each half is there three times. The model saw neither half."""
    rng = np.random.default_rng([seed, 2])
    inputs, labels = records(n, rng)
    place = rng.permutation(np.repeat(np.arange(n), np.where(np.arange(n) % 3 == 0, times, 1)))
    scores = confidences(inputs, labels, rng)
    return inputs[place], labels[place], place < n // 2, scores[place]


def surely_known(seed, n=1200, share=0.08):
    """Half members, of whom the model knows a share surely; for the others it is one that saw neither half."""
    rng = np.random.default_rng([seed, 3])
    inputs, labels = records(n, rng)
    bits = np.arange(n) < n // 2
    scores = confidences(inputs, labels, rng)
    return inputs, labels, bits, np.where(bits & (rng.random(n) < share), 50.0 + rng.random(n), scores)


def material(inputs, labels, bits, scores, seed, *, door="model", blind=True):
    """As a run without shadows leaves it, or a table of the same scores."""
    record = contents(inputs)
    member, values = bits[None], {"loss": scores[None]}
    halves = CrossFit(member, record, values, halvings(record, member, np.random.default_rng([seed, 4])))
    table = ScoresTable(
        "lone", ("loss",), ("target",), Truth(np.arange(len(bits)), member, record), values, halves, None, None,
        {"loss": Counts((0, 0), 0, 0, member.shape)}, "0", (),
    )  # fmt: skip
    made = table_material(table, scores_summary(table, key="0", seed=seed, noun="record", leading_fpr=0.01))
    if door == "scores":
        return made
    judged = np.full(len(bits), np.nan)
    if blind:
        found = blind_scores(inputs, labels, bits, record, seed=seed)
        judged[found.rows] = found.scores
    threat = {**made.summary["threat"], "shadows": 0, "access": "probs"}
    return replace(made, summary={**made.summary, "door": "model", "threat": threat}, blind=judged)


def result(one):
    """The result without its detection limit, which takes most of the time and moves no verdict."""
    with patch.object(measure, "detect", lambda material, *_: Detection(material.leading, None, None, 0, "none")):
        return flat_result(one)


def statuses(make, seeds, **more):
    """Verdicts of audits."""
    return [result(material(*make(seed), seed, **more))["verdict"]["status"] for seed in seeds]
