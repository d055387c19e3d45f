"""The question on real pictures by the public door: which digits a party has, and a coin that moves nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dosimeter.config.audit import parse
from dosimeter.data import Dataset, load
from dosimeter.pipeline import verbs
from families.exchange.games import BASE


def drawn(seed):
    """Digits in random order, even or odd by the task; private is whether one is below 5, and a coin of its own."""
    whole, rng = load("digits"), np.random.default_rng(3)
    coin, order = rng.integers(2, size=len(whole)), rng.permutation(len(whole))
    names = np.array(["no", "yes"])
    return Dataset(
        inputs=whole.inputs[order], labels=(whole.labels % 2)[order], classes=("even", "odd"), ids=whole.ids[order],
        noun="digit", part=True,
        attributes={"small": names[(whole.labels < 5).astype(int)][order], "coin": names[coin][order]},
    )  # fmt: skip


def audit(asked):
    """One audit of the question, about one attribute."""
    whole = {"data": "families.exchange.distribution.test_real_records:drawn"}
    rows = {"source": "0:1000", "receiver": "1000:1032", "own": "1032:1532", "later": "1532:1797"}
    return {
        "name": "digits", "data": {name: {**whole, "rows": own} for name, own in rows.items()},
        "stage": [{
            "name": "joint", "transfer": "fedsgd", "model": "mlp", "options": {"width": 16}, "test": "later",
            "parties": {"source": "source", "receiver": "receiver"}, "batch_size": 16, "lr": 0.1, "momentum": 0.0,
        }],
        "threat": {
            "family": "exchange", "question": "distribution", "victim": "source", "adversary": "receiver",
            "property": asked, "value": "yes", "auxiliary": "own", "mixtures": [[0.9, 0.1]], "steps": 60,
            "targets": 16, "shadows": 16,
        },
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("asked", "told"), [("small", True), ("coin", False)])
def test_which_digits_a_party_has_is_told_and_a_coin_is_not(asked, told, tmp_path):
    """Where the coin is asked of, both worlds have the same distribution of pictures and classes."""
    verbs.run(parse(audit(asked), base=BASE), tmp_path / "run", workers=1)
    (threat,) = json.loads((tmp_path / "run" / "result.json").read_text("utf-8"))["threats"]
    areas = {row["attack"]: row["value"] for row in threat["estimates"] if row["metric"] == "distribution_auc"}
    assert (threat["verdict"]["status"] == "shown") == told, areas
    assert not [one for one in threat["gates"] if one["status"] == "fail"]
    if told:
        assert max(areas["distribution_inference logits"], areas["set_property gradient"]) > 0.9, areas
