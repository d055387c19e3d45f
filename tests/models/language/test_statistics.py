"""One pass over texts against a twin that asks token by token."""

import numpy as np
import oracles_language as oracles
import pytest
import torch

from dosimeter.foundation.errors import TrainingError
from dosimeter.models.language import statistics
from dosimeter.models.language.statistics import token_statistics
from dosimeter.models.language.transformer import transformer

CPU = torch.device("cpu")


def texts(n=7, length=12, vocabulary=11):
    rng = np.random.default_rng(0)
    found = rng.integers(vocabulary, size=(n, length))
    for row, end in zip(found, rng.integers(2, length + 1, size=n), strict=True):
        row[end:] = -1
    return torch.from_numpy(found)


@pytest.fixture
def model():
    torch.manual_seed(0)
    net = transformer((12,), 11, width=16, depth=2, heads=2).eval()
    for one in net.parameters():
        one.data.mul_(3)  # so that the law of the next token is far from flat
    return net


def test_the_pass_equals_the_twin(model):
    tokens = texts()
    found = token_statistics(model, tokens, CPU)
    parts = (found.log_probs, found.log_probs_t2, found.means, found.deviations, found.hits.double())
    for row, text in enumerate(tokens):
        own = np.array(oracles.statistics(model, text), dtype=float)
        for values, wanted in zip(parts, own.T, strict=True):
            np.testing.assert_allclose(values[row, : len(own)], wanted, atol=1e-5)
            assert (values[row, len(own) :] == 0).all()


def test_the_size_of_batches_changes_nothing(model, monkeypatch):
    tokens = texts(40)
    whole = token_statistics(model, tokens, CPU)
    monkeypatch.setattr(statistics, "MOST_LOGITS", 1)
    alone = token_statistics(model, tokens, CPU)
    torch.testing.assert_close(whole.log_probs, alone.log_probs, atol=1e-4, rtol=1e-4)  # sums in another order
    assert torch.equal(whole.hits, alone.hits)


def test_the_size_of_steps_changes_nothing(model, monkeypatch):
    tokens = texts()
    whole = token_statistics(model, tokens, CPU)
    monkeypatch.setattr(statistics, "IN_CACHE", 1)
    alone = token_statistics(model, tokens, CPU)
    for name in ("log_probs", "log_probs_t2", "means", "deviations", "hits"):
        torch.testing.assert_close(getattr(whole, name), getattr(alone, name), atol=1e-6, rtol=1e-5)


def test_of_several_likeliest_tokens_the_first_counts(model):
    model.head.weight.data.zero_()
    found = token_statistics(model, tokens := texts(), CPU)
    assert torch.equal(found.hits, tokens[:, 1:] == 0)
    assert (found.deviations == 0).all()


def test_what_stands_after_the_end_changes_nothing(model):
    tokens = texts()
    wider = torch.nn.functional.pad(tokens[:, :8], (0, 4), value=-1)
    narrow = token_statistics(model, tokens[:, :8], CPU)
    torch.testing.assert_close(token_statistics(model, wider, CPU).log_probs[:, :7], narrow.log_probs)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_logits_that_are_not_finite_are_refused(value, model):
    model.head.weight.data[0] = value
    with pytest.raises(TrainingError, match="stage 'x': a model gave NaN or infinite logits: lower the learning rate"):
        token_statistics(model, texts(), CPU, place="stage 'x'")
