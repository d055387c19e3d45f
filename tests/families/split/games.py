"""Synthetic games of split whose answers are known, data with a private attribute, and models for small audits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from dosimeter.data import Dataset
from dosimeter.families.split.game import Auxiliary, Secret, SplitGame
from dosimeter.training.learners.halves.hijacking import Client
from dosimeter.training.loop import seed_torch
from dosimeter.training.recipe import Hyperparameters

SHAPE = (1, 6, 6)


def records(rng, count):
    """Smooth pictures in [0, 1] with an attribute that lies in them: which half is brighter."""
    coarse = torch.from_numpy(rng.random((count, 1, 3, 3)).astype(np.float32))
    made = nn.functional.interpolate(coarse, size=SHAPE[1:], mode="bilinear", align_corners=False)
    return made, (made[..., :3].mean((1, 2, 3)) > made[..., 3:].mean((1, 2, 3))).long().numpy()


@dataclass(frozen=True, eq=False)
class Linear:
    """A first half that multiplies, and adds noise if it has some; an `Asked` and a `FirstHalf`."""

    weight: torch.Tensor
    noise: float = 0.0

    @property
    def random(self):
        return self.noise > 0

    def features(self, records):
        return records.flatten(1) @ self.weight

    def sent(self, records, rng):
        drawn = rng.normal(size=(len(records), self.weight.shape[1])).astype(np.float32)
        return self.features(records) + self.noise * torch.from_numpy(drawn)


def brightness(inputs):
    """One of four classes of each record: how bright it is among the others."""
    ink = inputs.flatten(1).mean(1).numpy()
    return (np.argsort(np.argsort(ink)) * 4 // len(ink)).astype(np.int64)


def readout(features, labels):
    """A second half: the linear map from features to classes that fits best, as log-odds."""
    wide = torch.cat([features, torch.ones(len(features), 1)], 1)
    fitted = torch.linalg.lstsq(wide, torch.eye(4)[torch.from_numpy(labels)]).solution
    return lambda seen: 10 * (seen @ fitted[:-1] + fitted[-1])


@dataclass(frozen=True, eq=False)
class Layers:
    """The layers of a first half, as one function makes them; a `Form`."""

    made: Callable[[], nn.Module]

    def fresh(self, seed):
        """Another one."""
        with seed_torch(seed):
            return self.made()


class Small(nn.Module):
    """A first half of one convolution without bias, or one that forgets its records."""

    def __init__(self, forgets):
        super().__init__()
        self.layer, self.forgets = nn.Conv2d(1, 3, 3, padding=1, bias=False), forgets

    def forward(self, x):
        """Maps `[b 3 6 6]`."""
        return self.layer(torch.zeros_like(x) if self.forgets else x)


class Training(Client):
    """A small first half in training; a `Trained`. With `deaf` no gradient reaches it."""

    def __init__(self, inputs, *, forgets=False, deaf=False, recipe=None, seed=0):
        self.forgets, self.deaf = forgets, deaf
        recipe = recipe or Hyperparameters(optimizer="adam", lr=0.01)
        super().__init__(self.fresh(1000 + seed), inputs, torch.zeros(len(inputs), dtype=torch.long), recipe, seed)

    def fresh(self, seed):
        """Another one."""
        with seed_torch(seed):
            return Small(self.forgets)

    def returns(self, gradient):
        """Goes a step, or none."""
        super().returns(0 * gradient if self.deaf else gradient)


def game_of(seed, *, leaks, secret=False, noise=0.0, width=20, victims=60, auxiliary=300, weight=None):
    """A game and the truth about it: the victims' inputs and their attribute.

    Features are a linear map of the inputs with noise; where nothing leaks, they are noise alone.
    """
    rng = np.random.default_rng(seed)
    true, values = records(rng, victims)
    known, theirs = records(rng, auxiliary)
    half = Linear(
        torch.from_numpy(rng.normal(size=(36, width)).astype(np.float32)) if weight is None else weight, noise
    )

    def features(inputs):
        drawn = torch.from_numpy(rng.normal(size=(len(inputs), width)).astype(np.float32))
        return half.sent(inputs, rng) if leaks else drawn

    side = Auxiliary(features(known), known, brightness(known), np.arange(auxiliary))
    sought = Secret("side", ("left", "right"), np.arange(auxiliary), theirs) if secret else None
    rest = readout(half.features(known), side.labels)
    ids = np.arange(victims).astype(str)
    training = Training(true, forgets=not leaks, seed=seed)
    form = Layers(lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, half.weight.shape[1], bias=False)))
    game = SplitGame(ids, features(true), side, sought, asked=half, half=half, rest=rest, training=training, form=form)
    return game, (true, values)


def people(seed, count=700, persons=None):
    """Pictures `[n 1 6 6]` of ten classes, with the attribute, and whose they are."""
    inputs, values = records(np.random.default_rng(seed), count)
    ink = inputs.numpy().reshape(count, -1).mean(1)
    labels = np.argsort(np.argsort(ink)) * 4 // count  # the task is how bright the whole picture is
    return Dataset(
        inputs=inputs.numpy(),
        labels=labels.astype(np.int64),
        classes=tuple("abcd"),
        ids=np.array([f"{row:04d}" for row in range(count)]),
        attributes={
            "side": np.array(["left", "right"])[values],
            "same": np.zeros(count),
            "many": np.arange(count) % 50,
        },
        persons=None if persons is None else np.arange(count) // persons,
        noun="picture",
        part=True,
    )


def pictures(seed):
    """Records of an audit."""
    return people(0)


def albums(seed):
    """Records of an audit, five of each person."""
    return people(0, persons=5)


def galleries(seed):
    """Records of an audit of 12 persons, each in every part, whom the side and the brightness of a picture tell."""
    whole = people(0)
    rank = np.argsort(np.argsort(whole.inputs.reshape(700, -1).mean(1))) * 6 // 700
    who = np.char.add(whole.attributes["side"], rank.astype(str))
    return replace(whole, persons=who, attributes={"person": who, "side": whole.attributes["side"]})


def net(shape, classes):
    """A small network with names of layers."""
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(36, 24), nn.ReLU(inplace=True), nn.Linear(24, 8), nn.ReLU())
    return nn.Sequential(*backbone, nn.Linear(8, classes))


class Half(nn.Module):
    """Keeps the left half of a picture."""

    def forward(self, x):
        """The first three columns, flattened."""
        return x[..., :3].flatten(1)


def left(shape, classes):
    """A network that sees the left half of a picture alone."""
    return nn.Sequential(Half(), nn.Linear(18, 12), nn.ReLU(), nn.Linear(12, classes))


class Nothing(nn.Module):
    """Forgets all of a record but that it is one."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(36, 4)

    def forward(self, x):
        """The same numbers for every record."""
        return self.layer(0.0 * x.flatten(1))


