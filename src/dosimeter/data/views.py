"""Views: transformed copies of records. Models are queried with them; training draws new ones for each batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int, Shaped
from torch import Tensor, nn

from dosimeter.foundation.view_names import WORD_VIEWS

if TYPE_CHECKING:
    from dosimeter.data.dataset import Dataset

DROPPED = 0.15
"""Share of a text's words that a copy lacks."""


def apply_view(inputs: Tensor, view: str) -> Tensor:
    """A transformed copy of records: mirrored, shifted by a sixteenth of the width (at least one pixel), or shortened.

    Args:
        inputs: `[n ...]`; images `[n k h w]` or words `[n length]` for every view but "identity".
        view: names from `threat.VIEWS`, joined by "+".
    """
    if view in WORD_VIEWS:
        return drop_words(inputs, word_order(inputs, WORD_VIEWS.index(view)))
    for part in view.split("+"):
        if part == "flip":
            inputs = inputs.flip(-1)
        elif part != "identity":
            size = max(1, inputs.shape[-1] // 16)
            padded = nn.functional.pad(inputs, (size,) * 4, mode="replicate")
            down = {"up": 2 * size, "down": 0}.get(part, size)
            right = {"left": 2 * size, "right": 0}.get(part, size)
            inputs = padded[..., down : down + inputs.shape[-2], right : right + inputs.shape[-1]]
    return inputs.contiguous()


def drop_words(words: Int[Tensor, "n k"], order: Shaped[Tensor, "n k"]) -> Int[Tensor, "n k"]:
    """Texts without 15 % of their words, rounded, but at least one; a text of one word stays.

    Args:
        words: tokens, 0 for no word.
        order: numbers below 2^32; the words with the smallest are dropped.

    >>> drop_words(torch.tensor([[5, 7, 9, 0], [5, 0, 0, 0]]), torch.tensor([[0.5, 0.1, 0.3, 0.0], [0.0] * 4]))
    tensor([[5, 0, 9, 0],
            [5, 0, 0, 0]])
    """
    there = words != 0
    total = there.sum(1, keepdim=True)
    count = torch.where(total > 1, (DROPPED * total.double()).round().clamp(min=1).long(), 0)
    rank = order.double().masked_fill(~there, float(2**33)).argsort(dim=1, stable=True).argsort(1)
    return words.masked_fill(rank < count, 0)


def word_order(words: Int[Tensor, "n k"], view: int) -> Int[Tensor, "n k"]:
    """A number below 2^32 for each word, from text, position and view alone, so that it is equal for every model."""
    places = torch.arange(words.shape[1], device=words.device)
    text = _hash(_hash(words.long() & _ALL) + places).sum(1, keepdim=True)
    return _hash(_hash((text + view + 1) & _ALL) + places)


_ALL = 2**32 - 1


def _hash(numbers: Tensor) -> Tensor:
    """Hashed whole numbers below 2^32; every bit depends on all bits of the input (a multiplicative hash)."""
    for _ in range(2):
        numbers = (((numbers & _ALL) >> 16 ^ numbers) & _ALL) * 0x45D9F3B & _ALL
    return numbers >> 16 ^ numbers


def unfit(place: str, names: Sequence[str], records: Dataset) -> list[str]:
    """Problems with views or kinds of augmentation for these records, at most one line for each kind.

    Args:
        place: start of messages.
        names: names of views and kinds of augmentation.
        records: records that they transform.
    """
    inputs = records.inputs
    got = f"got inputs of shape {inputs.shape} and type {inputs.dtype}"
    words = [name for name in names if name.startswith("drop")]
    problems = []
    if set(names) - {"identity", *words} and inputs.ndim != 4:
        problems.append(
            f"{place}: flips and shifts need images [n, channels, height, width], {got}: use views = ['identity'] and "
            "no augment"
        )
    if words and (not records.tokens or records.vocabulary is not None):
        problems.append(
            f"{place}: words can be dropped from texts, rows of tokens [n, length], {got}: use views = "
            "['identity'] and no augment"
        )
    return problems
