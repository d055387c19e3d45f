"""Models in files of llama.cpp: the same answers as the model that was packed, and the tokenizer that lies in them."""

import numpy as np
import pytest
import torch

from dosimeter.data.files.gguf import gguf_in
from dosimeter.data.files.texts import find_tokenizer
from dosimeter.foundation.errors import ConfigError, DataError
from dosimeter.models.language.given import read_finetuned
from dosimeter.models.language.pretrained import causal_lm, files_of_model

transformers = pytest.importorskip("transformers", reason="needs the extra hf")
WIDTH, HEADS, INNER, LENGTH = 16, 2, 32, 24
TOKENS = ["<s>", "</s>", *map(chr, range(33, 127)), "Ġ", "th", "the"]


def packed(folder, net):
    """Packs a Llama model and a tokenizer of byte pairs."""
    gguf = pytest.importorskip("gguf", reason="needs the extra gguf")
    writer = gguf.GGUFWriter(folder / "tiny.gguf", "llama")
    writer.add_context_length(LENGTH)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(TOKENS)
    writer.add_token_merges(["t h", "th e"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    state = {name: one.numpy() for name, one in net.state_dict().items()}
    layer = "model.layers.0."
    names = {
        "model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight", layer + "input_layernorm.weight": "blk.0.attn_norm.weight",
        layer + "post_attention_layernorm.weight": "blk.0.ffn_norm.weight",
        layer + "self_attn.v_proj.weight": "blk.0.attn_v.weight",
        layer + "self_attn.o_proj.weight": "blk.0.attn_output.weight",
        layer + "mlp.gate_proj.weight": "blk.0.ffn_gate.weight", layer + "mlp.up_proj.weight": "blk.0.ffn_up.weight",
        layer + "mlp.down_proj.weight": "blk.0.ffn_down.weight",
    }  # fmt: skip
    for own, theirs in names.items():
        writer.add_tensor(theirs, state[own])
    for one in "qk":  # llama.cpp turns pairs of neighbours, the library halves
        found = state[f"{layer}self_attn.{one}_proj.weight"]
        turned = found.reshape(HEADS, 2, WIDTH // HEADS // 2, WIDTH).swapaxes(1, 2).reshape(found.shape)
        writer.add_tensor(f"blk.0.attn_{one}.weight", np.ascontiguousarray(turned))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def net():
    torch.manual_seed(0)
    config = {
        "model_type": "llama", "num_hidden_layers": 1, "num_attention_heads": HEADS, "num_key_value_heads": HEADS,
        "hidden_size": WIDTH, "intermediate_size": INNER, "max_position_embeddings": LENGTH, "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
    }  # fmt: skip
    return causal_lm((LENGTH,), len(TOKENS), config=config).eval()


def test_a_packed_model_answers_as_before_and_can_be_saved(net, tmp_path):
    packed(tmp_path, net.net)
    tokens = torch.randint(len(TOKENS), (3, 10), generator=torch.Generator().manual_seed(1))
    found = causal_lm((LENGTH,), len(TOKENS), folder=str(tmp_path), weights="pretrained").eval()
    with torch.no_grad():
        torch.testing.assert_close(found(tokens), net(tokens), atol=1e-4, rtol=1e-4)
        fresh = causal_lm((LENGTH,), len(TOKENS), folder=str(tmp_path))
        assert not torch.allclose(fresh(tokens), net(tokens), atol=1e-2)
    found.net.save_pretrained(tmp_path / "saved")
    assert (tmp_path / "saved" / "model.safetensors").is_file()
    assert [path.name for path in files_of_model(tmp_path)] == ["tiny.gguf"]
    read = read_finetuned(tmp_path, None, texts=tokens, vocabulary=len(TOKENS))
    assert read.trusted == ()


def test_its_tokenizer_cuts_texts(net, tmp_path):
    packed(tmp_path, net.net)
    tokenizer = find_tokenizer(tmp_path)
    assert tokenizer("the", add_special_tokens=False)["input_ids"] == [TOKENS.index("the")]


def test_files_that_are_none_or_several_are_refused(tmp_path):
    assert gguf_in(tmp_path) is None
    (tmp_path / "one.gguf").write_bytes(b"no model")
    with pytest.raises(ConfigError, match="one.gguf (must hold a model|needs the package gguf)"):
        causal_lm((LENGTH,), len(TOKENS), folder=str(tmp_path), weights="pretrained")
    (tmp_path / "two.gguf").write_bytes(b"")
    with pytest.raises(DataError, match="must hold one .gguf file, got 2: copy the one that you mean into a folder"):
        gguf_in(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    assert gguf_in(tmp_path) is None
