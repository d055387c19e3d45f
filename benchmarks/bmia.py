"""One reference head: BMIA beside the plain difference; `python benchmarks/bmia.py [cifar10:FILE.npz]` prints JSON.

Linear heads on the features of `shadow_free.py`: digits, the photos of the badge demo, and, with a table of pictures,
4,000 of them. 16 targets in complementary pairs and 64 shadows, so 32 heads without the record for every record. Means
over targets, and over as many sets of shadows without overlap as there are, up to 8; intervals are Student's over pairs
of targets, whose scores are not independent. `gain` is BMIA minus the difference with the same one reference, paired.

`spread` compares the Laplace law of each head's confidence with what the 32 heads without the record scatter: the
median ratio of both standard deviations over records (1 is right), and the rank correlation between records.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from few_shadow_power import measured, thin
from machine import hardware
from scipy import stats
from shadow_free import digits, known, pictures, train

from dosimeter.families.membership.attacks import BMIA, Difficulty, LiRA, Loss, laplace, reading
from dosimeter.families.membership.game import MembershipGame, Population
from dosimeter.families.membership.observe.signals import logit_confidence, scaled_confidences

TARGETS, SHADOWS, MOST_DRAWS = 16, 64, 8
BMIAS = {
    "bmia": {},
    "bmia kfac": {"posterior": "kfac"},
    "bmia prior 0.01": {"prior": 0.01},
    "bmia prior 100": {"prior": 100.0},
}
ATTACKS = {
    "loss": (2, Loss()),
    "difficulty, 1 reference": (2, Difficulty()),
    **{f"{name}, 1 reference": (2, BMIA(**settings)) for name, settings in BMIAS.items()},
    "difficulty, 8 references": (16, Difficulty()),
    "bmia, 8 references": (16, BMIA(references=8)),
    "lira offline, 8 references": (16, LiRA("offline")),
    "lira online, 8 references": (16, LiRA()),
}
"""Number of shadows, half of which did not train on a given record, and the attack."""


def game_of(frozen):
    """The game, and who was trained on what."""
    member, heads, _ = train(frozen, TARGETS + SHADOWS)
    x, y = torch.from_numpy(frozen.features).double(), torch.from_numpy(frozen.labels).long()
    answers = [x @ weight.T + bias for weight, bias in heads]
    tables = {
        "logit_confidence": np.stack([logit_confidence(one, y).numpy() for one in answers])[:, None],
        "scaled_confidences": np.stack([scaled_confidences(one, y).numpy() for one in answers])[:, None],
    }
    own, others = (
        {name: table[rows] for name, table in tables.items()} for rows in (slice(TARGETS), slice(TARGETS, None))
    )
    n, none = len(y), {name: table[:, :, :0] for name, table in tables.items()}
    outside = Population(
        np.arange(0), y.numpy()[:0], {name: table[:TARGETS] for name, table in none.items()},
        {name: table[TARGETS:] for name, table in none.items()},
    )  # fmt: skip
    game = MembershipGame(
        np.arange(n), y.numpy(), frozen.classes, own, others, member[TARGETS:], population=outside, head=known(frozen)
    )
    return game, member[:TARGETS]


def with_interval(values):
    """Mean over targets, with the half width of a 95 % interval over pairs of targets."""
    pairs = values.reshape(-1, 2).mean(1)
    width = stats.t.ppf(0.975, len(pairs) - 1) * pairs.std(ddof=1) / np.sqrt(len(pairs))
    return [round(float(pairs.mean()), 4), round(float(width), 4)]


def spread(game, settings):
    """Median ratio of the Laplace's deviation to the true one, and their rank correlation, mean over 8 heads."""
    phi = game.shadow_outputs["logit_confidence"][:, 0]
    _, outside = reading.split(phi[:, None], game.shadow_in)
    truth, attack, rng, found = outside[:, 0].std(0, ddof=1), BMIA(**settings), np.random.default_rng(0), []
    for row in range(8):
        answers, own = game.shadow_outputs["scaled_confidences"][row, 0], game.shadow_in[row]
        law = laplace.logit_law(game.head, answers, own, attack.posterior, attack.prior)
        scale = np.sqrt(laplace.confidence_moments(law, game.labels, attack.draws, rng)[1])[~own]
        ranks = stats.spearmanr(scale, truth[~own]).statistic
        found.append([np.median(scale / truth[~own]), np.median(scale), np.median(truth[~own]), ranks])
    names = ("ratio", "laplace", "true", "rank_correlation")
    return dict(zip(names, (round(float(value), 3) for value in np.mean(found, axis=0)), strict=True))


def case(frozen):
    """All attacks on one set of features."""
    game, member = game_of(frozen)
    order, table, rows = np.random.default_rng(0).permutation(SHADOWS // 2), {}, {}
    for name, (shadows, attack) in ATTACKS.items():
        each, found = shadows // 2, []
        for draw in range(min(MOST_DRAWS, SHADOWS // shadows)):
            some = thin(game, np.sort(order[draw * each : (draw + 1) * each]))
            found.append(measured(attack.run(some, np.random.default_rng(0)).values, member))
        rows[name] = np.mean(found, axis=0)
        table[name] = {"tpr": with_interval(rows[name][:, 0]), "auc": with_interval(rows[name][:, 1])}
    plain = rows["difficulty, 1 reference"]
    for name in BMIAS:
        gain = rows[f"{name}, 1 reference"] - plain
        table[f"{name}, 1 reference"]["gain"] = {"tpr": with_interval(gain[:, 0]), "auc": with_interval(gain[:, 1])}
    sizes = {"records": len(member[0]), "classes": frozen.classes, "features": frozen.features.shape[1]}
    return sizes | {
        "targets": TARGETS,
        "attacks": table,
        "spread": {name: spread(game, settings) for name, settings in BMIAS.items()},
    }


def main():
    """Run the cases and write them down; with `--out`, cases of the file that are not asked for stay."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="?", help="a table of pictures, such as cifar10:FILE.npz")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    makers = {"digits": digits, "badge": lambda: pictures("orl-faces", 128)}
    if asked.pictures:
        makers["cifar10"] = lambda: pictures(asked.pictures, 96, "0:4000")
    found = json.loads(asked.out.read_text("utf-8")) if asked.out and asked.out.exists() else {"cases": {}}
    for name, make in makers.items():
        found["cases"][name] = {"machine": hardware()} | case(make())
        text = json.dumps(found, indent=1)
        if asked.out:
            asked.out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
