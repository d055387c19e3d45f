"""The tables of an audit file with the type and range of every key."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import Field, ValidationError

from dosimeter.data.options import Level, Options
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.findings import findings, lines, scan
from dosimeter.foundation.table import NAME, Reference, Table
from dosimeter.models.names import Joint, Method, Statistics
from dosimeter.training.language.recipe import Finetuning
from dosimeter.training.recipe import Hyperparameters, Task


class DataOptions(Table):
    """Options of a stage's data; the keys of `dosimeter.data.Options`, which documents them."""

    classes: tuple[str, ...] | None = Field(default=None, min_length=2)
    label: Reference = "label"
    id: Reference | None = None
    person: Reference | None = None
    group: Reference | None = None
    inputs: Reference | None = None
    split: Reference | None = None
    size: tuple[int, int] | None = None
    noun: str | None = Field(default=None, min_length=1, max_length=40)
    categorical: tuple[Reference, ...] = ()
    categories: dict[str, tuple[str, ...]] | None = None
    text: Reference | None = None
    length: int = Field(default=128, ge=1, le=100_000)
    vocabulary: int = Field(default=20_000, ge=2, le=10_000_000)
    tokenizer: Reference | None = None
    attributes: tuple[Reference, ...] = ()
    level: Level | None = None

    @property
    def options(self) -> Options:
        """The options as a data source takes them."""
        return Options(**self.model_dump())


