"""A finetuned causal model of the user's and its base, as folders or modules, read as tokens to logits."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.wording import describe, one_line, quote
from dosimeter.models.language.kinship import Kinship, kinship
from dosimeter.models.language.pretrained import Causal, adapted_causal, is_adapter, load_causal, longest_text
from dosimeter.models.supplied.fingerprint import of_network

T = TypeVar("T")
CAUSAL = 1e-3
"""Largest change of a logit by a token that comes later, or from one answer to the next; rounding reaches 1e-5."""
SUM = 1e-3
"""How near to 1 the answers for each token must sum to be taken for probabilities."""


@dataclass(frozen=True, eq=False)
class Finetuned:
    """A language model that was finetuned, and the model that it was before.

    Attributes:
        net: tokens `[b l]`, -1 after the end, to logits `[b l v]`.
        base: the same before finetuning; None if it is not known.
        kind: kind of the model, in words.
        kinship: how alike the two are; None without a base.
        doubts: what speaks against this base although it is taken, each a sentence.
        trusted: folders whose weights were read from a pickle.
    """

    net: nn.Module
    base: nn.Module | None
    kind: str
    kinship: Kinship | None = None
    doubts: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()

    @cached_property
    def start(self) -> str:
        """Fingerprint of the base; empty without one."""
        return "" if self.base is None else of_network(self.base)


class Clamped(nn.Module):
    """A causal model of the user's own that is given 0 for what stands after the end of a text.

    Args:
        net: tokens `[b l]` to logits `[b l v]`.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Int[Tensor, "b l"]) -> Float[Tensor, "b l v"]:
        """Logits; what comes later cannot reach what comes before, so no text feels its end."""
        logits: Tensor = self.net(x.clamp(min=0))
        return logits


