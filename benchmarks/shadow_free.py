"""The shadow-free attack beside LiRA on heads; `python benchmarks/shadow_free.py [cifar10:FILE.npz]` prints JSON.

Digits (1,796 records, 64 features, 10 classes) and the photos of the badge demo (360 of 40 people, 1,280 features);
with a table of pictures also its first 4,000 through the same backbone at 96 pixels. Sixteen targets each, intervals
are Student's over targets; seconds are of the processor, those of LiRA of training its shadows, without the targets.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from machine import hardware
from scipy import stats
from sklearn.datasets import load_digits

from dosimeter.config.audit import parse
from dosimeter.data.entries import save_data
from dosimeter.families.membership.attacks import Influence, LiRA, Loss
from dosimeter.families.membership.attacks.shadows.closed_form import closed_form
from dosimeter.families.membership.design.design import membership_matrix
from dosimeter.families.membership.game import FrozenHead, MembershipGame
from dosimeter.families.membership.observe.signals import logit_confidence
from dosimeter.jobs.job import ensure
from dosimeter.jobs.runners import make_runner
from dosimeter.jobs.store import Store
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.training.features import load_features
from dosimeter.training.heads import train_heads
from dosimeter.training.recipe import Hyperparameters

TARGETS, SHADOWS, PACK = 16, (16, 64, 256), 64
RNG = np.random.default_rng(0)  # none of the three attacks draws


class Frozen(NamedTuple):
    """Frozen features and the recipe of the heads on them.

    Attributes:
        features: of the pool, of which each head trains on one half `[p d]`.
        labels: `[p]`.
        recipe: equal for all heads.
        outside: features of records outside every head `[z d]`.
        outside_labels: `[z]`.
    """

    features: np.ndarray
    labels: np.ndarray
    recipe: Hyperparameters
    outside: np.ndarray
    outside_labels: np.ndarray

    @property
    def classes(self):
        """Number of classes."""
        return int(self.labels.max()) + 1


def digits():
    """The table itself is the features."""
    x, y = load_digits(return_X_y=True)
    x, recipe = (x / 16).astype(np.float32), Hyperparameters(epochs=30, lr=0.05, standardise=True)
    return Frozen(x[:1796], y[:1796], recipe, x[1796:], y[1796:])


def pictures(data, size, rows=None, population=40):
    """Features of a given backbone, by the jobs of an audit."""
    content = {
        "stage": [
            {"name": "pretrain", "model": "efficientnet-lite0", "weights": "imagenet", "options": {"size": size}},
            {"name": "finetune", "data": data, "transfer": "head"} | ({"rows": rows} if rows else {}),
        ],
        "threat": {"access": "logits", "population": population, "stratify": True},
    }
    audit = parse(content, base=Path.cwd(), name="features")
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(audit, store=Store(Path(folder)))
        save_data(prepared.system.at_risk, prepared.system.store)
        runner = make_runner(1, "cpu")
        ensure(prepared.case.jobs.features, runner, lambda done, total: None)
        runner.close()
        features = load_features(prepared.system.store, prepared.case.jobs.features).numpy()
    labels, pool, outside = prepared.system.at_risk.labels, prepared.case.split.pool, prepared.case.split.population
    recipe = Hyperparameters(epochs=30, lr=0.005, standardise=True)
    return Frozen(features[pool], labels[pool], recipe, features[outside], labels[outside])


def train(frozen, models):
    """Membership `[m n]`, weights and biases of all heads in float64, and seconds per head."""
    features, labels = torch.from_numpy(frozen.features), torch.from_numpy(frozen.labels)
    member, heads, start = membership_matrix(len(labels), models, 0), [], time.process_time()
    for first in range(0, models, PACK):
        rows = np.stack([np.flatnonzero(row) for row in member[first : first + PACK]])
        pack = train_heads(
            features, labels, rows, frozen.recipe, classes=frozen.classes, device=torch.device("cpu"),
            seeds=list(range(first, first + len(rows))),
        )  # fmt: skip
        heads += zip(pack.weight.double(), pack.bias.double(), strict=True)
    return member, heads, (time.process_time() - start) / models


def known(frozen):
    """What an adversary knows who has the backbone and the recipe."""
    hp, n = frozen.recipe, len(frozen.labels)
    updates = hp.epochs * -(-(n // 2) // hp.batch_size)
    rates = np.array([hp.lr_at(step, updates) for step in range(updates)])
    recipe = (rates, hp.momentum, hp.weight_decay, hp.standardise)
    return FrozenHead(frozen.features, frozen.labels, frozen.classes, np.arange(n), *recipe)


def measured(scores, member):
    """AUC and TPR at 1 % FPR, mean over targets with the half width of a 95 % interval."""
    found = {"auc": [], "tpr_at_1_percent": []}
    for row, bits in zip(scores, member, strict=True):
        outside = np.sort(row[~bits])[::-1]
        found["auc"].append(stats.mannwhitneyu(row[bits], outside).statistic / (bits.sum() * len(outside)))
        found["tpr_at_1_percent"].append((row[bits] > outside[len(outside) // 100]).mean())
    width = stats.t.ppf(0.975, len(scores) - 1) / np.sqrt(len(scores))
    return {name: [round(np.mean(v), 4), round(width * np.std(v, ddof=1), 4)] for name, v in found.items()}


def case(frozen):
    """All attacks on one set of features, and the shadow-free one's share of the TPR and of the seconds."""
    member, heads, each = train(frozen, TARGETS + max(SHADOWS))
    x, y = torch.from_numpy(frozen.features).double(), torch.from_numpy(frozen.labels)
    phi = np.stack([logit_confidence(x @ weight.T + bias, y).numpy() for weight, bias in heads])
    head, start = known(frozen), time.process_time()
    closed_form(head)
    seconds = time.process_time() - start

    def game(shadows):
        rows = slice(TARGETS, TARGETS + shadows)
        tables = [{"logit_confidence": phi[one][:, None]} for one in (slice(TARGETS), rows)]
        return MembershipGame(np.arange(len(y)), frozen.labels, frozen.classes, *tables, member[rows], head=head)

    targets = member[:TARGETS]
    table = {f"lira_{s}": measured(LiRA().run(game(s), RNG).values, targets) for s in SHADOWS}
    table = {name: own | {"seconds": round(each * s, 2)} for s, (name, own) in zip(SHADOWS, table.items(), strict=True)}
    table["loss"] = measured(Loss().run(game(2), RNG).values, targets)
    table["influence"] = measured(Influence().run(game(2), RNG).values, targets) | {"seconds": round(seconds, 2)}
    best = table[f"lira_{max(SHADOWS)}"]
    shares = {
        "share_of_tpr": round(table["influence"]["tpr_at_1_percent"][0] / best["tpr_at_1_percent"][0], 3),
        "share_of_seconds": round(seconds / best["seconds"], 3),
    }
    sizes = {"records": len(y), "features": x.shape[1], "classes": frozen.classes, "targets": TARGETS}
    return sizes | shares | {"attacks": table}


def main():
    """Run the cases and write them down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="?", help="a table of pictures, such as cifar10:FILE.npz")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    made = {"digits": digits(), "badge": pictures("orl-faces", 128)}
    if asked.pictures:
        made["cifar10"] = pictures(asked.pictures, 96, "0:4000")
    text = json.dumps({"machine": hardware(), "cases": {name: case(one) for name, one in made.items()}}, indent=2)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
