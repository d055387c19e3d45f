"""A supplied language model: how its texts are read, the model with its base, and a first try of both."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dosimeter.config.tables import Target
from dosimeter.data import Dataset, Options
from dosimeter.data.files.texts import begin_of, cut_otherwise, find_tokenizer, opened
from dosimeter.data.supplied import held_of, join_parts
from dosimeter.foundation.errors import ConfigError, DataError
from dosimeter.foundation.wording import quote
from dosimeter.jobs.runners import one_thread
from dosimeter.models.language.asked import own_tokens, parent
from dosimeter.models.language.given import Finetuned, Following, read_finetuned
from dosimeter.models.language.statistics import MOST_LOGITS, token_statistics
from dosimeter.models.supplied.adapt import PROBED, Adapted, Examples, adapt, repeatability
from dosimeter.models.supplied.classes import Classes
from dosimeter.models.supplied.gates import outputs_as_taken, repeated_answers, trusted_pickle
from dosimeter.models.supplied.loading import load_target
from dosimeter.pipeline.supplied.prepared import Asked, Supplied

MOST_TRIED = 256
"""Members whose loss is compared with frequencies of tokens, and texts that two tokenizers cut."""


def folder_of(reference: object, base: Path) -> Path | None:
    """The folder of a model of transformers or of an adapter that a reference names; None if it names no folder."""
    if not isinstance(reference, str | Path):
        return None
    path = base / str(reference).removeprefix("hf:")
    return path if path.is_dir() else None


def reading_of(options: Options, model: object, base: Path) -> Options:
    """The options that read texts: unless they say what a token is, those of the model's own tokenizer.

    Args:
        options: as the user gave them.
        model: the model, or a reference to it.
        base: folder that references start from.

    Raises:
        ConfigError: nothing says what a token is.
    """
    if options.level is not None:
        return options
    if options.tokenizer is not None:
        return dataclasses.replace(options, level="tokenizer")
    folder = folder_of(model, base)
    if folder is None or find_tokenizer(folder) is None:
        raise ConfigError(
            "data_options.level: must say what a token of this model is, got no tokenizer beside the model: name its "
            "own as tokenizer, or set level to 'bytes' or 'words' if it was trained on these"
        )
    return dataclasses.replace(options, level="tokenizer", tokenizer=str(folder.absolute()))


def model_of_texts(target: Target, texts: Dataset, base: Path) -> tuple[object, object]:
    """The finetuned model and its base as `Supplied` takes them: folders, or modules with weights.

    Args:
        target: the table of the audit file.
        texts: some of its records.
        base: folder of the audit file.

    Raises:
        AuditError: no such model, or weights that do not fit.
    """
    own, before = folder_of(target.model, base), folder_of(target.base, base)
    if own is not None:
        if target.weights is not None:
            raise ConfigError(
                f"target.weights: must not be given beside a folder, which holds them, got {quote(target.weights)}: "
                "remove it"
            )
        if target.base is not None and before is None:
            raise ConfigError(f"target.base: must be a folder as model is, got {quote(target.base)}: correct the path")
        return own, before

    def build(weights: str | None) -> object:
        shape, classes = tuple(texts.inputs.shape[1:]), texts.vocabulary or 0
        loaded = load_target(
            target.model, weights=weights, options=target.options, shape=shape, classes=classes, base=base
        )
        return loaded.model

    return build(target.weights), None if target.base is None else before or build(target.base)


def asked_texts(supplied: Supplied, device: str) -> Asked:
    """Reads the model and its base, tries both on a few texts, and checks that they fit together and to the texts.

    Args:
        supplied: the model and its texts.
        device: where the models are asked.

    Raises:
        AuditError: one of them is no causal model, does not fit the texts, or the base cannot be the parent.
    """
    members, vocabulary = supplied.first, supplied.first.vocabulary or 0
    _check_tokenizers(supplied)
    probe = join_parts({name: supplied.parts[name].take(np.arange(_most(supplied, name))) for name in _TRIED_ON})
    texts = torch.from_numpy(probe.inputs)
    found = read_finetuned(
        supplied.model, supplied.parent, texts=texts, vocabulary=vocabulary, trust_pickle=supplied.trust_pickle
    )
    with one_thread():
        adapted = _adapted(found, probe, device)
        noise = repeatability(adapted, held_of(probe))
        answers = adapted.query(held_of(probe))
        seconds = _seconds(found, texts, device)
        own = members.take(np.unique(np.linspace(0, len(members) - 1, min(len(members), MOST_TRIED)).astype(np.int64)))
        gates = [
            repeated_answers(noise),
            own_tokens(_losses(found, torch.from_numpy(own.inputs), device), own.inputs, vocabulary),
            *parent(found.kinship, found.doubts),
            *map(trusted_pickle, found.trusted),
            *outputs_as_taken(_notes(supplied)),
        ]
    return Asked(adapted, tuple(gates), held_of(probe), answers, noise, seconds, found)


_TRIED_ON = ("members", "nonmembers")


def _most(supplied: Supplied, name: str) -> int:
    """Number of texts of a part that are tried."""
    return min(PROBED // 2, len(supplied.parts[name]))


def _adapted(found: Finetuned, probe: Dataset, device: str) -> Adapted:
    """The model as one query: of the token that follows a text."""
    following, held = Following(found.net), held_of(probe)
    with torch.inference_mode():
        width = int(found.net(held.inputs[:1].to(_home(found))).shape[-1])
    at_once = max(1, min(PROBED, MOST_LOGITS // (width * held.inputs.shape[1])))
    names = tuple(str(one) for one in range(width))
    adapted = adapt(
        following, classes=Classes(names, numbered=True, ours=True), example=Examples(held), output="logits",
        device=device, batch_size=at_once, name="model",
    )  # fmt: skip
    return dataclasses.replace(adapted, kind=found.kind, notes=())


def _home(found: Finetuned) -> torch.device:
    """Device on which a model is."""
    return next((one.device for one in found.net.parameters()), torch.device("cpu"))


def _losses(found: Finetuned, tokens: Tensor, device: str) -> np.ndarray[Any, Any]:
    """Loss of texts under the finetuned model, nats per token."""
    home, modes = _home(found), {part: part.training for part in found.net.modules()}
    logs = token_statistics(found.net, tokens, torch.device(device), place="model").log_probs
    found.net.to(home)
    for part, mode in modes.items():
        part.training = mode
    losses: np.ndarray[Any, Any] = (-logs.sum(1) / ((tokens >= 0).sum(1) - 1)).numpy()
    return losses


def _seconds(found: Finetuned, texts: Tensor, device: str) -> float:
    """Duration of the passes of model and base over one text, seconds."""
    start = time.perf_counter()
    _losses(found, texts, device)
    return (1 if found.base is None else 2) * (time.perf_counter() - start) / len(texts)


def _notes(supplied: Supplied) -> list[str]:
    """Remarks on how texts were read."""
    notes = []
    for name, part in supplied.parts.items():
        length = part.inputs.shape[1]
        full = int((part.lengths == length).sum())
        if full:
            notes.append(
                f"{full} of {len(part)} texts of {name} reach data_options.length, {length} tokens; what follows there "
                "is not read"
            )
    return notes


def _check_tokenizers(supplied: Supplied) -> None:
    """Refuses texts that the model's or the base's own tokenizer cuts otherwise.

    Raises:
        ConfigError: with how many texts differ.
    """
    for place, given in (("model", supplied.model), ("base", supplied.parent)):
        folder = folder_of(given, Path())
        own = None if folder is None else find_tokenizer(folder)
        if own is None:
            continue
        if supplied.tokenizer is None:
            raise ConfigError(
                f"{place}: must be asked with the tokens that it learned, got bytes or words beside a tokenizer in "
                f"{quote(folder.name if folder else '')}: leave data_options.level out"
            )
        some = _some(supplied.parts.values())
        begun = [begin_of(opened(one, Path(), "tokenizer")) for one in (supplied.tokenizer, own)]
        if place == "model" and begun[1] is not None and begun[0] != begun[1]:
            raise ConfigError(
                f"model: must be asked with its own tokenizer, which begins a text with token {begun[1]}, got one that "
                f"begins it with {begun[0]}: leave tokenizer out, or name its own"
            )
        other = cut_otherwise(some, supplied.tokenizer, own)
        if other:
            raise ConfigError(
                f"{place}: must have the tokenizer that cut the texts, got one in "
                f"{quote(folder.name if folder else '')} that cuts {other} of {len(some)} texts otherwise: "
                + ("leave tokenizer out, or name its own" if place == "model" else "name the base of this model")
            )


def _some(parts: Sequence[Dataset] | Any) -> list[np.ndarray[Any, Any]]:
    """Tokens of some texts of each part, without the one that begins them."""
    rows = [row[row >= 0][1:] for part in parts for row in part.inputs[: MOST_TRIED // 2]]
    if not rows:
        raise DataError("members: must be there, got none: give texts")
    return rows
