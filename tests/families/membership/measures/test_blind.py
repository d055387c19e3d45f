"""The blind classifiers: what they find in pictures, tables and tokens, and that they find nothing in nothing."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeClassifier

from dosimeter.families.membership.measures import blind
from dosimeter.families.membership.measures.blind import blind_scores

N = 200
BITS = np.arange(N) % 2 == 0
LABELS = np.arange(N) // 2 % 5


def judged(inputs, labels=LABELS, bits=BITS, cluster=None, seed=0):
    """AUC of the blind scores."""
    found = blind_scores(inputs, labels, bits, np.arange(len(bits)) if cluster is None else cluster, seed=seed)
    return float(roc_auc_score(bits[found.rows], found.scores))


def table(seed=0, n=N, d=6):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def shifted_table():
    inputs = table()
    inputs[BITS, 0] += 1
    return inputs


def scaled_table():
    """Only the spread differs, which a linear classifier cannot see."""
    inputs = table()
    inputs[BITS, 0] *= 4
    return inputs


def pictures():
    rng = np.random.default_rng(1)
    return (255 * rng.random((N, 3, 12, 12)) ** 2).astype(np.uint8)


def brighter():
    images = pictures()
    images[BITS] = np.clip(images[BITS].astype(int) + 6, 0, 255).astype(np.uint8)
    return images


def tokens():
    return np.random.default_rng(2).integers(1, 3000, (N, 30))


def dated():
    """Some members name a year that nobody else does."""
    words = tokens()
    words[BITS, 3] = np.where(np.arange(BITS.sum()) % 3 > 0, 2024, words[BITS, 3])
    return words


def shorter():
    words = tokens()
    words[BITS, 20:] = 0
    return words


FINDS = {"table": shifted_table, "spread": scaled_table, "pictures": brighter, "year": dated, "length": shorter}


@pytest.mark.parametrize("make", FINDS.values(), ids=FINDS)
def test_a_difference_is_found(make):
    assert judged(make()) > 0.7


@pytest.mark.parametrize("make", [table, pictures, tokens])
def test_nothing_is_found_in_nothing(make):
    assert abs(judged(make()) - 0.5) < 0.12


def test_labels_alone_are_enough():
    assert judged(table(), labels=np.where(BITS, LABELS % 2, LABELS)) > 0.65


def test_the_same_seed_gives_the_same_scores():
    first, again, other = (blind_scores(shifted_table(), LABELS, BITS, np.arange(N), seed=seed) for seed in (0, 0, 1))
    assert first.scores.tobytes() == again.scores.tobytes()
    assert first.scores.tobytes() != other.scores.tobytes()
    assert ((first.scores > 0) & (first.scores < 1)).all()


def test_a_person_is_never_judged_by_a_classifier_that_saw_him():
    """Persons differ, membership has nothing to do with it: by record it would leak through the folds."""
    rng = np.random.default_rng(0)
    persons = np.repeat(np.arange(20), 10)
    inputs = np.repeat(rng.normal(size=(20, 4)), 10, axis=0) + 0.01 * rng.normal(size=(N, 4))
    bits = np.repeat(rng.permutation(20) < 10, 10)
    by_record = judged(inputs, bits=bits)
    assert by_record > 0.9
    assert judged(inputs, bits=bits, cluster=persons) < 0.8
    fold = blind._folds(bits, persons, rng)
    assert all(len(set(fold[persons == one])) == 1 for one in range(20))


def test_folds_have_members_and_nonmembers_alike():
    rng = np.random.default_rng(0)
    bits = np.arange(1000) < 200
    fold = blind._folds(bits, rng.permutation(1000), rng)
    assert [int(bits[fold == one].sum()) for one in range(5)] == [40] * 5


def test_of_many_records_whole_clusters_are_drawn(monkeypatch):
    monkeypatch.setattr(blind, "MOST_RECORDS", 100)
    persons = np.repeat(np.arange(40), 5)
    found = blind_scores(table(), LABELS, np.repeat(np.arange(40) % 2 == 0, 5), persons, seed=0)
    assert len(found.rows) == len(found.scores) == 100
    assert (np.diff(found.rows) > 0).all()
    assert (np.bincount(persons[found.rows], minlength=40) % 5 == 0).all()


@pytest.mark.parametrize("of_others", [2, 60])
def test_a_person_with_most_records_does_not_crowd_out_the_others(monkeypatch, of_others):
    monkeypatch.setattr(blind, "MOST_RECORDS", 100)
    persons = np.concatenate([np.zeros(N - of_others, int), np.arange(1, of_others + 1)])
    found = blind_scores(table(), LABELS, BITS, persons, seed=0)
    assert (persons[found.rows] > 0).sum() == of_others
    assert (persons[found.rows] == 0).sum() == 10


def shuffled(labels, seed=3):
    return np.random.default_rng(seed).permutation(labels)


def test_the_fit_of_labels_is_learned_from_other_records():
    """A tree that remembers all it learned says nothing of labels that have nothing to do with the records."""
    labels, inputs = shuffled(LABELS), table()
    rng, memory = np.random.default_rng(0), DecisionTreeClassifier
    odds = blind.label_confidence(inputs, memory, labels, np.arange(N), rng)
    assert (odds > 0).mean() == pytest.approx(0.2, abs=0.08)  # five classes
    twice, persons = np.repeat(inputs, 2, axis=0), np.repeat(np.arange(N), 2)
    odds = blind.label_confidence(twice, memory, np.repeat(labels, 2), persons, np.random.default_rng(0))
    assert (odds > 0).mean() == pytest.approx(0.2, abs=0.08)
    odds = blind.label_confidence(twice, memory, np.repeat(labels, 2), np.arange(2 * N), np.random.default_rng(0))
    assert (odds > 0).mean() > 0.6  # copies apart would tell


def test_the_fit_of_labels_is_high_where_labels_follow_from_the_records():
    inputs = table()
    labels = (inputs[:, 0] > 0).astype(int)
    rng = np.random.default_rng(0)
    odds = blind.label_confidence(inputs, DecisionTreeClassifier, labels, np.arange(N), rng)
    assert (odds > 0).mean() > 0.9
    assert np.abs(odds).max() == pytest.approx(-np.log(1e-4), abs=0.01)
    wrong = np.where(np.arange(N) < 20, 1 - labels, labels)
    odds = blind.label_confidence(inputs, DecisionTreeClassifier, wrong, np.arange(N), np.random.default_rng(0))
    assert odds[:20].mean() < 0 < odds[20:].mean()


def test_one_class_and_rare_classes_have_a_fit_too():
    rng, every = np.random.default_rng(0), np.arange(N)
    assert (blind.label_confidence(table(), DecisionTreeClassifier, np.zeros(N, int), every, rng) == 0).all()
    odds = blind.label_confidence(table(), DecisionTreeClassifier, every, every, rng)  # each its own class
    assert np.isfinite(odds).all()


def test_noisier_labels_outside_are_found():
    """Members' labels follow from the records, of the others every second is drawn anew."""
    rng = np.random.default_rng(4)
    inputs, bits = table(n=600), np.arange(600) % 2 == 0
    labels = (inputs[:, 0] > 0).astype(int)
    labels = np.where(bits | (rng.random(600) < 0.5), labels, 1 - labels)
    assert judged(inputs, labels, bits) > 0.65


ODD = {
    "one member": (table(n=4), np.array([True, False, False, False])),
    "two of each": (table(n=4), np.array([True, True, False, False])),
    "constant": (np.ones((40, 3), np.float32), np.arange(40) < 20),
    "truth values": (np.arange(120).reshape(40, 3) % 2 == 0, np.arange(40) < 20),
    "huge": (table(n=40).astype(np.float64) * 1e300, np.arange(40) < 20),
    "one pixel": (table(n=40)[:, :1, None, None], np.arange(40) < 20),
    "no token": (np.zeros((40, 5), np.int64), np.arange(40) < 20),
    "negative": (table(n=40).astype(np.int64) - 5, np.arange(40) < 20),
    "sound": (table(n=40, d=300).reshape(40, 3, 100), np.arange(40) < 20),
}


@pytest.mark.parametrize(("inputs", "bits"), ODD.values(), ids=ODD)
@pytest.mark.filterwarnings("error")
def test_odd_records_get_a_score(inputs, bits):
    n = len(bits)
    found = blind_scores(inputs, np.arange(n) % 3, bits, np.arange(n), seed=0)
    assert np.isfinite(found.scores).all()
    assert len(found.scores) == n
