"""One small classifier for each candidate, all trained together: it separates the answers of in- and out-shadows.

Axes: `n` records, `r` rows (shadows times views), `k` rows to score, `c` classes of the deployed model, `d` one more,
for the bias, `h` hidden units, `e` one more.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

_NUMBERS = 2**17  # hidden values of the records of one step, so many that they stay in a core's cache
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8  # of Adam


@dataclass(frozen=True)
class Recipe:
    """Training of every classifier: Adam on cross-entropy, equal for all records.

    Attributes:
        updates: number of updates.
        batch: rows of one update; passes over the rows are shuffled and end with what is left.
        decays: updates after which the learning rate falls to 0.9 of itself, again and again.
        hidden: units.
        dropout: of the hidden units.
        lr: learning rate at the start.
        weight_decay: L2 penalty, added to the gradient.
    """

    updates: int
    batch: int = 64
    decays: int = 56
    hidden: int = 64
    dropout: float = 0.5
    lr: float = 0.005
    weight_decay: float = 5e-4


def member_odds(
    known: Float[Tensor, "n r c"], member: Bool[Tensor, "n r"], asked: Sequence[Float[Tensor, "n k c"]],
    recipe: Recipe, rng: np.random.Generator,
) -> Float[Tensor, "t n k"]:  # fmt: skip
    """Trains one classifier for each record on its known rows and gives the log-odds "member" of the asked rows.

    Initial weights, order of rows and dropout are drawn once and serve every record. No classifier reads another's
    rows, so each is what it would be if it were trained alone with these draws. Rows of members and of
    non-members weigh the same in total, however many there are.

    Args:
        known: answers of the shadows.
        member: which of those rows come from a shadow that trained on the record.
        asked: answers of each target; each target is scored alone, so that rounding cannot depend on another.
        recipe: recipe of the training.
        rng: generator for the draws.
    """
    rows, classes = known.shape[1:]
    draws = _Draws.of(recipe, rows, classes, rng)
    share = member.float().mean(1, keepdim=True)
    weight = torch.where(member, 0.5 / share, 0.5 / (1 - share))
    found = torch.empty(len(asked), *asked[0].shape[:2])
    at_once = max(8, _NUMBERS // (recipe.hidden * min(recipe.batch, known.shape[1])))
    for start in range(0, len(known), at_once):
        part = slice(start, start + at_once)
        with _no_denormals():
            first, second = _train(_columns(known[part]), member[part].float(), weight[part], draws, recipe)
        for odds, own in zip(found, asked, strict=True):
            hidden = torch.bmm(first, _columns(own[part])).relu_()
            odds[part] = torch.baddbmm(second[:, :, -1:], second[:, :, :-1], hidden)[:, 0]
    return found


@contextlib.contextmanager
def _no_denormals() -> Iterator[None]:
    """Sets numbers below 1e-38 to 0 inside the block: idle units' weights decay to them, which is 30 times slower."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _columns(rows: Float[Tensor, "n r c"]) -> Float[Tensor, "n d r"]:
    """Rows as columns, with a constant for the bias below them."""
    return torch.cat([rows.transpose(1, 2), torch.ones(len(rows), 1, rows.shape[1])], 1)


@dataclass(frozen=True)
class _Draws:
    """Random numbers of one training.

    Attributes:
        first: weights and bias of the hidden units.
        outputs: weights and bias of the two outputs.
        batches: rows of each update.
        masks: dropout of each update.
    """

    first: Float[Tensor, "h d"]
    outputs: Float[Tensor, "2 e"]
    batches: list[Tensor]
    masks: list[Tensor]

    @classmethod
    def of(cls, recipe: Recipe, rows: int, classes: int, rng: np.random.Generator) -> _Draws:
        """Draws weights as `nn.Linear` does, passes over the rows, and dropout scaled to keep the mean."""
        torch_rng = torch.Generator().manual_seed(int(rng.integers(2**63 - 1)))

        def uniform(*shape: int) -> Tensor:
            return (torch.rand(*shape, generator=torch_rng) * 2 - 1) / math.sqrt(shape[1] - 1)

        batches: list[Tensor] = []
        while len(batches) < recipe.updates:  # the order within a batch of all rows changes nothing
            order = np.arange(rows) if rows <= recipe.batch else rng.permutation(rows)
            batches += torch.split(torch.from_numpy(order), recipe.batch)
        batches, keep = batches[: recipe.updates], 1 - recipe.dropout
        masks = [(torch.rand(recipe.hidden, len(one), generator=torch_rng) < keep).float() / keep for one in batches]
        return cls(uniform(recipe.hidden, classes + 1), uniform(2, recipe.hidden + 1), batches, masks)


@torch.no_grad()
def _train(
    x: Float[Tensor, "n d r"], y: Float[Tensor, "n r"], weight: Float[Tensor, "n r"], draws: _Draws, recipe: Recipe
) -> tuple[Tensor, Tensor]:
    """Weights of the classifiers of a few records: hidden units `[n h d]`, log-odds `[n 1 e]`.

    Gradients are written by hand, as one batched product over all records.
    """
    n, rows = len(x), x.shape[2]
    values = [draws.first.repeat(n, 1, 1), draws.outputs.repeat(n, 1, 1)]
    means, squares = ([torch.zeros_like(one) for one in values] for _ in range(2))
    for step, (batch, mask) in enumerate(zip(draws.batches, draws.masks, strict=True)):
        whole = len(batch) == rows
        own, target, counts = (x, y, weight) if whole else (x[:, :, batch], y[:, batch], weight[:, batch])
        first, second = values[0], _difference(values[1])
        active = torch.bmm(first, own).relu_()
        hidden = active * mask
        odds = torch.baddbmm(second[:, :, -1:], second[:, :, :-1], hidden)[:, 0]
        slope = (torch.sigmoid(odds) - target).mul_(counts / counts.sum(1, keepdim=True))[:, None]
        back = (second[:, 0, :-1, None] * slope).mul_(mask)
        # The gradient of ReLU: 0 for units that are off.
        back = torch.ops.aten.threshold_backward(back, active, 0)
        # A softmax of two outputs is a logistic function of their difference. Both outputs are kept, so that weight
        # decay and Adam act as on a network with two outputs.
        of_odds = torch.cat([torch.bmm(slope, hidden.transpose(1, 2)), slope.sum(2, keepdim=True)], 2)
        gradients = (torch.bmm(back, own.transpose(1, 2)), torch.cat([-of_odds, of_odds], 1))
        lr, done = recipe.lr * 0.9 ** (step // recipe.decays), step + 1
        for value, gradient, mean, square in zip(values, gradients, means, squares, strict=True):
            gradient.add_(value, alpha=recipe.weight_decay)
            mean.lerp_(gradient, 1 - _BETA1)
            square.mul_(_BETA2).addcmul_(gradient, gradient, value=1 - _BETA2)
            spread = square.sqrt().div_(math.sqrt(1 - _BETA2**done)).add_(_EPSILON)
            value.addcdiv_(mean, spread, value=-lr / (1 - _BETA1**done))
    return values[0], _difference(values[1])


def _difference(outputs: Float[Tensor, "n 2 e"]) -> Float[Tensor, "n 1 e"]:
    """Weights of the log-odds: those of the output "member" minus those of the other output."""
    return outputs[:, 1:] - outputs[:, :1]
