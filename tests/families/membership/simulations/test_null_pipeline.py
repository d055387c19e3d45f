"""Nothing leaks: the whole path from game to verdict must say so, with stated error rates.

Two kinds of null: fleets of Gaussian signals, and fleets of heads that were trained on noise unrelated to the
candidates, so that outputs have all the structure of real training and no membership.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from audits import BASE, attacks, gaussian, material
from flat import result
from scipy.stats import binomtest

from dosimeter.config.audit import parse
from dosimeter.families.membership.design.design import Design
from dosimeter.families.membership.observe.observations import Observations
from dosimeter.families.membership.observe.signals import logit_confidence, logit_confidence_t2
from dosimeter.training.heads import train_heads
from dosimeter.training.recipe import Hyperparameters


def null_audits(
    repeats: int, *, shadows: int, targets: int, first: int = 0, rows: Any = None
) -> tuple[int, int, int, list[float]]:
    """Run audits of chance-level models.

    Returns:
        Audits that claim a leak (headline choice included), audits that were withdrawn, AUC intervals that contain
        0.5 (of the headline), widths of these intervals.
    """
    claims = withdrawn = covered = 0
    widths = []
    for seed in range(first, first + repeats):
        fleet = gaussian(seed, leakage=0.0, shadows=shadows, targets=targets)
        found = result(material(*fleet, seed=seed, rows=rows))
        claims += found["verdict"]["status"] == "shown"
        withdrawn += found["verdict"]["status"] == "withdrawn"
        chosen = found["verdict"]["attack"]
        row = next(row for row in found["estimates"] if row["attack"] == chosen and row["metric"] == "auc")
        covered += row["low"] <= 0.5 <= row["high"]
        widths.append(row["high"] - row["low"])
    return claims, withdrawn, covered, widths


def test_a_few_null_audits_claim_nothing():
    claims, withdrawn, covered, widths = null_audits(3, shadows=8, targets=4)
    assert claims == 0
    assert withdrawn == 0
    assert covered >= 2
    assert max(widths) < 0.3


def noise_fleet(seed: int, shadows: int, n: int = 300, z: int = 60) -> tuple[Design, Observations]:
    """Heads trained on noise of their own, asked about candidates that none of them saw."""
    design, _ = gaussian(seed, leakage=0.0, n=n, z=z, shadows=shadows, targets=4)
    rng = np.random.default_rng(seed)
    models, d, classes = shadows + 2, 24, 5
    noise = torch.from_numpy(rng.normal(size=(400, d)).astype(np.float32))
    labels = torch.from_numpy(rng.integers(0, classes, 400))
    rows = np.stack([rng.permutation(400)[:200] for _ in range(models)])
    heads = train_heads(
        noise, labels, rows, Hyperparameters(epochs=20, lr=0.1), classes=classes,
        seeds=[1000 * seed + i for i in range(models)], device=torch.device("cpu"),
    )  # fmt: skip
    asked = torch.from_numpy(rng.normal(size=(n + z, d)))
    true = torch.from_numpy(np.concatenate([design.labels, design.population_labels]))
    logits = [asked @ w.double().T + b.double() for w, b in zip(heads.weight, heads.bias, strict=True)]
    signals = {
        "logit_confidence": torch.stack([logit_confidence(one, true) for one in logits])[:, None].numpy(),
        "logit_confidence_t2": torch.stack([logit_confidence_t2(one, true) for one in logits])[:, None].numpy(),
    }
    correct = torch.stack([one.argmax(1) == true for one in logits]).numpy()
    return design, Observations(signals, correct, None)


@pytest.mark.parametrize("shadows", [8, 16, 64])
def test_every_attack_is_at_chance_on_a_fleet_trained_on_noise(shadows):
    found = result(material(*noise_fleet(0, shadows), rows=attacks()))
    assert found["verdict"]["status"] == "not_shown"
    for row in found["estimates"]:
        if row["metric"] == "auc":
            assert abs(row["value"] - 0.5) < 0.06, row["attack"]
    count = next(row for row in found["estimates"] if row["attack"] == "count" and row["metric"] == "auc")
    assert count["value"] == 0.5


LEARNED = parse(
    {"stage": [{"name": "s", "data": "digits", "model": "linear"}], "attack": [{"name": "learned_ratio"}]}, base=BASE
).attacks
"""It takes a second for each game, so it is not among `attacks()`."""


def learned_on_noise(seed: int, shadows: int) -> tuple[str, float, bool]:
    """Verdict, AUC, and whether its interval has one half."""
    found = result(material(*noise_fleet(seed, shadows), rows=LEARNED))
    (row,) = (row for row in found["estimates"] if row["metric"] == "auc")
    return found["verdict"]["status"], row["value"], row["low"] <= 0.5 <= row["high"]


def test_the_learned_ratio_is_at_chance_on_a_fleet_trained_on_noise():
    status, value, _ = learned_on_noise(0, 6)
    assert status == "not_shown"
    assert abs(value - 0.5) < 0.06


@pytest.mark.slow
@pytest.mark.parametrize("shadows", [4, 8, 16])
def test_the_learned_ratio_is_at_chance_over_many_fleets_trained_on_noise(shadows, record_figure):
    repeats = 40
    found = [learned_on_noise(seed, shadows) for seed in range(1, repeats + 1)]
    claims, outside = sum(one[0] == "shown" for one in found), sum(not one[2] for one in found)
    mean = float(np.mean([one[1] for one in found]))
    record_figure(
        f"learned ratio on noise fleets, {shadows} shadows",
        n=repeats,
        outside=outside,
        mean_auc=mean,
        false_claims=claims,
    )
    assert binomtest(claims, repeats, 0.05, alternative="greater").pvalue > 0.05
    assert binomtest(outside, repeats, 0.05, alternative="greater").pvalue > 0.01
    assert abs(mean - 0.5) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("shadows", [8, 16, 64])
def test_every_attack_is_at_chance_over_many_fleets_trained_on_noise(shadows, record_figure):
    repeats = 30
    names = [row.id for row in attacks()]
    outside = dict.fromkeys(names, 0)
    mean = dict.fromkeys(names, 0.0)
    claims = 0
    for seed in range(1, repeats + 1):
        found = result(material(*noise_fleet(seed, shadows), rows=attacks()))
        claims += found["verdict"]["status"] == "shown"
        for row in found["estimates"]:
            if row["metric"] == "auc":
                outside[row["attack"]] += not row["low"] <= 0.5 <= row["high"]
                mean[row["attack"]] += row["value"] / repeats
    record_figure(f"noise fleets, {shadows} shadows", n=repeats, outside=outside, mean_auc=mean, false_claims=claims)
    assert binomtest(claims, repeats, 0.05, alternative="greater").pvalue > 0.05
    for name in names:
        assert binomtest(outside[name], repeats, 0.05, alternative="greater").pvalue > 0.01 / len(names), name
        assert abs(mean[name] - 0.5) < 0.02, name
