"""Signals of texts: the law of a text, the place that is asked for, further queries against twins."""

import numpy as np
import oracles_language as oracles
import pytest
import torch

from dosimeter.families.membership.observe.language import logit_of, next_is_right, stacked, text_signals
from dosimeter.families.membership.observe.signals import OF_TEXTS, TEXT_SIGNALS, unlike_task
from dosimeter.families.membership.observe.text_queries import BLOCK, SHOTS, after_others, continued, neighbours
from dosimeter.models.language.transformer import transformer

CPU = torch.device("cpu")
LENGTH, VOCABULARY = 24, 9


def texts(n=8, seed=0):
    rng = np.random.default_rng(seed)
    found = rng.integers(VOCABULARY, size=(n, LENGTH))
    for row, end in zip(found, rng.integers(3, LENGTH + 1, size=n), strict=True):
        row[end:] = -1
    return torch.from_numpy(found)


@pytest.fixture
def model():
    torch.manual_seed(0)
    net = transformer((LENGTH,), VOCABULARY, width=16, depth=1, heads=2).eval()
    for one in net.parameters():
        one.data.mul_(3)
    return net


def mean_of(model, text):
    return float(np.mean([row[0] for row in oracles.statistics(model, text)]))


def test_every_signal_is_there_and_a_text_is_its_mean_token(model):
    names = (*OF_TEXTS, *TEXT_SIGNALS)
    found = stacked(text_signals(model, texts(), names, CPU, context=texts(5, 1)))
    assert set(found) == {*names, "correct"}
    for name in names:
        assert found[name].shape[:3] == (1, 1, 8)
        assert found[name].dtype == torch.float64
        assert torch.isfinite(found[name]).all()
    for row, text in enumerate(texts()):
        own = oracles.statistics(model, text)
        p = np.exp(np.mean([one[0] for one in own]))
        assert found["logit_confidence"][0, 0, row].item() == pytest.approx(np.log(p / (1 - p)), abs=1e-4)
        p = np.exp(np.mean([one[1] for one in own]))
        assert found["logit_confidence_t2"][0, 0, row].item() == pytest.approx(np.log(p / (1 - p)), abs=1e-4)
        assert found["entropy"][0, 0, row].item() == pytest.approx(-np.mean([one[2] for one in own]), abs=1e-4)
        assert found["correctness"][0, 0, row].item() == pytest.approx(np.mean([one[4] for one in own]))


def test_a_certain_text_has_a_finite_logit():
    found = logit_of(torch.tensor([0.0, -1e-12, -500.0], dtype=torch.float64))
    assert torch.isfinite(found).all()
    assert found[0] > 20
    assert found[2] == -104


def test_the_place_that_is_asked_for_is_one_of_the_text_and_the_same_for_all_models():
    tokens = texts(200)
    every = torch.ones(200, LENGTH - 1, dtype=torch.bool)
    inside = torch.arange(LENGTH - 1) < ((tokens >= 0).sum(1) - 1)[:, None]
    assert next_is_right(inside, tokens).all()
    assert next_is_right(every, tokens).all()
    rng = np.random.default_rng(0)
    hits = torch.from_numpy(rng.random((200, LENGTH - 1)) < 0.3) & inside
    share = float(hits.sum()) / float(inside.sum())
    assert abs(next_is_right(hits, tokens).double().mean().item() - share) < 3.5 * np.sqrt(share * (1 - share) / 200)


def test_continuation_equals_asking_token_by_token(model):
    tokens = texts(30)
    found = continued(model, tokens, tokens[:0], CPU).tolist()
    assert found == [oracles.greedy(model, one, BLOCK) for one in tokens]
    assert len(set(found)) > 1


def test_a_text_that_is_known_by_heart_is_continued_and_another_is_not(model):
    known, other = texts(2, 3)
    known, other = (torch.where(one < 0, 0, one) for one in (known, other))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(150):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(known[None])[0, :-1], known[1:]).backward()
        optimizer.step()
    scores = continued(model, torch.stack([known, other]), known[None][:0], CPU)
    assert scores[0] == BLOCK
    assert scores[1] < BLOCK


def test_the_ratio_after_others_equals_its_twin(model):
    tokens, context = texts(6, 4), texts(5, 5)
    each = (LENGTH // 2) // SHOTS
    before = [token for one in context[:SHOTS] for token in one[one >= 0][1 : 1 + each].tolist()]
    found = after_others(model, tokens, context, CPU)
    for row, text in enumerate(tokens):
        own = text[text >= 0].tolist()[: LENGTH - len(before)]
        whole = torch.tensor([own[0], *before, *own[1:]])
        behind = sum(one[0] for one in oracles.statistics(model, whole)[len(before) :])
        assert found[row].item() == pytest.approx(
            behind / sum(one[0] for one in oracles.statistics(model, torch.tensor(own))), abs=1e-4
        )


def test_neighbours_are_the_same_for_all_models_and_differ_from_the_text(model):
    tokens, context = texts(6, 6), texts(5, 7)
    found = neighbours(model, tokens, context, CPU)
    assert torch.equal(found, neighbours(model, tokens, context, CPU))
    own = torch.tensor([mean_of(model, one) for one in tokens])
    assert not torch.isclose(found, own.double(), atol=1e-6).any()
    alike = context[:, :1].expand(-1, LENGTH)  # the only token that can stand in
    constant = torch.zeros(1, LENGTH, dtype=torch.int64)
    assert neighbours(model, constant, torch.zeros_like(alike), CPU)[0].item() == pytest.approx(
        mean_of(model, constant[0]), abs=1e-5
    )


def test_signals_of_another_task_are_told():
    assert set(unlike_task(["hinge", "loss", "entropy", "token_means"], language=True)) == {"hinge", "loss"}
    assert set(unlike_task(["hinge", "token_means"], language=False)) == {"token_means"}
