"""Loads a model from the entries of an audit file: `[target] model`, `weights` and `options`.

No code in a file is run unless the user trusts it: tensors are read with safetensors or PyTorch's weights-only reader.
Formats that hold programs or pickled objects (`.pt2`, TorchScript, joblib, whole modules) need `trust_pickle`.
"""

from __future__ import annotations

import inspect
import sys
import zipfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import AuditError, ConfigError
from dosimeter.foundation.user_code import REFERENCE, call_user, resolve
from dosimeter.foundation.wording import describe, quote
from dosimeter.models.build import build
from dosimeter.models.names import ARCHITECTURES
from dosimeter.models.supplied.estimators import is_estimator
from dosimeter.models.supplied.hubs import Preprocessed, from_huggingface, from_timm
from dosimeter.models.supplied.networks import is_exported
from dosimeter.models.weights import load_state, read_weights

TENSORS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
"""Suffixes of files with weights; all but the first may hold pickles."""
PICKLES = (".joblib", ".pkl", ".pickle")


@dataclass(frozen=True)
class Loaded:
    """A model in a form that `adapt` takes.

    Attributes:
        model: network, exported program, fitted classifier or function.
        notes: what the report should say about how it was loaded.
        trusted: the file that could run code and was loaded all the same, or empty.
    """

    model: object
    notes: tuple[str, ...] = ()
    trusted: str = ""


def load_target(
    reference: str,
    *,
    shape: tuple[int, ...],
    classes: int,
    base: Path,
    weights: str | None = None,
    options: Mapping[str, Any] | None = None,
    trust_pickle: bool = False,
) -> Loaded:
    """Loads a supplied model.

    | reference | gives |
    | --- | --- |
    | `package.module:name` | a network or classifier as it is; what a builder returns; else the function |
    | a name of ours (`ARCHITECTURES`) | the architecture with `weights` |
    | `hf:FOLDER`, or a folder with `config.json` | a transformers classifier for images or texts |
    | `timm:NAME` | an architecture of timm with `weights` |
    | `.skops` | a scikit-learn classifier of types that skops trusts |
    | `.pt2`, `.joblib`, `.pkl`, `.pt` with a whole module or TorchScript | only with `trust_pickle` |

    A function is a builder if `weights` or `options` are given, if it takes no argument, or if it takes `(shape,
    classes)` and these give it a model; a function of one argument is the model.

    Args:
        reference: see the table; paths are relative to `base`.
        shape: shape of one input.
        classes: number of classes.
        base: folder of the audit file.
        weights: file with the network's tensors.
        options: keyword arguments of a builder.
        trust_pickle: run code in files.

    Raises:
        ConfigError: no such model, or a file that would run code.
        TrainingError: the user's function raised, or weights do not fit.
    """
    given = dict(options or {})
    file = None if weights is None else _file(weights, base)
    head, _, rest = reference.partition(":")
    path = base / (rest if head == "hf" and rest else reference)
    if (head == "hf" and rest) or (path / "config.json").is_file():
        _none_of("weights", weights, "the folder holds them")
        return Loaded(*from_huggingface(path, shape=shape, classes=classes, options=given))
    if head == "timm" and rest:
        if file is None:
            raise ConfigError("target, weights: must name the file of the network's tensors, got none: add weights")
        model, notes = from_timm(rest, shape=shape, classes=classes, options=given)
        left = _with_weights(model, file)
        return Loaded(model, (*notes, *left))
    if path.suffix.lower() in (*TENSORS, *PICKLES, ".pt2", ".skops", ".onnx"):
        return _from_file(path, trust_pickle)
    if REFERENCE.fullmatch(reference):
        return _from_code(reference, shape, classes, given, file)
    if reference in ARCHITECTURES:
        if file is None:
            raise ConfigError("target, weights: must name the file of the network's tensors, got none: add weights")
        model = build(reference, shape, classes, given, place="target")
        return Loaded(model, _with_weights(model, file))
    raise ConfigError(
        "target, model: must be package.module:name, an architecture, hf:FOLDER, timm:NAME or a file, got "
        f"{quote(reference)}: {suggest(reference, ARCHITECTURES)}"
    )


def _file(weights: str, base: Path) -> Path:
    """Path of a file with weights; refuses one that does not exist."""
    if not (base / weights).is_file():
        raise ConfigError(f"target, weights: must be a file, got {quote(weights)}: correct the path")
    return base / weights


def _none_of(key: str, value: object, why: str) -> None:
    """Refuses a key that has no meaning for this kind of model."""
    if value is not None:
        raise ConfigError(f"target, {key}: must not be given for this kind of model, {why}, got {value!r}: remove it")


def _with_weights(model: nn.Module, file: Path) -> tuple[str, ...]:
    """Loads the tensors of a file into a network; returns remarks for the report."""
    net = model.net if isinstance(model, Preprocessed) else model
    found = read_weights(file, net.state_dict().keys(), "target, weights")
    load_state(net, found.state, "target")
    if not found.left_out:
        return ()
    return (
        f"all tensors of the network were found in {quote(file.name)}; left out as no part of it: {found.left_names}",
    )


