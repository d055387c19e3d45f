"""Whether a supplied language model is given the tokens that it learned (I7), and the base that it had (I10)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.gate import Gate
from dosimeter.models.language.kinship import Kinship
from dosimeter.models.supplied.asked import LEARNED_Z, RARE_Z


def frequencies(tokens: Int[Array, "n l"], vocabulary: int) -> Float[Array, " n"]:
    """Loss of each text under frequencies of tokens in the other texts, nats per token.

    Args:
        tokens: -1 after the end; the first of each text is not predicted.
        vocabulary: number of tokens that there are; each is counted once more than it occurs.
    """
    own = [row[1:][row[1:] >= 0] for row in tokens]
    counts = np.bincount(np.concatenate(own), minlength=vocabulary).astype(np.float64)
    found = np.empty(len(own))
    for i, row in enumerate(own):
        used, times = np.unique(row, return_counts=True)
        others = counts[used] - times + 1
        found[i] = (times * (np.log(counts.sum() - len(row) + vocabulary) - np.log(others))).sum() / len(row)
    return found


def own_tokens(losses: Float[Array, " n"], tokens: Int[Array, "n l"], vocabulary: int) -> Gate:
    """I7 of texts: whether the model predicts the tokens of its own training texts.

    Numbers of another tokenizer are drawn at random to a model, which is then worse than a uniform guess. A model that
    is no better than frequencies learned nothing or is given what it did not learn.

    Args:
        losses: of members under the model, nats per token.
        tokens: of these members, -1 after the end.
        vocabulary: number of tokens that there are.
    """
    name, n = "Asked as its user asks it", len(losses)
    uniform, counted = float(np.log(vocabulary)), frequencies(tokens, vocabulary)
    mean, gain = float(losses.mean()), counted - losses
    error = float(losses.std(ddof=1) / n**0.5) if n > 1 else 0.0
    spread = float(gain.std(ddof=1) / n**0.5) if n > 1 else 0.0
    told = (
        f"Over {n} of its own training texts the model's loss is {mean:.2f} nats a token, where frequencies of tokens "
        f"reach {counted.mean():.2f} and a uniform guess {uniform:.2f}"
    )
    if mean > uniform + RARE_Z * error:
        return Gate(
            "I7", name, "fail", mean,
            f"{told}: it is asked in the wrong way. Look for texts cut by another tokenizer than its own, members and "
            f"non-members swapped, or a model that was not trained.",
        )  # fmt: skip
    if gain.mean() < LEARNED_Z * spread:
        return Gate(
            "I7", name, "warn", mean,
            f"{told}: it is not shown to be better than frequencies, so either it learned little, or the texts are cut "
            f"by another tokenizer than its own. Compare its loss with the one you know.",
        )  # fmt: skip
    return Gate("I7", name, "pass", mean, f"{told}.")


def parent(told: Kinship | None, doubts: tuple[str, ...]) -> list[Gate]:
    """I10: whether the base can be what finetuning started from; none without a base.

    Args:
        told: how alike the weights are.
        doubts: what speaks against the base, each a sentence.
    """
    if told is None:
        return []
    said = (
        f"Weights of model and base correlate by {told.correlation:.3f} (median over matrices); all together they "
        f"moved by {told.moved:.1%} of their norm"
    )
    name = "Base of the finetuning"
    if doubts:
        return [Gate("I10", name, "warn", told.correlation, " ".join((f"{said}.", *doubts)))]
    rest = "a sibling, or the parent at another time, would pass as well"
    return [Gate("I10", name, "pass", told.correlation, f"{said}: the base is a relative; {rest}.")]
