"""128 linear heads: a run of dosimeter beside a `DataLoader` loop and a loop of index gathers.

4,000 records of 384 features in 10 classes; each head trains on its own half (2,000) of them, in complementary pairs,
for 20 epochs of batches of 32, and is tested on 4,000 further records. Ours is timed from a cold start of the worker
processes, their imports, the reading of the features and the writing of the heads included. The loops are timed on a
few whole heads in a process that has everything loaded, and scaled to 128; they compute with one thread, which for
such small products is the faster choice.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from machine import case, cores
from safetensors.torch import load_file, save_file
from torch import nn

from dosimeter.families.membership.design.design import membership_matrix
from dosimeter.jobs.runners import make_runner, one_thread
from dosimeter.training.heads import train_heads
from dosimeter.training.packs import HEADS_PER_PACK
from dosimeter.training.recipe import Hyperparameters

HEADS, RECORDS, FEATURES, CLASSES = 128, 4000, 384, 10
RECIPE = Hyperparameters(epochs=20, batch_size=32, lr=0.01, momentum=0.9)
LOADER_HEADS, GATHER_HEADS = 2, 8


@dataclass(frozen=True)
class Pack:
    """Heads that one job trains."""

    folder: Path
    start: int

    def perform(self):
        """Read the features, train, write the heads, as a run's job does."""
        data = load_file(self.folder / "data.safetensors")
        chosen = slice(self.start, self.start + HEADS_PER_PACK)
        seeds = list(range(HEADS))[chosen]
        heads = train_heads(
            data["features"], data["labels"], data["rows"].numpy()[chosen], RECIPE, classes=CLASSES, seeds=seeds,
            device=torch.device("cpu"),
        )  # fmt: skip
        save_file({"weight": heads.weight, "bias": heads.bias}, self.folder / f"{self.start}.safetensors")


def records():
    """Features and labels of the training and the test records: normal classes that overlap."""
    rng = np.random.default_rng(0)
    means = 0.12 * rng.normal(size=(CLASSES, FEATURES))
    labels = rng.integers(CLASSES, size=2 * RECORDS)
    features = means[labels] + rng.normal(size=(2 * RECORDS, FEATURES))
    features, labels = torch.from_numpy(features).float(), torch.from_numpy(labels)
    return features[:RECORDS], labels[:RECORDS], features[RECORDS:], labels[RECORDS:]


def ours(features, labels, rows):
    """All heads by packs: weights, biases, seconds from a cold start, and seconds once the processes stand."""
    runner, seconds = make_runner(None, "cpu"), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        packs = [Pack(folder, start) for start in range(0, HEADS, HEADS_PER_PACK)]
        for _ in range(2):
            start = time.perf_counter()
            save_file(
                {"features": features, "labels": labels, "rows": torch.from_numpy(rows)}, folder / "data.safetensors"
            )
            runner.run(Pack.perform, packs, lambda _: None)
            heads = [load_file(folder / f"{pack.start}.safetensors") for pack in packs]
            seconds.append(time.perf_counter() - start)
        runner.close()
    return torch.cat([head["weight"] for head in heads]), torch.cat([head["bias"] for head in heads]), *seconds


def one_by_one(features, labels, rows, batches):
    """Train heads as peers do; `batches(x, y)` gives an epoch's minibatches. Heads and seconds of one."""
    heads = []
    start = time.perf_counter()
    for own in torch.from_numpy(rows):
        head, criterion = nn.Linear(FEATURES, CLASSES), nn.CrossEntropyLoss()
        optimizer = torch.optim.SGD(head.parameters(), lr=RECIPE.lr, momentum=RECIPE.momentum)
        epoch = batches(features[own], labels[own])
        for _ in range(RECIPE.epochs):
            for x, y in epoch():
                optimizer.zero_grad()
                loss = criterion(head(x), y)
                loss.backward()
                optimizer.step()
        heads.append(head)
    return heads, (time.perf_counter() - start) / len(rows)


def loader(x, y):
    """An epoch from a `DataLoader` with two workers."""
    data = torch.utils.data.TensorDataset(x, y)
    batches = torch.utils.data.DataLoader(data, RECIPE.batch_size, shuffle=True, num_workers=2)
    return lambda: iter(batches)


def gathers(x, y):
    """An epoch of index gathers."""
    return lambda: ((x[rows], y[rows]) for rows in torch.split(torch.randperm(len(x)), RECIPE.batch_size))


def cases():
    """Both cases."""
    features, labels, test, test_labels = records()
    rows = np.stack([np.flatnonzero(row) for row in membership_matrix(RECORDS, HEADS, seed=0)])
    weight, bias, cold, warm = ours(features, labels, rows)
    logits = torch.einsum("nd,mcd->mnc", test, weight) + bias[:, None]
    accuracies = (logits.argmax(2) == test_labels).double().mean(1)
    found = {}
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        one_by_one(features, labels, rows[:1], gathers)  # loads what PyTorch loads on first use
        for name, batches, timed, bar in (
            ("loader", loader, LOADER_HEADS, 50),
            ("gathers", gathers, GATHER_HEADS, 2.5),
        ):
            heads, each = one_by_one(features, labels, rows[:timed], batches)
            right = [(head(test).argmax(1) == test_labels).double().mean().item() for head in heads]
            peer, own = float(np.mean(right)), float(accuracies[:timed].mean())
            figures = {
                "seconds": cold,
                "seconds_of_a_standing_runner": warm,
                "n": HEADS,
                "records_per_head": rows.shape[1],
                "features": FEATURES,
                "processes": cores(),
                "peer_seconds": each * HEADS,
                "peer_scaled_from": f"{timed} of {HEADS} heads, all epochs, one thread",
                "ratio": each * HEADS / cold,
                "ratio_of_a_standing_runner": each * HEADS / warm,
                "accuracy": own,
                "peer_accuracy": peer,
                "accuracy_difference": abs(own - peer),
                "accuracy_of_all": float(accuracies.mean()),
            }
            bars = {"ratio": (">=", bar), "accuracy_difference": ("<=", 0.005)}
            found[f"heads_against_{name}"] = case(figures, bars)
    return found


if __name__ == "__main__":
    print(json.dumps(cases(), indent=2))
