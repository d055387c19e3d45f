"""The cuts of a threat, found in the model before it is trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dosimeter.defenses.sending import CutDefense
from dosimeter.families.split.case.alone import mixed
from dosimeter.families.split.case.every import every_cut
from dosimeter.families.split.play.wire import AsFractions, Asked, Wire
from dosimeter.families.split.threat import ALL, SplitThreat
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.wording import quote
from dosimeter.models.architectures import as_float
from dosimeter.models.cuts.graph import ModelGraph, read_graph
from dosimeter.models.cuts.places import ModelCut, cuts, find_cut, not_divided
from dosimeter.training.chain import build_chain
from dosimeter.training.system import TrainedSystem

FEW = 8
"""Records by which a plan asks whether a defense fits a cut."""


def chosen_cuts(threat: SplitThreat, system: TrainedSystem) -> tuple[tuple[ModelCut, ...], int]:
    """The cuts that a threat names, in its order, and how many of "all" are left out; the model has fresh weights.

    Raises:
        ConfigError: the model cannot be read, has no such cut, its records cross there too, or a defense of the cut
            cannot act there.
    """
    index = len(system.links) - 1
    example = as_float(torch.from_numpy(system.at_risk.inputs[:2].copy()))
    graph = read_graph(build_chain(system.links, index, 0, None), example)
    found, left_out = named_cuts(threat, graph, example, f"stage {system.links[index].name!r}")
    some = as_float(torch.from_numpy(system.at_risk.inputs[:FEW].copy()))
    # With fresh weights: scales are others once the model is trained, but whether a defense fits is the same.
    fitting(graph, found, system.releases, AsFractions("cpu"), some)
    return found, left_out


def named_cuts(
    threat: SplitThreat, graph: ModelGraph, example: Tensor, whose: str, *, strict: bool = False
) -> tuple[tuple[ModelCut, ...], int]:
    """The cuts that a threat names, in its order, and how many of "all" are left out.

    Args:
        threat: the adversary.
        graph: of the model.
        example: two records, as the model takes them.
        whose: the model in messages.
        strict: whether a cut at which several tensors cross must name all of them, as in "one + other".

    Raises:
        ConfigError: the model has no such cut, or its records cross there too.
    """
    known = cuts(graph)
    if threat.cuts == ALL:
        every, left_out = every_cut(graph, known)
        if not every:
            raise ConfigError(
                f"threat.cuts: {whose} can be cut at its ends alone, got 'all': build it of layers, such as an "
                "nn.Sequential"
            )
        if problems := mixed(graph, every, example):
            raise ConfigError(*problems)
        return every, left_out
    names = [name for one in known for name in one.names if name not in ("input", "output")]
    found, problems = [], []
    for name in threat.cuts:
        cut = find_cut(known, name) or next((one for one in known if _joined(one) == name), None)
        if cut is None:
            problems.append(_no_cut(graph, name, whose, names))
        elif cut.bare:
            problems.append(
                f"threat.cuts: after {quote(name)} the records themselves cross too, since a later layer needs them: "
                "choose a cut after that one"
            )
        elif strict and len(cut.tensors) > 1 and _joined(cut) != name:
            problems.append(
                f"threat.cuts: after {quote(name)} {len(cut.tensors)} tensors cross, since a later layer needs all of "
                "them, as within a residual branch: cut after the whole branch, or write "
                f"{quote(_joined(cut), 200)} if all of them shall cross"
            )
        elif cut in found:
            problems.append(f"threat.cuts: {quote(name)} names a cut that is listed already: remove it")
        else:
            found.append(cut)
    problems = problems or mixed(graph, found, example)
    if problems:
        raise ConfigError(*problems)
    return tuple(found), 0


def _no_cut(graph: ModelGraph, name: str, whose: str, known: Sequence[str]) -> str:
    """Why a model cannot be cut after a layer, in one line."""
    if odd := not_divided(graph, name):
        return f"threat.cuts: {whose} cannot be cut after {quote(name)}: {odd}: cut elsewhere"
    return (
        f"threat.cuts: {whose} has no cut after {quote(name)}, {suggest(name, known)}: `dosimeter plan --topology` "
        "lists all"
    )


def _joined(cut: ModelCut) -> str:
    """All that crosses a cut, in one name."""
    return " + ".join(one.name for one in cut.tensors)


def fitting(
    graph: ModelGraph, found: Sequence[ModelCut], releases: Sequence[CutDefense], asked: Asked, some: Tensor
) -> None:
    """Tries the defenses of the cut at each cut.

    Args:
        graph: of the model.
        found: the cuts.
        releases: the defenses.
        asked: how the model takes records.
        some: a few of them, as fractions.

    Raises:
        ConfigError: one cannot act there.
    """
    for cut in found if releases else ():
        Wire(graph, cut, releases, asked).settled(some, np.random.default_rng(0), trial=True)


def numbers_of(cut: ModelCut) -> int:
    """Numbers that cross for one record."""
    return sum(int(np.prod(one.shape)) for one in cut.tensors)
