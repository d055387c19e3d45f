"""Audits of private heads by planted canaries: what holds is not measured above its epsilon, what is broken is caught.

One audit trains heads with a canary and heads without it, every one with its own seed. The canary has a feature of its
own, so its clipped gradients add up in one weight of the head and nothing else but noise does: the strongest white-box
score there is. The threshold of all audits of a recipe is the median score of a few more; the nominal error is 5 %.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from dosimeter.defenses import DPSGD
from dosimeter.foundation.seeds import seed_for
from dosimeter.statistics.privacy_bounds import epsilon_bound, epsilon_of, lower_bound_of_scores, mu_bound
from dosimeter.training.heads import initial_heads, moments
from dosimeter.training.private import heads as private_heads
from dosimeter.training.recipe import Hyperparameters, settle

CPU = torch.device("cpu")
DELTA, ALPHA, CLASSES, OTHERS, HEADS, PILOTS = 1e-5, 0.05, 2, 8, 200, 5
FEATURES, PLANTED = 128, 6.0
"""The canary's own feature is so large that its gradient is clipped, and fresh weights so small that no softmax is
saturated; the learning rate is so small that both stay so."""


def records():
    """Some records that have nothing in the last feature, and one, the last, that has nothing else."""
    rng = np.random.default_rng(1)
    features = np.zeros((OTHERS + 1, FEATURES), dtype=np.float32)
    features[:-1, :3], features[-1, -1] = rng.normal(size=(OTHERS, 3)), PLANTED
    return torch.from_numpy(features), torch.from_numpy(rng.integers(CLASSES, size=OTHERS + 1))


def recipe(epsilon, *, full):
    """The claim: (epsilon, DELTA) over 4 updates on all records, or over 10 on two of nine on average."""
    batch, epochs = (OTHERS + 1, 4) if full else (2, 2)
    hp = Hyperparameters(
        epochs=epochs, batch_size=batch, lr=1e-3, momentum=0.0, defenses=(DPSGD(epsilon=epsilon, delta=DELTA),)
    )
    return settle(hp, OTHERS + 1)


def standardised(features, labels, rows, hp, *, classes, seeds, device):
    """What `standardise = true` would do: scaling by moments of the private records, folded into the weights."""
    mean, inverse = (one.float() for one in moments(features[torch.from_numpy(rows[0])]))
    heads = private_heads.train_private_heads(
        (features - mean) * inverse, labels, rows, hp, classes=classes, seeds=seeds, device=device
    )
    return dataclasses.replace(heads, weight=heads.weight * inverse)


def scores(hp, train, seed, *, planted):
    """Of each head: the movement of the canary's weight along its gradient, in clipped gradients."""
    features, labels = records()
    count = OTHERS + planted
    rows = np.tile(np.arange(count), (HEADS, 1))
    seeds = [seed_for(seed, "with" if planted else "without", i) for i in range(HEADS)]
    heads = train(features, labels, rows, hp, classes=CLASSES, seeds=seeds, device=CPU)
    before, _ = initial_heads(seeds, CLASSES, features.shape[1], CPU)
    moved = (heads.weight - before)[:, :, -1].double() * hp.privacy.rate * count / hp.lr
    label = int(labels[-1])
    return ((moved[:, label] - moved[:, 1 - label]) / np.sqrt(2) / hp.privacy.clip).numpy()


def ratios(hp, train, seed, *, planted):
    """Of each head: by how much standardisation shrank the canary's weight, which the seed tells otherwise."""
    features, labels = records()
    rows = np.tile(np.arange(OTHERS + planted), (HEADS, 1))
    seeds = [seed_for(seed, "with" if planted else "without", i) for i in range(HEADS)]
    heads = train(features, labels, rows, hp, classes=CLASSES, seeds=seeds, device=CPU)
    before, _ = initial_heads(seeds, CLASSES, features.shape[1], CPU)
    return -(heads.weight[:, :, -1] / before[:, :, -1]).abs().amax(1).double().numpy()


def audits(hp, runs, *, train=private_heads.train_private_heads, score=scores):
    """Lower bounds of epsilon `[runs, 2]`: any mechanism's, and that of one whose trade-off is Gaussian.

    The threshold is the median score of `PILOTS` further audits of the same recipe.
    """
    drawn = [[score(hp, train, seed, planted=planted) for planted in (True, False)] for seed in range(runs + PILOTS)]
    chosen = np.array([np.median(drawn[:PILOTS])])
    found = np.zeros((runs, 2))
    for column, bound in enumerate((epsilon_bound(DELTA), mu_bound)):
        found[:, column] = [lower_bound_of_scores(*one, chosen, bound, alpha=ALPHA) for one in drawn[PILOTS:]]
    found[:, 1] = [epsilon_of(DELTA, mu) if mu else 0.0 for mu in found[:, 1]]
    return found