def _is_model(thing: object) -> bool:
    """Returns whether an object is a model and not a function that builds one."""
    return isinstance(thing, nn.Module) or is_exported(thing) or (is_estimator(thing) and not inspect.isfunction(thing))


def _from_code(
    reference: str, shape: tuple[int, ...], classes: int, options: Mapping[str, Any], file: Path | None
) -> Loaded:
    """The model behind a reference into the user's code."""
    found = _attribute(reference)
    model = found if _is_model(found) else _build(reference, found, shape, classes, options, file is not None)
    if file is None:
        return Loaded(model)
    if not isinstance(model, nn.Module):
        raise ConfigError(
            f"target, weights: {reference} must give a torch.nn.Module to load them into, got {type(model).__name__}: "
            "return the network or remove weights"
        )
    return Loaded(model, _with_weights(model, file))


def _attribute(reference: str) -> Any:
    """The object that a name in the user's module refers to, callable or not."""
    try:
        return resolve(reference)
    except ConfigError:
        module, _, name = reference.partition(":")
        found = getattr(sys.modules.get(module), name, None)
        if found is not None and _is_model(found):
            return found
        raise


def _build(
    reference: str,
    function: Callable[..., Any],
    shape: tuple[int, ...],
    classes: int,
    options: Mapping[str, Any],
    certain: bool,
) -> object:
    """The result of a builder, or the function itself if it is the model."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return function
    if not certain and not options and _takes(signature):
        return call_user(reference)
    asked = certain or bool(options) or isinstance(function, type) or _count_required(signature) == 2
    if not asked and not _takes(signature, shape, classes):
        return function
    try:
        model = call_user(reference, shape, classes, **options)
    except AuditError:
        if asked:
            raise
        return function
    if _is_model(model) or (asked and callable(model)):
        return model
    if asked:
        raise ConfigError(
            f"target, model: {reference} must return a model when called with (shape, classes), got "
            f"{type(model).__name__}: return the network"
        )
    return function


def _takes(signature: inspect.Signature, *arguments: object) -> bool:
    """Returns whether a function can be called with these arguments."""
    try:
        signature.bind(*arguments)
    except TypeError:
        return False
    return True


def _count_required(signature: inspect.Signature) -> int:
    """Number of positional arguments without a default."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(one.kind in kinds and one.default is one.empty for one in signature.parameters.values())


def _from_file(path: Path, trust_pickle: bool) -> Loaded:
    """A model that is stored whole in a file."""
    suffix = path.suffix.lower()
    if not path.is_file():
        raise ConfigError(f"target, model: must be a file, got {quote(path.name)}: correct the path")
    if suffix == ".onnx":
        raise ConfigError(
            f"target, model: must be of another format, got {path.name}: write a function that runs it (onnxruntime) "
            "and name it as package.module:function"
        )
    if suffix == ".skops":
        return Loaded(_from_skops(path))
    if suffix in TENSORS and (suffix == ".safetensors" or not trust_pickle):
        raise ConfigError(
            f"target, model: must say which network the tensors belong to, got {path.name} alone (not opened): name it "
            f"in model, as package.module:builder, and write weights = {path.name!r}; a whole pickled model needs "
            "--trust-pickle"
        )
    if not trust_pickle:
        raise ConfigError(
            f"target, model: must be a file that cannot run code, got {path.name} (not opened): add "
            "--trust-pickle if you made the file yourself, or give package.module:builder, with weights as .safetensors"
        )
    try:
        model = _load_trusted(path, suffix)
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"target, model: {path.name} must hold a model, got {describe(error)}: save it anew with the installed "
            "versions"
        ) from error
    if not _is_model(model) and not callable(model):
        raise ConfigError(
            f"target, model: {path.name} must hold a whole model, got {type(model).__name__}: for a state dict name "
            "the network in model and the file in weights"
        )
    return Loaded(model, trusted=path.name)


def _load_trusted(path: Path, suffix: str) -> object:
    """Reads a file that may run code."""
    if suffix == ".pt2":
        from torch.export import load  # noqa: PLC0415

        return load(path)
    if suffix in PICKLES:
        import joblib  # noqa: PLC0415

        return joblib.load(path)
    with zipfile.ZipFile(path) if zipfile.is_zipfile(path) else nullcontext() as archive:
        script = archive is not None and any(name.endswith("/constants.pkl") for name in archive.namelist())
    if script:
        return torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    return torch.load(path, map_location="cpu", weights_only=False)


def _from_skops(path: Path) -> object:
    """A scikit-learn model from a file that names the types it needs."""
    try:
        from skops import io  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"target, model: {path.name} needs a package that is not installed (skops): run pip install skops"
        ) from error
    try:
        odd = io.get_untrusted_types(file=path)
    except Exception as error:
        raise ConfigError(
            f"target, model: {path.name} must be a skops file, got {describe(error)}: save it anew"
        ) from error
    if odd:
        raise ConfigError(
            f"target, model: {path.name} must hold types that skops trusts, got {', '.join(map(quote, odd[:3]))}: "
            "give the model as package.module:name"
        )
    return io.load(path, trusted=[])
