"""What holds for every defense of the registry, in every setting of its ladder."""

import dataclasses
import inspect
import pickle
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from defenses.twins import CPU, C, data
from dosimeter.config.defense_rows import defense_rows
from dosimeter.defenses import DEFENSES
from dosimeter.defenses.query import guard
from dosimeter.models.architectures import mlp
from dosimeter.models.bottleneck import with_bottleneck
from dosimeter.training.defending import HIDDEN, METHODS, answering, with_defenses
from dosimeter.training.distillation import pupil, soft_labels, teach_heads, teacher
from dosimeter.training.loop import train
from dosimeter.training.recipe import Defense, Hyperparameters, PutsBottleneck

every = pytest.mark.parametrize("name", DEFENSES)
TRAINED = {name: kind for name, kind in DEFENSES.items() if kind.place not in ("cut", "joint")}
"""Defenses that change what is trained or answered; the others have contracts of their own."""
every_setting = pytest.mark.parametrize(
    ("name", "settings"), [(name, one) for name, kind in TRAINED.items() for one in kind.ladder], ids=str
)
OF_HEADS = [name for name, kind in TRAINED.items() if not isinstance(kind(**kind.ladder[0]), HIDDEN)]
"""Defenses that act where only the last layer is trained."""
PLAIN = Hyperparameters(epochs=6, batch_size=8, lr=0.2, momentum=0.0)
WRONG = {
    "l2": [{"weight_decay": 0.0}, {"weight_decay": float("nan")}],
    "early_stopping": [{"share": 1.0}, {"share": 0.0}],
    "dropout": [{"rate": 1.0}, {"rate": 0.0}],
    "mid": [{"beta": 0.0}, {"beta": float("inf")}],
    "bido": [{"lambda_x": -0.1}, {"lambda_y": -1.0}, {"width": 0.0}],
    "adversarial": [
        {"cut": "backbone", "weight": -1.0},
        {"cut": "backbone", "steps": 0},
        {"cut": "backbone", "ramp": 1.5},
        {"cut": "backbone", "pool": 0},
    ],
    "label_smoothing": [{"epsilon": 1.0}, {"epsilon": -0.1}],
    "negative_label_smoothing": [{"alpha": 0.0}, {"alpha": -1.5}, {"start": 1.0}, {"start": 0.6, "full": 0.5}],
    "relax_loss": [{"alpha": -1.0}],
    "hamp": [{"entropy": 1.0}, {"regularise": -1.0}],
    "dp_sgd": [
        {"epsilon": 0.0},
        {"epsilon": 101.0},
        {"noise_multiplier": 0.0},
        {"epsilon": 1.0, "delta": 1.0},
        {"epsilon": 1.0, "clip": 0.0},
    ],
    "selena": [{"submodels": 1, "out": 1}, {"submodels": 5, "out": 5}],
    "top_k": [{"k": 0}],
    "rounding": [{"decimals": 0}],
    "masking": [{"ranks": 0}],
    "nopeek": [{"alpha": 0.0}, {"alpha": -1.0}],
    "noise": [{"scale": 0.0}, {"clip": 0.0}, {"delta": 1.0}],
    "mask": [{"rate": 0.0}, {"rate": 1.0}],
    "sign": [{"scale": 0.0}],
    "sparsify": [{"keep": 0.0}, {"keep": 1.0}],
    "quantise": [{"bits": 0}, {"bits": 17}],
    "null_space": [{"tolerance": 1.0}, {"tolerance": -0.1}],
    "fisher_noise": [{"target": 0.0}, {"probes": 0}],
    "learned_noise": [
        {"scale": 0.0},
        {"weight": -0.1},
        {"weight": float("nan")},
        {"tensors": 1},
        {"tensors": 1001},
        {"steps": 0},
    ],
    "vib": [{"beta": 0.0}, {"beta": -1.0}],
    "compress": [{"keep": 0.0}, {"keep": 1.0}, {"how": "quantise", "bits": 17}],
    "dp_moments": [{"scale": 0.0}, {"clip": 0.0}, {"delta": 1.0}],
    "sgld": [{"scale": 0.0}],
    "mixup": [{"alpha": 0.0}],
    "secure_sum": [{"bits": 3}, {"bits": 41}],
}


def rows_of(name, settings):
    (row,), problems = defense_rows(({"name": name, **settings},), None, "defense")
    assert problems == []
    return (row,)


def heads(name, settings, seeds=(1, 2, 3, 4)):
    """Heads under a defense, and their answers as they are released."""
    features, labels, rows = data()
    row = rows_of(name, settings)
    trained = teach_heads(
        features, labels, rows, with_defenses(PLAIN, row), classes=C, seeds=list(seeds), device=CPU
    )  # fmt: skip
    weight, bias = trained.weight[0].double(), trained.bias[0].double()
    answer = guard(lambda x: x.double() @ weight.T + bias, answering(row), seed=9)
    return torch.log_softmax(answer(features), 1) if not answering(row) else answer(features)


