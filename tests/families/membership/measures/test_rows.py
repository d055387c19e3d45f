"""Rows of membership: a measure of scores and truth needs two lines beside its statistic."""

import dataclasses

from audits import QUICK, gaussian, material

from dosimeter.families.membership import metrics
from dosimeter.families.membership.measure import measure
from dosimeter.results.metrics import Metric
from dosimeter.statistics.rates import auc


def worse(scores, truth, *, rng):
    """The AUC of the opposite scores."""
    return auc(dataclasses.replace(scores, values=-scores.values), truth, rng=rng)


def test_a_further_measure_is_a_row_of_every_attack(monkeypatch):
    made = material(*gaussian(1, leakage=2.0, n=100, z=20), rows=QUICK[:2])
    before = measure(made).estimates
    monkeypatch.setitem(metrics.DIRECT, "worse", f"{__name__}:worse")
    monkeypatch.setitem(metrics.METRICS, "worse", Metric("auc"))
    found = measure(made).estimates
    own = {row.attack: row for row in found if row.metric == "worse"}
    assert own.keys() == {row.id for row in QUICK[:2]}
    for attack, row in own.items():
        (direct,) = [one for one in before if one.metric == "auc" and one.attack == attack]
        assert abs(row.value + direct.value - 1) < 1e-9
        assert row.unit == "auc"
    assert tuple(row for row in found if row.metric != "worse") == before
