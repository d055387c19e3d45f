"""A chain of stages: parts and key of each stage, and construction of its model in any process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.keys.package_code import class_code, package_code
from dosimeter.foundation.package import PACKAGE
from dosimeter.foundation.user_code import resolve, source_hash
from dosimeter.jobs.store import file_hash, key_of
from dosimeter.models.bottleneck import with_bottleneck
from dosimeter.models.build import build
from dosimeter.models.language.pretrained import files_of_model
from dosimeter.models.last_layer import example_of
from dosimeter.models.lora import LoRA, release
from dosimeter.models.names import Joint, Method, Statistics
from dosimeter.models.transfer import Live, Parts, divide, with_new_head
from dosimeter.models.weights import load_state, read_weights
from dosimeter.training.keys import module_hash, torch_version
from dosimeter.training.language.stage import language_adapters
from dosimeter.training.loop import seed_torch
from dosimeter.training.recipe import Hyperparameters, PutsBottleneck, Task


@dataclass(frozen=True)
class Link:
    """One stage of a chain, with the properties of its data.

    Attributes:
        name: name of the stage.
        model: architecture or `package.module:function`; None for a stage that takes its parent's model.
        shape: shape of one input.
        classes: number of classes of its task.
        transfer: how it starts from its parent.
        frozen: first blocks that stay as they are, where several parties train.
        last_k: blocks trained before the head, for "last-k".
        bn_mode: what batch normalisation before them does in training, for "last-k".
        lora_rank, lora_alpha: rank and scale of the adapters, for "lora".
        head: dotted name of the model's last layer, if it cannot be found automatically.
        options: keyword arguments of the model builder.
        weights: for a given stage: a name that the builder knows, or a file.
        fit: the user's training function, `package.module:function`.
        hyperparameters: settings of the built-in training.
        depends: further modules whose source belongs to the key.
        task: "classes", or "language" for texts, of which each token is predicted: `classes` is the vocabulary then.
    """

    name: str
    model: str | None
    shape: tuple[int, ...]
    classes: int
    transfer: Literal[Method, Joint] = "scratch"
    frozen: int = 0
    last_k: int = 1
    bn_mode: Statistics = "strict"
    lora_rank: int = 8
    lora_alpha: int = 16
    head: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None
    fit: str | None = None
    hyperparameters: Hyperparameters = Hyperparameters()
    depends: tuple[str, ...] = ()
    task: Task = "classes"

    @cached_property
    def sources(self) -> dict[str, str]:
        """SHA-256 of everything the key depends on beside the settings: user code and weight files."""
        found = {}
        for reference in (self.model, self.fit, *self.depends):
            if reference and ":" in reference:
                found[reference] = source_hash(resolve(reference))
            elif reference in self.depends:
                found[str(reference)] = module_hash(str(reference))
        for kind in map(type, self.hyperparameters.defenses):
            if kind.__module__.split(".")[0] != PACKAGE:
                found[f"{kind.__module__}:{kind.__qualname__}"] = source_hash(kind)
        if self.weights and Path(self.weights).is_file():
            found["weights"] = file_hash(Path(self.weights))
        if self.model == "causal-lm" and self.options.get("folder"):
            for path in files_of_model(Path(self.options["folder"])):
                found[f"folder: {path.name}"] = file_hash(path)
        return found

    @cached_property
    def definition(self) -> dict[str, Any]:
        """This stage's part of a key."""
        settings = {**asdict(self), "hyperparameters": self.hyperparameters.settings}
        if not self.language:
            del settings["task"]  # entries of classes keep their keys
        elif self.options.get("folder"):
            settings["options"] = {key: value for key, value in self.options.items() if key != "folder"}
        if not self.frozen:
            del settings["frozen"]  # entries keep their keys
        if self.hyperparameters.defenses:
            settings["code of defenses"] = [class_code(type(one)) for one in self.hyperparameters.defenses]
        if self.weights and Path(self.weights).is_file():
            settings["weights"] = "file"
        if self.transfer == "lora":
            settings["peft"] = release()
        return {**settings, "sources": self.sources}

    @property
    def language(self) -> bool:
        """Returns whether its records are texts of a language model."""
        return self.task == "language"

    @property
    def frozen_prefix(self) -> bool:
        """Returns whether a part of the model always gives the same for a record, so that it is computed once."""
        return self.transfer in ("head", "last-k") and self.fit is None and not self.live

    @property
    def live(self) -> bool:
        """Returns whether a part that is not trained runs anew for every batch, since it or the records change."""
        moving = self.bn_mode == "official" or bool(self.hyperparameters.augment)
        return self.transfer == "last-k" and self.fit is None and moving


def _build(link: Link) -> nn.Module:
    """Builds a model of a link's architecture with fresh (or named) weights."""
    assert link.model is not None
    named = link.weights and not Path(link.weights).is_file()
    options = {**link.options, "weights": link.weights} if named else link.options
    return build(link.model, link.shape, link.classes, options, place=f"stage {link.name!r}")


