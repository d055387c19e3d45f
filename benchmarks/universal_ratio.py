"""A ratio that is learned on other data sets: does it beat `base` on a set that it never saw?

`python benchmarks/universal_ratio.py --work FOLDER [cifar10:FILE.npz]`. The trees of `learned_ratio`, with its columns,
are trained on the fleets of all worlds but those of one kind, of 8 targets each, with 2, 4 or 8 shadows. Then they
judge the targets of that kind. Worlds: the four of `few_shadow_fleets.py`, that file's laws with other dimensions,
classes and noise, random bits about prototypes, and linear heads on photos and, with a table of pictures, on these.
Only worlds that are named in `HELD_OUT` are judged; all others are there to be learned from. Convolutional nets, with
16 targets, are judged and not learned from: they were added when the other figures were known, and moved none.

Per held-out world and number of shadows: AUC and TPR at 1 % FPR of both, and the paired gain, mean and standard error
over targets. Fleets are kept in the work folder, and the figures are written after each world. With `--ship`, trees of
two shadows that learned from all worlds are written into the package instead, and no world is judged.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from few_shadow_fleets import WORLDS as NOISY
from few_shadow_fleets import perceptrons, wrong_labels
from few_shadow_power import game_of, heads, measured, thin, with_error
from leakage_per_minute import nets
from machine import hardware
from safetensors.numpy import save
from shadow_free import pictures
from sklearn.ensemble import HistGradientBoostingClassifier

from dosimeter.families.membership.attacks import BASE
from dosimeter.families.membership.attacks.elsewhere.universal_ratio import TREES
from dosimeter.families.membership.attacks.ratio_columns import SIGNALS, columns_of
from dosimeter.families.membership.design.design import membership_matrix
from dosimeter.families.membership.observe.signals import signals_of
from dosimeter.models.access import Access

RESULTS = Path(__file__).parent / "results" / "universal_ratio.json"
TARGETS, MODELS, RECORDS, ASIDE, SHADOWS, ROWS = 8, 40, 2000, 400, (2, 4, 8), 200_000
HELD_OUT = ("digits", "mnist", "gaussian", "sparse", "prototypes", "photos", "pictures", "nets")
JUDGED_ONLY, NETS = ("nets",), 16
RNG = np.random.default_rng(0)  # BASE draws nothing


def clouds(dimensions, classes, apart, noise):
    """Normal clouds, and labels of which a share is drawn anew."""

    def world(rng):
        labels = rng.integers(classes, size=RECORDS + ASIDE)
        x = apart * rng.normal(size=(classes, dimensions))[labels] + rng.normal(size=(len(labels), dimensions))
        return x, wrong_labels(labels, classes, noise, rng), classes

    return world


def bits(columns, classes, rate, noise):
    """Seldom-set bits, of which each class sets a tenth more often."""

    def world(rng):
        labels = rng.integers(classes, size=RECORDS + ASIDE)
        often = np.argsort(rng.random((classes, columns)), axis=1) < columns // 10
        x = (rng.random((len(labels), columns)) < np.where(often, 6 * rate, rate)[labels]).astype(float)
        return x, wrong_labels(labels, classes, noise, rng), classes

    return world


def prototypes(count, flips, noise):
    """Twenty classes of some random bits each, flipped at random."""

    def world(rng):
        centres, labels = rng.choice([-1.0, 1.0], size=(20, count, 64)), rng.integers(20, size=RECORDS + ASIDE)
        x = centres[labels, rng.integers(count, size=len(labels))]
        x = x * np.where(rng.random(x.shape) < flips, -1, 1)
        return x, wrong_labels(labels, 20, noise, rng), 20

    return world


WORLDS = {name: (name, world, 150) for name, world in NOISY.items()} | {
    "prototypes": ("prototypes", prototypes(3, 0.22, 0.08), 120),
    "one prototype": ("prototypes", prototypes(1, 0.3, 0.0), 120),
    "two clouds": ("gaussian", clouds(20, 2, 0.4, 0.1), 250),
    "wide clouds": ("gaussian", clouds(200, 30, 0.35, 0.0), 80),
    "clean clouds": ("gaussian", clouds(32, 10, 0.5, 0.0), 150),
    "many bits": ("sparse", bits(600, 50, 0.02, 0.0), 80),
    "few bits": ("sparse", bits(100, 5, 0.05, 0.15), 200),
}
"""Name to kind, records and epochs."""


def perceptron_game(name, work):
    """The game of a world of perceptrons, whose confidences are kept."""
    path = work / f"{name.replace(' ', '-')}.npz"
    _, world, epochs = WORLDS[name]
    if not path.exists():
        rng = np.random.default_rng(1)
        x, y, classes = world(rng)
        member = membership_matrix(len(x) - ASIDE, MODELS + TARGETS, 1)
        logits = perceptrons(x, y, member, classes, epochs, 1)
        truth = torch.from_numpy(y)
        made = [signals_of([one], truth, sorted(SIGNALS), Access.LOGITS) for one in logits]
        found = {key: np.stack([one[key].numpy() for one in made]) for key in SIGNALS}
        draft = path.with_name(f".{path.name}")
        np.savez(draft, member=member, labels=y, classes=classes, **found)
        draft.replace(path)
    with np.load(path) as kept:
        outputs = [{key: torch.from_numpy(kept[key][model]) for key in SIGNALS} for model in range(MODELS + TARGETS)]
        return game_of(outputs, kept["labels"], kept["member"], int(kept["classes"]), TARGETS)


def scale(game):
    """Deviation within the sides of a record; with one pair of shadows that between its sides, which is larger."""
    phi, inside = game.shadow_outputs[SIGNALS[0]].mean(axis=1), game.shadow_in
    if len(phi) > 2:
        within = [np.where(inside == side, phi, np.nan) for side in (True, False)]
        return max(float(np.sqrt(np.mean([np.nanvar(one, axis=0, ddof=1).mean() for one in within]))), 1e-6)
    return max(float(np.sqrt(((phi[0] - phi[1]) ** 2).mean() / 2)), 1e-6)


def rows_of(game, member, shadows, draw):
    """Columns and bits of all targets with some of the shadows."""
    pairs = np.sort(np.random.default_rng(draw).permutation(game.n_shadows // 2)[: shadows // 2])
    some = thin(game, pairs)
    found = columns_of(some, scale(some))
    return some, found, member


def learn(parts):
    """Trees on the rows of several worlds, each with equally many."""
    each, rng = ROWS // len(parts), np.random.default_rng(0)
    columns, truth = [], []
    for found, member in parts:
        flat, own = found.values.reshape(-1, found.values.shape[2]), member.ravel()
        kept = rng.permutation(len(flat))[:each]
        columns.append(flat[kept])
        truth.append(own[kept])
    rises = np.arange(columns[0].shape[1]) < parts[0][0].rising
    settings = {"max_iter": 150, "learning_rate": 0.06, "max_leaf_nodes": 15, "min_samples_leaf": 400}
    trees = HistGradientBoostingClassifier(
        l2_regularization=1.0, early_stopping=False, random_state=0, monotonic_cst=rises, **settings
    )
    return trees.fit(np.concatenate(columns), np.concatenate(truth))


def judged(name, kinds, games, shadows):
    """Both attacks on one world, the trees without any world of its kind."""
    elsewhere = [one for one in games if kinds[one] != kinds[name] and one not in JUDGED_ONLY]
    others = [rows_of(*games[one], shadows, draw)[1:] for one in elsewhere for draw in (0, 1)]
    trees, values = learn(others), []
    for draw in range(2):
        some, found, member = rows_of(*games[name], shadows, draw)
        scores = trees.decision_function(found.values.reshape(-1, found.values.shape[2])).reshape(member.shape)
        values.append([measured(one, member) for one in (scores, BASE().run(some, RNG).values)])
    ours, base = np.mean(values, axis=0)
    named = {"learned elsewhere": ours, "base online": base, "gain": ours - base}
    return {key: {"tpr": with_error(one[:, 0]), "auc": with_error(one[:, 1])} for key, one in named.items()}


def flat(fit):
    """Trees of scikit-learn as the arrays of `elsewhere.trees.Trees`."""
    nodes, root = [], []
    for (one,) in fit._predictors:
        root.append(sum(map(len, nodes)))
        nodes.append(one.nodes.copy())
        for name in ("left", "right"):
            nodes[-1][name] += root[-1]
    every = np.concatenate(nodes)
    leaf = every["is_leaf"].astype(bool)
    return {
        "feature": np.where(leaf, -1, every["feature_idx"]).astype(np.int32),
        "threshold": np.where(leaf, 0.0, every["num_threshold"]),
        "left": np.where(leaf, 0, every["left"]).astype(np.int32),
        "right": np.where(leaf, 0, every["right"]).astype(np.int32),
        "value": np.where(leaf, every["value"], 0.0),
        "root": np.array(root, np.int32),
        "start": np.asarray(fit._baseline_prediction, np.float64).ravel(),
    }


def ship(games):
    """Write trees that learned from all worlds with two shadows, and print the SHA-256 of their file."""
    parts = [rows_of(*games[one], 2, draw)[1:] for one in games if one not in JUDGED_ONLY for draw in (0, 1)]
    content = save(flat(learn(parts)))
    TREES.write_bytes(content)
    print(f"{len(parts) // 2} worlds, {len(content):,} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}")


def main():
    """Make or read the fleets, and judge each world by trees that know none of its kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="?", help="a table of pictures, such as cifar10:FILE.npz")
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps the fleets")
    parser.add_argument("--ship", action="store_true", help="write trees into the package")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.work.mkdir(parents=True, exist_ok=True)
    kinds = {name: kind for name, (kind, _, _) in WORLDS.items()} | {"photos": "heads"}
    games = {name: perceptron_game(name, asked.work) for name in WORLDS}
    (games["photos"],) = heads(pictures("orl-faces", 128), TARGETS)
    if asked.pictures:
        (games["pictures"],) = heads(pictures(asked.pictures, 96, "0:4000", ASIDE), TARGETS)
        (nets_game, nets_member), _ = nets(asked.work, NETS, asked.pictures)
        games["nets"] = dataclasses.replace(nets_game, known=None, weights=None), nets_member
        kinds |= {"pictures": "heads", "nets": "nets"}
    games = {name: (dataclasses.replace(game, head=None), member) for name, (game, member) in games.items()}
    if asked.ship:
        ship(games)
        return
    found = {"machine": hardware(), "worlds": kinds, "held_out": {}}
    found["targets"] = {name: len(member) for name, (_, member) in games.items()}
    for name in HELD_OUT:
        if name in games:
            found["held_out"][name] = {str(shadows): judged(name, kinds, games, shadows) for shadows in SHADOWS}
            RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found["held_out"], indent=1))


if __name__ == "__main__":
    main()
