"""Slow obvious twins of the fast routines: one record, one pair of records or one threshold at a time.

`game` is a `MembershipGame`; results are `[t n]`.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import linalg, optimize, special, stats


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


def lira_bayesian(game, mode):
    """LiRA with the prior of all records, by the textbook's updates of a normal-inverse-gamma law; one view."""
    values = game.shadow_outputs["logit_confidence"][:, 0]
    inside, outside = _sides(values, game.shadow_in)
    own = _bayesian_laws(inside, outside.mean(axis=0) if mode == "online" else None)
    null = _bayesian_laws(outside, inside.mean(axis=0) if mode == "online" else None)
    scores = []
    for phi in game.outputs["logit_confidence"][:, 0]:
        if mode == "offline":
            scores.append([-law.logsf(x) for x, law in zip(phi, null, strict=True)])
        else:
            scores.append([a.logpdf(x) - b.logpdf(x) for x, a, b in zip(phi, own, null, strict=True)])
    return np.array(scores)


def _bayesian_laws(values, other):
    """Predictive Student laws, one per record; the prior's moments by root finding."""
    k, n = values.shape
    variances = [np.var(values[:, i], ddof=1) for i in range(n)]
    logs = np.log(variances)
    beyond = np.var(logs) - special.polygamma(1, (k - 1) / 2)
    alpha = optimize.brentq(lambda a: special.polygamma(1, a) - beyond, 1e-3, 1e6, xtol=1e-15, rtol=1e-14)
    # A scaled chi-square's mean logarithm, and that of the prior's inverse gamma.
    typical = np.exp(
        np.mean(logs) - special.digamma((k - 1) / 2) + np.log((k - 1) / 2) + special.digamma(alpha) - np.log(alpha)
    )
    means = np.array([np.mean(values[:, i]) for i in range(n)])
    expected = [np.mean(means)] * n
    if other is not None:
        bins = np.array_split(sorted(range(n), key=lambda i: other[i]), min(20, n // 20))
        at, to = [np.mean(other[one]) for one in bins], [np.mean(means[one]) for one in bins]
        expected = [np.interp(other[i], at, to) for i in range(n)]
    pooled = np.mean(variances)
    kappa = pooled / (np.mean((means - expected) ** 2) - pooled / k)
    laws = []
    for i in range(n):
        beta = alpha * typical + np.sum((values[:, i] - means[i]) ** 2) / 2
        beta += k * kappa / (k + kappa) * (means[i] - expected[i]) ** 2 / 2
        after, centre = alpha + k / 2, (kappa * expected[i] + k * means[i]) / (kappa + k)
        laws.append(stats.t(2 * after, centre, np.sqrt(beta * (kappa + k + 1) / (after * (kappa + k)))))
    return laws


def modified_entropy(game):
    """Song and Mittal: the threshold of the class, by trying every value, minus the modified entropy."""
    inside, outside = _sides(game.shadow_outputs["modified_entropy"][:, 0], game.shadow_in)
    thresholds = {}
    for label in set(game.labels.tolist()):
        members, nonmembers = inside[:, game.labels == label], outside[:, game.labels == label]
        best = -2.0
        for value in sorted({*members.ravel(), *nonmembers.ravel()}):
            advantage = np.mean(members <= value) - np.mean(nonmembers <= value)
            if advantage > best + 1e-12:
                best, thresholds[label] = advantage, value
    tau = np.array([thresholds[label] for label in game.labels.tolist()])
    return tau - game.outputs["modified_entropy"][:, 0]


def population(game, per_class):
    """Attack-P: 1 - p by counting."""
    outside = game.population.outputs["logit_confidence"][:, 0]
    scores = np.zeros((game.n_targets, len(game.ids)))
    for target, record in np.ndindex(scores.shape):
        same = game.population.labels == game.labels[record] if per_class else np.ones(outside.shape[1], dtype=bool)
        at_least = np.sum(outside[target, same] >= game.outputs["logit_confidence"][target, 0, record])
        scores[target, record] = 1 - (1 + at_least) / (1 + same.sum())
    return scores


def reference(game, ties):
    """Attack-R record by record and view by view."""
    name = "logit_confidence"
    scores = np.zeros((game.n_targets, len(game.ids)))
    for view in range(game.outputs[name].shape[1]):
        _, outside = _sides(game.shadow_outputs[name][:, view], game.shadow_in)
        scale = np.sqrt(_pooled_variances(game, view)[1])
        for target, record in np.ndindex(scores.shape):
            phi, steps = game.outputs[name][target, view, record], sorted(outside[:, record])
            rank, k = sum(step < phi for step in steps), len(steps)
            if ties == "kept":
                scores[target, record] += rank / k
            elif rank == 0:
                scores[target, record] += np.exp((phi - steps[0]) / scale) / (k + 1)
            elif rank == k:
                scores[target, record] += (k + 1 - np.exp((steps[-1] - phi) / scale)) / (k + 1)
            else:
                scores[target, record] += np.interp(phi, steps, range(1, k + 1)) / (k + 1)
    return scores / game.outputs[name].shape[1]


def difficulty(game, mode, statistic):
    """Watson et al. (offline) and Sablayrolles et al. (online), record by record."""

    def value(phi):
        return phi if statistic == "confidence" else np.log(confidence(phi))

    name = "logit_confidence"
    scores = np.zeros((game.n_targets, len(game.ids)))
    for view in range(game.outputs[name].shape[1]):
        inside, outside = _sides(value(game.shadow_outputs[name][:, view]), game.shadow_in)
        for target, record in np.ndindex(scores.shape):
            out = np.mean(outside[:, record])
            middle = out if mode == "offline" else (np.mean(inside[:, record]) + out) / 2
            scores[target, record] += value(game.outputs[name][target, view, record]) - middle
    return scores / game.outputs[name].shape[1]


def base_offline(game, signal, alpha):
    """BASE offline, in plain probabilities; views are averaged first."""
    shadows = confidence(game.shadow_outputs[signal])
    views = [_sides(shadows[:, view], game.shadow_in)[1].mean(axis=0) for view in range(shadows.shape[1])]
    return np.log(confidence(game.outputs[signal]).mean(axis=1)) - alpha * np.log(np.mean(views, axis=0))


def proxy(game, proxies, neighbours=10):
    """PMIA record by record: the in-law of all other records, of the class where it has any, or the nearest ones."""
    name = "logit_confidence"
    inside, outside = _sides(game.shadow_outputs[name][:, 0], game.shadow_in)
    sigma = np.sqrt(_pooled_variances(game, 0)[1])
    scores = np.zeros((game.n_targets, len(game.ids)))
    for target, record in np.ndindex(scores.shape):
        others = np.arange(len(game.ids)) != record
        same = others & (game.labels == game.labels[record])
        lenders = np.flatnonzero(same if proxies != "global" and same.any() else others)
        if proxies == "nearest":
            far = ((game.inputs[lenders] - game.inputs[record]) ** 2).sum(axis=1)
            lenders = lenders[np.argsort(far)[:neighbours]]
        borrowed = inside[:, lenders]
        own, null = stats.norm(borrowed.mean(), borrowed.std()), stats.norm(outside[:, record].mean(), sigma)
        turn = optimize.brentq(lambda phi, a=own, b=null: _slope(a, phi) - _slope(b, phi), -1e6, 1e6, xtol=1e-12)
        phi = game.outputs[name][target, 0, record]
        phi = max(phi, turn) if own.std() > null.std() else min(phi, turn)
        scores[target, record] = own.logpdf(phi) - null.logpdf(phi)
    return scores


def cascading(game, rounds, references, tolerance, draw, seeds):
    """CMIA by loops over shadows, records and views; `draw` gives a round's memberships from what is known."""
    from dosimeter.families.membership.attacks import LiRA

    rng, name = np.random.default_rng(0), "logit_confidence"
    rehearsals = [game.rehearse(pair) for pair in range(min(4, game.n_shadows // 2))]
    played = [pair for one, both in rehearsals for pair in zip(LiRA().run(one, rng).values, both, strict=True)]
    found = []
    for target, scores in enumerate(LiRA().run(game, rng).values):
        known, judged = np.full(len(scores), -1), played
        for number in range(rounds):
            low = min(sorted(row[bits])[tolerance] for row, bits in judged)
            high = max(row[~bits].max() for row, bits in judged)
            order = [i for i in np.argsort(scores, kind="stable") if known[i] == -1]
            most = max(30, int(0.05 * len(scores)))
            room = [int(0.25 * len(scores)) - np.sum(known == kind) for kind in (0, 1)]
            known[[i for i in order if scores[i] < low][: min(most, room[0])]] = 0
            known[[i for i in order[::-1] if scores[i] > high][: min(most, room[1])]] = 1
            member = draw(known, references, number)
            values, free = game.retrain(member, seeds(number))[name], known == -1
            scores = np.where(free, _ratio(game.outputs[name][target], values, member), scores)
            judged = []
            for row in range(min(8, references) if number + 1 < rounds else 0):
                rest = np.arange(references) != row
                among = _ratio(values[row][:, free], values[rest][..., free], member[rest][:, free])
                judged.append((among, member[row, free]))
        found.append(scores)
    return np.array(found)


def _ratio(phi, values, member):
    """Log-ratio of Student laws with a shrunken scale, level beyond its turning points; record by record."""
    scores = np.zeros(phi.shape[1])
    for view in range(len(phi)):
        v, residuals, freedom = values[:, view], {}, {}
        for side in (True, False):
            parts = [v[member[:, i] == side, i] for i in range(v.shape[1])]
            residuals[side] = sum(np.sum((p - p.mean()) ** 2) for p in parts if len(p))
            freedom[side] = sum(len(p) - 1 for p in parts if len(p))
        for i in range(v.shape[1]):
            laws = {}
            for side in (True, False):
                p = v[member[:, i] == side, i]
                if not len(p):
                    break
                square = 4 * residuals[side] / freedom[side] + np.sum((p - p.mean()) ** 2)
                scale = np.sqrt(square / (4 + len(p) - 1) * (1 + 1 / len(p)))
                laws[side] = stats.t(4 + len(v) / 2 - 1, p.mean(), scale)
            if len(laws) < 2:
                continue
            own, null = laws[True], laws[False]
            at = phi[view, i]
            if own.args[1] > null.args[1]:
                at = np.clip(at, *sorted(_turns(own, null)))
            scores[i] += (own.logpdf(at) - null.logpdf(at)) / len(phi)
    return scores


def _turns(own, null):
    """Where the log-densities of two Student laws of equal freedom have equal slopes, as roots of a polynomial."""
    (freedom, a, s), (_, b, r) = own.args, null.args
    below = [np.polyadd([freedom * scale**2], np.polymul([1, -at], [1, -at])) for at, scale in ((a, s), (b, r))]
    roots = np.roots(np.polysub(np.polymul([1, -a], below[1]), np.polymul([1, -b], below[0]))[1:])
    return roots.real


def _slope(law, at):
    """Derivative of a normal log-density."""
    return (law.mean() - at) / law.var()


def logistic(features, is_member):
    """Logistic regression by scikit-learn on standardised features: a function from features to log-odds."""
    from sklearn.linear_model import LogisticRegression

    centre, scale = features.mean(axis=0), features.std(axis=0)
    scale[scale == 0] = 1
    model = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    model.fit((features - centre) / scale, is_member)
    return lambda queries: model.decision_function((queries - centre) / scale)


def augmentation(game):
    """Label-only: every shadow's bits on every record are one example."""
    bits, rows, known = game.shadow_outputs["correctness"], [], []
    for shadow, record in np.ndindex(game.shadow_in.shape):
        rows.append(bits[shadow, :, record])
        known.append(game.shadow_in[shadow, record])
    decide = logistic(np.array(rows), np.array(known))
    return np.stack([decide(one.T) for one in game.outputs["correctness"]])


def shokri(game, per_class):
    """A classifier for each class, on examples that are put together one by one."""

    def row(values, model, record):
        correct, *top = (values[name][model, 0, record] for name in ("correctness", "top1", "top2", "top3"))
        return [correct, *top, *(correct * one for one in top)]

    records = range(len(game.ids))
    scores = np.zeros((game.n_targets, len(game.ids)))
    for record in records:
        alike = [i for i in records if not per_class or game.labels[i] == game.labels[record]]
        pairs = [(shadow, i) for shadow in range(min(16, game.n_shadows)) for i in alike]
        rows = np.array([row(game.shadow_outputs, *pair) for pair in pairs])
        decide = logistic(rows, np.array([game.shadow_in[pair] for pair in pairs]))
        for target in range(game.n_targets):
            query = np.clip(row(game.outputs, target, record), rows.min(axis=0), rows.max(axis=0))
            scores[target, record] = decide(query[None])[0]
    return scores


def quantile(game, trees):
    """Two boosted quantiles for each target, from features that are put together record by record."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    _, outside = _sides(game.shadow_outputs["hinge"][:, 0], game.shadow_in)
    elsewhere = game.population.shadow_outputs["hinge"][::2, 0]
    classes = {c: np.mean(outside[:, game.labels == c]) for c in set(game.labels.tolist())}

    def rows(values, labels):
        found = [[np.mean(v), np.std(v, ddof=1), classes[c]] for v, c in zip(values.T, labels.tolist(), strict=True)]
        return np.array(found)

    inside, theirs = rows(outside, game.labels), rows(elsewhere, game.population.labels)
    scores = []
    for target in range(game.n_targets):
        excess = game.population.outputs["hinge"][target, 0] - theirs[:, 0]
        low, high = (
            HistGradientBoostingRegressor(
                loss="quantile", quantile=q, max_iter=trees, max_leaf_nodes=4, early_stopping=False
            )
            .fit(theirs, excess)
            .predict(inside)
            for q in (0.5, stats.norm.cdf(1))
        )
        least = 0.1 * (np.quantile(excess, stats.norm.cdf(1)) - np.quantile(excess, 0.5))
        own = game.outputs["hinge"][target, 0] - inside[:, 0]
        scores.append([(o - a) / max(b - a, least) for o, a, b in zip(own, low, high, strict=True)])
    return np.array(scores)


def fused(game, mode):
    """Stacking by the slow twins of the parts; one view."""

    def parts(one):
        calibrated = watson(one)
        if mode == "online":
            columns = [calibrated, lira_bayesian(one, mode), base(one, "logit_confidence_t2")]
        else:
            loss = np.log(confidence(one.outputs["logit_confidence"][:, 0]))
            columns = [loss, calibrated, lira_bayesian(one, mode), base_offline(one, "logit_confidence_t2", 0.33)]
        return np.stack([column.ravel() for column in columns], axis=1)

    rehearsals = [game.rehearse(pair) for pair in range(min(4, game.n_shadows // 2))]
    known = np.concatenate([parts(one) for one, _ in rehearsals])
    bend = 4 * np.median(np.abs(known), axis=0)
    decide = logistic(np.arcsinh(known / bend), np.concatenate([bits.ravel() for _, bits in rehearsals]))
    return decide(np.arcsinh(parts(game) / bend)).reshape(game.n_targets, -1)


def bmia(game, posterior, references, prior, draws, rng):
    """BMIA by the whole precision matrix of a head's weights, class by class; the root of a matrix by SciPy."""
    head, c = game.head, game.classes
    x = np.asarray(head.features, dtype=float)
    if head.standardise:
        x = (x - x.mean(0)) / np.sqrt(x.var(0) + 0.1 * x.var(0).mean() + 1e-12)
    x = np.column_stack([x, np.ones(len(x))])[head.candidates]
    n, d = x.shape
    least = prior * 3 * (d - 1) + len(head.labels) / 2 * head.weight_decay
    moments = np.empty((2 * references, 2, n))
    for row in range(2 * references):
        odds = game.shadow_outputs["scaled_confidences"][row, 0]
        p, own = 1 / (1 + np.exp(-odds)), np.flatnonzero(game.shadow_in[row])
        spreads = [np.diag(p[i]) - np.outer(p[i], p[i]) for i in own]
        times = len(head.labels) / 2 / len(own)
        if posterior == "diagonal":
            whole = sum(np.kron(s, np.outer(x[i], x[i])) for s, i in zip(spreads, own, strict=True))
            g = np.diag(np.diag(times * whole))
        else:
            g = times * np.kron(sum(spreads), sum(np.outer(x[i], x[i]) for i in own) / len(own))
        covariance = np.linalg.inv(g + least * np.eye(c * d))
        roots = []
        for i in range(n):
            slope = np.kron(np.eye(c), x[i])
            roots.append(np.real(linalg.sqrtm(slope @ covariance @ slope.T)))
        found = np.empty((draws, n))
        for draw in range(draws):
            noise = rng.standard_normal((n, c))
            for i in range(n):
                logits = np.log(p[i]) + roots[i] @ noise[i]
                label = game.labels[i]
                found[draw, i] = logits[label] - special.logsumexp(np.delete(logits, label))
        moments[row] = found.mean(0), found.var(0, ddof=1)
    scores = np.empty((game.n_targets, n))
    for i in range(n):
        outside = moments[: 2 * references][~game.shadow_in[: 2 * references, i], :, i]
        scale = np.sqrt(outside[:, 1].mean() + outside[:, 0].var())
        scores[:, i] = (game.outputs["logit_confidence"][:, 0, i] - outside[:, 0].mean()) / scale
    return scores


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


def simple_shot(support, bits, queries, neighbours):
    """Members' share among the nearest points, one query and one point at a time, in mended mode."""
    support, queries = np.asarray(support, float), np.asarray(queries, float)
    inside = np.mean([row for row, bit in zip(support, bits, strict=True) if bit], axis=0)
    outside = np.mean([row for row, bit in zip(support, bits, strict=True) if not bit], axis=0)
    centre = (inside + outside) / 2

    def unit(row):
        return (row - centre) / max(math.sqrt(sum((row - centre) ** 2)), 1e-6)

    points = [(unit(row), bool(bit)) for row, bit in zip(support, bits, strict=True)]
    if len(support) > 2:
        points += [(unit(outside), False), (unit(inside), True)]
    scores = []
    for query in queries:
        near = sorted((max(sum((unit(query) - point) ** 2), 1e-12), bit) for point, bit in points)[:neighbours]
        scores.append(sum(1 / d for d, bit in near if bit) / sum(1 / d for d, _ in near))
    return np.array(scores)


def laplacian_energy(assigned, distances, weight, near):
    """Sum of y log y + a y - weight sum of W y y', term by term; `near[q]` lists the neighbours of query q."""
    total = 0.0
    for q, row in enumerate(assigned):
        for p, y in enumerate(row):
            total += y * math.log(y) + distances[q][p] * y if y > 0 else 0.0
            total -= weight * sum(share * y * assigned[other][p] for other, share in near[q].items())
    return total


def laplacian_shot(distances, weight, near, updates):
    """Assignments after some updates, one record at a time, all from those before."""
    found = [[math.exp(-d) for d in row] for row in distances]
    found = [[y / sum(row) for y in row] for row in found]
    for _ in range(updates):
        before, found = found, []
        for q, row in enumerate(distances):
            pull = [sum(share * before[other][p] for other, share in near[q].items()) for p in range(len(row))]
            own = [math.exp(weight * one - d) for one, d in zip(pull, row, strict=True)]
            found.append([y / sum(own) for y in own])
    return np.array(found)


def tuning_start(answers, bits):
    """Rows of the layer of transductive tuning as released, "out" and "in": class means of the positive part, unit."""
    rows = np.maximum(np.asarray(answers, float), 0)
    found = []
    for side in (False, True):
        own = [row for row, bit in zip(rows, bits, strict=True) if bool(bit) == side]
        mean = sum(own) / len(own)
        found.append(mean / max(math.sqrt(sum(mean**2)), 1e-6))
    return np.stack(found)
