"""Records from the representations that a source shows: exact behind linear layers, and hidden by noise."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from dosimeter.config.audit import parse
from dosimeter.families.exchange.attacks import RidgeInversion
from dosimeter.foundation.errors import AuditError
from dosimeter.jobs.store import Store
from dosimeter.pipeline.recipe.prepare import prepare
from families.exchange.games import BASE, WIDTH
from families.exchange.records.audits import done, records_table

ID = "ridge_inversion representations"


def wide(shape, classes):
    """A linear layer that loses nothing, and a last one."""
    return nn.Sequential(nn.Linear(shape[0], 2 * WIDTH), nn.Linear(2 * WIDTH, classes))


def asked(model="families.exchange.records.test_representations:wide", defenses=(), method="coral", batch=4, **threat):
    """An audit that reads representations."""
    raw = records_table(method, **threat)
    raw["stage"][-1] |= {"model": model, "defenses": list(defenses), "momentum": 0.0, "lr": 0.01, "batch_size": batch}
    raw["attack"] = [{"name": "ridge_inversion"}, {"name": "mean_record"}, {"name": "any_record"}]
    return raw


def errors(raw, folder):
    """What each attack comes to: errors of its records, and how near they are to those of other batches."""
    case = done(raw, folder)
    found = {}
    for row in case.running:
        (judge,) = case.judges(row)
        found[row.id] = judge.load()
    return found


def test_linear_layers_hide_no_record(tmp_path):
    found = errors(asked(), tmp_path)
    made, mean = (found[name]["error"].mean() for name in (ID, "mean_record"))
    assert made < 1e-4 * mean
    lineup = found[ID]["lineup"]  # of each place minus the error of each batch's record to what was made
    assert (lineup.argmax(-1) == np.arange(lineup.shape[1])).all()


def test_noise_hides_them_from_who_learns_behind_it_too(tmp_path):
    raw = asked(defenses=[{"name": "noise", "clip": 1.0, "scale": 30.0}])
    raw["stage"][-1]["alignment"] = 1e-9  # noise of this size would carry the layers away
    found = errors(raw, tmp_path)
    assert found[ID]["error"].mean() > 0.8 * found["mean_record"]["error"].mean()


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (asked(method="fedsgd"), "needs representations, which transfer 'fedsgd' does not send"),
        (
            asked(batch=2, victim="receiver", adversary="source"),
            "needs representations, which 'source' sends to 'receiver' alone",
        ),
        (asked(defenses=[{"name": "dp_moments"}]), "needs rows of representations, of which a defense tells moments"),
    ],
    ids=["gradients", "back", "moments"],
)
def test_where_no_rows_are_shown_it_is_refused_by_name(raw, line, tmp_path):
    with pytest.raises(AuditError) as caught:
        prepare(parse(raw, base=BASE), store=Store(tmp_path))
    assert any(line in problem for problem in caught.value.problems), caught.value.problems


@pytest.mark.parametrize("penalties", [(), (0.0, 1.0)])
def test_penalties_are_positive(penalties):
    with pytest.raises(ValueError, match="penalties must be positive numbers"):
        RidgeInversion(penalties=penalties)
