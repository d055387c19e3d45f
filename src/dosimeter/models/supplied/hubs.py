"""Classifiers of transformers and timm, from local files only, with their preprocessing as first layer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.wording import describe, quote
from dosimeter.models.supplied.classes import class_names

IMAGE, TEXT = "ForImageClassification", "ForSequenceClassification"


class Preprocess(nn.Module):
    """Preprocessing of images in [0, 1] for a network: channels, resize, crop, `(x - mean) / std`.

    Args:
        channels: that the network takes; a grey image is repeated.
        size: height and width, one number for the shorter side, or None to leave it.
        crop: height and width that are cut from the middle, or None.
        mean: one number per channel.
        std: one number per channel.
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int] | int | None,
        crop: tuple[int, int] | None,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        self.channels, self.size, self.crop = channels, size, crop
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, x: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k2 h2 w2"]:
        """Images in the form that the network takes."""
        if x.shape[1] == 1 != self.channels:
            x = x.expand(-1, self.channels, -1, -1)
        size = self.size
        if isinstance(size, int):
            scale = size / min(x.shape[-2:])
            size = (round(x.shape[-2] * scale), round(x.shape[-1] * scale))
        if size is not None and tuple(x.shape[-2:]) != size:
            x = nn.functional.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)
        if self.crop is not None:
            top, left = (max(0, (have - want) // 2) for have, want in zip(x.shape[-2:], self.crop, strict=True))
            x = x[..., top : top + self.crop[0], left : left + self.crop[1]]
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        return (x - mean.to(x.dtype)) / std.to(x.dtype)


class Preprocessed(nn.Module):
    """A library's network behind its preprocessing; returns logits alone.

    Args:
        preprocess: of images.
        net: the library's network, whose answer is a tensor or has `logits`.
    """

    def __init__(self, preprocess: nn.Module, net: nn.Module) -> None:
        super().__init__()
        self.preprocess, self.net = preprocess, net

    def forward(self, x: Float[Tensor, "b ..."]) -> Float[Tensor, "b c"]:
        """Logits `[b c]`."""
        answer = self.net(self.preprocess(x))
        return answer if isinstance(answer, Tensor) else answer.logits


def from_huggingface(
    folder: Path, *, shape: tuple[int, ...], classes: int, options: Mapping[str, Any]
) -> tuple[nn.Module, tuple[str, ...]]:
    """The classifier in a folder that `save_pretrained` wrote. Nothing is downloaded, no code in the folder is run.

    Args:
        folder: with `config.json` and weights, and for images perhaps `preprocessor_config.json`.
        shape: shape of one input.
        classes: number of classes.
        options: none are taken.

    Returns:
        The network and notes. One for images takes them in [0, 1]; one for texts takes token numbers `[b length]`.

    Raises:
        ConfigError: no such folder or package, another task, another number of classes, or weights that are missing.
    """
    if options:
        raise ConfigError("target, options: must be empty for a folder of transformers, got some: remove them")
    config = _json(folder / "config.json")
    names = [str(one) for one in config.get("architectures") or ()]
    task = next((task for task in (IMAGE, TEXT) for one in names if one.endswith(task)), None)
    problem = str(config.get("problem_type") or "single_label_classification")
    if task is None or problem != "single_label_classification":
        got = ", ".join(names) or "no architectures"
        raise ConfigError(
            f"target, model: {folder.name} must classify images or texts with one label for each, got {got}"
            f"{'' if task is None else ', ' + problem}: for another kind give package.module:builder"
        )
    net = _load_pretrained(folder, task)
    known = int(net.config.num_labels)
    if known < classes or (known > classes and class_names(net) is None):
        raise ConfigError(
            f"target, model: {folder.name} must have one label for each class of the data, {classes}, got {known}: "
            "give the data the model's classes"
        )
    if task == TEXT:
        return net, ()
    settings = folder / "preprocessor_config.json"
    if not settings.is_file():
        return net, ("has no preprocessor_config.json; images were given in [0, 1] as they are",)
    return _with_preprocessing(net, _json(settings), shape)


def _json(file: Path) -> dict[str, Any]:
    """The settings in a file."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"target, model: {file.parent.name} must have a readable {file.name}, got {describe(error)}: name a folder "
            "that save_pretrained wrote"
        ) from error
    if not isinstance(found, dict):
        raise ConfigError(f"target, model: {file.name} must hold an object, got {type(found).__name__}: correct it")
    return found


def _load_pretrained(folder: Path, task: str) -> Any:
    """The network of a folder with all its weights."""
    try:
        import transformers  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            'target, model: needs a package that is not installed (transformers): run pip install "dosimeter[hf]"'
        ) from error
    kind = getattr(transformers, "AutoModel" + task)
    try:
        net, told = kind.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, output_loading_info=True,
            use_safetensors=True if any(folder.glob("*.safetensors")) else None,
        )  # fmt: skip
    except Exception as error:  # by kind of model and of damage
        raise ConfigError(
            f"target, model: {folder.name} must hold a model of the installed transformers and its weights, got "
            f"{describe(error)}: save it anew, or give package.module:builder"
        ) from error
    odd = sorted(str(one) for one in (*told.get("missing_keys", ()), *told.get("mismatched_keys", ())))
    if odd:
        raise ConfigError(
            f"target, model: {folder.name} must hold all weights, got none that fit for {', '.join(odd[:3])} "
            f"({len(odd)} tensors): save the finetuned model, not only its body"
        )
    return net


def _with_preprocessing(
    net: Any, settings: Mapping[str, Any], shape: tuple[int, ...]
) -> tuple[nn.Module, tuple[str, ...]]:
    """A network for images, behind the preprocessing that its folder describes."""
    channels = int(getattr(net.config, "num_channels", 3))
    if len(shape) != 3 or shape[0] not in (1, channels):
        raise ConfigError(
            f"target, model: must be given images of 1 or {channels} channels, got inputs of shape {shape}: correct "
            "the data"
        )
    on = bool(settings.get("do_normalize", True))
    mean = settings.get("image_mean") if on else None
    std = settings.get("image_std") if on else None
    size = _size(settings.get("size")) if settings.get("do_resize", True) else None
    crop = _size(settings.get("crop_size")) if settings.get("do_center_crop", False) else None
    layer = Preprocess(
        channels,
        size,
        (crop, crop) if isinstance(crop, int) else crop,
        mean or [0.0] * channels,
        std or [1.0] * channels,
    )
    notes = () if size is None else ("its images are resized bilinearly as its folder says",)
    return Preprocessed(layer, net).train(net.training), notes


def _size(size: Any) -> tuple[int, int] | int | None:
    """Height and width, or the shorter side, of transformers' settings."""
    if isinstance(size, Mapping):
        if "shortest_edge" in size:
            return int(size["shortest_edge"])
        return (int(size["height"]), int(size["width"])) if {"height", "width"} <= size.keys() else None
    return (size, size) if isinstance(size, int) else None


def from_timm(
    name: str, *, shape: tuple[int, ...], classes: int, options: Mapping[str, Any]
) -> tuple[nn.Module, tuple[str, ...]]:
    """An architecture of timm with fresh weights; nothing is downloaded.

    Args:
        name: name of the architecture.
        shape: shape of one input `(channels, height, width)`.
        classes: number of classes.
        options: keyword arguments of `timm.create_model`.

    Raises:
        ConfigError: no such package or architecture, or options it does not take.
    """
    try:
        import timm  # noqa: PLC0415
    except (ImportError, RuntimeError) as error:  # torchvision for another PyTorch raises RuntimeError
        raise ConfigError(
            f"target, model: needs timm and a torchvision that fits PyTorch, got {describe(error)}: run pip install "
            '"dosimeter[timm]"'
        ) from error
    if len(shape) != 3:
        raise ConfigError(
            f"target, model: timm:{name} must be given images, got inputs of shape {shape}: correct the data"
        )
    try:
        net = timm.create_model(name, **{"in_chans": shape[0], **options, "pretrained": False, "num_classes": classes})
    except Exception as error:
        raise ConfigError(
            f"target, model: timm:{name} with {quote(dict(options))} cannot be built, got {describe(error)}: correct it"
        ) from error
    config = getattr(net, "pretrained_cfg", None) or {}
    mean, std = config.get("mean", (0.0,)), config.get("std", (1.0,))
    if len(mean) != shape[0]:
        mean, std = [sum(mean) / len(mean)], [sum(std) / len(std)]
    shown = ", ".join(f"{one:.3g}" for one in mean)
    note = f"images in [0, 1] were normalised with timm's mean for this architecture ({shown})"
    return Preprocessed(Preprocess(shape[0], None, None, mean, std), net), (note,)
