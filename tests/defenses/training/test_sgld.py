"""SGLD where one organisation trains: the stationary law of its steps on a quadratic, and no noise as no defense."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from audits import BASE, table
from torch import nn

from defenses.twins import CPU, C, data
from dosimeter.config.audit import parse
from dosimeter.defenses import SGLD, Dropout
from dosimeter.foundation.errors import ConfigError
from dosimeter.models.architectures import mlp
from dosimeter.pipeline import verbs
from dosimeter.training.defending import DefenseRow, with_defenses
from dosimeter.training.heads import train_heads
from dosimeter.training.language.stage import unfit_defenses
from dosimeter.training.loop import train
from dosimeter.training.recipe import Hyperparameters

PLAIN = Hyperparameters(epochs=6, batch_size=8, lr=0.2, momentum=0.0)


@dataclass(frozen=True)
class Quadratic:
    """A loss of ½ a Σ (z − centre)², whatever the record."""

    paper: ClassVar[str] = "none"
    place: ClassVar[str] = "loss"
    ladder: ClassVar[tuple[dict[str, float], ...]] = ({},)

    curvature: float = 1.0
    centre: float = 0.0

    def loss(self, logits, labels, epoch):
        return (0.5 * self.curvature * (logits - self.centre).square().sum(-1)).mean(-1)


@dataclass(frozen=True)
class Silent:
    """Noise of deviation 0."""

    paper: ClassVar[str] = "none"
    place: ClassVar[str] = "step"
    ladder: ClassVar[tuple[dict[str, float], ...]] = ({},)

    def deviation(self, rate):
        return 0.0


class Vector(nn.Module):
    """Answers with its own parameters."""

    def __init__(self, numbers):
        super().__init__()
        self.numbers = nn.Parameter(torch.zeros(numbers))

    def forward(self, x):
        return self.numbers.expand(len(x), -1)


def test_a_model_ends_in_the_stationary_law_of_a_quadratic():
    """θ' = (1 − ηa) θ + ηa m + s √η ξ has mean m and variance s² η / (1 − (1 − ηa)²) = s² / (a (2 − ηa))."""
    rate, a, m, s = 0.1, 2.0, 0.5, 0.3
    hp = Hyperparameters(
        epochs=60, batch_size=1, lr=rate, momentum=0.0, defenses=(Quadratic(a, m), SGLD(scale=s))
    )  # fmt: skip
    model = Vector(20_000)
    train(model, torch.zeros(1, 1), torch.zeros(1, dtype=torch.int64), hp, seed=3, device=CPU)
    found = model.numbers.detach().double()
    wanted = s**2 / (a * (2 - rate * a))
    assert float(found.mean()) == pytest.approx(m, abs=5 * (wanted / 20_000) ** 0.5)
    assert float(found.var()) == pytest.approx(wanted, rel=5 * (2 / 20_000) ** 0.5)


def test_heads_that_train_together_each_end_in_that_law():
    """Of the logit w + b of a feature 1 with weight decay λ: variance 2 s² / (c (2 − ηc)) with c = 2 + λ."""
    rate, decay, s, classes = 0.1, 0.5, 0.2, 4000
    hp = Hyperparameters(
        epochs=60, batch_size=1, lr=rate, momentum=0.0, weight_decay=decay, defenses=(Quadratic(), SGLD(scale=s))
    )  # fmt: skip
    heads = train_heads(
        torch.ones(1, 1), torch.zeros(1, dtype=torch.int64), np.zeros((3, 1), np.int64), hp, classes=classes,
        seeds=[1, 2, 3], device=CPU,
    )  # fmt: skip
    logits = (heads.weight[:, :, 0] + heads.bias).double()
    c = 2 + decay
    wanted = 2 * s**2 / (c * (2 - rate * c))
    for own in logits:
        assert float(own.mean()) == pytest.approx(0, abs=5 * (wanted / classes) ** 0.5)
        assert float(own.var()) == pytest.approx(wanted, rel=5 * (2 / classes) ** 0.5)
    between = np.corrcoef(logits.numpy())[np.triu_indices(3, 1)]
    assert np.abs(between).max() < 5 / classes**0.5  # each has random numbers of its own


