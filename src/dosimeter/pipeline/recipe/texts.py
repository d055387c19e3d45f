"""Refuses chains in which texts of a language model meet records with classes, or texts of another kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dosimeter.config.audit import Audit
from dosimeter.config.tables import Stage
from dosimeter.data import Dataset, Options
from dosimeter.data.files.texts import cut_otherwise, find_tokenizer, opened
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import one_line

MOST_CUT = 128
"""Texts of a stage on which two tokenizers are compared."""


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


def refuse_other_tokens(audit: Audit, data: Sequence[Dataset | None]) -> None:
    """Refuses texts that are cut otherwise than the chain's first ones, or than a given model learned them.

    Vocabularies of one size do not tell: such a model would be asked of other words than it knows, and leak less.

    Args:
        audit: the settings.
        data: of each stage, None for one without or one that could not be read.

    Raises:
        DataError: each such stage, one line each.
    """
    base, readings = audit.base, [_reading(audit, stage) for stage in audit.stages]
    texts = [(i, readings[i], one) for i, one in enumerate(data) if one is not None and one.vocabulary is not None]
    if not texts or any(own.level is None for _, own, _ in texts):  # a function gave tokens, and no reading made them
        return
    (_, first, some), *others = texts
    problems = []
    for index, own, later in others:
        place, remedy = f"stage[{index}].data", "give all stages the same level and tokenizer"
        if own.level != first.level:
            problems.append(f"{place}: must have the tokens of the stages before, got {own.level!r} after "
                            f"{first.level!r}: {remedy}")  # fmt: skip
        elif own.level == "tokenizer":
            told = _cut(later, own, _tokenizer(first, base), base)
            problems += [f"{place}: must have the tokens of the stages before, got {told}: {remedy}"] if told else []
    for index, stage in enumerate(audit.stages):
        folder = _given_folder(stage, base)
        if folder is None or (known := find_tokenizer(folder)) is None:
            continue
        place = f"stage[{index}].options.folder"
        told = f"level {first.level!r}" if first.level != "tokenizer" else _cut(some, first, known, base)
        if told:
            problems.append(
                f"{place}: must be given the tokens that it learned, got {told} beside the tokenizer in "
                f"{one_line(folder.name, 60)!r}: name this folder as data_options.tokenizer"
            )
    if problems:
        raise DataError(*problems)


def _reading(audit: Audit, stage: Stage) -> Options:
    """How the texts of a stage are read; those of a named part have its options."""
    part = audit.parts.get(str(stage.data))
    return stage.reading if part is None else part.data_options.options


def _given_folder(stage: Stage, base: Path) -> Path | None:
    """The folder whose weights a stage starts from; None if it has none."""
    own = stage.options.get("folder")
    if stage.model != "causal-lm" or stage.weights != "pretrained" or not isinstance(own, str):
        return None
    folder = base / Path(own).expanduser()
    return folder if folder.is_dir() else None  # the model itself tells


def _tokenizer(own: Options, base: Path) -> object:
    """The tokenizer that cut some texts, or its folder."""
    given = own.tokenizer
    return base / Path(given).expanduser() if isinstance(given, str) else given


def _cut(texts: Dataset, own: Options, other: object, base: Path) -> str:
    """How many texts another tokenizer cuts otherwise, in words; empty if it cuts all alike."""
    cutter = _tokenizer(own, base)
    if cutter == other:
        return ""
    rows = [row[row >= 0][1:] for row in texts.inputs[:MOST_CUT]]
    odd = cut_otherwise(rows, cutter, opened(other, Path(), "tokenizer"))
    return f"a tokenizer that cuts {odd} of {len(rows)} texts otherwise" if odd else ""
