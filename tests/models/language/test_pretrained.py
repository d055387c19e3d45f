"""Causal models of transformers: from a configuration, from a folder, and what is refused."""

import json

import pytest
import safetensors.torch
import torch

from dosimeter.foundation.errors import ConfigError
from dosimeter.models.language.pretrained import causal_lm, load_causal
from dosimeter.models.language.statistics import token_statistics
from dosimeter.models.lora import LoRA, merge_adapters
from dosimeter.training.language.stage import language_adapters

transformers = pytest.importorskip("transformers", reason="needs the extra hf")
GPT2 = {"model_type": "gpt2", "n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 16}
LLAMA = {
    "model_type": "llama", "num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 16,
    "intermediate_size": 32, "max_position_embeddings": 16,
}  # fmt: skip
CPU = torch.device("cpu")


def tokens():
    return torch.randint(20, (4, 10), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    causal_lm((16,), 20, config=GPT2).net.save_pretrained(tmp_path / "gpt")
    return tmp_path / "gpt"


@pytest.mark.parametrize("config", [GPT2, LLAMA], ids=["gpt2", "llama"])
def test_a_configuration_gives_logits_of_the_next_token(config):
    torch.manual_seed(0)
    model = causal_lm((16,), 20, config=config).eval()
    with torch.no_grad():
        out = model(tokens())
        assert out.shape == (4, 10, 20)
        torch.testing.assert_close(model(tokens()[:, :5]), out[:, :5], atol=1e-5, rtol=1e-4)


def test_a_folder_gives_its_weights(folder):
    torch.manual_seed(0)
    own = causal_lm((16,), 20, config=GPT2)
    for model in (causal_lm((16,), 20, folder=str(folder), weights="pretrained"), load_causal(folder)):
        torch.testing.assert_close(
            token_statistics(model, tokens(), CPU).log_probs, token_statistics(own, tokens(), CPU).log_probs
        )
    fresh = causal_lm((16,), 20, folder=str(folder))
    assert not torch.allclose(fresh.net.transformer.wte.weight, own.net.transformer.wte.weight)


@pytest.mark.parametrize("config", [GPT2, LLAMA], ids=["gpt2", "llama"])
def test_adapters_are_put_in_add_nothing_and_can_be_merged(config):
    pytest.importorskip("peft", reason="needs the extra lora")
    torch.manual_seed(0)
    model = causal_lm((16,), 20, config=config).eval()
    before = model(tokens()).detach()
    adapted = language_adapters(model, LoRA(rank=2), tokens()[:2])
    torch.testing.assert_close(adapted(tokens()), before)
    trained = [name for name, one in adapted.named_parameters() if one.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)
    for one in adapted.parameters():
        if one.requires_grad:
            one.data.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
    moved = adapted(tokens()).detach()
    assert not torch.allclose(moved, before, atol=1e-3)
    torch.testing.assert_close(merge_adapters(adapted)(tokens()), moved, atol=1e-5, rtol=1e-4)


def test_what_is_no_causal_model_is_refused(folder, tmp_path):
    def refused(message, **options):
        with pytest.raises(ConfigError, match=message):
            causal_lm((16,), 20, **options)

    refused("needs either folder, from which weights may come, or config, got neither")
    refused("config must be one of the installed transformers", config={"model_type": "nothing"})
    refused("must know all 20 tokens of the data, got a vocabulary of 5", config={**GPT2, "vocab_size": 5})
    refused("must take texts of 16 tokens, got a context of 8", config={**GPT2, "n_positions": 8})
    refused("must have a readable config.json", folder=str(tmp_path / "none"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "adapter_config.json").write_text("{}")
    refused("holds an adapter, which is no model without its base", folder=str(folder), weights="pretrained")
    (folder / "adapter_config.json").unlink()
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["GPT2ForSequenceClassification"]}))
    refused("must predict the next token, got GPT2ForSequenceClassification", folder=str(folder))


def test_weights_that_are_not_those_of_the_configuration_are_refused(folder):
    """A file of two layers under a configuration of one is another model, and no error of the library."""
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    idle = {"transformer.h.0.attn.masked_bias": torch.tensor(-1e4), "transformer.h.0.attn.bias": torch.ones(1, 1)}
    second = {"transformer.h.1.mlp.c_fc.weight": weights["transformer.h.0.mlp.c_fc.weight"].clone()}
    for more, message in ((idle, None), (second, "and no others, got transformer.h.1.mlp.c_fc.weight")):
        safetensors.torch.save_file({**weights, **more}, folder / "model.safetensors", {"format": "pt"})
        if message is None:
            load_causal(folder)
            continue
        with pytest.raises(ConfigError, match=message):
            load_causal(folder)


def test_a_folder_says_nothing_while_it_is_read(folder, capfd):
    load_causal(folder)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("told", [{"n_layer": 10**9}, {"text_config": {"num_hidden_layers": 10**9}}])
def test_a_configuration_without_end_is_refused_at_once(told, folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **told}))
    with pytest.raises(ConfigError, match="gpt must have at most 10000 layers, got .* = 1000000000"):
        load_causal(folder)
    with pytest.raises(ConfigError, match="config must have at most 10000 layers"):
        causal_lm((16,), 20, config={**GPT2, **told})


def test_a_name_with_control_characters_stays_on_one_line(folder):
    odd = folder.rename(folder.parent / "a\x1b[31m\nb")
    (odd / "model.safetensors").unlink()
    with pytest.raises(ConfigError) as caught:
        load_causal(odd)
    assert r"a\x1b[31m\nb must hold its weights" in str(caught.value)


def test_pickled_weights_are_refused(folder):
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"must hold its weights as .safetensors, got none: a pickle may run code"):
        causal_lm((16,), 20, folder=str(folder), weights="pretrained")
