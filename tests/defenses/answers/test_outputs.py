"""Defenses of the outputs: exact answers, and nothing that an answer does not say."""

import numpy as np
import pytest
import torch

from dosimeter.defenses import HAMP, Masking, Rounding, TopK
from dosimeter.defenses.query import guard, random_inputs
from dosimeter.families.membership.observe.signals import SIGNALS, readable, signals_of
from dosimeter.foundation.errors import TrainingError
from dosimeter.models.access import Access

P = torch.tensor([[0.62, 0.21, 0.11, 0.06], [0.25, 0.25, 0.249, 0.251]], dtype=torch.float64)


def release(defense, given=P, noise=None):
    return defense.release(given, lambda: noise)


def test_top_k_shows_the_highest_and_shares_the_rest():
    torch.testing.assert_close(release(TopK(2))[0], torch.tensor([0.62, 0.21, 0.085, 0.085], dtype=torch.float64))
    torch.testing.assert_close(release(TopK(1))[0], torch.tensor([0.62, 0.38 / 3, 0.38 / 3, 0.38 / 3]).double())
    assert torch.equal(release(TopK(4)), P)


@pytest.mark.parametrize("decimals", [1, 2, 3])
def test_answers_that_round_alike_are_alike(decimals):
    rng = np.random.default_rng(0)
    given = torch.from_numpy(rng.dirichlet(np.ones(3), 6000))
    shown = release(Rounding(decimals), given)
    seen = {}
    for before, after in zip(given.round(decimals=decimals), shown, strict=True):
        key = (*before.tolist(), int(after.argmax()))
        torch.testing.assert_close(seen.setdefault(key, after), after, rtol=0, atol=1e-12)
    assert len(seen) < len(given)


def test_rounding_shows_the_decimals_and_what_it_hides_is_shared():
    unit = 0.1 / 1000
    shown = release(Rounding(1))[0] - torch.tensor([0.6, 0.2, 0.1, 0.1]).double()
    torch.testing.assert_close(shown, (torch.tensor([unit, 0, 0, 0]).double() - unit / 4), rtol=0, atol=1e-4)
    hundred = torch.full((1, 100), 0.01, dtype=torch.float64)
    assert bool((release(Rounding(1), hundred) > 0).all())


def test_masking_says_the_order_and_nothing_else():
    assert torch.equal(release(Masking(1)), torch.tensor([[1, 0, 0, 0], [0, 0, 0, 1]]).double())
    shown = release(Masking(3))
    torch.testing.assert_close(shown[0], torch.tensor([18, 6, 2, 1]).double() / 27)
    assert sorted(shown[0].tolist()) == sorted(shown[1].tolist())
    assert torch.equal(release(Masking(3), P / 2 + 1 / 8).argsort(1), shown.argsort(1))


def test_hamp_answers_with_scores_of_other_inputs_in_the_order_of_the_true_ones():
    noise = torch.tensor([[0.1, 0.4, 0.2, 0.3], [0.7, 0.1, 0.1, 0.1]], dtype=torch.float64)
    shown = release(HAMP(), P, noise)
    assert shown[0].tolist() == [0.4, 0.3, 0.2, 0.1]
    assert shown[1].tolist() == [0.1, 0.1, 0.1, 0.7]
    assert torch.equal(release(HAMP(answers=False), P, noise), P)


def answer(inputs):
    return inputs.double() @ torch.tensor([[2.0, -1.0, 0.5], [0.0, 1.0, -3.0]]).double()


def test_without_defenses_the_answer_itself_is_given():
    assert guard(answer, (), 0) is answer


def test_answers_behind_a_defense_are_logarithms_of_what_it_releases():
    inputs = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    found = guard(answer, (TopK(1), Rounding(2)), 0)(inputs)
    given = torch.softmax(answer(inputs).float(), 1).double()
    torch.testing.assert_close(found.exp(), release(Rounding(2), release(TopK(1), given)), rtol=1e-5, atol=1e-5)


def test_the_same_query_gets_the_same_answer_and_models_differ():
    inputs = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    first, again, other = (guard(answer, (HAMP(),), seed)(inputs) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_random_inputs_keep_to_the_range_and_kind_of_the_given():
    pixels = torch.randint(10, 20, (300, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    drawn = random_inputs(pixels, 0)
    assert drawn.dtype == torch.uint8
    assert drawn.amin(0).tolist() == pixels.amin(0).tolist()
    assert drawn.amax(0).tolist() == pixels.amax(0).tolist()
    scaled = random_inputs(torch.randn(300, 3), 0)
    assert scaled.is_floating_point()


@pytest.mark.parametrize("access", [Access.LABELS, Access.TOPK, Access.PROBS, Access.LOGITS])
@pytest.mark.parametrize("defense", [TopK(1), Rounding(1), Masking(1), Masking(2), HAMP()], ids=repr)
def test_every_signal_of_a_defended_answer_is_finite(defense, access):
    inputs = torch.randn(200, 2, generator=torch.Generator().manual_seed(0)) * 20
    labels = torch.randint(0, 3, (200,), generator=torch.Generator().manual_seed(1))
    shown = guard(answer, (defense,), 0)(inputs)
    found = signals_of([shown], labels, readable(SIGNALS, access), access, probabilities=True)
    assert all(bool(torch.isfinite(one).all()) for one in found.values())


def test_what_is_hidden_stays_hidden():
    """Two models of the same order of classes are one model to whoever sees the order only."""
    inputs = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(100, dtype=torch.long)
    for defense in (Masking(1), Masking(3)):
        shown = [guard(lambda x, s=scale: s * answer(x), (defense,), 0)(inputs) for scale in (1.0, 1.5)]
        one, other = (signals_of([x], labels, tuple(SIGNALS), Access.LOGITS, probabilities=True) for x in shown)
        assert all(torch.equal(one[name], other[name]) for name in SIGNALS)


def test_random_bytes_fill_the_whole_range():
    drawn = random_inputs(torch.tensor([[0], [255]] * 200, dtype=torch.uint8), 0)
    assert drawn.min() < 10
    assert drawn.max() > 245
    assert len(drawn.unique()) > 100


class Broken:
    """A defense that gives something else than probabilities."""

    def __init__(self, release):
        self.change = release

    def release(self, probabilities, noise):
        return self.change(probabilities)


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (lambda p: p - 1, r"got torch.float64 \(2, 3\), with rows of zeros, or numbers that are below 0"),
        (lambda p: p / 0, "or not finite: correct it"),
        (lambda p: p * 0, "with rows of zeros"),
        (lambda p: p[:, 1:], r"torch.float64 \(2, 3\), got torch.float64 \(2, 2\): correct it"),
        (lambda p: p[:1], r"got torch.float64 \(1, 3\): correct it"),
        (lambda p: p.float(), r"got torch.float32 \(2, 3\): correct it"),
        (lambda p: None, "got NoneType: correct it"),
    ],
)
def test_what_is_no_probability_is_refused(change, got):
    with pytest.raises(TrainingError, match="defense Broken: `release` must give probabilities .*" + got):
        guard(answer, (TopK(2), Broken(change)), 0)(torch.ones(2, 2))


def test_what_a_defense_raises_is_told_in_one_line():
    with pytest.raises(TrainingError, match="defense Broken: `release` raised KeyError: 'x' .*: correct it"):
        guard(answer, (Broken(lambda p: {}["x"]),), 0)(torch.ones(2, 2))
