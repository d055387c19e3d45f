"""What a device sends: defenses of the cut act in order, on each record, and are checked."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

from dosimeter.defenses.sending import describe_release, send
from dosimeter.foundation.errors import TrainingError
from dosimeter.training.defending import DefenseRow, answering, sending
from dosimeter.training.recipe import ChangesAnswers, Release


@dataclass(frozen=True)
class Shift:
    """Adds a number, and noise."""

    paper: ClassVar[str] = "none; a toy"
    place: ClassVar[str] = "cut"
    ladder: ClassVar = ({"by": 1.0}, {"by": 2.0}, {"by": 3.0})
    by: float = 1.0
    noise: float = 0.0

    def send(self, features, rng):
        drawn = torch.from_numpy(rng.normal(size=tuple(features.shape))).float()
        return features * 2 + self.by + self.noise * drawn


@dataclass(frozen=True)
class Odd(Shift):
    """Gives what it must not."""

    what: str = "shape"

    def send(self, features, rng):
        if self.what == "raise":
            raise KeyError("lost")
        return {"shape": features[:, :1], "type": features.double(), "nan": features / 0, "none": None}[self.what]


def test_without_defenses_features_are_sent_as_they_are():
    features = torch.rand(5, 2, 3)
    assert send(features, (), np.random.default_rng(0)) is features


def test_defenses_act_in_order_and_draw_anew_for_each_record():
    features = torch.zeros(600, 2)
    rng = np.random.default_rng(0)
    assert send(features, (Shift(1.0), Shift(5.0)), rng)[0].tolist() == [7.0, 7.0]
    sent = send(features, (Shift(0.0, noise=1.0),), rng)
    assert len(torch.unique(sent)) == 1200  # fresh noise beyond the border of a batch too


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("shape", "got torch.float32"),
        ("type", "float64"),
        ("nan", "not finite"),
        ("none", "NoneType"),
        ("raise", "raised KeyError"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(what, said):
    with pytest.raises(TrainingError, match=said) as caught:
        send(torch.ones(3, 4), (Odd(what=what),), np.random.default_rng(0))
    assert len(caught.value.problems) == 1


def test_a_defense_of_the_cut_is_none_of_answers():
    rows = (DefenseRow("shift", "shift", Shift()),)
    assert isinstance(Shift(), Release)
    assert not isinstance(Shift(), ChangesAnswers)
    assert sending(rows) == (Shift(),)
    assert answering(rows) == ()
    assert describe_release(Shift(2.0))["by"] == 2.0
