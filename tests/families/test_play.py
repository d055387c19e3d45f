"""What plays of all families share: whose fault an error is, and which evidence is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.attacks.controls import Constant
from dosimeter.families.play import blamed, check_reconstructions, log_scores
from dosimeter.foundation.errors import AuditError, DataError

ROW = NamedAttack("mine", "constant", Constant())


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ZeroDivisionError("by nothing"), "attack 'mine': raised ZeroDivisionError: by nothing ("),
        (SystemExit(3), "attack 'mine': raised SystemExit: 3"),
        (DataError("records: must be there, got none"), "attack 'mine': raised records: must be there, got none ("),
    ],
    ids=["fault", "exit", "ours"],
)
def test_what_an_attack_raises_is_told_with_its_name(error, told):
    with pytest.raises(AuditError, match=f"^{re.escape(told)}"), blamed(ROW):
        raise error


def test_log_scores_are_stored_as_they_are():
    values = np.array([[[-1.5, -0.25], [-np.inf, 0.0], [-0.5, -0.5]]], dtype=np.float32)
    found = log_scores(ROW, values, (3, 2))
    assert found["guesses"].dtype == torch.float64
    assert np.array_equal(found["guesses"].numpy(), values[0].astype(np.float64))


@pytest.mark.parametrize(
    "values",
    [np.zeros((3, 2)), np.zeros((1, 2, 2)), np.full((1, 3, 2), np.nan), np.full((1, 3, 2), np.inf)],
    ids=["no target", "too few", "nan", "infinite"],
)
def test_other_log_scores_are_refused(values):
    told = f"attack 'mine': must give log-scores of shape (1, 3, 2) without NaN, got {values.shape}: correct it"
    with pytest.raises(AuditError, match=re.escape(told)):
        log_scores(ROW, values, (3, 2))


def test_reconstructions_have_a_place_for_each_of_those_they_are_of():
    check_reconstructions(ROW, np.zeros((1, 3, 2, 4, 5)), 3, (4, 5), "victim")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.zeros((1, 3)), "must give reconstructions of shape (1, 3, 'k', 4), got (1, 3): correct it"),
        (np.zeros((1, 2, 1, 4)), "must give reconstructions of shape (1, 3, 'k', 4), got (1, 2, 1, 4): correct it"),
        (np.zeros((2, 3, 1, 4)), "must give reconstructions of shape (1, 3, 'k', 4), got (2, 3, 1, 4): correct it"),
        (np.zeros((1, 3, 1, 5)), "must give reconstructions of shape (1, 3, 'k', 4), got (1, 3, 1, 5): correct it"),
        (np.zeros((1, 3, 0, 4)), "must give finite reconstructions of each victim: correct it"),
        (np.full((1, 3, 1, 4), np.nan), "must give finite reconstructions of each victim: correct it"),
    ],
    ids=["flat", "too few", "two targets", "another record", "none", "nan"],
)
def test_other_reconstructions_are_refused(values, told):
    with pytest.raises(AuditError, match=re.escape(f"attack 'mine': {told}")):
        check_reconstructions(ROW, values, 3, (4,), "victim")
