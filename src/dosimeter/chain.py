"""A chain of stages: what each is made of, what its key says, and how its model is built in any process."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dosimeter._check import suggest
from dosimeter._resolve import describe, resolve, source_hash
from dosimeter.errors import AuditError, ConfigError, TrainingError
from dosimeter.models import ARCHITECTURES
from dosimeter.store import file_hash, key_of
from dosimeter.training import Hyperparameters, seeded
from dosimeter.transfer import Method, Parts, divide, with_new_head


@dataclass(frozen=True)
class Link:
    """One stage of a chain, with what is known of its data.

    Attributes:
        name: of the stage.
        model: architecture or `package.module:function`; None for a stage that takes its parent's model.
        shape: shape of one input.
        classes: number of classes of its task.
        transfer: how it starts from its parent.
        last_k: blocks trained before the head, for "last-k".
        options: keyword arguments of the model builder.
        weights: of a given stage: a name that the builder knows, or a file.
        fit: the user's training function, `package.module:function`.
        hyperparameters: of the built-in training.
        depends: further modules whose source belongs to the key.
    """

    name: str
    model: str | None
    shape: tuple[int, ...]
    classes: int
    transfer: Method = "scratch"
    last_k: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None
    fit: str | None = None
    hyperparameters: Hyperparameters = Hyperparameters()
    depends: tuple[str, ...] = ()

    @cached_property
    def sources(self) -> dict[str, str]:
        """SHA-256 of everything the key depends on beside the settings: user code and weight files."""
        found = {}
        for reference in (self.model, self.fit, *self.depends):
            if reference and ":" in reference:
                found[reference] = source_hash(resolve(reference))
        if self.weights and Path(self.weights).is_file():
            found["weights"] = file_hash(Path(self.weights))
        return found

    @cached_property
    def definition(self) -> dict[str, Any]:
        """The part of a key that this stage contributes."""
        settings = asdict(self)
        if self.weights and Path(self.weights).is_file():
            settings["weights"] = "file"
        return {**settings, "sources": self.sources}

    @property
    def frozen_prefix(self) -> bool:
        """Whether a part of the model is never trained, so that its outputs are computed once."""
        return self.transfer in ("head", "last-k") and self.fit is None


def call_user(reference: str, *arguments: Any, **options: Any) -> Any:
    """Call a user's function; what it raises becomes one line."""
    function = resolve(reference)
    try:
        return function(*arguments, **options)
    except AuditError:
        raise
    except Exception as error:
        raise TrainingError(f"{reference}: raised {describe(error)}: correct it") from error


def build(link: Link) -> nn.Module:
    """A model of a link's architecture with fresh (or named) weights; draws from PyTorch's default generator.

    Raises:
        ConfigError: unknown architecture or options.
        TrainingError: the user's function raised or gave no module.
    """
    assert link.model is not None
    options = dict(link.options)
    if link.weights and not Path(link.weights).is_file():
        options["weights"] = link.weights
    if ":" in link.model:
        model = call_user(link.model, link.shape, link.classes, **options)
        if not isinstance(model, nn.Module):
            raise TrainingError(f"model {link.model!r}: must return a torch.nn.Module, got {type(model).__name__}")
        return model
    if link.model not in ARCHITECTURES:
        raise ConfigError(
            f"stage {link.name!r}, model: unknown architecture {link.model!r}, {suggest(link.model, ARCHITECTURES)}, "
            f"or write package.module:function"
        )
    try:
        return ARCHITECTURES[link.model](link.shape, link.classes, **options)
    except TypeError as error:
        raise ConfigError(
            f"stage {link.name!r}, options: {error}: correct `options` of model {link.model!r}"
        ) from error


