"""What each attack finds with few shadows; `python benchmarks/few_shadow_power.py [cifar10:FILE.npz]` prints JSON.

Fleets: the miniature of `tests/families/membership/attacks/miniature.py` (3 fleets of 8 targets), linear heads on the
photos of the badge demo (64 targets), and, with a table of pictures, linear heads on 4,000 of them (16 targets, 400
records aside) and small convolutional nets trained whole on 2,000 of them at half resolution (16 targets); and four
fleets of perceptrons that remember wrong labels, of `few_shadow_fleets.py` (16 targets each). Each fleet has 64 shadows
beside its targets, of which smaller numbers are drawn in whole complementary pairs, several times without overlap.

Per number of shadows and attack: TPR at 1 % FPR and AUC, mean over targets and draws with a standard error over
targets, and how far they are behind the best attack's, by paired differences. An audit sets a pair of shadows aside
for each rehearsal: `rehearses` says whether the attack runs with two fewer, or rehearses by itself. `fpr_reached` is
that of the threshold for 1 %, rehearsed or, with fewer than four shadows, set by halves of each target's records.
`thresholds` says what two shadows reach when they set that of `base` themselves. `learned_ratio_ahead` is paired too.
`two_against_eight` is `base` with two shadows less `lira` with global variance and eight, paired as well.
`choice` is what an audit measures, the attack of the default list that is strongest in rehearsal, and how far it is
behind the best attack that rehearses.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from few_shadow_fleets import WORLDS, fleet
from machine import hardware
from scipy import stats
from shadow_free import known, pictures, train

from dosimeter.config.attack_rows import named_attacks
from dosimeter.data import load
from dosimeter.families.membership.attacks import ATTACKS as REGISTRY
from dosimeter.families.membership.attacks import (
    Entropy,
    Gap,
    Influence,
    LearnedRatio,
    LiRA,
    Loss,
    ModifiedEntropy,
    PopulationTest,
    Proxy,
    Quantile,
    Reference,
    Shokri,
    reading,
)
from dosimeter.families.membership.design.design import membership_matrix
from dosimeter.families.membership.family import MEMBERSHIP
from dosimeter.families.membership.game import MembershipGame, OwnRehearsal, Population
from dosimeter.families.membership.measures.calibration import Calibration
from dosimeter.families.membership.measures.cross_fitting import CrossFit, halvings
from dosimeter.families.membership.observe.signals import signals_of
from dosimeter.families.membership.threat import Threat
from dosimeter.models.access import Access
from dosimeter.models.architectures import as_float, convnet
from dosimeter.statistics.rates import shadow_threshold
from dosimeter.training.loop import seed_torch
from dosimeter.training.loop import train as train_net
from dosimeter.training.recipe import Hyperparameters

ROOT = Path(__file__).resolve().parents[1]
SLOW = ("quantile", "shokri")  # run on the first draw of shadows only
SHADOWS, MOST, REHEARSALS, FPR = (0, 2, 4, 8, 16, 32, 64), 64, 8, 0.01
DRAWS = {"miniature": 4, "badge": 4, "cifar10 heads": 2, "cifar10 nets": 2} | dict.fromkeys(WORLDS, 2)
TARGETS = {"badge": 64, "cifar10 heads": 16, "cifar10 nets": 16} | dict.fromkeys(WORLDS, 16)
NET = Hyperparameters(epochs=24, batch_size=50, lr=0.05, momentum=0.9, schedule="one-cycle")
POOL, ASIDE = 2000, 400
NONE = [np.arange(1)]  # a game without shadows has one pair all the same, which nothing reads
ONE_MODE = (
    Gap,
    Loss,
    Entropy,
    ModifiedEntropy,
    PopulationTest,
    Influence,
    Shokri,
    Quantile,
    Reference,
    Proxy,
    LearnedRatio,
)
ATTACKS = {name: kind() for name, kind in REGISTRY.items() if kind in ONE_MODE}
ATTACKS |= {
    f"{name} {mode}": REGISTRY[name](mode)
    for name in ("difficulty", "lira", "rmia", "base", "fused")
    for mode in ("online", "offline")
}
ATTACKS |= {
    f"lira {mode} {variance}": LiRA(mode, variance)
    for mode in ("online", "offline")
    for variance in ("global", "shrunken", "bayesian")
}
"""What confidences, shadows, a population and frozen features suffice for, and LiRA with every pooled variance."""


def game_of(outputs, labels, member, classes, targets, head=None):
    """A game of the first models against all others.

    Args:
        outputs: of each model the signals of all records, those outside every model last `[m]`.
        labels: of all records.
        member: which model trained on which candidate `[m n]`.
        classes: number of classes.
        targets: how many models are targets; the others are shadows.
        head: what an adversary knows of a frozen backbone.
    """
    n, ids = member.shape[1], np.arange(len(labels))
    tables = {name: np.stack([one[name].numpy() for one in outputs]) for name in outputs[0]}

    def pick(rows, part):
        return {name: values[rows, :, part] for name, values in tables.items()}

    first, rest, inside, outside = slice(targets), slice(targets, None), slice(n), slice(n, None)
    population = Population(ids[outside], labels[outside], pick(first, outside), pick(rest, outside))
    own = (pick(first, inside), pick(rest, inside))
    return MembershipGame(ids[inside], labels[inside], classes, *own, member[rest], population, head), member[:targets]


def signals(logits, labels):
    """All signals that some attack reads `[1 r]`."""
    names = sorted({name for one in ATTACKS.values() for name in one.signals})
    return signals_of([logits], labels, names, Access.LOGITS)


def miniature():
    """Three fleets of perceptrons, as the tests train them."""
    sys.path.insert(0, str(ROOT / "tests"))
    from families.membership.attacks.miniature import fleet

    for seed in range(3):
        game, member, _ = fleet(seed)
        yield game(MOST), member


def heads(frozen, targets):
    """One fleet of linear heads."""
    member, trained, _ = train(frozen, targets + MOST)
    x = torch.from_numpy(np.concatenate([frozen.features, frozen.outside])).double()
    labels = np.concatenate([frozen.labels, frozen.outside_labels])
    outputs = [signals(x @ weight.T + bias, torch.from_numpy(labels)) for weight, bias in trained]
    yield game_of(outputs, labels, member, frozen.classes, targets, known(frozen))


def nets(data, targets):
    """One fleet of convolutional nets."""
    records = load(data, rows=f"0:{POOL + ASIDE}")
    x = torch.nn.functional.avg_pool2d(as_float(torch.from_numpy(np.array(records.inputs))), 2)
    labels = np.array(records.labels)
    y, classes = torch.from_numpy(labels), len(records.classes)
    member, outputs = membership_matrix(POOL, targets + MOST, 0), []
    for seed, row in enumerate(member):
        with seed_torch(seed):
            net = convnet(tuple(x.shape[1:]), classes, widths=(16, 32, 64))
        rows = torch.from_numpy(np.flatnonzero(row))
        train_net(net, x[rows], y[rows], NET, seed=seed, device=torch.device("cpu"))
        with torch.inference_mode():
            outputs.append(signals(torch.cat([net(batch) for batch in x.split(400)]), y))
    yield game_of(outputs, labels, member, classes, targets)


def noisy(world):
    """One fleet of perceptrons that remember wrong labels."""
    logits, labels, member, classes, accuracy = fleet(world, 0)
    print(f"{world}: accuracy inside {accuracy[0]:.3f}, outside {accuracy[1]:.3f}", file=sys.stderr)
    outputs = [signals(one, torch.from_numpy(labels)) for one in logits]
    yield game_of(outputs, labels, member, classes, TARGETS[world])


def thin(game, pairs):
    """The game with some pairs of shadows."""
    rows = np.stack([2 * pairs, 2 * pairs + 1], axis=1).ravel()

    def pick(tables):
        return {name: values[rows] for name, values in tables.items()}

    population = dataclasses.replace(game.population, shadow_outputs=pick(game.population.shadow_outputs))
    some = {"shadow_outputs": pick(game.shadow_outputs), "shadow_in": game.shadow_in[rows], "population": population}
    return dataclasses.replace(game, **some)


def fits(attack, game, shadows):
    """Whether a game with so many shadows has what the attack needs."""
    needs = attack.needs
    size = len(game.population.ids)
    enough = shadows // 2 >= max(needs.in_shadows, needs.out_shadows) and size >= needs.population
    return enough and (game.head is not None or not needs.features)


def run(attack, game):
    """Scores `[t n]`."""
    return attack.run(game, np.random.default_rng(0)).values


def measured(scores, is_member):
    """TPR at 1 % FPR and AUC of each target `[t 2]`; a threshold must be exceeded strictly."""
    rows = []
    for row, bits in zip(scores, is_member, strict=True):
        outside = np.sort(row[~bits])[::-1]
        auc = stats.mannwhitneyu(row[bits], outside).statistic / (bits.sum() * len(outside))
        rows.append([(row[bits] > outside[int(FPR * len(outside))]).mean(), auc])
    return np.array(rows)


def draws(shadows, most):
    """At most `most` sets of pairs without overlap."""
    if not shadows:
        return NONE
    order, each = np.random.default_rng(0).permutation(MOST // 2), shadows // 2
    return [np.sort(order[each * i : each * (i + 1)]) for i in range(min(most, MOST // shadows))]


def rehearse(listed, game):
    """The calibration of an audit whose shadows all rehearse, at most `REHEARSALS` pairs of them."""
    trials = [game.rehearse(pair) for pair in range(min(REHEARSALS, game.n_shadows // 2))]
    scores = {
        name: [one.run_and_rehearse(game, np.random.default_rng(0), range(len(trials)))[1]]
        if isinstance(one, OwnRehearsal)
        else [np.concatenate([run(one, trial) for trial, _ in trials])]
        for name, one in listed.items()
    }
    return Calibration("shadow", np.zeros(1, int), [np.concatenate([bits for _, bits in trials])], scores)


def by_halves(scores, is_member):
    """FPR that thresholds of halves of the records reach for each target `[t]`, as where no shadow rehearses."""
    found = []
    for row, bits in zip(scores[:, None], is_member[:, None], strict=True):
        record = np.arange(row.shape[1])
        halves = halvings(record, bits, np.random.default_rng(0), drawn=True)
        calls = CrossFit(bits, record, {}, halves).calls_of(row, FPR, bits)
        found.append(calls[~bits].mean())
    return np.array(found)


def by_themselves(game, scores, is_member):
    """FPR of `base` at thresholds that two shadows set: each beside the other alone, and beside the mean of both."""
    phi = game.shadow_outputs["logit_confidence_t2"]
    own = np.stack([reading.log_mean_confidence(one[None]) for one in phi])
    known = {"each beside the other": own - own[::-1], "each beside both": own - reading.log_mean_confidence(phi)}
    cuts = {name: shadow_threshold(values, game.shadow_in, FPR) for name, values in known.items()}
    return {name: ((scores > cut) & ~is_member).sum(1) / (~is_member).sum(1) for name, cut in cuts.items()}


def own_rehearsal(name):
    """Whether an attack needs no further pair of shadows for its thresholds."""
    return isinstance(ATTACKS[name], OwnRehearsal)


def rehearses(name, game, shadows):
    """Whether an attack can set thresholds with so many shadows."""
    return shadows >= 4 and (own_rehearsal(name) or fits(ATTACKS[name], game, shadows - 2))


def one_game(game, is_member, drawn, default):
    """Everything at one number of shadows: attack to the mean over draws per target, of TPR, AUC, FPR reached.

    The choice's entry is that of the attack chosen in each draw; FPR reached is NaN where nothing rehearses.
    """
    found, chosen, themselves, shadows = {}, [], [], 0 if drawn is NONE else 2 * len(drawn[0])
    for pairs in drawn:
        some = thin(game, pairs)
        listed = {name: one for name, one in ATTACKS.items() if fits(one, game, shadows)}
        scores = {name: run(one, some) for name, one in listed.items() if name not in SLOW or name not in found}
        ready = {name: ATTACKS[name] for name in listed if rehearses(name, game, shadows)}
        ready = {
            name: one for name, one in ready.items() if name in default or isinstance(one, LiRA) or own_rehearsal(name)
        }
        rehearsed, rows = rehearse(ready, some) if ready else None, {}
        for name, values in scores.items():
            reached = by_halves(values, is_member) if shadows < 4 else np.full(len(values), np.nan)
            if rehearsed and name in rehearsed.scores:
                (threshold,) = rehearsed.thresholds(name, FPR)
                reached = ((values > threshold) & ~is_member).sum(1) / (~is_member).sum(1)
            rows[name] = np.column_stack([measured(values, is_member), reached])
        if shadows == 2:
            themselves.append(by_themselves(some, scores["base online"], is_member))
        if rehearsed:
            chosen.append(rehearsed.strongest(sorted(default & ready.keys()), FPR))
            rows["choice"] = rows[chosen[-1]]
        for name, values in rows.items():
            found.setdefault(name, []).append(values)
    thresholds = {name: np.mean([one[name] for one in themselves], axis=0) for name in (themselves or [{}])[0]}
    return {name: np.mean(values, axis=0) for name, values in found.items()}, chosen, thresholds


def with_error(values):
    """Mean and standard error over targets."""
    return [round(float(values.mean()), 4), round(float(values.std(ddof=1) / np.sqrt(len(values))), 4)]


BESIDE = ("base online", "lira online", "fused online")


def ahead(values):
    """How far the learned ratio is ahead of others, by paired differences of TPR and of AUC over targets."""
    own, found = values["learned_ratio"], {}
    for name in BESIDE:
        if name in values:
            gain = own - values[name]
            found[name] = {"tpr": with_error(gain[:, 0]), "auc": with_error(gain[:, 1])}
    return found


def table(games, shadows, most, default):
    """The rows at one number of shadows."""
    drawn = draws(shadows, most)
    parts = [one_game(game, bits, drawn, default) for game, bits in games]
    values = {name: np.concatenate([part[name] for part, *_ in parts]) for name in parts[0][0]}
    choice, chosen = values.pop("choice", None), [name for _, part, _ in parts for name in part]
    ready = [name for name in values if rehearses(name, games[0][0], shadows)]

    def first(names):
        return max(names, key=lambda name: values[name][:, 0].mean())

    best, rows = first(values), {}
    top = max((one[:, 1] for one in values.values()), key=np.mean)
    for name in sorted(values, key=lambda name: -values[name][:, 0].mean()):
        own = values[name]
        rows[name] = {"tpr": with_error(own[:, 0]), "auc": with_error(own[:, 1]), "rehearses": name in ready}
        rows[name]["behind"] = with_error(values[best][:, 0] - own[:, 0])
        rows[name]["behind_auc"] = with_error(top - own[:, 1])
        if np.isfinite(own[:, 2]).all():
            rows[name]["fpr_reached"] = with_error(own[:, 2])
    found = {"draws": len(drawn), "best": best, "attacks": rows}
    if parts[0][2]:
        found["thresholds"] = {
            name: with_error(np.concatenate([part[name] for *_, part in parts])) for name in parts[0][2]
        }
    if "learned_ratio" in values:
        found["learned_ratio_ahead"] = ahead(values)
    if ready:
        found["choice"] = {
            "best": first(ready),
            "of": {name: chosen.count(name) for name in sorted(set(chosen))},
            "tpr": with_error(choice[:, 0]),
            "behind": with_error(values[first(ready)][:, 0] - choice[:, 0]),
        }
    return found, values


def case(make, most):
    """One kind of fleet at all numbers of shadows, each drawn at most `most` times."""
    start, games = time.perf_counter(), list(make())
    trained, sizes = time.perf_counter() - start, games[0][0]
    (rows,) = named_attacks(None, ROOT, [(MEMBERSHIP, Threat(), "threat")])
    default = {row.id for row in rows}
    tables = {str(shadows): table(games, shadows, most, default) for shadows in SHADOWS}
    curves = {shadows: found for shadows, (found, _) in tables.items()}
    two, eight = tables["2"][1]["base online"], tables["8"][1]["lira online global"]
    return {
        "records": len(sizes.ids),
        "classes": sizes.classes,
        "population": len(sizes.population.ids),
        "targets": sum(len(bits) for _, bits in games),
        "fleets": len(games),
        "seconds": {"fleet": round(trained, 1), "attacks": round(time.perf_counter() - start - trained, 1)},
        "two_against_eight": {"tpr": with_error((two - eight)[:, 0]), "auc": with_error((two - eight)[:, 1])},
        "shadows": curves,
    }


def main():
    """Run the fleets that are asked for; with `--out`, the file's other fleets stay."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="?", help="a table of pictures, such as cifar10:FILE.npz")
    parser.add_argument("--only", choices=["miniature", *TARGETS], help="run one kind of fleet")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    data, found = asked.pictures, {"fleets": {}}
    if asked.out and asked.out.exists():
        found = json.loads(asked.out.read_text("utf-8"))
    makers = {"miniature": miniature, "badge": lambda: heads(pictures("orl-faces", 128), TARGETS["badge"])}
    makers |= {world: functools.partial(noisy, world) for world in WORLDS}
    if data:
        makers["cifar10 heads"] = lambda: heads(pictures(data, 96, "0:4000", ASIDE), TARGETS["cifar10 heads"])
        makers["cifar10 nets"] = lambda: nets(data, TARGETS["cifar10 nets"])
    else:
        print("no pictures: the fleets of cifar10 are left out", file=sys.stderr)
    for name in makers:
        if asked.only in (None, name):
            found["fleets"][name] = {"machine": hardware()} | case(makers[name], DRAWS[name])
            if asked.out:  # after each fleet, so that an interrupted run goes on with --only
                asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
