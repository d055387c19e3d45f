"""What a threat on a language model offers its attacks, and what a plan says of its texts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from dosimeter.data import Dataset
from dosimeter.data.entries import data_key
from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.attacks.language.ez_mia import EZMIA, forced
from dosimeter.families.membership.case.collect import most_frequent
from dosimeter.families.membership.game import MembershipGame
from dosimeter.families.membership.observe.language import entry_of, text_signals
from dosimeter.families.membership.observe.observations import Observations
from dosimeter.families.membership.observe.probes.subject import evaluating
from dosimeter.families.membership.observe.signals import unlike_task
from dosimeter.families.membership.observe.text_queries import BLOCK, QUERIES
from dosimeter.families.membership.play.arena import Arena
from dosimeter.families.membership.play.texts import OF_BASE, TextsJob, sizes_of
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.seeds import generator
from dosimeter.jobs.arrays import arrays_hash
from dosimeter.jobs.store import key_of
from dosimeter.statistics.utility import accuracy
from dosimeter.training.system import SuppliedSystem, TrainedSystem


def withheld_of_texts(signals: Collection[str], population: int, *, supplied: bool = False) -> Mapping[str, str]:
    """Signals that a language model does not give, each with the reason.

    Args:
        signals: that attacks ask for.
        population: texts outside every model.
        supplied: whether the model is the user's own, which decides what to do about a lack.
    """
    found, remedy = unlike_task(signals, language=True), "give a population" if supplied else "raise threat.population"
    for name in signals:
        if name in QUERIES and QUERIES[name].context > population:
            found[name] = f"needs {QUERIES[name].context} texts outside every model, got {population}: {remedy}"
    return found


def ask_texts(system: SuppliedSystem, names: Sequence[str], population: int) -> dict[str, Tensor]:
    """Answers of a supplied language model to all texts, as a shadow's entry holds them.

    Args:
        system: the model and its texts.
        names: signals of the answers.
        population: how many texts, the last ones, are outside every model.
    """
    assert system.language is not None
    tokens, device = torch.from_numpy(system.pool.inputs), torch.device(system.device)
    with evaluating(system.language.net, device):
        found = text_signals(
            system.language.net, tokens, names, device, context=tokens[len(tokens) - population :], place="model"
        )
    return entry_of(found)


def hold_texts(system: SuppliedSystem, records: int) -> str:
    """Asks the base of a supplied language model about the judged texts, and stores what it says, with their sizes.

    Args:
        system: the model, its base and its texts.
        records: judged texts, the first of all.

    Returns:
        Key of the entry.
    """
    assert system.language is not None
    tokens, rows = torch.from_numpy(system.pool.inputs[:records]), torch.arange(records)
    sizes = {} if system.pool.compressed is None else {"compressed": torch.from_numpy(system.pool.compressed)}
    found = {"lengths": (tokens >= 0).sum(1), "compressed": sizes_of(sizes, tokens, rows)}
    if system.language.base is not None:
        device = torch.device(system.device)
        with evaluating(system.language.base, device):
            said = text_signals(system.language.base, tokens, OF_BASE, device, place="base")
        found |= {name: said[name] for name in OF_BASE}
    content = arrays_hash(**{name: values.numpy() for name, values in found.items()})
    definition = {"kind": "texts held", "content": content}
    key = key_of(definition)
    if not system.store.verify(key):
        system.store.save(key, found, definition)
    return key


def base_of(system: SuppliedSystem) -> dict[str, str]:
    """Content of an audit's key that is about the base of a supplied language model; nothing without one."""
    if system.language is None or system.language.base is None:
        return {}
    return {"base": system.language.start}


def baseless(system: SuppliedSystem) -> str:
    """Text: why attacks on a supplied model have no base to compare with; empty if they have."""
    if system.language is None:
        return "compares a finetuned language model with its base, and these records are no texts: leave it out"
    if system.language.base is None:
        return "compares with the model that finetuning started from, and none is given: name it as base"
    return ""


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


def told_of_texts(
    records: Dataset,
    rows: Int[Array, " n"],
    arena: Arena,
    observations: Observations,
    ran: Sequence[NamedAttack],
    persons: Array | None = None,
) -> dict[str, Any]:
    """What run.json says of memorised passages and of forced scores; nothing of what no attack asks for.

    Args:
        records: whose texts are judged.
        rows: the judged ones.
        arena: where the attacks played.
        observations: signals of all models.
        ran: attacks that were run.
        persons: whose the judged texts are, by name `[n]`, where `records` do not say.
    """
    own = persons if records.persons is None else records.persons[rows]
    found = {
        "passages": _passages(records, rows, arena, observations, own),
        "forced": _forced(arena, observations, ran),
    }
    return {name: told for name, told in found.items() if told}


def _passages(
    records: Dataset, rows: Int[Array, " n"], arena: Arena, observations: Observations, persons: Array | None
) -> dict[str, Any]:
    """How many texts a target gives word for word, of those that it used and of those that it never saw."""
    if "continued_tokens" not in observations.signals:
        return {}
    design = arena.design
    member, n = design.member[: design.targets], len(design.ids)
    whole = observations.signals["continued_tokens"][: len(member), 0, :n] >= np.minimum(
        BLOCK, records.lengths[rows] - 1
    )
    found: dict[str, Any] = {"tokens": BLOCK}
    for name, counted in (("members", member), ("nonmembers", ~member)):
        rng = generator(arena.seed, f"passages {name}")
        value = accuracy(whole, counted, record=design.record, rng=rng)
        ends = {"value": value.value, "low": value.low, "high": value.high, "method": value.method}
        found[name] = {"exact": int((whole & counted).sum()), "of": int(counted.sum()), **ends}
        if persons is not None:
            person = np.unique(persons, return_inverse=True)[1]
            found[name]["persons"] = {"exact": _persons(person, whole & counted), "of": _persons(person, counted)}
    return found


def _persons(person: Int[Array, " n"], chosen: Bool[Array, "t n"]) -> int:
    """Persons of whom some text is chosen, summed over targets."""
    return sum(len(np.unique(person[row])) for row in chosen)


def _forced(arena: Arena, observations: Observations, ran: Sequence[NamedAttack]) -> dict[str, Any]:
    """How many scores of each EZ-MIA are forced, of used texts and of others, over all targets."""
    own = {row.id: row.attack for row in ran if isinstance(row.attack, EZMIA)}
    if not own or arena.holdings.texts is None:
        return {}
    design = arena.design
    member, n = design.member[: design.targets], len(design.ids)
    outputs = {name: observations.signals[name][: len(member), :, :n] for name in EZMIA.signals}
    texts = arena.holdings.texts.load().first(n)
    game = MembershipGame(design.ids, design.labels, design.classes, outputs, {}, np.zeros((0, n), bool), texts=texts)
    told = {}
    for name, attack in own.items():
        each = vars(forced(attack, game))
        told[name] = {
            part: {"of": int(counted.sum()), **{kind: int((rows & counted).sum()) for kind, rows in each.items()}}
            for part, counted in (("members", member), ("nonmembers", ~member))
        }
    return told


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
