"""I9 and P2 where persons have unequally many records, and the verdict's sentences about them."""

from types import SimpleNamespace

import numpy as np
import pytest

from dosimeter.families.membership.gates import numbers
from dosimeter.families.membership.gates.persons import few_persons
from dosimeter.families.membership.measures.detection_limit import detect
from dosimeter.families.membership.sentences import verdict
from dosimeter.statistics.evidence import Truth


def truth(inside, outside):
    record = np.repeat(np.arange(len(inside) + len(outside)), np.r_[inside, outside])
    return Truth(np.arange(len(record)), (record < len(inside))[None], record)


FEW = truth(np.ones(620, int), np.r_[np.ones(72, int), np.full(8, 150)])


def test_few_persons_who_carry_a_class_are_told():
    gate = few_persons(FEW)
    assert (gate.id, gate.status) == ("I9", "warn")
    assert gate.value == pytest.approx(7, abs=0.5)
    assert gate.message.startswith("The non-members are 80 persons, of whom 8 hold 94% of the records (7")
    assert "More persons would narrow them" in gate.message


def test_many_persons_pass_and_records_without_persons_are_not_asked():
    gate = few_persons(truth(np.full(50, 5), np.full(60, 5)))
    assert (gate.status, gate.value) == ("pass", pytest.approx(49))
    assert "the members are 50 persons (49 degrees of freedom)" in gate.message
    assert few_persons(truth(np.ones(50, int), np.ones(4, int))) is None


def test_no_limit_is_promised_where_few_persons_carry_a_class():
    truth_ = truth(np.full(60, 5), np.r_[np.full(60, 2), np.full(4, 300)])
    material = SimpleNamespace(drawn=False, truth=truth_, leading=0.1)
    measured = SimpleNamespace(pairs={0.1: None})
    found = getattr(detect, "__wrapped__", detect)(material, measured, "a")
    assert (found.tpr, found.auc, found.worlds) == (None, None, 0)


def test_p2_counts_persons_of_equal_size():
    short, enough = (numbers.too_few_nonmembers(FEW, 0.1, have) for have in (9.0, 80.0))
    assert short.status == "warn"
    assert "80 distinct non-members, worth 9 of equal size, cannot certify" in short.message
    assert "they certify at best 28.31%" in short.message
    assert enough.status == "pass"
    assert "worth" not in enough.message


def test_a_verdict_that_few_persons_silence_says_so():
    first, second = verdict.too_small_sentences(80, 29, "photo", worth=9.0)
    assert (
        "few of its 80 persons with unused photos hold most of them, so that they are worth 9.0 of equal size" in first
    )
    assert "Give it more persons" in second
    first, second = verdict.too_small_sentences(80, 29, "photo", worth=9.0, named=False)
    assert "few of its 80 different unused photos stand there most often" in first
    assert "more different photos" in second
    assert "it has 20 distinct unused photos" in verdict.too_small_sentences(20, 29, "photo", worth=9.0)[0]