class Stage(Table):
    """One stage of the chain: data, model, how it starts from its parent, how it is trained.

    A stage with `weights` is given: nothing is trained. One with a joint transfer has parties instead of data.
    """

    name: str = Field(pattern=NAME)
    task: Task = "classes"
    data: Reference | None = None
    rows: str | None = None
    data_options: DataOptions = DataOptions()
    test: Reference | None = None
    test_rows: str | None = None
    model: Reference | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    weights: Reference | None = None
    classes: int | None = Field(default=None, ge=2, le=100_000)
    transfer: Literal[Method, Joint] = "scratch"
    parties: dict[str, Reference] | None = Field(default=None, max_length=1000)
    after: Reference | None = None
    alignment: float = Field(default=1.0, gt=0)
    local_steps: int = Field(default=1, ge=1, le=1_000_000)
    frozen: int = Field(default=0, ge=0, le=10_000)
    last_k: int = Field(default=1, ge=1, le=10_000)
    bn_mode: Literal[Statistics] = "strict"
    lora_rank: int = Field(default=8, ge=1, le=10_000)
    lora_alpha: int = Field(default=16, ge=1, le=1_000_000)
    head: Reference | None = None
    fit: Reference | None = None
    depends: tuple[Reference, ...] = ()
    epochs: int = Field(default=20, ge=1, le=100_000)
    batch_size: int = Field(default=32, ge=1, le=10_000_000)
    optimizer: Literal["sgd", "adam"] = "sgd"
    lr: float = Field(default=0.01, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    schedule: Literal["constant", "cosine", "one-cycle"] = "constant"
    precision: Literal["float32", "bfloat16"] = "float32"
    augment: tuple[Literal["flip", "shift", "drop"], ...] = ()
    standardise: bool = False
    defenses: tuple[dict[str, Any], ...] = Field(default=(), max_length=20)
    sample: float = Field(default=0.85, gt=0, le=1)

    @property
    def reading(self) -> Options:
        """The options that read its data; texts of a language model are bytes, or the tokens of a tokenizer."""
        options = self.data_options.options
        if self.task == "classes" or options.level is not None:
            return options
        return dataclasses.replace(options, level="bytes" if options.tokenizer is None else "tokenizer")

    @property
    def given(self) -> bool:
        """Returns whether the stage's weights are supplied rather than trained."""
        return self.weights is not None

    @property
    def joint(self) -> bool:
        """Returns whether several parties train the stage together."""
        return self.transfer in get_args(Joint)

    @property
    def hyperparameters(self) -> Hyperparameters:
        """Settings of the training loop, without defenses."""
        names = {field.name for field in dataclasses.fields(Hyperparameters)} - {"share", "defenses", "privacy"}
        return Hyperparameters(**{name: getattr(self, name) for name in names})


class Finetune(Table):
    """Settings by which the references of a supplied language model are finetuned from its base; those of a stage."""

    epochs: int = Field(ge=1, le=100_000)
    lr: float = Field(gt=0)
    batch_size: int = Field(default=8, ge=1, le=10_000_000)
    optimizer: Literal["sgd", "adam"] = "adam"
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    schedule: Literal["constant", "cosine", "one-cycle"] = "constant"
    precision: Literal["float32", "bfloat16"] = "float32"
    transfer: Literal["full", "lora"] = "full"
    lora_rank: int = Field(default=8, ge=1, le=10_000)
    lora_alpha: int = Field(default=16, ge=1, le=1_000_000)

    @property
    def finetuning(self) -> Finetuning:
        """The settings as training takes them."""
        own = self.model_dump()
        how = {name: own.pop(name) for name in ("transfer", "lora_rank", "lora_alpha")}
        return Finetuning(Hyperparameters(**own), **how)


def finetuning_of(given: Mapping[str, Any], place: str) -> Finetuning:
    """How references are finetuned, from the table that a user wrote in the place of a function.

    Args:
        given: the table.
        place: its path.

    Raises:
        ConfigError: every key that is wrong, one line each.
    """
    found = scan(given, place)
    try:
        table = Finetune.model_validate(dict(given))
    except ValidationError as error:
        found += findings(error, place, Finetune.model_fields)
        table = None
    if found or table is None:
        raise ConfigError(*lines(found))
    return table.finetuning


class Target(Table):
    """A trained model of the user's, with records that it was trained on and records that it was not."""

    model: Reference
    task: Task = "classes"
    base: Reference | None = None
    weights: Reference | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    output: Literal["auto", "logits", "probs"] = "auto"
    members: Reference | None = None
    members_rows: str | None = None
    nonmembers: Reference | None = None
    nonmembers_rows: str | None = None
    population: Reference | None = None
    population_rows: str | None = None
    data: dict[str, Reference] = Field(default_factory=dict, max_length=100)
    data_options: DataOptions = DataOptions()
    duplicates: Literal["refuse", "exclude"] = "refuse"
    fit: Reference | dict[str, Any] | None = None
    depends: tuple[Reference, ...] = ()


class RecordedTarget(Table):
    """Traffic over the cut of a model that is elsewhere, or messages of a joint training; of these also the model."""

    transcript: Reference
    model: Reference | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    head: Reference | None = None


class Report(Table):
    """Wording and leading rate of the report."""

    noun: str | None = Field(default=None, min_length=1, max_length=40)
    leading_fpr: Literal[0.1, 0.01, 0.001, 0.0001] = 0.01


class Variant(Table):
    """The same audit with other settings of training, or an adversary who knows more."""

    id: str = Field(pattern=NAME)
    knows: tuple[str, ...] | None = None
    stage: dict[str, dict[str, Any]] = Field(default_factory=dict)


class Top(Table):
    """Keys outside tables; the tables are validated one by one, so that one wrong key hides no other."""

    name: str = Field(default="audit", pattern=NAME)
    seed: int = Field(default=0, ge=0)
    data: dict[str, Any] = Field(default_factory=dict, max_length=1000)
    topology: dict[str, Any] | None = None
    stage: tuple[Any, ...] = Field(min_length=1, max_length=100)
    target: Any = None
    threat: Any = None
    attack: tuple[dict[str, Any], ...] = Field(default=(), max_length=1000)
    defense: tuple[dict[str, Any], ...] = Field(default=(), max_length=1000)
    variant: tuple[dict[str, Any], ...] = Field(default=(), max_length=1000)
    report: dict[str, Any] = Field(default_factory=dict)
    spike: dict[str, Any] | None = None


class TargetTop(Top):
    """Keys outside tables of an audit file about a supplied model, which has no stages."""

    stage: tuple[Any, ...] = Field(default=(), max_length=100)
