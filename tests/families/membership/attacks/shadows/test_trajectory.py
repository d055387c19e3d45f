import dataclasses

import numpy as np
from oracles import auc
from sklearn.linear_model import LogisticRegression
from synthetic import fleet

from dosimeter.families.membership.attacks import Loss, Trajectory
from dosimeter.families.membership.attacks.shadows import trajectory as attack
from dosimeter.families.membership.observe.probes import trajectory as probe


def planted(seed, *, leakage, n=600):
    """A game whose models are as sure of members as of easy records, and whose students know how easy a record is."""
    game, truth = fleet(seed, leakage=0.0, n_records=n)
    rng = np.random.default_rng(seed)
    hard = rng.normal(1.0, 2.0, n)

    def tables(bits):
        phi = hard + leakage * bits + rng.normal(0, 0.3, bits.shape)
        student = np.logaddexp(0, -(hard + rng.normal(0, 0.3, (10, *bits.shape))))
        found = {"logit_confidence": phi[:, None]}
        return found | {name: one[:, None] for name, one in zip(attack.EPOCHS, student, strict=True)}

    outputs, shadows = tables(truth.is_member), tables(game.shadow_in)
    return dataclasses.replace(game, outputs=outputs, shadow_outputs=shadows), truth


def test_students_tell_easy_records_from_members():
    game, truth = planted(1, leakage=1.5)
    found = Trajectory().run(game, np.random.default_rng(0)).values
    plain = Loss().run(game, np.random.default_rng(0)).values
    for row, other, bits in zip(found, plain, truth.is_member, strict=True):
        assert auc(row, bits) > auc(other, bits) + 0.1
        assert auc(row, bits) > 0.85


def test_planted_students_without_leakage_tell_nothing():
    game, truth = planted(2, leakage=0.0, n=1000)
    for row, bits in zip(Trajectory().run(game, np.random.default_rng(0)).values, truth.is_member, strict=True):
        assert abs(auc(row, bits) - 0.5) < 4.5 * np.sqrt(1001 / (12 * 500 * 500))


def test_the_classifier_is_that_of_an_independent_library():
    game, _ = planted(3, leakage=1.0, n=200)
    shadows, targets = attack._features(game.shadow_outputs), attack._features(game.outputs)
    rows = shadows.reshape(-1, 11)
    mean, scale = rows.mean(0), rows.std(0)
    other = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000)
    other.fit((rows - mean) / scale, game.shadow_in.ravel())
    inside = np.clip(targets, rows.min(0), rows.max(0))
    exact = other.decision_function(((inside - mean) / scale).reshape(-1, 11)).reshape(2, -1)
    np.testing.assert_allclose(Trajectory().run(game, np.random.default_rng(0)).values, exact, atol=1e-4)


def test_it_reads_what_the_probe_gives():
    assert probe.SIGNALS == attack.EPOCHS
    assert Trajectory().needs.population == probe.FEWEST