def _read_weights(link: Link) -> dict[str, Tensor]:
    """The state dict of a given stage's file; code in a pickle is never run."""
    path = Path(str(link.weights))
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ConfigError(
            f"stage {link.name!r}, weights: {path} cannot be read as tensors ({type(error).__name__}): save a state "
            f"dict as safetensors"
        ) from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else loaded
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ConfigError(f"stage {link.name!r}, weights: {path} must hold a state dict, got {type(loaded).__name__}")
    return state


def load_state(model: nn.Module, state: Mapping[str, Tensor], what: str) -> nn.Module:
    """Load weights into a model, or say which tensors do not fit."""
    try:
        model.load_state_dict(dict(state))
    except RuntimeError as error:
        lines = " ".join(line.strip() for line in str(error).splitlines()[1:4])
        raise TrainingError(f"{what}: weights do not fit the model: {lines[:300]}") from error
    return model


def build_chain(links: tuple[Link, ...], index: int, seed: int, parent: Mapping[str, Tensor] | None) -> nn.Module:
    """The untrained model of stage `index`: fresh, or its parent's with a fresh head.

    Args:
        links: the chain.
        index: which stage.
        seed: of the fresh weights.
        parent: trained weights of stage `index - 1`; None for a first, a scratch or a given parent.

    Raises:
        AuditError: a builder failed or weights do not fit.
    """
    link = links[index]
    with seeded(seed):
        if link.transfer == "scratch" or index == 0:
            model = build(link)
            if link.weights and Path(link.weights).is_file():
                load_state(model, _read_weights(link), f"stage {link.name!r}")
            return model
        model = build_chain(links, index - 1, seed, None)
        if parent is not None:
            load_state(model, parent, f"stage {links[index - 1].name!r}")
        return with_new_head(model, link.classes)


def parts_of(links: tuple[Link, ...], index: int, model: nn.Module) -> Parts:
    """The model of stage `index`, divided at its freeze line."""
    link = links[index]
    return divide(model, link.transfer if link.frozen_prefix else "full", link.last_k)


def check_output(model: nn.Module, link: Link, example: Tensor) -> None:
    """Run a model on two records and refuse what is not logits `[2, classes]`.

    Raises:
        TrainingError: the model raised, or its output is of another shape or not finite.
    """
    name = link.model or link.name
    try:
        with torch.no_grad():
            out = model.eval()(example)
    except AuditError:
        raise
    except Exception as error:
        raise TrainingError(
            f"stage {link.name!r}, model {name!r}: raised {type(error).__name__} on inputs of shape "
            f"{tuple(example.shape)}: {str(error)[:200]}"
        ) from error
    wanted = (len(example), link.classes)
    if not isinstance(out, Tensor) or tuple(out.shape) != wanted:
        got = f"shape {tuple(out.shape)}" if isinstance(out, Tensor) else type(out).__name__
        raise TrainingError(
            f"stage {link.name!r}, model {name!r}: must return logits of shape {wanted} for {wanted[0]} records of "
            f"{wanted[1]} classes, got {got}: return one column per class"
        )
    if not bool(torch.isfinite(out).all()):
        raise TrainingError(f"stage {link.name!r}, model {name!r}: logits must be finite, got NaN or infinity")


def chain_key(links: tuple[Link, ...], index: int, trained: str | None, device: str) -> str:
    """The key of everything that decides the frozen prefix of stage `index`: its parent chain and the cut."""
    link = links[index]
    given = [replace(one, hyperparameters=Hyperparameters()).definition for one in links[:index]]
    return key_of(
        {
            "kind": "prefix",
            "parents": given if trained is None else trained,
            "shape": link.shape,
            "transfer": link.transfer,
            "last_k": link.last_k,
            "device": device,
            "torch": torch_version(),
        }
    )


def torch_version() -> str:
    """The release of PyTorch, without its build tag: part of every key."""
    return str(torch.__version__).split("+")[0]


def rows_hash(array: Any) -> str:
    """SHA-256 of an integer array, so that a definition need not list rows."""
    return hashlib.sha256(array.astype("<i8").tobytes()).hexdigest()[:24]
