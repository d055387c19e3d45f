"""Causal models of transformers, from a local folder or a configuration. Nothing is downloaded."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor, nn

from dosimeter.data.files.gguf import gguf_in
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.wording import describe, one_line, quote
from dosimeter.models.size import check_size

TASK = "ForCausalLM"
CONTEXT = ("max_position_embeddings", "n_positions", "n_ctx", "seq_length")
"""Names of the longest text in a configuration of transformers."""
MOST_PARTS = 10_000
"""Most layers, or experts, of a model: a configuration that asks for more would be built for hours."""
IDLE = (".attn.bias", ".masked_bias", ".inv_freq")
"""Ends of names of tensors that older versions of the library saved beside the weights, and that it makes anew."""


class Causal(nn.Module):
    """A causal model of transformers that takes tokens `[b l]`, -1 after the end, and returns logits `[b l v]` alone.

    Args:
        net: the library's model.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[b l v]`; texts end at the right, so causal attention needs no mask."""
        logits: Tensor = self.net(input_ids=x.clamp(min=0), use_cache=False).logits
        return logits


def causal_lm(
    shape: tuple[int, ...],
    classes: int,
    folder: Annotated[str, Field(min_length=1)] | None = None,
    config: dict[str, Any] | None = None,
    weights: Literal["pretrained"] | None = None,
) -> nn.Module:
    """A causal model of transformers.

    Args:
        shape: `(length,)`: tokens of a text.
        classes: tokens that there are.
        folder: that `save_pretrained` wrote, with `config.json` and, for `weights`, safetensors.
        config: keys of a configuration, of which `model_type` is one; in place of a folder.
        weights: "pretrained" takes those of the folder; None draws fresh ones.

    Raises:
        ConfigError: not exactly one of folder and config, no transformers, or a model that does not fit the texts.
    """
    if (folder is None) == (config is None) or (weights and folder is None):
        raise ConfigError(
            "model 'causal-lm': needs either folder, from which weights may come, or config, got "
            f"{'both' if folder and config else 'neither'}{' with weights' if weights else ''}: correct `options`"
        )
    # the library's own numbers of tokens that begin and end a text may be none of the data's
    fresh = {"vocab_size": classes, "bos_token_id": None, "eos_token_id": None, **(config or {})}
    net = _fresh(fresh) if folder is None else _from_folder(Path(folder), weights)
    _check(net.config, shape, classes)
    return Causal(net.float())


def load_causal(folder: Path, *, trust_pickle: bool = False) -> nn.Module:
    """The causal model in a folder with its weights, for texts of any length and vocabulary that it takes.

    Args:
        folder: that `save_pretrained` wrote.
        trust_pickle: whether weights may be read from a pickle, if there are no others.

    Raises:
        ConfigError: no transformers, no such model, or weights that are missing or pickled.
    """
    return Causal(_from_folder(folder, "pretrained", trust_pickle=trust_pickle).float())


def is_adapter(folder: Path) -> bool:
    """Returns whether a folder holds an adapter of peft and no whole model."""
    return (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file()


def adapted_causal(folder: Path, base: Causal) -> tuple[nn.Module, str]:
    """The model that an adapter makes of its base, merged; and the base that the adapter names, or nothing.

    Args:
        folder: of the adapter, with `adapter_config.json` and safetensors.
        base: it stays as it is.

    Raises:
        ConfigError: no peft, a pickle, or an adapter that does not fit the base.
    """
    name = one_line(folder.name, 80)
    if not (folder / "adapter_model.safetensors").is_file():
        raise ConfigError(
            f"model 'causal-lm': {name} must hold its adapter as adapter_model.safetensors, got none: a pickle "
            "may run code, so merge it yourself where you trust it and save the whole model"
        )
    try:
        from peft import PeftModel  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"model 'causal-lm': {name} holds an adapter, which needs the package peft, got none: run pip "
            'install "dosimeter[lora]"'
        ) from error
    named = _json(folder / "adapter_config.json").get("base_model_name_or_path")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", message="(?s).*adapter keys")  # weights that find no place
            net = PeftModel.from_pretrained(copy.deepcopy(base.net), folder, local_files_only=True)
            merged = net.merge_and_unload()
    except Exception as error:  # by kind of adapter and of mistake
        raise ConfigError(
            f"model 'causal-lm': {name} must hold an adapter of this base, got {describe(error)}: name the base "
            "that it was trained on"
        ) from error
    return Causal(merged), str(named or "")


