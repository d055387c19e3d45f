"""Training on texts: the loss by its twin, padding, DP-SGD by record, what is refused."""

import numpy as np
import oracles_language as oracles
import pytest
import torch

from dosimeter.defenses import DPSGD, L2, LabelSmoothing
from dosimeter.foundation.errors import ConfigError
from dosimeter.models.language.transformer import transformer
from dosimeter.training.chain import Link, build_chain, parts_of
from dosimeter.training.language.stage import next_token_loss, unfit_defenses
from dosimeter.training.loop import train
from dosimeter.training.private.loop import check_private, per_record, record_gradients
from dosimeter.training.recipe import Hyperparameters

CPU = torch.device("cpu")


def texts(n=6, length=10, vocabulary=9):
    rng = np.random.default_rng(1)
    found = rng.integers(vocabulary, size=(n, length))
    for row, end in zip(found, rng.integers(2, length + 1, size=n), strict=True):
        row[end:] = -1
    return torch.from_numpy(found)


def net(seed=0):
    torch.manual_seed(seed)
    return transformer((10,), 9, width=8, depth=1, heads=2)


def test_the_loss_equals_the_twin():
    model, tokens = net(), texts()
    own = next_token_loss(model(tokens), tokens)
    assert own.shape == (6,)
    assert own.mean().item() == pytest.approx(oracles.loss(model, tokens), abs=1e-5)


def test_training_lowers_the_loss_and_ends_at_the_mean_of_its_last_epoch():
    model, tokens = net(), texts()
    before = oracles.loss(model, tokens)
    hp = Hyperparameters(epochs=60, batch_size=6, optimizer="adam", lr=0.02)
    last = train(model, tokens, tokens, hp, seed=0, device=CPU)
    after = oracles.loss(model, tokens)
    assert after < 0.5 * before
    assert last == pytest.approx(after, abs=0.1)


def test_each_text_has_its_own_gradient():
    pytest.importorskip("opacus", reason="needs the extra dp")
    model, tokens = net(), texts()
    check_private(model, tokens[:2], texts=True)
    with record_gradients(model.train()):
        value, each = per_record(model, tokens, tokens)
    assert value.item() == pytest.approx(6 * oracles.loss(model, tokens), abs=1e-4)
    for row, text in enumerate(tokens):
        alone = net()
        next_token_loss(alone(text[None]), text[None]).sum().backward()
        for own, parameter in zip(each, alone.parameters(), strict=True):
            torch.testing.assert_close(own[row], parameter.grad, atol=1e-5, rtol=1e-4)


def test_a_later_stage_keeps_the_head_and_adapters_leave_it_alone():
    pytest.importorskip("peft", reason="needs the extra lora")
    links = tuple(
        Link(name, model, (10,), 9, transfer, task="language", options={"width": 8, "heads": 2} if model else {})
        for name, model, transfer in (("base", "transformer", "scratch"), ("tune", None, "lora"))
    )
    base = build_chain(links, 0, 0, None)
    model = build_chain(links, 1, 5, base.state_dict())
    torch.testing.assert_close(model.head.weight, base.head.weight)
    parts = parts_of(links, 1, model, 7)
    hp = Hyperparameters(epochs=5, optimizer="adam", lr=0.02, batch_size=3)
    train(parts.trained, texts(), texts(), hp, seed=0, device=CPU)
    torch.testing.assert_close(parts.trained.net.head.weight, base.head.weight)
    stored = {name: one.clone() for name, one in parts.trained.state_dict().items()}
    assert all("lora_" in name for name in stored)
    again = parts_of(links, 1, build_chain(links, 1, 0, base.state_dict())).trained
    again.load_state_dict(stored)
    torch.testing.assert_close(again.eval()(texts()), parts.trained.eval()(texts()))


def test_only_texts_have_another_key():
    classes = Link("one", "linear", (4,), 3)
    assert "task" not in classes.definition
    assert Link("one", "transformer", (4,), 3, task="language").definition["task"] == "language"


def test_defenses_that_need_classes_are_refused():
    unfit_defenses([L2(0.1), DPSGD(epsilon=8.0)], "stage 'x'")
    with pytest.raises(ConfigError, match="stage 'x': defense LabelSmoothing needs records with a class"):
        unfit_defenses([LabelSmoothing(0.1)], "stage 'x'")
