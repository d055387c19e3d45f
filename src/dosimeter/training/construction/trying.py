"""Checks of a stage whose model is trained against adversaries, before anything is trained."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from dosimeter.data import Dataset
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import ConfigError, DataError
from dosimeter.foundation.wording import quote
from dosimeter.models.architectures import as_float
from dosimeter.models.cuts.graph import read_graph
from dosimeter.models.cuts.places import cuts, find_cut
from dosimeter.training.chain import Link
from dosimeter.training.construction.joining import fighter, settings_of_fight
from dosimeter.training.construction.partition import MOST_VALUES, problems_of, values_problem
from dosimeter.training.construction.settings import Construction


def check_fight(model: nn.Module, link: Link, own: Dataset) -> None:
    """Refuses a cut that the model does not have, attributes that its records do not have, and aims that do not fit.

    Args:
        model: of the stage, with fresh weights.
        link: the stage.
        own: its data.

    Raises:
        AuditError: one line for each problem.
    """
    found = fighter(link.hyperparameters)
    if found is None:
        return
    settings = settings_of_fight(found)
    problems = problems_of(settings, tuple(own.inputs.shape[1:]), numbers=_numbers(own))
    problems += _of_attributes(settings, own)
    if problems:
        raise DataError(*problems)
    check_cut(model, found.after(), own)


def _numbers(own: Dataset) -> bool:
    """Returns whether records are numbers, and not tokens of a text."""
    return not own.tokens and (own.inputs.dtype.kind == "f" or own.inputs.dtype == np.uint8)


def _of_attributes(settings: Construction, own: Dataset) -> list[str]:
    """Attributes that are missing, constant or of too many values, one line each."""
    problems = []
    for name in settings.attributes:
        place = f"adversarial: attribute {quote(name)}"
        if name not in own.attributes:
            known = suggest(name, own.attributes) if own.attributes else "name it in the data_options.attributes"
            problems.append(f"{place} must be known of the records of {own.name!r}, got none: {known}")
            continue
        found = len(np.unique(own.attributes[name]))
        if not 2 <= found <= MOST_VALUES:
            problems.append(values_problem(place, found))
    return problems


def check_cut(model: nn.Module, name: str, own: Dataset) -> None:
    """Refuses a cut that is not one tensor of numbers behind a layer.

    Args:
        model: the whole model.
        name: of the layer.
        own: its records.

    Raises:
        ConfigError: there is no such place, or more than one tensor crosses there.
    """
    example = as_float(torch.from_numpy(own.inputs[:2].copy()))
    known = cuts(read_graph(model, example))
    layers = {one for one, _ in model.named_modules() if one}
    usable = [one for cut in known for one in cut.names if one in layers and not cut.bare and len(cut.tensors) == 1]
    cut = find_cut(known, name)
    if cut is not None and name in layers and len(cut.tensors) > 1:
        raise ConfigError(
            f"adversarial: cut must be a place where one tensor crosses, got {quote(name)}, where {len(cut.tensors)} "
            "cross: choose the end of a block"
        )
    if name not in usable:
        raise ConfigError(
            f"adversarial: cut must name a layer of the model, got {quote(name)}, {suggest(name, usable)}: `dosimeter "
            "plan --topology` lists the cuts"
        )