def build_chain(links: tuple[Link, ...], index: int, seed: int, parent: Mapping[str, Tensor] | None) -> nn.Module:
    """Builds the untrained model of stage `index`: fresh, or its parent's with a fresh head; a bottleneck is put in.

    Args:
        links: the chain.
        index: which stage.
        seed: seed of the fresh weights.
        parent: trained weights of stage `index - 1`; None for a first, a scratch or a given parent.

    Raises:
        AuditError: a builder failed or weights do not fit.
    """
    link = links[index]
    with seed_torch(seed):
        if link.transfer == "scratch" or index == 0:
            model = _build(link)
            if link.weights and Path(link.weights).is_file():
                place = f"stage {link.name!r}"
                found = read_weights(Path(str(link.weights)), model.state_dict().keys(), f"{place}, weights")
                load_state(model, found.state, place)
                if found.left_out:  # a recipe has no note that says so in its report
                    raise TrainingError(
                        f"{place}, weights: must hold the model's tensors alone, got also {found.left_names}: save "
                        "the model's own as .safetensors"
                    )
            return _narrowed(links, index, model)
        # what a builder draws beside given weights is frozen under adapters, so it is the same for all models
        model = build_chain(links, index - 1, 0 if link.transfer == "lora" else seed, None)
        if parent is not None:
            load_state(model, parent, f"stage {links[index - 1].name!r}")
        if link.language:
            return model  # the next stage predicts the same tokens
        with_new_head(model, link.classes, example_of(link.shape), head_of(links, index, put=index))
        return _narrowed(links, index, model)


def _narrowed(links: Sequence[Link], index: int, model: nn.Module) -> nn.Module:
    """The model of a stage with the bottleneck that a defense of the stage puts before its last layer."""
    putting = _putting(links[index])
    if putting is None:
        return model
    return with_bottleneck(model, putting.bottleneck, example_of(links[index].shape), head_of(links, index, put=index))


def _putting(link: Link) -> PutsBottleneck | None:
    """The defense of a stage that puts a bottleneck, or None."""
    return next((one for one in link.hyperparameters.defenses if isinstance(one, PutsBottleneck)), None)


def parts_of(links: tuple[Link, ...], index: int, model: nn.Module, seed: int = 0) -> Parts:
    """The model of stage `index`, divided into frozen and trained part; adapters are drawn from `seed`."""
    link = links[index]
    own = link.frozen_prefix or link.live or link.transfer == "lora"
    method = cast(Method, link.transfer) if own else "full"
    lora = LoRA(link.lora_rank, link.lora_alpha)
    with seed_torch(seed):
        if link.language:
            adapted = link.transfer == "lora"
            return Parts(None, language_adapters(model, lora, texts_like(link.shape)) if adapted else model)
        head, example = head_of(links, index, put=index + 1), example_of(link.shape)
        parts = divide(model, method, link.last_k, example, head, lora, put=_putting(link) is not None)
    if link.live and isinstance(parts.frozen, nn.Sequential) and isinstance(parts.trained, nn.Sequential):
        return Parts(None, Live(parts.frozen, parts.trained, link.bn_mode))
    return parts


def texts_like(shape: tuple[int, ...]) -> Tensor:
    """Two short texts of tokens 0 and 1, which every language model knows."""
    return torch.arange(2 * min(shape[0], 8)).reshape(2, -1) % 2


def head_of(links: Sequence[Link], index: int, *, put: int) -> str | None:
    """Name of the last layer of the model that stage `index` uses, if the user gave one.

    Args:
        links: the chain.
        index: which stage.
        put: bottlenecks of the stages before this one are in the model; each moved the layer to `.1`.
    """
    first = next((one for one in range(index, -1, -1) if links[one].model is not None), 0)
    name = links[first].head
    return None if name is None else name + ".1" * sum(_putting(link) is not None for link in links[first:put])


def place_of(links: Sequence[Link], models: Sequence[int] = ()) -> str:
    """The last stage of a chain and models of its fleet, as an error names them: "stage 'head', model 0 to 63"."""
    place = f"stage {links[-1].name!r}"
    if not models:
        return place
    return f"{place}, model {models[0]}" + (f" to {models[-1]}" if len(models) > 1 else "")


def users_code(links: Sequence[Link]) -> tuple[str, ...]:
    """The user's own code in a chain, in words."""
    defenses = {type(one) for link in links for one in link.hyperparameters.defenses}
    own = sorted(f"the defense {one.__name__}" for one in defenses if one.__module__.split(".")[0] != "dosimeter")
    return (*(["the model"] if any(":" in (link.model or "") for link in links) else []), *own)


def chain_key(links: tuple[Link, ...], index: int, trained: str | None, device: str) -> str:
    """Key of everything that determines the frozen prefix of stage `index`: its parent chain and the cut."""
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
            "code": package_code(__name__),
        }
    )
