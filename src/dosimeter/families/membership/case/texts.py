"""What a threat on a language model offers its attacks, and what a plan says of its texts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from jaxtyping import Int

from dosimeter.data import Dataset
from dosimeter.data.entries import data_key
from dosimeter.families.membership.case.collect import most_frequent
from dosimeter.families.membership.design.design import Design, Split
from dosimeter.families.membership.observe.observations import Observations
from dosimeter.families.membership.observe.signals import unlike_task
from dosimeter.families.membership.observe.text_queries import BLOCK, QUERIES
from dosimeter.families.membership.play.texts import TextsJob
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.seeds import generator
from dosimeter.statistics.utility import accuracy
from dosimeter.training.system import TrainedSystem


def withheld_of_texts(signals: Collection[str], population: int) -> Mapping[str, str]:
    """Signals that a language model does not give, each with the reason.

    Args:
        signals: that attacks ask for.
        population: texts outside every model.
    """
    found = unlike_task(signals, language=True)
    for name in signals:
        if name in QUERIES and QUERIES[name].context > population:
            found[name] = (
                f"needs {QUERIES[name].context} texts outside every model, got {population}: raise threat.population"
            )
    return found


def no_base(system: TrainedSystem) -> str:
    """Text: why attacks have no model to compare the finetuned one with; empty if they have."""
    if not system.link.language:
        return "compares a finetuned language model with its base, and these records are no texts: leave it out"
    if system.index == 0 or system.link.transfer == "scratch":
        return (
            f"compares with the model that finetuning started from, and stage {system.link.name!r} starts from "
            "nothing: use transfer 'full' or 'lora' after another stage"
        )
    if system.transferred:
        return (
            f"compares with the model before stage {system.link.name!r}, which later stages change too: leave it out, "
            "or end the chain there"
        )
    return ""


def classes_or_tokens(records: Dataset, labels: Int[Array, " n"]) -> dict[str, Any]:
    """What run.json says of the classes of records, or of the tokens of texts, and what guessing the likeliest reaches.

    Args:
        records: at risk.
        labels: classes of the judged ones.
    """
    if records.vocabulary is None:
        return {"classes": len(records.classes), "most_frequent_class": most_frequent(labels)}
    following = records.inputs[:, 1:]
    share = most_frequent(following[following >= 0])
    return {"classes": None, "vocabulary": records.vocabulary, "most_frequent_token": share}


def passages(system: TrainedSystem, split: Split, design: Design, observations: Observations) -> dict[str, Any]:
    """What run.json says of memorised passages; nothing unless an attack asks for them.

    Counted are texts whose last tokens a target gives word for word: of those that it used, and of those that it never
    saw.
    """
    if "continued_tokens" not in observations.signals:
        return {}
    member, n = design.member[: design.targets], len(design.ids)
    lengths = system.at_risk.lengths[split.pool[split.candidates]]
    whole = observations.signals["continued_tokens"][: len(member), 0, :n] >= np.minimum(BLOCK, lengths - 1)
    found: dict[str, Any] = {"tokens": BLOCK}
    for name, counted in (("members", member), ("nonmembers", ~member)):
        rng = generator(system.seed, f"passages {name}")
        value = accuracy(whole, counted, record=design.record, rng=rng)
        ends = {"value": value.value, "low": value.low, "high": value.high, "method": value.method}
        found[name] = {"exact": int((whole & counted).sum()), "of": int(counted.sum()), **ends}
    return {"passages": found}


def usual_tokens(records: Dataset) -> float:
    """Median number of tokens after the first of texts; 0 of other records."""
    return 0.0 if records.vocabulary is None else float(np.median(records.lengths)) - 1


def texts_job(system: TrainedSystem, rows: Array) -> TextsJob:
    """The job about the judged texts.

    Args:
        system: the chain and its data.
        rows: judged texts, as rows of the data at risk.
    """
    base = () if no_base(system) else system.links[: system.index]
    weights = system.parent if base else None
    return TextsJob(system.store, data_key(system.at_risk), rows, base, weights, system.device)


def notes_of_texts(texts: Dataset) -> list[str]:
    """What a plan says of texts; nothing of other records."""
    if texts.vocabulary is None:
        return []
    lengths, most = texts.lengths, texts.inputs.shape[1]
    full = int((lengths == most).sum())
    notes = [f"texts: {len(texts)} with {lengths.min()} to {lengths.max()} tokens of {texts.vocabulary}"]
    if full:
        notes.append(f"texts: {full} of {len(texts)} reach data_options.length, {most}; what follows there is not read")
    return notes
