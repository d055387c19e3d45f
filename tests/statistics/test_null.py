"""On audits without leakage: how often is a leak claimed, and is chance inside the interval?

Outputs do not depend on the bits; they have effects of records and targets. Five correlated attacks read outputs and
the shadows' bits, fold by fold, so that evidence of folds depends on each other's bits as in real audits. Thresholds
and the headline attack come from rehearsals by pairs that are not targets.
"""

import numpy as np
import pytest
from scipy.stats import binomtest
from simulated_audits import null_scores

from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.hypotheses.shown import leak_shown
from dosimeter.statistics.rates import auc, randomisation_p, shadow_threshold, tpr_at_threshold

FPR = 0.02


def null_audit(targets, n, rng):
    """Scores of the headline attack, truth, and thresholds `[t]`, chosen without any target's bit."""
    pairs = -(-targets // 2) + 3
    half = np.stack([rng.permutation(n) < n // 2 for _ in range(pairs)])
    bits = np.stack([row for pair in half for row in (pair, ~pair)])
    outputs = rng.normal(size=n) + rng.normal(0, 0.3, (2 * pairs, 1)) + rng.normal(size=(2 * pairs, n))
    folds = [np.arange(2 * f, 2 * f + 2) for f in range(pairs)]
    others = np.arange(2 * pairs)
    values, thresholds, rehearsed = [], [], []
    for fold in folds[: pairs - 3]:
        rest = np.setdiff1d(others, fold)
        values.append(null_scores(outputs, bits, fold, rest))
        heard = np.concatenate(
            [null_scores(outputs, bits, pair, np.setdiff1d(rest, pair)) for pair in folds[-3:]], axis=1
        )
        played = bits[np.concatenate(folds[-3:])]
        cuts = np.array([shadow_threshold(scores, played, FPR) for scores in heard])
        thresholds.append(np.repeat(cuts[:, None], 2, axis=1))
        rehearsed.append([(scores > cut)[played].mean() for scores, cut in zip(heard, cuts, strict=True)])
    headline = int(np.mean(rehearsed, axis=0).argmax())
    ids = np.arange(n)
    scores = Scores(ids, np.concatenate(values, axis=1)[headline][:targets])
    return scores, Truth(ids, bits[:targets], ids), np.concatenate(thresholds, axis=1)[headline][:targets]


def claims(targets, *, n, repetitions):
    """False claims, intervals of the AUC that hold chance, their mean width, and p-values of the AUC."""
    rng = np.random.default_rng([targets, n])
    claimed, held, widths, p_values = 0, 0, [], []
    for _ in range(repetitions):
        scores, truth, thresholds = null_audit(targets, n, rng)
        area = auc(scores, truth, rng=rng)
        pair = tpr_at_threshold(scores, truth, thresholds=thresholds, fpr=FPR, rng=rng)
        p = randomisation_p(scores, truth, thresholds=thresholds, rng=rng, draws=400)
        claimed += leak_shown(area, pair, p, drawn=True).leak
        held += area.low <= 0.5 <= area.high
        widths.append(area.high - area.low)
        p_values.append((p.p_auc, p.p_tpr))
    return claimed, held, float(np.mean(widths)), np.array(p_values)


def test_false_claims_in_small():
    """60 audits: more than 9 claims happen with probability 0.1 % at a rate of 5 %."""
    claimed, held, _, _ = claims(2, n=300, repetitions=60)
    assert claimed <= 9
    assert held >= 50


@pytest.mark.slow
@pytest.mark.parametrize("targets", [1, 2, 8, 16])
def test_false_claims_and_chance_in_the_interval(targets, record_figure):
    """400 audits of 400 records: the exact one-sided 95 % test must not find a rate of false claims above 5 %."""
    repetitions = 400
    claimed, held, width, p_values = claims(targets, n=400, repetitions=repetitions)
    small = (p_values <= 0.025).sum(0)
    print(
        f"\n{targets} targets: {claimed}/{repetitions} false claims, 0.5 in {held} intervals, mean width {width:.4f}, "
        f"p <= 0.025 in {small[0]} (AUC), {small[1]} (TPR)"
    )
    record_figure(
        "audits without leakage",
        targets=targets,
        n=400,
        repetitions=repetitions,
        false_claims=claimed,
        chance_in_interval=held,
        mean_width=round(width, 5),
        p_auc_at_most_0_025=int(small[0]),
        p_tpr_at_most_0_025=int(small[1]),
    )
    assert claimed <= 0.05 * repetitions
    assert binomtest(claimed, repetitions, 0.05, alternative="greater").pvalue > 0.05
    assert held >= 0.92 * repetitions
    for count in small:
        assert binomtest(int(count), repetitions, 0.025, alternative="greater").pvalue > 0.001