def quieter(monkeypatch):
    """Noise divided by 4."""
    add = private_heads._add_noise
    monkeypatch.setattr(
        private_heads, "_add_noise",
        lambda slope, total, noises, privacy, expected: add(
            slope, total, noises, dataclasses.replace(privacy, noise_multiplier=privacy.noise_multiplier / 4), expected
        ),
    )  # fmt: skip


def unclipped(monkeypatch):
    """No clipping."""
    sums = private_heads.clipped_sums
    monkeypatch.setattr(private_heads, "clipped_sums", lambda *given, clip: sums(*given, clip=1e9))


def shuffled(monkeypatch):
    """Epochs in a random order, cut into batches of one size, claimed as Poisson batches."""
    left: dict[int, list[np.ndarray]] = {}

    def draw(rng, n, rate):
        mine = left.setdefault(id(rng), [])
        if not mine:
            size = max(1, round(rate * n))
            mine.extend(np.split(rng.permutation(n), range(size, n, size)))
        return mine.pop()

    monkeypatch.setattr(private_heads, "poisson", draw)


BROKEN = {
    "noise divided by 4": (quieter, True, {}),
    "no clipping": (unclipped, True, {}),
    "shuffling claimed as Poisson": (shuffled, False, {}),
    "statistics of private records": (lambda _: None, True, {"train": standardised, "score": ratios}),
}
"""What is broken, whether batches hold all records, and how it is audited."""


def test_the_canary_adds_up_in_its_own_weight_and_nothing_else_does():
    hp = recipe(4.0, full=True)
    exact = dataclasses.replace(hp, privacy=dataclasses.replace(hp.privacy, noise_multiplier=0.0))
    train = private_heads.train_private_heads
    np.testing.assert_allclose(scores(exact, train, 0, planted=True), 4 * PLANTED / np.hypot(PLANTED, 1), rtol=2e-3)
    np.testing.assert_allclose(scores(exact, train, 0, planted=False), 0, atol=1e-3)
    noisy = scores(hp, train, 0, planted=False)
    assert noisy.std() == pytest.approx(2 * hp.privacy.noise_multiplier, rel=4 / np.sqrt(2 * HEADS))  # of 4 updates


def test_two_audits_in_small(monkeypatch):
    """One audit of what holds, and one of noise divided by 4."""
    hp = recipe(1.0, full=True)
    assert audits(hp, 1).max() <= hp.privacy.epsilon
    quieter(monkeypatch)
    assert audits(hp, 1)[0, 1] > hp.privacy.epsilon


@pytest.mark.slow
@pytest.mark.parametrize("full", [True, False], ids=["all records", "Poisson batches"])
@pytest.mark.parametrize("epsilon", [1.0, 4.0, 16.0])
def test_what_holds_is_not_measured_above_its_epsilon(epsilon, full, record_figure):
    runs, hp = 100, recipe(epsilon, full=full)
    found = audits(hp, runs)
    over = (found > hp.privacy.epsilon).sum(0).tolist()
    record_figure(
        "audits of DP-SGD", epsilon=epsilon, spent=round(hp.privacy.epsilon, 4), rate=round(hp.privacy.rate, 4),
        runs=runs, heads=2 * HEADS, nominal=ALPHA, above=over[0], above_gaussian=over[1],
        mean_bound=round(float(found[:, 0].mean()), 4), mean_bound_gaussian=round(float(found[:, 1].mean()), 4),
    )  # fmt: skip
    for count in over if full else over[:1]:  # with sampling the trade-off is not Gaussian
        assert binomtest(count, runs, ALPHA, alternative="greater").pvalue > 0.05
    if full and epsilon > 1:
        assert found[:, 1].mean() > 0.3 * epsilon  # the audits are strong enough to see an excess


@pytest.mark.slow
@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("epsilon", [1.0, 4.0])
def test_what_is_broken_is_caught(epsilon, broken, monkeypatch, record_figure):
    breaks, full, how = BROKEN[broken]
    runs, hp = 100 if how == {} and full else 40, recipe(epsilon, full=full)
    breaks(monkeypatch)
    found = audits(hp, runs, **how)
    caught = (found > hp.privacy.epsilon).sum(0).tolist()
    record_figure(
        "broken DP-SGD", broken=broken, epsilon=epsilon, spent=round(hp.privacy.epsilon, 4), runs=runs, heads=2 * HEADS,
        caught=caught[0], caught_gaussian=caught[1], mean_bound=round(float(found[:, 0].mean()), 4),
        mean_bound_gaussian=round(float(found[:, 1].mean()), 4),
    )  # fmt: skip
    if broken in ("noise divided by 4", "no clipping"):
        assert caught[1] >= 0.9 * runs