def test_noise_of_size_nothing_is_no_defense():
    features, labels, rows = data()
    weights = []
    for defenses in ((), (Silent(),)):
        hp = replace(PLAIN, defenses=(Dropout(rate=0.5), *defenses))
        torch.manual_seed(0)
        model = mlp((features.shape[1],), C, width=16)
        train(model, features, labels, hp, seed=3, device=CPU)
        heads = train_heads(features, labels, rows, hp, classes=C, seeds=[1, 2, 3, 4], device=CPU)
        weights.append([*model.state_dict().values(), heads.weight, heads.bias])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def audit(stage):
    """A small audit of one stage."""
    return {
        "stage": [{"name": "train", "data": "digits", "model": "mlp", "momentum": 0.0, **stage}],
        "threat": {"shadows": 2, "targets": 2},
        "attack": [{"name": "loss"}],
        "defense": [{"name": "sgld"}],
    }


@pytest.mark.parametrize(
    ("stage", "line"),
    [
        ({"momentum": 0.9}, "defense[0]: sgld is defined for steps without momentum, got momentum = 0.9: set 0"),
        ({"optimizer": "adam"}, "defense[0]: sgld is defined for steps of SGD, got optimizer = 'adam': use 'sgd'"),
        (
            {"defenses": [{"name": "dp_sgd", "epsilon": 8.0}]},
            "defense[0]: dp_sgd adds noise to every step, and says what that guarantees, got sgld too: keep one",
        ),
        (
            {"defenses": [{"name": "sgld", "id": "other"}]},
            "defense[0]: one of them adds noise to the steps, got sgld and sgld: keep one",
        ),
        ({"fit": "package.module:fit"}, "defense[0]: sgld changes the built-in training, got a stage with `fit`"),
    ],
)
def test_where_it_cannot_act_is_said_in_one_line(stage, line):
    with pytest.raises(ConfigError) as caught:
        parse(audit(stage), base=BASE)
    (problem,) = caught.value.problems
    assert problem.startswith(line)


def test_a_recipe_that_another_defense_gives_momentum_is_refused():
    class Heavier(Silent):
        def recipe(self, hp):
            return replace(hp, momentum=0.5)

    rows = [DefenseRow("heavier", "m:Heavier", Heavier()), DefenseRow("sgld", "sgld", SGLD())]
    with pytest.raises(ConfigError, match="defense 'sgld': sgld is defined for steps without momentum"):
        with_defenses(PLAIN, rows)


def test_a_stage_of_texts_takes_it():
    unfit_defenses([SGLD()], "stage 'tune'")
    with pytest.raises(ConfigError, match="defense Dropout needs records with a class"):
        unfit_defenses([SGLD(), Dropout(rate=0.5)], "stage 'tune'")
    texts = torch.from_numpy(np.random.default_rng(0).integers(5, size=(12, 6)))
    trained = []
    for defenses in ((), (SGLD(scale=0.1),)):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5))
        train(model, texts, texts, replace(PLAIN, epochs=1, defenses=defenses), seed=3, device=CPU)
        trained.append(model[1].weight.detach())
    assert float((trained[0] - trained[1]).abs().max()) > 1e-3


@pytest.mark.slow
def test_the_noise_does_not_depend_on_how_many_processes_train(tmp_path):
    raw = table()
    raw["stage"] = [
        {**raw["stage"][0], "name": "before", "rows": "400:700", "model": "mlp", "momentum": 0.0},
        {
            "name": "heads",
            "data": "digits",
            "rows": "0:400",
            "transfer": "head",
            "epochs": 3,
            "lr": 0.05,
            "momentum": 0.0,
        },
    ]
    raw["stage"][0]["defenses"] = [{"name": "sgld"}]
    raw |= {"attack": [{"name": "loss"}], "defense": [{"name": "sgld", "scale": 0.05}]}
    entries, estimates = [], []
    for workers in (1, 2):
        store, run = tmp_path / f"store{workers}", tmp_path / f"run{workers}"
        verbs.run(parse(raw, base=BASE), run, store=store, workers=workers)
        entries.append({one.relative_to(store): one.read_bytes() for one in store.rglob("*.safetensors")})
        estimates.append(json.loads((run / "result.json").read_text("utf-8"))["threats"][0]["estimates"])
    assert len(entries[0]) > 3
    assert entries[0] == entries[1]
    assert estimates[0] == estimates[1]
    assert {one["variant"] for one in estimates[0]} == {"none", "sgld-0.05"}
