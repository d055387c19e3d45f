"""Models that do not fit into memory are refused before any is taken."""

import pytest
import torch

from dosimeter.foundation.errors import ConfigError
from dosimeter.models import size
from dosimeter.models.build import build
from dosimeter.models.names import ARCHITECTURES
from dosimeter.training.chain import Link
from dosimeter.training.preflight import check_training
from dosimeter.training.recipe import Hyperparameters

GPT2 = {"model_type": "gpt2", "n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 32}
TEXTS = ("bag-of-words", "transformer", "causal-lm")


@pytest.mark.parametrize("name", [one for one in ARCHITECTURES if one not in ("causal-lm", "efficientnet-lite0")])
def test_the_size_is_that_of_the_built_model_and_draws_nothing(name):
    shape = (20,) if name in TEXTS else (3, 32, 32)
    before = torch.random.get_rng_state()
    told = size.size_of(lambda: ARCHITECTURES[name](shape, 10))
    assert torch.equal(before, torch.random.get_rng_state())
    model = ARCHITECTURES[name](shape, 10)
    assert told == sum(one.numel() * one.element_size() for one in (*model.parameters(), *model.buffers()))


@pytest.mark.parametrize(
    ("name", "options"),
    [("mlp", {"width": 16_384, "depth": 64}), ("transformer", {"width": 16_384, "depth": 64})],
)
def test_a_model_larger_than_memory_is_refused_in_one_line(monkeypatch, name, options):
    monkeypatch.setattr(size, "memory_here", lambda: 2 * 10**9)
    shape = (20,) if name in TEXTS else (3, 32, 32)
    with pytest.raises(ConfigError, match="fits into the memory here, 2 GB, got one of .* GB: make it smaller") as told:
        build(name, shape, 10, options, place="stage 'base'")
    assert str(told.value).startswith(f"stage 'base': options: model {name!r}")
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize("key", ["n_embd", "n_inner", "n_positions", "vocab_size"])
def test_a_configuration_of_transformers_larger_than_memory_is_refused(monkeypatch, key):
    pytest.importorskip("transformers")
    monkeypatch.setattr(size, "memory_here", lambda: 2 * 10**9)
    with pytest.raises(ConfigError, match="model 'causal-lm': config must give a model that fits into the memory here"):
        build("causal-lm", (20,), 10, {"config": {**GPT2, key: 4_000_000_000}}, place="stage 'base'")
    assert build("causal-lm", (20,), 10, {"config": GPT2}, place="stage 'base'")


def test_a_folder_that_promises_more_than_memory_is_refused(monkeypatch, tmp_path):
    transformers = pytest.importorskip("transformers")
    transformers.GPT2Config(**{**GPT2, "n_embd": 400_000_000, "architectures": ["GPT2LMHeadModel"]}).save_pretrained(
        tmp_path
    )
    monkeypatch.setattr(size, "memory_here", lambda: 2 * 10**9)
    with pytest.raises(ConfigError, match="must give a model that fits into the memory here, 2 GB"):
        build("causal-lm", (20,), 10, {"folder": str(tmp_path)}, place="stage 'base'")


def test_a_model_whose_gradients_do_not_fit_is_refused(monkeypatch):
    model = torch.nn.Linear(100, 10)  # 4,040 bytes, and as many of gradients
    link = Link("base", "linear", (100,), 10, hyperparameters=Hyperparameters(epochs=1))
    check_training(model, link, torch.zeros(2, 100))
    monkeypatch.setattr(size, "memory_here", lambda: 8_000)
    with pytest.raises(ConfigError, match="stage 'base', model 'linear': must be trainable in the memory"):
        check_training(model, link, torch.zeros(2, 100))
    model.weight.requires_grad_(False)
    check_training(model, link, torch.zeros(2, 100))


def test_a_system_that_does_not_say_its_memory_refuses_nothing(monkeypatch):
    monkeypatch.setattr(size, "memory_here", lambda: None)
    size.check_size(lambda: pytest.fail("was built"), "key", "place")
    size.check_gradients(torch.nn.Linear(2, 2), "place")
