"""What the few-shot attacks find on the miniature: the stored figures, and the same measured anew (slow)."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from oracles import auc

from dosimeter.families.membership.attacks import LaplacianShot, Loss, SimpleShot, TransductiveTuning

ROOT = Path(__file__).parents[5]
RELEASED = 0.03
"""Most that the AUC of an attack as released may differ from 0.5: it does not read the label."""


@pytest.fixture(scope="module")
def stored():
    return json.loads((ROOT / "benchmarks" / "results" / "few_shot.json").read_text("utf-8"))


def test_all_portions_are_there(stored):
    rows = stored["table"]
    kinds = {name.split(",")[0] for name in rows}
    assert kinds == {"loss", "lira", "rmia", "base", "simple_shot", "laplacian_shot", "transductive_tuning"}
    for name, row in rows.items():
        assert row["targets"] == (8 if name.startswith("transductive_tuning") else 24)


def test_as_released_they_are_at_chance(stored):
    rows = {name: row for name, row in stored["table"].items() if "as released" in name}
    assert len(rows) == 9
    for name, row in rows.items():
        assert abs(row["auc"][0] - 0.5) < RELEASED, name
        assert row["labels"] == 2 * (int(name.split(", ")[2].split()[0]) + 15)


def test_mended_they_come_near_the_loss_attack_and_not_near_shadows(stored):
    rows = stored["table"]
    assert abs(rows["simple_shot, 10 shots"]["over"]["loss"]["auc"][0]) < 0.02
    assert rows["simple_shot, base-relative, 10 shots, 4 shadows"]["over"]["loss"]["auc"][1] > 0
    for name, row in rows.items():
        for other, own in row.get("over", {}).items():
            if other.startswith("lira"):
                assert own["auc"][2] < 0, (name, other)


def test_the_page_shows_the_stored_figures(stored):
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import few_shot
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    text = few_shot.PAGE.read_text("utf-8")
    assert few_shot.put(text, stored["table"]) == text
    assert few_shot.said([0.001, -0.002, 0.004]) == "adds nothing here: +0.001 (−0.002 to +0.004)"
    assert few_shot.said([-0.003, -0.004, -0.002]) == "−0.003 (−0.004 to −0.002)"


@pytest.mark.slow
def test_the_miniature_anew():
    """Section 8.2 of the notes at full size, on a fleet that is trained here: 8 targets, 1,900 records each."""
    from families.membership.attacks.miniature import fleet

    game, member, accuracies = fleet(3, known=100)
    assert accuracies["train"] > 0.99

    def found(attack, shadows=2):
        scores = attack.run(game(shadows), np.random.default_rng(0)).values
        return np.array([auc(row, bits) for row, bits in zip(scores, member, strict=True)])

    loss = found(Loss())
    for shots in (1, 5, 10):
        for kind in (SimpleShot, LaplacianShot):
            assert abs(found(kind(shots, "as_released")).mean() - 0.5) < RELEASED
            assert found(kind(shots)).mean() > 0.6
    assert abs(found(SimpleShot(10)).mean() - loss.mean()) < 0.03
    assert found(SimpleShot(10, features="base-relative"), 4).mean() > loss.mean() + 0.02
    assert found(SimpleShot(5, meta=True, features="base-relative"), 4).mean() > loss.mean() + 0.03
    assert abs(found(TransductiveTuning(1, "as_released")).mean() - 0.5) < RELEASED
