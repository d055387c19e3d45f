"""Finds a network's tensors in a file of weights: entries of checkpoints, and prefixes that wrappers add."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dosimeter.foundation.errors import ConfigError, TrainingError
from dosimeter.foundation.wording import describe, one_line, quote

USUAL = ("state_dict", "model_state_dict", "module_state_dict", "model", "net")
"""Entries under which training scripts keep weights; messages name these if nothing fits."""
DEEPEST = 3
"""Largest depth of entries in a checkpoint at which weights are searched."""


@dataclass(frozen=True)
class Weights:
    """A network's tensors as a file has them.

    Attributes:
        state: names to tensors, without prefixes.
        left_out: names in the same file that are no part of the network, as the file has them.
    """

    state: dict[str, Tensor]
    left_out: tuple[str, ...] = ()

    @property
    def left_names(self) -> str:
        """Names that were left out, in words; empty if there are none."""
        if not self.left_out:
            return ""
        more = f" and {len(self.left_out) - 3} more" if len(self.left_out) > 3 else ""
        return one_line(f"{', '.join(self.left_out[:3])}{more}", 300)


def read_weights(path: Path, own: Set[str], place: str) -> Weights:
    """Reads the tensors of a network from a file; code in a pickle is never run.

    The network's names must all stand in one entry under one prefix, and nothing else under that prefix. What stands
    beside it, such as the weights of a loss, is left out. If no entry has all names, the likeliest is given as it is.

    Args:
        path: `.safetensors`, or what `torch.save` wrote: a state dict, alone or in a checkpoint.
        own: names in the network's state dict.
        place: start of messages.

    Raises:
        ConfigError: the file cannot be read, holds no tensors, or has the network's names twice.
    """
    found = dict(_entries(_read(path, place)))
    if not found:
        raise ConfigError(f"{place}: {path} must hold a state dict, got none: save model.state_dict() as .safetensors")
    fits = [(entry, prefix) for entry, state in found.items() for prefix in prefixes(state, own)]
    if len(fits) > 1:
        told = " and ".join(
            quote(f"{entry}: {prefix}*" if prefix else entry or "the names as they are") for entry, prefix in fits[:4]
        )
        raise ConfigError(
            f"{place}: {path.name} must hold the network's tensors once, got {told}: save those you mean alone, "
            "as .safetensors"
        )
    if not fits:
        return Weights(found[next((one for one in USUAL if one in found), next(iter(found)))])
    ((entry, prefix),) = fits
    state = found.pop(entry)
    bare = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    beside = [name for name in state if not name.startswith(prefix)]
    return Weights(bare, tuple([*sorted(beside), *(f"the entry {quote(one)}" for one in found)]))


def prefixes(state: Mapping[str, Tensor], own: Set[str]) -> list[str]:
    """Prefixes under which a state dict has all names of a network; only the empty one if it has no other names.

    >>> prefixes({"module._orig_mod.weight": torch.ones(1), "criterion.scale": torch.ones(1)}, {"weight"})
    ['module._orig_mod.']
    """
    if state.keys() == own:
        return [""]
    first = max(own, key=len, default="")
    ends = [name for name in state if name == first or name.endswith(f".{first}")] if first else []
    found = {name.removesuffix(first) for name in ends}
    return sorted(one for one in found if all(one + name in state for name in own))


def _read(path: Path, place: str) -> object:
    """Content of a file, read without running code."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd protocols: what cannot be read is told in one line below
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        odd, remedy = _objects(path), "save a state dict as .safetensors"
        if odd:
            remedy = (
                "if you made the file yourself, run once "
                "torch.save(torch.load(FILE, weights_only=False)['state_dict'], 'weights.pt'), with the name of its "
                "entry, and give weights.pt"
            )
        raise ConfigError(
            f"{place}: {path} must hold tensors and nothing else, got {odd or 'a file that is not so'} "
            f"({type(error).__name__}; no code in it was run): {remedy}"
        ) from error


def _objects(path: Path) -> str:
    """Names of the classes and functions that a checkpoint needs beside tensors, found without running any."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    except Exception:  # no such file, or one in an old format
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{one_line(', '.join(sorted(names)[:3]), 200)}{more} in it" if names else ""


def _entries(loaded: object, path: str = "", depth: int = 0) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """State dicts in a loaded file, by the dotted names of their entries; the whole file has an empty name."""
    if not isinstance(loaded, dict) or not loaded or not all(isinstance(name, str) for name in loaded):
        return
    if all(isinstance(value, Tensor) for value in loaded.values()):
        yield path, dict(loaded)
    elif depth < DEEPEST:
        inner: Mapping[str, Any] = loaded
        for name, value in inner.items():
            yield from _entries(value, f"{path}.{name}".removeprefix("."), depth + 1)


def load_state(model: nn.Module, state: Mapping[str, Tensor], what: str) -> nn.Module:
    """Loads weights into a model, or says which tensors do not fit.

    Raises:
        TrainingError: names or shapes differ.
    """
    own = model.state_dict()
    differ = [
        f"{name} has shape {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own.keys() & state.keys()
        if state[name].shape != own[name].shape
    ]
    problems = [_some("missing", own.keys() - state.keys()), _some("unknown", state.keys() - own.keys())]
    problems = [one for one in (*problems, "; ".join(sorted(differ)[:3])) if one]
    try:
        if not problems:
            model.load_state_dict(dict(state))
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:  # a module with its own way of loading
        problems.append(describe(error))
    if problems:
        raise TrainingError(
            f"{what}: weights must fit the model, got {one_line('; '.join(problems), 500)}: correct `model`, its "
            "`options` or `classes`"
        )
    return model


def _some(word: str, names: Set[str]) -> str:
    """Text with up to three names of tensors and their number."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{word} {', '.join(sorted(names)[:3])}{more}" if names else ""