def _json(path: Path) -> dict[str, Any]:
    """The table in a JSON file; empty if it holds none."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def files_of_model(folder: Path) -> list[Path]:
    """Files of a folder that decide its model: configuration and weights."""
    kinds = (".safetensors", ".gguf")
    return sorted(path for path in folder.glob("*") if path.name == "config.json" or path.suffix in kinds)


def _transformers() -> Any:
    try:
        import transformers  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            "model 'causal-lm': needs the package transformers, which is not installed: run pip install "
            '"dosimeter[hf]"'
        ) from error
    return transformers


def _fresh(settings: dict[str, Any]) -> Any:
    """A model with fresh weights from PyTorch's default generator."""
    library, kind = _transformers(), settings.get("model_type")
    _check_sizes(settings, "config")
    try:
        return _from_config(library, library.AutoConfig.for_model(**settings), "config")
    except ConfigError:
        raise
    except Exception as error:  # by kind of model and of mistake
        raise ConfigError(
            f"model 'causal-lm': config must be one of the installed transformers with model_type, got "
            f"{quote(kind)}, {describe(error)}: correct `options.config`"
        ) from error


def _from_config(library: Any, made: Any, place: str) -> Any:
    """A model with fresh weights, if it fits into memory."""
    build = library.AutoModelForCausalLM.from_config
    check_size(lambda: build(copy.deepcopy(made)), made.to_json_string(use_diff=False), f"model 'causal-lm': {place}")
    return build(made)


def _from_folder(folder: Path, weights: str | None, *, trust_pickle: bool = False) -> Any:
    """The model of a folder; weights are read from safetensors alone, since a pickle may run code."""
    library, packed = _transformers(), gguf_in(folder)
    if packed is not None:
        return _from_gguf(library, packed, weights)
    _check_folder(folder)
    name = one_line(folder.name, 80)
    try:
        if weights is None:
            made = library.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            return _from_config(library, made, name)
        safe = any(folder.glob("*.safetensors"))
        if not safe and not trust_pickle:
            raise ConfigError(
                f"model 'causal-lm': {name} must hold its weights as .safetensors, got none: a pickle may run code, so "
                "load it yourself where you trust it and save it with save_pretrained"
            )
        with contextlib.redirect_stderr(io.StringIO()):  # a bar, which is none of ours
            net, told = library.AutoModelForCausalLM.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, use_safetensors=safe, output_loading_info=True
            )
    except ConfigError:
        raise
    except Exception as error:  # by kind of model and of damage
        raise ConfigError(
            f"model 'causal-lm': {name} must hold a model of the installed transformers, got {describe(error)}: save "
            "it anew"
        ) from error
    _check_weights(name, told)
    return net


def _check_weights(name: str, told: Mapping[str, Any]) -> None:
    """Refuses weights that are not those of the configuration: a layer too few gives another model, not an error.

    Args:
        name: of the folder.
        told: what the library says of the loading.
    """
    odd = sorted(str(one) for one in (*told.get("missing_keys", ()), *told.get("mismatched_keys", ())))
    if odd:
        raise ConfigError(
            f"model 'causal-lm': {name} must hold all weights, got none that fit for {_some(odd)}: save the whole model"
        )
    more = sorted(one for one in map(str, told.get("unexpected_keys", ())) if not one.endswith(IDLE))
    if more:
        raise ConfigError(
            f"model 'causal-lm': {name} must hold the weights of its config.json and no others, got {_some(more)}, for "
            "which that model has no place: save the whole model anew, without what is no part of it"
        )


