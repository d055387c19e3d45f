"""The page on the pretraining data says what was measured."""

import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import tmi_page

    yield tmi_page
    sys.modules.pop("tmi_page", None)


def test_the_page_is_what_the_stored_figures_say(page):
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.filled(text) == text


def test_the_bars_of_the_images_are_met_as_stored():
    found = json.loads((BENCHMARKS / "results" / "tmi_cifar10.json").read_text(encoding="utf-8"))
    for task, bars in (("a", (0.82, 0.20)), ("b", (0.73, 0.13))):
        tmi = found["tasks"][task]["attacks"]["tmi"]
        assert tmi["auc"][0] >= bars[0]
        assert tmi["tpr"][0] >= bars[1]


def test_the_page_says_what_classifiers_and_heads_cost(page):
    found = json.loads((BENCHMARKS / "results" / "tmi_cifar10.json").read_text(encoding="utf-8"))
    text = " ".join(page.PAGE.read_text(encoding="utf-8").split())
    speed, spent = found["classifiers"], [one["seconds"] for one in found["tasks"].values()]
    assert f"train {speed['ratio']:.0f} times as fast" in text
    assert f"({speed['seconds']:.0f} seconds; " in text
    assert f"within {speed['auc_difference']:.3f}" in text
    heads, features = (sum(one[part] for one in spent) for part in ("stage finetune", "features for stage finetune"))
    pretraining = spent[0]["models"]
    assert f"took {found['seconds'] / 60:.0f} minutes on two cores" in text
    assert found["machine"]["cores"] == 2
    sizes = ((3, 32, 16), (32, 64, 8), (64, 128, 4), (128, 128, 2))  # channels in and out, side of the pictures
    forward = 2 * sum(9 * before * after * side**2 for before, after, side in sizes)
    whole = 34 * 54_000 * 3 * forward
    assert f"{3 * forward / 1e6:.0f} million operations each" in text
    assert f"take {whole / 1e13:.1f} × 10^13, in {pretraining:.0f} seconds" in text
    assert f"{whole / pretraining / 2e9:.0f} thousand million a second" in text
    assert f"the heads of both tasks take {heads / pretraining:.1%}".replace("%", " %") in text
    assert f"the features that they are trained on {features / pretraining:.1%}".replace("%", " %") in text