def blind(shape, classes):
    """A network whose features tell nothing of a record."""
    return nn.Sequential(Nothing(), nn.ReLU(), nn.Linear(4, classes))


class Turned(nn.Module):
    """The same numbers in the opposite order."""

    def forward(self, x):
        """A copy."""
        return x.flip(1)


def turned(shape, classes):
    """A network whose answers hold all that its features hold."""
    return nn.Sequential(nn.Flatten(), nn.Linear(36, classes), Turned())


def audit(attacks=None, model="net", data="pictures", **threat):
    """An audit file of split that runs in seconds."""
    where = f"families.split.games:{data}"
    return {
        "name": "halves",
        "data": {
            "own": {"data": where, "rows": "0:200"},
            "queries": {"data": where, "rows": "200:320"},
            "others": {"data": where, "rows": "320:700", "disjoint": ["queries"]},
        },
        "stage": [
            {"name": "train", "data": "own", "model": f"families.split.games:{model}", "epochs": 20, "lr": 0.1}
        ],
        "threat": {
            "family": "split", "cuts": ["2", "4"] if model == "net" else ["1"], "auxiliary": "others",
            "victims": "queries", "attributes": ["side"], **threat,
        },
        "attack": attacks or [
            {"name": "ridge"},
            {"name": "decoder", "epochs": 12},
            {"name": "attribute_pool", "classifiers": ["logistic", "svm"]},
            {"name": "output_only", "mode": "attribute", "classifiers": ["logistic", "svm"]},
            {"name": "output_only", "mode": "input", "epochs": 12},
            {"name": "raw_input", "classifiers": ["logistic", "svm"]},
            {"name": "mean_input"},
        ],
    }  # fmt: skip
