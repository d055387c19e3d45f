"""The cuts of a threat, found in the model before it is trained."""

from __future__ import annotations

import numpy as np
import torch

from dosimeter.families.split.play.wire import Wire
from dosimeter.families.split.threat import SplitThreat
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.wording import quote
from dosimeter.models.architectures import as_float
from dosimeter.models.cuts.graph import read_graph
from dosimeter.models.cuts.places import ModelCut, cuts, find_cut
from dosimeter.training.chain import build_chain
from dosimeter.training.system import TrainedSystem

FEW = 8
"""Records by which a plan asks whether a defense fits a cut."""


def chosen_cuts(threat: SplitThreat, system: TrainedSystem) -> tuple[ModelCut, ...]:
    """The cuts that a threat names, in its order; the model is built with fresh weights.

    Raises:
        ConfigError: the model cannot be read, has no such cut, its records cross there too, or a defense of the cut
            cannot act there.
    """
    index = len(system.links) - 1
    example = as_float(torch.from_numpy(system.at_risk.inputs[:2].copy()))
    graph = read_graph(build_chain(system.links, index, 0, None), example)
    known = cuts(graph)
    names = [name for one in known for name in one.names if name not in ("input", "output")]
    found, problems = [], []
    for name in threat.cuts:
        cut = find_cut(known, name)
        if cut is None:
            problems.append(
                f"threat.cuts: stage {system.links[index].name!r} has no cut after {quote(name)}, "
                f"{suggest(name, names)}: `dosimeter plan --topology` lists all"
            )
        elif cut.bare:
            problems.append(
                f"threat.cuts: after {quote(name)} the records themselves cross too, since a later layer needs them: "
                "choose a cut after that one"
            )
        elif cut in found:
            problems.append(f"threat.cuts: {quote(name)} names a cut that is listed already: remove it")
        else:
            found.append(cut)
    if problems:
        raise ConfigError(*problems)
    some = as_float(torch.from_numpy(system.at_risk.inputs[:FEW].copy()))
    for cut in found if system.releases else ():
        # With fresh weights: scales are others once the model is trained, but whether a defense fits is the same.
        Wire(graph, cut, system.releases, "cpu").settled(some, np.random.default_rng(0))
    return tuple(found)


def numbers_of(cut: ModelCut) -> int:
    """Numbers that cross for one record."""
    return sum(int(np.prod(one.shape)) for one in cut.tensors)
