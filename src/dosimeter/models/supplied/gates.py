"""Checks of a supplied model: repeatability, code in its file, and assumptions about its answers."""

from __future__ import annotations

from collections.abc import Sequence

from dosimeter.foundation.gate import Gate
from dosimeter.foundation.wording import sentence


def repeated_answers(change: float) -> Gate:
    """I1: whether the same query gets the same answer.

    Args:
        change: largest change of a log-confidence between two queries, nats.
    """
    if change > 1e-3:
        return Gate(
            "I1", "Repeated answers", "warn", change,
            f"The same query was answered differently: log-confidences changed by up to {change:.2g} nats. The numbers "
            f"are of one query for each record; an adversary who averages many queries can do better.",
        )  # fmt: skip
    return Gate("I1", "Repeated answers", "pass", change, "The same query gets the same answer.")


def trusted_pickle(path: str) -> Gate:
    """I2: a file that can run code was loaded because the user said that it is trusted."""
    return Gate(
        "I2", "Trusted pickle", "warn", None,
        f"{path} is a pickle, which runs code when it is loaded; it was loaded because it was said to be trusted.",
    )  # fmt: skip


def outputs_as_taken(notes: Sequence[str]) -> list[Gate]:
    """I4: assumptions about the form of inputs and the meaning of outputs, if the kind of model leaves them open."""
    return [Gate("I4", "Model as asked", "pass", None, sentence(note)) for note in notes]
