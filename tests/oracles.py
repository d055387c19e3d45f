"""Slow obvious twins of the fast routines: one record, one pair of records or one threshold at a time.

`game` is a `MembershipGame`; results are `[t n]`.
"""

from __future__ import annotations

import numpy as np
from scipy import stats


def lira(game, mode, variance, prior_count=4):
    """LiRA by a loop over targets, records and views; SciPy's laws do the rest."""
    name = "logit_confidence"
    n_views = game.outputs[name].shape[1]
    pooled = [_pooled_variances(game, view) for view in range(n_views)]
    scores = np.zeros((game.n_targets, len(game.ids)))
    for target in range(game.n_targets):
        for record in range(len(game.ids)):
            parts = []
            for view in range(n_views):
                phi = game.outputs[name][target, view, record]
                shadows = game.shadow_outputs[name][:, view, record]
                inside, outside = shadows[game.shadow_in[:, record]], shadows[~game.shadow_in[:, record]]
                pooled_in, pooled_out = pooled[view]
                out = _law(outside, pooled_out, variance, prior_count)
                if mode == "offline":
                    parts.append(-out.logsf(phi))
                else:
                    parts.append(_law(inside, pooled_in, variance, prior_count).logpdf(phi) - out.logpdf(phi))
            scores[target, record] = np.mean(parts)
    return scores


def _pooled_variances(game, view):
    """Residual variance within records, of in-shadows and of out-shadows."""
    pooled = []
    for side in (game.shadow_in, ~game.shadow_in):
        squares, freedom = 0.0, 0
        for record in range(len(game.ids)):
            values = game.shadow_outputs["logit_confidence"][side[:, record], view, record]
            squares += np.sum((values - np.mean(values)) ** 2)
            freedom += len(values) - 1
        pooled.append(squares / freedom)
    return pooled


def _law(values, pooled, variance, prior_count):
    k = len(values)
    if variance == "per-record":
        return stats.norm(np.mean(values), np.std(values, ddof=1))
    if variance == "global":
        return stats.norm(np.mean(values), np.sqrt(pooled))
    freedom = prior_count + k - 1
    square = (prior_count * pooled + np.sum((values - np.mean(values)) ** 2)) / freedom
    return stats.t(freedom, np.mean(values), np.sqrt(square * (1 + 1 / k)))


def lira_density(game):
    """LiRA offline as the official code has it: the two-sided density, fixed variance."""
    phi = game.outputs["logit_confidence"][:, 0]
    _, outside = _sides(game.shadow_outputs["logit_confidence"][:, 0], game.shadow_in)
    return -stats.norm.logpdf(phi, outside.mean(axis=0), outside.std(axis=0))


def watson(game):
    """Watson et al., 2021, on the logit-scaled confidence: the target's minus the mean over out-shadows."""
    _, outside = _sides(game.shadow_outputs["logit_confidence"][:, 0], game.shadow_in)
    return game.outputs["logit_confidence"][:, 0] - outside.mean(axis=0)


def _sides(values, shadow_in):
    """In-shadows' and out-shadows' values, one record at a time."""
    records = range(shadow_in.shape[1])
    inside = np.stack([values[shadow_in[:, i], i] for i in records], axis=1)
    return inside, np.stack([values[~shadow_in[:, i], i] for i in records], axis=1)


def confidence(phi):
    """Probability of the label."""
    return 1 / (1 + np.exp(-phi))


def base(game, signal):
    """BASE online (Lassila et al., 2025): log-confidence minus the log of the shadows' mean confidence; one view."""
    return np.log(confidence(game.outputs[signal][:, 0]) / confidence(game.shadow_outputs[signal][:, 0]).mean(axis=0))


def rmia(game, signal, gamma, a=None):
    """RMIA by the matrix of all pairs (x, z), in plain probabilities; `a` None is the online mode."""
    population = game.population
    shadows = confidence(game.shadow_outputs[signal])
    outside = confidence(population.shadow_outputs[signal]).mean(axis=(0, 1))
    if a is None:
        expected = shadows.mean(axis=(0, 1))
    else:
        views = [_sides(shadows[:, view], game.shadow_in)[1].mean(axis=0) for view in range(shadows.shape[1])]
        expected = ((1 + a) * np.mean(views, axis=0) + 1 - a) / 2
        outside = ((1 + a) * outside + 1 - a) / 2
    scores = []
    for target in range(game.n_targets):
        r_x = confidence(game.outputs[signal][target]).mean(axis=0) / expected
        r_z = confidence(population.outputs[signal][target]).mean(axis=0) / outside
        scores.append((r_x[:, None] > gamma * r_z[None, :]).mean(axis=1))
    return np.stack(scores)


def auc(scores, is_member):
    """Share of (member, nonmember) pairs in the right order, ties counted half."""
    members, nonmembers = scores[is_member][:, None], scores[~is_member][None, :]
    return float((members > nonmembers).mean() + (members == nonmembers).mean() / 2)


def unchecked(kind, **settings):
    """Build a plug-in without the type checks of a test run, which refuse a wrong literal before its own check does."""
    attack = object.__new__(kind)
    vars(attack).update({name: field.default for name, field in kind.__dataclass_fields__.items()} | settings)
    attack.__post_init__()
    return attack
