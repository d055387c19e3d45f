"""Adversaries in the built-in training: who tells them attributes, where they read, and what is left of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.wording import quote
from dosimeter.training.construction.partition import AdversarialPartition
from dosimeter.training.construction.settings import Construction
from dosimeter.training.recipe import FightsAdversaries, Hyperparameters

LEFT = "adversaries."
"""Start of the names under which weights of adversaries are stored beside those of their model."""
Term = Callable[[int, Tensor, Tensor], Tensor]
"""From the epoch, the rows of a batch and its records to what is added to its loss."""


@dataclass(frozen=True)
class Informed:
    """A defense that fights adversaries, told the attributes of one model's training records.

    Attributes:
        defense: the defense.
        attributes: number of the value of each record `[n]` by name.
        left: filled by the training with the weights of the adversaries.
    """

    paper: ClassVar[str] = "that of its defense"
    place: ClassVar[str] = "loss"
    ladder: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    defense: FightsAdversaries
    attributes: Mapping[str, Tensor]
    left: dict[str, Tensor] = field(default_factory=dict)


def fighter(hp: Hyperparameters) -> FightsAdversaries | None:
    """The defense of a recipe that fights adversaries, or None."""
    return next((one for one in hp.defenses if isinstance(one, FightsAdversaries)), None)


def settings_of_fight(defense: FightsAdversaries) -> Construction:
    """Settings of its adversaries.

    Raises:
        TrainingError: it gives none.
    """
    found = defense.adversaries()
    if not isinstance(found, Construction):
        raise TrainingError(
            f"defense {type(defense).__name__}: `adversaries` must give a Construction, got {type(found).__name__}: "
            "correct it"
        )
    return found


def inform(hp: Hyperparameters, data: Mapping[str, Tensor], rows: Tensor) -> tuple[Hyperparameters, Informed | None]:
    """The recipe with a defense that knows the attributes of some records, as far as it needs any.

    Args:
        hp: the recipe.
        data: entry of the stage's data, see `data.entries`.
        rows: of the model's training records.
    """
    found = fighter(hp)
    if found is None:
        return hp, None
    names = settings_of_fight(found).attributes
    told = Informed(found, {name: data[f"attribute {name}"][rows] for name in names if f"attribute {name}" in data})
    others = (one for one in hp.defenses if not isinstance(one, FightsAdversaries))
    return replace(hp, defenses=(*others, told)), told


def made_up(hp: Hyperparameters, n: int) -> Hyperparameters:
    """The recipe with attributes of records that are there to measure time alone.

    Args:
        hp: the recipe.
        n: number of the records.
    """
    found = fighter(hp)
    names = () if found is None else settings_of_fight(found).attributes
    return inform(hp, {f"attribute {name}": torch.arange(n) % 2 for name in names}, torch.arange(n))[0]


@contextlib.contextmanager
def fighting(model: nn.Module, hp: Hyperparameters, records: Tensor, seed: int) -> Iterator[Term | None]:
    """Gives what adversaries add to the loss of the batch that the model was just run on; None if there are none.

    Args:
        model: the whole model; what its layer gives is kept when it runs.
        hp: its defenses.
        records: its training records.
        seed: of the model.

    Raises:
        TrainingError: the layer is not there, or attributes are not known.
    """
    told = next((one for one in hp.defenses if isinstance(one, Informed)), None)
    plain = fighter(hp)
    if told is None and plain is not None:
        told = Informed(plain, {})
    if told is None:
        yield None
        return
    settings = settings_of_fight(told.defense)
    fight = AdversarialPartition(settings, records, told.attributes, epochs=hp.epochs, seed=seed)
    kept: list[Tensor] = []
    # a copy, since a later layer may act in place
    hook = layer_of(model, told.defense.after()).register_forward_hook(
        lambda _, __, out: kept.append(out.to(torch.float32, copy=True))
    )
    epochs: list[int] = []

    def term(epoch: int, rows: Tensor, batch: Tensor) -> Tensor:
        if epochs != [epoch]:
            epochs[:] = [epoch]
            fight.begin(epoch)
        features = kept[-1]
        kept.clear()
        return fight(features, rows, batch)

    try:
        yield term
    finally:
        hook.remove()
    told.left.update(fight.state())


def layer_of(model: nn.Module, name: str) -> nn.Module:
    """The layer of a name.

    Raises:
        TrainingError: there is none.
    """
    try:
        return model.get_submodule(name)
    except AttributeError as error:
        raise TrainingError(
            f"adversarial: cut must name a layer of the model, got {quote(name)}: `plan --topology` lists them"
        ) from error
