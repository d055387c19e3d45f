"""Refuses chains in which texts of a language model meet records with classes, or texts of another kind."""

from __future__ import annotations

from collections.abc import Sequence

from dosimeter.config.tables import Stage
from dosimeter.data import Dataset
from dosimeter.foundation.errors import DataError


def refuse_other_records(stages: Sequence[Stage], data: Sequence[Dataset | None], test: Dataset | None) -> None:
    """Refuses records that do not fit the task of their stage, and texts that do not fit those of another.

    Args:
        stages: the chain.
        data: of each stage, None for one without or one that could not be read.
        test: test records of the last stage.

    Raises:
        DataError: each such data set, one line each.
    """
    named = [(f"stage[{i}].data", one, stages[i].task) for i, one in enumerate(data)]
    named.append((f"stage[{len(stages) - 1}].test", test, stages[-1].task))
    problems = [_problem(place, one, task) for place, one, task in named if one is not None]
    texts = [(place, one) for place, one, _ in named if one is not None and one.vocabulary is not None]
    for place, one in texts[1:]:
        first = texts[0][1]
        if (one.vocabulary, one.inputs.shape[1]) != (first.vocabulary, first.inputs.shape[1]):
            problems.append(
                f"{place}: all texts of a chain must have one vocabulary and length, got {one.vocabulary} tokens and "
                f"length {one.inputs.shape[1]} after {first.vocabulary} and {first.inputs.shape[1]}: give all the same "
                "level, length, vocabulary and tokenizer"
            )
    problems = [one for one in problems if one]
    if problems:
        raise DataError(*problems)


def _problem(place: str, records: Dataset, task: str) -> str:
    """What is wrong with the records of one stage; empty if nothing is."""
    if task == "language" and records.vocabulary is None:
        return (
            f"{place}: task 'language' needs texts as tokens, got records with {len(records.classes)} classes: set "
            "data_options.level, or name a column of text"
        )
    if task == "classes" and records.vocabulary is not None:
        return (
            f"{place}: texts with data_options.level have no classes, got them with task 'classes': set task = "
            "'language', or remove level"
        )
    return ""
