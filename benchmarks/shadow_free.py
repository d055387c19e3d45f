"""The shadow-free attack beside LiRA on heads; `python benchmarks/shadow_free.py [cifar10:FILE.npz]` prints JSON.

Digits (1,796 records, 64 features, 10 classes) and the photos of the badge demo (360 of 40 people, 1,280 features);
with a table of pictures also its first 4,000 through the same backbone at 96 pixels. Sixteen targets each, intervals
are Student's over targets; the seconds of LiRA are those of training its shadows, of which the targets are not counted.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from machine import hardware
from scipy import stats
from sklearn.datasets import load_digits

from dosimeter.attacks import Influence, LiRA, Loss
from dosimeter.attacks.membership.cavity import closed_form
from dosimeter.config import parse
from dosimeter.design import membership_matrix
from dosimeter.fleet import ensure, load_features
from dosimeter.games import FrozenHead, MembershipGame
from dosimeter.head_training import train_heads
from dosimeter.preparation import prepare, save_data
from dosimeter.runners import make_runner
from dosimeter.signals import logit_confidence
from dosimeter.training import Hyperparameters

TARGETS, SHADOWS, PACK = 16, (16, 64, 256), 64
RNG = np.random.default_rng(0)  # none of the three attacks draws


def digits():
    """The table itself is the features."""
    x, y = load_digits(return_X_y=True)
    return (x[:1796] / 16).astype(np.float32), y[:1796], Hyperparameters(epochs=30, lr=0.05, standardise=True)


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
        prepared = prepare(audit, store=Path(folder))
        save_data(prepared.at_risk, prepared.store)
        runner = make_runner(1, "cpu")
        ensure(prepared.jobs.features, runner, lambda done, total: None)
        runner.close()
        pool = prepared.split.pool
        features = load_features(prepared.store, prepared.jobs.features).numpy()[pool]
    return features, prepared.at_risk.labels[pool], Hyperparameters(epochs=30, lr=0.005, standardise=True)


def fleet(x, y, hp):
    """Membership, confidences `[m n]`, and seconds per head."""
    features, labels, models = torch.from_numpy(x), torch.from_numpy(y), TARGETS + max(SHADOWS)
    member, phi, start = membership_matrix(len(y), models, 0), [], time.perf_counter()
    for first in range(0, models, PACK):
        rows = np.stack([np.flatnonzero(row) for row in member[first : first + PACK]])
        heads = train_heads(
            features, labels, rows, hp, classes=int(y.max()) + 1, seeds=list(range(first, first + len(rows))),
            device=torch.device("cpu"),
        )  # fmt: skip
        for weight, bias in zip(heads.weight.double(), heads.bias.double(), strict=True):
            phi.append(logit_confidence(features.double() @ weight.T + bias, labels).numpy())
    return member, np.stack(phi), (time.perf_counter() - start) / models


def measured(scores, member):
    """AUC and TPR at 1 % FPR, mean over targets with the half width of a 95 % interval."""
    found = {"auc": [], "tpr_at_1_percent": []}
    for row, bits in zip(scores, member, strict=True):
        outside = np.sort(row[~bits])[::-1]
        found["auc"].append(stats.mannwhitneyu(row[bits], outside).statistic / (bits.sum() * len(outside)))
        found["tpr_at_1_percent"].append((row[bits] > outside[len(outside) // 100]).mean())
    width = stats.t.ppf(0.975, len(scores) - 1) / np.sqrt(len(scores))
    return {name: [round(np.mean(v), 4), round(width * np.std(v, ddof=1), 4)] for name, v in found.items()}


def case(x, y, hp):
    """All attacks on one set of features."""
    y = np.asarray(y, dtype=np.int64)
    member, phi, each = fleet(x, y, hp)
    updates = hp.epochs * -(-(len(y) // 2) // hp.batch_size)
    rates = np.array([hp.lr_at(step, updates) for step in range(updates)])
    classes, n = int(y.max()) + 1, len(y)
    head = FrozenHead(x, y, classes, np.arange(n), rates, hp.momentum, hp.weight_decay, hp.standardise)
    start = time.perf_counter()
    closed_form(head)
    seconds = time.perf_counter() - start

    def game(shadows):
        rows = slice(TARGETS, TARGETS + shadows)
        tables = [{"logit_confidence": phi[one][:, None]} for one in (slice(TARGETS), rows)]
        return MembershipGame(np.arange(n), y, classes, *tables, member[rows], head=head)

    targets = member[:TARGETS]
    table = {f"lira_{s}": measured(LiRA().run(game(s), RNG).values, targets) for s in SHADOWS}
    table = {name: own | {"seconds": round(each * s, 2)} for s, (name, own) in zip(SHADOWS, table.items(), strict=True)}
    table["loss"] = measured(Loss().run(game(2), RNG).values, targets)
    table["influence"] = measured(Influence().run(game(2), RNG).values, targets) | {"seconds": round(seconds, 2)}
    return {"records": n, "features": x.shape[1], "classes": classes, "targets": TARGETS, "attacks": table}


if __name__ == "__main__":
    torch.set_num_threads(1)
    made = {"digits": digits(), "badge": pictures("orl-faces", 128)}
    if sys.argv[1:]:
        made["pictures"] = pictures(sys.argv[1], 96, "0:4000")
    print(json.dumps(hardware() | {name: case(*one) for name, one in made.items()}, indent=2))
