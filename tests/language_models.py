"""A small world for the door of supplied language models: real texts, a base, and models finetuned from it."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path

import numpy as np
import torch
from real_texts import paragraphs
from torch import nn

from dosimeter.data import Options
from dosimeter.data.files.texts import texts_of
from dosimeter.data.options import Request
from dosimeter.models.language.pretrained import causal_lm
from dosimeter.models.language.transformer import transformer
from dosimeter.training.language.stage import next_token_loss

OPTIONS = Options(level="words", length=36, vocabulary=300)
VOCABULARY = 301
MEMBERS, OTHERS, POPULATION = slice(0, 200, 2), slice(1, 200, 2), slice(200, 230)
OF_BASE, INNOCENT = slice(300, 420), slice(420, 520)


@cache
def texts() -> tuple[str, ...]:
    """Distinct paragraphs in a drawn order, so that neighbours do not tell members from non-members."""
    found = list(dict.fromkeys(text for text, _ in paragraphs()))
    return tuple(found[row] for row in np.random.default_rng(3).permutation(len(found)))


def tokens(some, options: Options = OPTIONS) -> torch.Tensor:
    """Tokens of texts, -1 after the end."""
    return torch.from_numpy(texts_of(list(some), Request("texts", options=options)).tokens)


def fit(net: nn.Module, rows: torch.Tensor, epochs: int, lr: float = 0.006, seed: int = 0) -> nn.Module:
    """Trains a copy of a model on tokens."""
    net, rng = copy.deepcopy(net).train(), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    for _ in range(epochs):
        for batch in torch.randperm(len(rows), generator=rng).split(8):
            optimizer.zero_grad()
            next_token_loss(net(rows[batch]), rows[batch]).mean().backward()
            optimizer.step()
    return net.eval()


def fresh(seed: int = 0) -> nn.Module:
    """A small causal transformer with fresh weights."""
    torch.manual_seed(seed)
    return transformer((OPTIONS.length,), VOCABULARY, width=16, depth=1)


@cache
def base() -> nn.Module:
    """A model of other texts."""
    return fit(fresh(), tokens(texts()[OF_BASE]), epochs=10)


@cache
def tuned() -> nn.Module:
    """The base, finetuned on the members."""
    return fit(base(), tokens(texts()[MEMBERS]), epochs=6, lr=0.003, seed=1)


@cache
def innocent() -> nn.Module:
    """The base, finetuned on texts that are neither members nor non-members."""
    return fit(base(), tokens(texts()[INNOCENT]), epochs=6, lr=0.003, seed=1)


def save_tokenizer(folder: Path, *, trained_on: slice = OF_BASE, size: int = 400):
    """A tokenizer of byte pairs in a folder; returns it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<end>"], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(texts()[trained_on], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<end>", eos_token="<end>")
    fast.save_pretrained(folder)
    return fast


def save_gpt(folder: Path, size: int, seed: int = 0, *, width: int = 16) -> nn.Module:
    """A configuration of GPT-2 with fresh weights in a folder; returns the model as tokens to logits."""
    torch.manual_seed(seed)
    config = {"model_type": "gpt2", "n_positions": 40, "n_embd": width, "n_layer": 1, "n_head": 2}
    net = causal_lm((36,), size, config=config)
    net.net.save_pretrained(folder)
    return net
