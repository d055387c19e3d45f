"""The prior and the judges against slow twins and an independent library."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from dosimeter.training.learners.judges import fit_classifier, fit_lineup, usable
from dosimeter.training.learners.principal import fit_prior


def records(n=30, d=20, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, 6)) @ rng.normal(size=(6, d)) + 0.1 * rng.normal(size=(n, d))).astype(np.float32)


def test_the_prior_has_the_mean_and_the_covariance_of_the_records():
    x = records()
    found = fit_prior(torch.from_numpy(x).reshape(30, 4, 5), 50)
    assert found.shape == (4, 5)
    assert np.allclose(found.mean, x.mean(0), atol=1e-5)
    assert np.allclose(found.directions.T @ found.directions, np.cov(x.T), atol=1e-3)


def test_its_directions_are_the_principal_components():
    x = records(seed=1)
    found, other = fit_prior(torch.from_numpy(x), 4), PCA(4).fit(x.astype(np.float64))
    assert found.latent == 4
    assert np.allclose(np.linalg.norm(found.directions, axis=1), np.sqrt(other.explained_variance_), rtol=1e-4)
    cosines = np.abs((found.directions.numpy() * other.components_).sum(1)) / np.linalg.norm(found.directions, axis=1)
    assert np.allclose(cosines, 1, atol=1e-4)


def test_decoded_records_stay_in_range_and_gradients_flow():
    found = fit_prior(torch.from_numpy(records()), 5)
    latent = torch.full((2, 5), 50.0, requires_grad=True)
    decoded = found.decode(latent).detach()
    assert found.low <= float(decoded.min()) <= float(decoded.max()) <= found.high
    found.decode(latent * 0.01).sum().backward()
    assert torch.isfinite(latent.grad).all()


@pytest.mark.parametrize("wrong", [torch.zeros(1, 4), torch.ones(5, 4)])
def test_records_without_a_spread_have_no_prior(wrong):
    with pytest.raises(ValueError, match="records must"):
        fit_prior(wrong, 2)


def people(n, each, seed, d=30):
    """Records of people who differ less than their moods, which are the same for all."""
    rng, moods = np.random.default_rng(seed), np.random.default_rng(99).normal(size=(5, d))
    looks = rng.normal(size=(n, d))
    labels = np.repeat(np.arange(n), each)
    return looks[labels] + 2 * rng.normal(size=(n * each, 5)) @ moods + 0.1 * rng.normal(size=(n * each, d)), labels


def test_the_lineup_is_a_mahalanobis_distance_within_identities():
    others, (known, labels) = people(12, 6, 0), people(5, 3, 1)
    found, (asked, _) = fit_lineup(others, (known, labels)), people(5, 2, 2)
    mean, basis = others[0].mean(0), PCA().fit(others[0]).components_.T
    inside = np.stack([row - others[0][others[1] == one].mean(0) for row, one in zip(*others, strict=True)]) @ basis
    precision = np.linalg.inv(LedoitWolf(assume_centered=True).fit(inside).covariance_)
    centres = np.stack([known[labels == one].mean(0) for one in range(5)])
    for row, similarity in zip(asked, found.similarity(asked), strict=True):
        gaps = ((row - mean) - (centres - mean)) @ basis
        assert np.allclose(similarity, [-0.5 * gap @ precision @ gap for gap in gaps], rtol=1e-6)


def test_the_lineup_learns_from_others_what_to_look_past():
    """Moods differ more within people than people do, so plain distances fail where the lineup does not."""
    others, (x, labels) = people(40, 6, 3), people(10, 4, 4)
    known, asked = (x[::2], labels[::2]), (x[1::2], labels[1::2])
    found = fit_lineup(others, known)
    right = (found.similarity(asked[0]).argmax(1) == asked[1]).mean()
    gallery = np.stack([known[0][known[1] == one].mean(0) for one in range(10)])
    plain = (((asked[0][:, None] - gallery) ** 2).sum(-1).argmin(1) == asked[1]).mean()
    assert right >= 0.9
    assert right > plain + 0.2


def test_judges_are_at_chance_on_labels_that_were_shuffled():
    """Over 20 sets of 10 people: neither judge names more than chance once names were exchanged among records."""
    right = {"lineup": [], "classifier": []}
    for seed in range(20):
        x, _ = people(10, 6, 10 + seed)
        rng = np.random.default_rng(seed)
        named = np.stack([rng.permutation(10) for _ in range(6)], 1).ravel()  # each name has one record of each place
        known, tested = np.arange(len(x)) % 6 < 4, np.arange(len(x)) % 6 >= 4
        judges = fit_lineup(people(30, 6, 3), (x[known], named[known])), fit_classifier(x[known], named[known])
        for name, judge in zip(right, judges, strict=True):
            right[name].append((judge.similarity(x[tested]).argmax(1) == named[tested]).mean())
    for shares in right.values():
        assert np.mean(shares) == pytest.approx(0.1, abs=3 * (0.09 / 400) ** 0.5)


def test_a_record_by_which_the_lineup_knows_somebody_is_at_no_distance():
    x, labels = people(6, 1, 7)
    similarity = fit_lineup(people(20, 4, 8), (x, labels)).similarity(x)
    assert np.allclose(np.diag(similarity), 0, atol=1e-9)
    assert (similarity.argmax(1) == labels).all()


def test_the_classifier_is_that_of_the_library():
    x, labels = people(6, 5, 4)
    found, (asked, _) = fit_classifier(x, labels), people(6, 2, 5)
    mean, basis = x.mean(0), PCA().fit(x).components_
    basis = basis[np.linalg.svd(x - mean, compute_uv=False) > 1e-4].T
    library = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit((x - mean) @ basis, labels)
    odds, theirs = found.similarity(asked), library.decision_function((asked - mean) @ basis)
    assert np.allclose(odds - odds[:, :1], theirs - theirs[:, :1], rtol=1e-5, atol=1e-6)


def test_two_identities_have_two_odds():
    x, labels = people(2, 6, 6)
    found = fit_classifier(x, labels)
    assert found.similarity(x).shape == (12, 2)
    assert (found.similarity(x).argmax(1) == labels).all()


def test_others_with_one_record_each_teach_nothing():
    assert not usable(np.arange(9))
    assert usable(np.array([0, 0, 1, 1, 2]))
    with pytest.raises(ValueError, match="others must be"):
        fit_lineup((np.zeros((3, 4)), np.arange(3)), people(2, 2, 0, d=4))