def _some(names: Sequence[str]) -> str:
    """The first few names of tensors, and how many there are."""
    return f"{one_line(', '.join(names[:3]), 200)} ({len(names)} tensors)"


def _from_gguf(library: Any, file: Path, weights: str | None) -> Any:
    """The model of a file of llama.cpp, as if it had been saved in the library's own form.

    Its weights were rounded to a few bits and are numbers of float32 now. The library calls such a model quantized and
    neither saves nor trains it, so they are put into a fresh one.
    """
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # a bar, which is none of ours
            packed = library.AutoModelForCausalLM.from_pretrained(
                file.parent, gguf_file=file.name, local_files_only=True, trust_remote_code=False, dtype="float32"
            )
        settings = packed.config.to_dict()
        settings.pop("quantization_config", None)
        net = library.AutoModelForCausalLM.from_config(type(packed.config).from_dict(settings))
        if weights is not None:
            net.load_state_dict(packed.state_dict())
    except ImportError as error:
        raise ConfigError(
            f"model 'causal-lm': {one_line(file.name, 80)} needs the package gguf, got {describe(error)}: run pip "
            'install "dosimeter[gguf]"'
        ) from error
    except Exception as error:  # by kind of model and of damage
        raise ConfigError(
            f"model 'causal-lm': {one_line(file.name, 80)} must hold a model that the installed transformers read, got "
            f"{describe(error)}: get it anew, or save the model with save_pretrained"
        ) from error
    return net


def _check_folder(folder: Path) -> None:
    """Refuses a folder that does not say that it holds a whole causal model."""
    name = one_line(folder.name, 80)
    try:
        told = json.loads((folder / "config.json").read_text("utf-8"))
        names = told.get("architectures") or []
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"model 'causal-lm': {name} must have a readable config.json, got {describe(error)}: name a folder that "
            "save_pretrained wrote"
        ) from error
    _check_sizes(told, name)
    # GPT-2's is called GPT2LMHeadModel
    if names and not any(str(one).endswith((TASK, "LMHeadModel")) for one in names):
        raise ConfigError(
            f"model 'causal-lm': {name} must predict the next token, got {one_line(', '.join(map(str, names)))}: name "
            "the folder of a causal model"
        )
    if (folder / "adapter_config.json").is_file():
        raise ConfigError(
            f"model 'causal-lm': {name} holds an adapter, which is no model without its base: merge it "
            "(merge_and_unload) and save the whole model"
        )


def _check_sizes(told: Mapping[str, Any], place: str) -> None:
    """Refuses a configuration with so many layers that no machine would build it, before it is read any further."""
    for key, value in told.items():
        if isinstance(value, Mapping):
            _check_sizes(value, place)
        elif type(value) is int and value > MOST_PARTS and ("layer" in str(key) or "expert" in str(key)):
            raise ConfigError(
                f"model 'causal-lm': {place} must have at most {MOST_PARTS} layers, got {one_line(str(key), 60)} = "
                f"{value}: correct it"
            )


def longest_text(net: nn.Module) -> int | None:
    """Tokens of the longest text that a model takes; None if it does not say."""
    return _longest(getattr(net, "config", None))


def _longest(config: Any) -> int | None:
    """Tokens of the longest text in a configuration of transformers; None if it does not say."""
    found = (getattr(config, one, None) for one in CONTEXT)
    return next((one for one in found if isinstance(one, int) and one > 0), None)


def _check(config: Any, shape: tuple[int, ...], classes: int) -> None:
    """Refuses a model that has no output for some token, or that takes no text so long."""
    size = int(getattr(config, "vocab_size", classes))
    if size < classes:
        raise ConfigError(
            f"model 'causal-lm': must know all {classes} tokens of the data, got a vocabulary of {size}: use the "
            "model's own tokenizer"
        )
    longest = _longest(config)
    if len(shape) != 1 or (longest is not None and longest < shape[0]):
        raise ConfigError(
            f"model 'causal-lm': must take texts of {shape[0] if shape else 0} tokens, got a context of {longest}: set "
            "data_options.length to it or less"
        )
