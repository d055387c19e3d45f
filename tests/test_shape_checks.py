"""Annotations are checked as jaxtyping checks them: each argument, the result, and the names of axes among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jaxtyping
import numpy as np
import pytest
from beartype import beartype
from jaxtyping import Float, TypeCheckError
from shape_checks import jaxtyped

from dosimeter.statistics.intervals.crossed import clopper_pearson, rate_interval
from dosimeter.statistics.intervals.margins import Margins, Ratio

if TYPE_CHECKING:
    from nowhere import Unknown

OURS = pytest.param(jaxtyped, id="lean")
BOTH = pytest.mark.parametrize("decorate", [OURS, pytest.param(jaxtyping._decorator.jaxtyped, id="jaxtyping")])


def total(x: Float[np.ndarray, "t n"], weights: Sequence[Float[np.ndarray, " n"]], scale: float = 1.0, *, by=1):
    return scale * by * sum((x * weight).sum() for weight in weights)


def halves(x: Float[np.ndarray, " n"], wrong: bool) -> Float[np.ndarray, " n"]:
    return x[::2] if wrong else x / 2


def steps(x: Float[np.ndarray, " n"]) -> Iterator[float]:
    yield from x


def unknown(x: Unknown, n: int) -> int:
    return n


def pair():
    @dataclass
    class Pair:
        a: Float[np.ndarray, " n"]
        b: Float[np.ndarray, " n"]

    return Pair


ONES = np.ones((2, 3))


@BOTH
def test_arguments_share_the_sizes_of_their_axes(decorate):
    checked = decorate(total, typechecker=beartype)
    assert checked(ONES, [ONES[0]], 2.0, by=3) == 36
    for wrong in [(ONES, [ONES[:, 0]]), (ONES[0], [ONES[0]]), (ONES.astype(int), [ONES[0]]), (ONES, [ONES[0]], "2")]:
        with pytest.raises(TypeCheckError):
            checked(*wrong)
    assert checked(np.ones((2, 4)), [np.ones(4)]) == 8  # sizes hold for one call


@BOTH
def test_a_result_has_the_axes_of_the_arguments(decorate):
    checked = decorate(halves, typechecker=beartype)
    assert len(checked(np.ones(4), False)) == 4
    with pytest.raises(TypeCheckError):
        checked(np.ones(4), True)


@BOTH
def test_arguments_of_what_yields_are_checked(decorate):
    checked = decorate(steps, typechecker=beartype)
    assert list(checked(np.ones(2))) == [1, 1]
    with pytest.raises(TypeCheckError):
        list(checked(ONES))


@BOTH
def test_what_only_type_checkers_import_is_left_out(decorate):
    checked = decorate(unknown, typechecker=beartype)
    assert checked(None, 1) == 1
    with pytest.raises(TypeCheckError):
        checked(None, "1")


@BOTH
def test_fields_of_a_dataclass_are_checked(decorate):
    checked = decorate(pair(), typechecker=beartype)
    assert checked(ONES[0], b=ONES[0]).a is not None
    with pytest.raises(TypeCheckError):
        checked(ONES[0], ONES[:, 0])


def test_axes_of_a_caller_are_not_those_of_the_called():
    inner = jaxtyped(halves, typechecker=beartype)

    def repeated(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return np.repeat(inner(x[:1], False), len(x))

    assert len(jaxtyped(repeated, typechecker=beartype)(np.ones(3))) == 3


def test_checks_can_be_switched_off(monkeypatch):
    checked = jaxtyped(halves, typechecker=beartype)
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    assert len(checked(np.ones(4), True)) == 2


def test_the_package_is_checked():
    with pytest.raises(TypeCheckError):
        clopper_pearson("none", 3)
    with pytest.raises(TypeCheckError):
        Ratio(np.ones((2, 3)), np.ones((2, 4)))
    hits = np.ones((1, 3), bool)
    with pytest.raises(TypeCheckError):
        rate_interval(hits, hits[:, :2], record=np.arange(3), rng=np.random.default_rng(0))
    assert hasattr(Margins.__init__, "unchecked")