class Following(nn.Module):
    """A causal model as a classifier of the token that follows a whole text.

    Args:
        net: tokens `[b l]`, -1 after the end, to logits `[b l v]`.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Int[Tensor, "b l"]) -> Float[Tensor, "b v"]:
        """Logits of the token after the last one."""
        last = (x >= 0).sum(1).clamp(min=1) - 1
        return self.net(x)[torch.arange(len(x), device=x.device), last]  # type: ignore[no-any-return]


@dataclass
class _Reader:
    """Reads both models, and keeps what the report should say of it."""

    trust_pickle: bool
    trusted: list[str]
    doubts: list[str]

    def causal(self, model: object, place: str, base: nn.Module | None = None, named: object = None) -> nn.Module:
        """One model from a folder, a model of transformers or peft, or any other module."""
        if isinstance(model, str | PathLike):
            return self._folder(Path(model), place, base, named)
        if not isinstance(model, nn.Module):
            raise ConfigError(
                f"{place}: must be a causal language model, as torch.nn.Module or a folder that save_pretrained wrote, "
                f"got {type(model).__name__}: give the model itself"
            )
        if isinstance(model, Causal | Clamped):
            return model
        if hasattr(model, "merge_and_unload"):  # of peft; merging changes a model, and it is the user's
            own: Any = copy.deepcopy(model)
            model = own.merge_and_unload()
        assert isinstance(model, nn.Module)
        known = hasattr(model, "config") and hasattr(model, "generate")
        return Causal(model) if known else Clamped(model)

    def _folder(self, folder: Path, place: str, base: nn.Module | None, named: object) -> nn.Module:
        """The model in a folder; an adapter is put on its base."""
        if not folder.is_dir():
            raise ConfigError(
                f"{place}: must be a folder, got {quote(folder.name)}: name one that save_pretrained wrote"
            )
        if not is_adapter(folder):
            pickled = not any(path.suffix in (".safetensors", ".gguf") for path in folder.iterdir())
            found = _told(place, lambda: load_causal(folder, trust_pickle=self.trust_pickle))
            self.trusted += [one_line(folder.name, 80)] if pickled else []
            return found
        if not isinstance(base, Causal):
            raise ConfigError(
                f"{place}: {quote(folder.name)} holds an adapter, which is no model without its base, got no folder of "
                "one: add base"
            )
        net, said = _told(place, lambda: adapted_causal(folder, base))
        if isinstance(named, str | PathLike) and said and Path(said).name != Path(named).name:
            self.doubts.append(
                f"The adapter says that it was trained on {quote(Path(said).name, 60)}, and the base given is "
                f"{quote(Path(named).name, 60)}."
            )
        return net


def read_finetuned(
    model: object, base: object, *, texts: Int[Tensor, "n l"], vocabulary: int, trust_pickle: bool = False,
    places: tuple[str, str] = ("model", "base"),
) -> Finetuned:  # fmt: skip
    """A finetuned model and its base, tried on two texts and compared with each other.

    Args:
        model: a folder that `save_pretrained` wrote, of a model or of an adapter; a model of transformers or peft; or a
            module from tokens `[b l]` to logits `[b l v]`.
        base: the same for the model before; None if it is not known.
        texts: some texts, -1 after the end.
        vocabulary: number of tokens that the texts may use.
        trust_pickle: whether weights may be read from a pickle.
        places: start of messages about each.

    Raises:
        ConfigError: no such model, one that is not causal or does not fit the texts, or a base that is no parent of it.
    """
    reader = _Reader(trust_pickle, [], [])
    start = None if base is None else reader.causal(base, places[1])
    net = reader.causal(model, places[0], start, base)
    for one, place in ((net, places[0]), (start, places[1])):
        if one is not None:
            _check(one, texts[:2], vocabulary, place)
    if start is None:
        return Finetuned(net, None, _kind(net), trusted=tuple(reader.trusted))
    told = kinship(net, start, vocabulary, places[1])
    if told.doubtful:
        reader.doubts.append(
            "That is little for a finetuning of usual length: if the base is not what finetuning started from, "
            "comparisons with it say nothing."
        )
    return Finetuned(net, start, _kind(net), told, tuple(reader.doubts), tuple(reader.trusted))


def _told(place: str, read: Callable[[], T]) -> T:
    """What `read` gives; an error of it names the place."""
    try:
        return read()
    except ConfigError as error:
        lines = [one.replace("model 'causal-lm'", place, 1) for one in error.problems]
        raise ConfigError(*lines) from error


def _kind(net: nn.Module) -> str:
    """Kind of a model, in words."""
    return f"causal language model {type(getattr(net, 'net', net)).__name__}"


def _check(net: nn.Module, texts: Tensor, vocabulary: int, place: str) -> None:
    """Refuses a model that takes no texts so long, knows fewer tokens, or reads what comes later.

    Raises:
        ConfigError: with what to do.
    """
    longest = longest_text(getattr(net, "net", net))
    if longest is not None and longest < texts.shape[1]:
        raise ConfigError(
            f"{place}: must take texts of {texts.shape[1]} tokens, got a context of {longest}: set data_options.length "
            "to it or less"
        )
    kept = texts[:, : max(2, int((texts >= 0).sum(1).min()))]
    other = kept.clone()
    other[:, -1] = (other[:, -1] + 1) % vocabulary
    logits, again, changed = (_logits(net, one, place) for one in (kept, kept, other))
    if logits.ndim != 3 or logits.shape[:2] != kept.shape:
        raise ConfigError(
            f"{place}: must return logits of shape {(*kept.shape, 'tokens')} for tokens {tuple(kept.shape)}, got "
            f"{tuple(logits.shape)}: give a causal language model"
        )
    if logits.shape[-1] < vocabulary:
        raise ConfigError(
            f"{place}: must know all {vocabulary} tokens of the texts, got {logits.shape[-1]}: use the model's own "
            "tokenizer"
        )
    _check_answers(logits, again, place)
    reach = float((logits[:, :-1] - changed[:, :-1]).abs().max())
    if not reach <= CAUSAL:
        raise ConfigError(
            f"{place}: must predict each token from those before it, got logits that a later token changes by "
            f"{reach:.2g}: give a causal language model"
        )


def _check_answers(logits: Tensor, again: Tensor, place: str) -> None:
    """Refuses answers that are no numbers, no logits, or others when the model is asked once more.

    Raises:
        ConfigError: with what to do.
    """
    lost = ~torch.isfinite(logits)
    if lost.any():
        raise ConfigError(
            f"{place}: must return finite logits, got {int(lost.sum())} of {lost.numel()} that are NaN or infinite: "
            "correct the model, and give tokens that it must not name a large negative logit"
        )
    moved = float((logits - again).abs().max())
    if not moved <= CAUSAL:
        raise ConfigError(
            f"{place}: must answer alike if it is asked twice, got logits that differ by {moved:.2g}: turn off dropout "
            "and whatever else it draws at random"
        )
    if bool((logits >= 0).all()) and bool(((logits.sum(-1) - 1).abs() <= SUM).all()):
        raise ConfigError(
            f"{place}: must return logits, got probabilities, which sum to 1 for each token: return logits, or the "
            "logarithms of these"
        )


def _logits(net: nn.Module, tokens: Tensor, place: str) -> Tensor:
    """Logits of a model in evaluation mode, which it leaves again."""
    modes = {part: part.training for part in net.modules()}
    first: Any = next(net.parameters(), torch.empty(0))
    try:
        with torch.inference_mode():
            found = net.eval()(tokens.to(first.device))
        if not isinstance(found, Tensor):
            raise TypeError(f"{type(found).__name__} in place of a tensor")
        return found.float().cpu()
    except Exception as error:  # the user's model
        raise ConfigError(
            f"{place}: must map tokens {tuple(tokens.shape)} to logits, got {describe(error)}: give a causal language "
            "model, and texts by its own tokenizer"
        ) from error
    finally:
        for part, mode in modes.items():
            part.training = mode
