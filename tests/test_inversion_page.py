"""The tables on characters of `docs/inversion.md` are those of the stored figures, and matched models are matched."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module("inversion_page")
    for name in ("inversion_page", "inversion_characters", "machine"):
        sys.modules.pop(name, None)


@pytest.fixture
def stored():
    return json.loads((ROOT / "benchmarks" / "results" / "inversion_characters.json").read_text("utf-8"))


def model(accuracy, letters):
    """A variant whose strongest attack hits the classes with a 1."""
    hits = {"recognised": letters, "classified": letters, "accepted": letters}
    none = dict.fromkeys(hits, "0" * len(letters))
    attacks = {"ppa": hits, "ppa views": none, "brep_mi": none, "prior_best": none}
    return {"utility": {"accuracy": [accuracy, 0, 1], "perturbed_accuracy": [accuracy, 0, 1]}, "attacks": attacks}


def test_a_defended_model_stands_beside_undefended_ones_of_its_accuracy(page):
    variants = {"none": model(0.9, "1111"), "stopped-8": model(0.5, "0000"), "stopped-20": model(0.8, "1100")}
    assert page.beside(variants, 0.85).tolist() == pytest.approx([1, 1, 0.5, 0.5])
    assert page.beside(variants, 0.65).tolist() == pytest.approx([0.5, 0.5, 0, 0])
    assert page.beside(variants, 0.905).tolist() == [1, 1, 1, 1]  # within a point
    assert page.beside(variants, 0.48) is None
    assert page.beside(variants, 0.95) is None


def test_an_interval_over_classes_holds_the_mean_and_shrinks_with_seeds_that_agree(page):
    rng = np.random.default_rng(0)
    hits = (rng.random((3, 46)) < 0.5).astype(float)
    for values in (hits[:1], hits):
        value, low, high = page.ends(values)
        assert value == pytest.approx(values.mean())
        assert low < value < high
    one, three = (page.ends(values) for values in (hits[:1], hits))
    assert three[2] - three[1] < one[2] - one[1]
    assert page.ends(np.ones((2, 5))) == (1, 1, 1)


def test_the_slope_over_depths_is_that_of_a_line(page):
    """Accuracies are all alike, and each frozen block takes one class more."""
    run = {"none": model(0.9, "1111"), "stopped-8": model(0.5, "1111")}
    run |= {"last-3": model(0.9, "1110"), "last-2": model(0.9, "1100"), "last-1": model(0.9, "1000")}
    assert page.slopes({"main": {"0": {"variants": run}}}, "main")[0] == pytest.approx(-0.25)


def test_the_page_has_the_stored_figures(page, stored):
    text = (ROOT / "docs" / "inversion.md").read_text("utf-8")
    assert page.filled(text) == text
    assert {name for name in page.TABLES if f"<!-- table: {name} -->" in text} == set(page.TABLES)
    assert all(run["identities"] >= 40 for run in stored["main"].values())


def _changes(page, stored, step, name):
    """Points by which a variant changes the strongest attack at matched accuracy, with the ends of its interval."""
    runs = [run["variants"] for run in stored[step].values()]
    found = [page.strongest(one[name]) - page.beside(one, page.accuracy(one[name])) for one in runs]
    return [round(100 * one) for one in page.ends(np.stack(found))]


def test_the_text_says_what_the_figures_say(page, stored):
    """Figures that the page and the README quote, and the words that they carry."""
    text, readme = ((ROOT / name).read_text("utf-8") for name in ("docs/inversion.md", "README.md"))
    assert "the slope over depths is {:+.0f} points for each block ({:+.0f} to {:+.0f})".format(
        *(100 * one for one in page.slopes(stored, "main"))
    ) in " ".join(text.split())
    last_3, last_2, last_6 = (
        _changes(page, stored, *place) for place in (("main", "last-3"), ("main", "last-2"), ("vgg", "last-6"))
    )
    assert f"`last-3` and `last-2` make {-last_3[0]} and {-last_2[0]} points fewer" in text
    assert f"`last-6` makes {last_6[0]} points more recognisable and not fewer ({last_6[1]} to {last_6[2]:+};" in text
    assert last_3[2] > 0 >= last_2[2]
    assert last_6[1] < 0 < last_6[2]
    claim = "{} points ({} to {:+}) and {} ({} to {}) on one network, and by {:+} ({} to {:+}) on another"
    told = claim.format(*last_3, *last_2, *last_6)
    assert f"strongest attack changed by {told}" in " ".join(readme.split())
    undefended = [page.hits(run["variants"]["none"], "ppa").mean() for run in stored["main"].values()]
    assert (
        "Without a defense {:.0f} %, {:.0f} % and {:.0f} % are recognised from the three models".format(
            *(100 * one for one in undefended)
        )
        in text
    )
    aucs = [own["lira online"]["auc"] for own in stored["membership"]["0"]["membership"].values()]
    assert max(one[0] for one in aucs) - min(one[0] for one in aucs) < 0.01