def network(name, settings):
    """Answers of a perceptron trained under a defense."""
    features, labels, _ = data()
    row = rows_of(name, settings)
    gentle = PLAIN if name in OF_HEADS else replace(PLAIN, lr=0.05)  # the square of a bottleneck's noise diverges
    hp = with_defenses(gentle, row)

    def fresh(seed):
        torch.manual_seed(seed)
        model = mlp((features.shape[1],), C, width=16)
        putting = [one for one in hp.defenses if isinstance(one, PutsBottleneck)]
        return with_bottleneck(model, putting[0].bottleneck, features[:2], None) if putting else model

    def part(seed, own):
        model = fresh(seed % 1000)
        train(model, features[own], labels[own], pupil(hp), seed=seed, device=CPU)
        return torch.softmax(model(features).detach(), 1)

    found, model = teacher(hp), fresh(0)
    wanted = labels if found is None else soft_labels(found, len(features), 3, part)
    train(model, features, wanted, pupil(hp), seed=3, device=CPU)
    answer = guard(lambda x: model(x).detach(), answering(row), seed=9)
    return torch.log_softmax(answer(features).double(), 1) if not answering(row) else answer(features)


@every
def test_frozen_documented_and_cited(name):
    kind = DEFENSES[name]
    defense = kind(**kind.ladder[0])
    assert isinstance(defense, Defense)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(defense, dataclasses.fields(kind)[0].name, None)
    text = inspect.getdoc(kind)
    for word in ("Paper:", "Stronger:", "Deviations:", "Cost:"):
        assert word in text
    assert re.search(r"\d{4}, https://arxiv\.org/abs/[\d.]+$", defense.paper)
    for field in dataclasses.fields(kind):
        assert f"    {field.name}: " in text, f"{name}.{field.name} is not documented"
    assert kind.place in ("recipe", "model", "loss", "step", "training", "outputs", "cut", "joint")
    assert any(callable(getattr(kind, method, None)) for method in METHODS)
    assert len({str(one) for one in kind.ladder}) >= 3
    assert pickle.loads(pickle.dumps(defense)) == defense


@pytest.mark.parametrize(("name", "settings"), [(name, one) for name in WRONG for one in WRONG[name]], ids=str)
def test_settings_are_checked_in_one_line(name, settings):
    assert WRONG.keys() == DEFENSES.keys()
    built, problems = defense_rows(({"name": name, **settings},), None, "defense")
    assert built == ()
    (line,) = problems
    assert re.match(r"defense\[0\]: \w+ must be in [\[(].+, got \S+: correct the row$", line), line


@every_setting
def test_the_same_twice_and_finite(name, settings):
    for one in (heads, network) if name in OF_HEADS else (network,):
        first, second = one(name, settings), one(name, settings)
        assert torch.equal(first, second)
        assert not bool(torch.isnan(first).any())


@pytest.mark.parametrize("name", TRAINED)
def test_the_strongest_setting_changes_what_is_trained_or_answered(name):
    strongest = DEFENSES[name].ladder[-1]
    if name not in OF_HEADS:
        weakened = {"mid": {"beta": 1e-9}, "bido": {"lambda_x": 0.0, "lambda_y": 0.0}, "nopeek": {"alpha": 1e-9}}
        weakened["adversarial"] = {"cut": "backbone", "weight": 0.0}
        assert float((network(name, strongest).exp() - network(name, weakened[name]).exp()).abs().max()) > 0.01
        return
    features, labels, rows = data()
    plain = teach_heads(features, labels, rows, PLAIN, classes=C, seeds=[1, 2, 3, 4], device=CPU)
    logits = features.double() @ plain.weight[0].double().T + plain.bias[0].double()
    assert float((heads(name, strongest).exp() - torch.softmax(logits, 1)).abs().max()) > 0.01


@pytest.mark.parametrize("name", OF_HEADS)
def test_heads_do_not_depend_on_each_other(name):
    features, labels, rows = data()
    hp = with_defenses(PLAIN, rows_of(name, DEFENSES[name].ladder[1]))
    together = teach_heads(features, labels, rows, hp, classes=C, seeds=[1, 2, 3, 4], device=CPU)
    alone = teach_heads(features, labels, rows[2:3], hp, classes=C, seeds=[3], device=CPU)
    torch.testing.assert_close(together.weight[2], alone.weight[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(together.bias[2], alone.bias[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [name for name, kind in DEFENSES.items() if kind.place == "outputs" or name == "hamp"])
def test_released_probabilities_are_probabilities_and_keep_the_label(name):
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(np.concatenate([rng.normal(0, scale, (300, 6)) for scale in (0.01, 1, 5, 40)]))
    given = torch.softmax(logits, 1)
    noise = torch.softmax(torch.from_numpy(rng.normal(0, 2, logits.shape)), 1)
    for settings in DEFENSES[name].ladder:
        shown = DEFENSES[name](**settings).release(given, lambda: noise)
        assert shown.shape == given.shape
        assert float(shown.min()) >= 0
        torch.testing.assert_close(shown.sum(1), torch.ones(len(given), dtype=shown.dtype), rtol=1e-9, atol=1e-9)
        assert torch.equal(shown.argmax(1), given.argmax(1))
