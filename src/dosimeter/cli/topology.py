"""What `plan --topology` prints: the cuts of a model, who sees what, and what they could learn."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dosimeter.cli.screen import plain
from dosimeter.families.derived import Answered
from dosimeter.families.risks import in_words
from dosimeter.families.sights import WIRE, Sight
from dosimeter.families.topology import Topology
from dosimeter.models.cuts.places import ModelCut
from dosimeter.pipeline.recipe.data import load_audit
from dosimeter.pipeline.recipe.prepare import plan_topology
from dosimeter.pipeline.recipe.topology import StageCuts, TopologyPlan
from dosimeter.results import words

WIDTH = 80
"""Columns of a terminal."""
MOST = 40
"""Most cuts that are printed; of a larger model those with one tensor after blocks, after layers too if they fit."""


def topology_text(path: Path, *, as_json: bool) -> str:
    """What the verb prints for an audit file.

    Raises:
        AuditError: every problem found, one line each.
    """
    plan = plan_topology(load_audit(path))
    if as_json:
        return json.dumps(_as_json(plan), indent=1, sort_keys=True)
    return "\n".join(topology_lines(plan))


def _as_json(plan: TopologyPlan) -> dict[str, Any]:
    """The plan as JSON values, without what means something in this process only."""
    found = dataclasses.asdict(plan)
    for stage in found["stages"]:
        for one in stage["operations"]:
            one["parameters"] = sum(one["parameters"].values())
            del one["mutates"]
            for value in one["gives"]:
                del value["memory"]
    for risk, one in zip(found["risks"], plan.rows, strict=True):
        risk |= {"threats": list(one.threats), "reason": one.reason}
    del found["roles"], found["rows"]
    found["topology"] = None if plan.topology is None else plan.topology.settings()
    return found


def topology_lines(plan: TopologyPlan) -> list[str]:
    """The tables as text, at most `WIDTH` columns wide."""
    lines: list[str] = []
    for stage in plan.stages:
        lines += _cut_lines(stage)
    if plan.topology is None:
        return [*lines, *_wrapped("No [topology]: nothing is said of who sees what.", "")]
    lines += ["Who sees what", *_sight_lines(plan.topology, plan.sights)]
    lines += ["", "What they could learn", *_risk_lines(plan.rows)]
    tested, threats = sum(bool(one.threats) for one in plan.rows), {name for one in plan.rows for name in one.threats}
    told = f"{tested} of {len(plan.rows)} are tested by {words.count(len(threats), 'threat')} of this file."
    told += " The others are listed in the result." if tested < len(plan.rows) else ""
    return [*lines, "", *_wrapped(told, "")]


def _cut_lines(stage: StageCuts) -> list[str]:
    """Table of the cuts of one model."""
    shown = stage.cuts if len(stage.cuts) <= MOST else _few(stage)
    lines = [
        f"Cuts of stage {plain(stage.stage)}, for one record",
        f"  {'after':<24} {'crosses':<12} {'float32':>7} {'float16':>7} {'int8':>6} {'weights':>7} {'mult-adds':>9}",
    ]
    for cut in shown:
        mark = "*" if set(cut.names) & set(stage.used) else " "
        adds = _short(cut.multiply_adds) if cut.counted else f">={_short(cut.multiply_adds)}"
        sizes = [_short(cut.bytes[form]) for form in ("float32", "float16", "int8")]
        lines.append(
            f"{mark} {_end(cut.name, 24):<24} {_end(_shapes(cut), 12):<12} {sizes[0]:>7} {sizes[1]:>7} {sizes[2]:>6} "
            f"{_short(cut.parameters):>7} {adds:>9}"
        )
    if len(shown) < len(stage.cuts):
        lines += _wrapped(f"{len(stage.cuts) - len(shown)} more cuts: use --json", "  ")
    lines += _wrapped("* is a cut of the topology. Sizes are bytes on the wire.", "  ") if stage.used else []
    lines += _wrapped(
        "weights and mult-adds are those before the cut; products of matrices, convolutions and attention are counted, "
        "additions, activations, normalisation and pooling are not.",
        "  ",
    )
    if any(not cut.counted for cut in stage.cuts):
        lines += _wrapped(">= marks models with operations that cannot be counted.", "  ")
    if modes := stage.cuts[-1].modes:
        lines += _wrapped(f"{', '.join(modes)} acts otherwise in training; these are models at rest.", "  ")
    return [*lines, ""]


def _few(stage: StageCuts) -> list[ModelCut]:
    """Cuts of a large model: its ends, those of the topology, and those with one tensor after outer modules."""
    must = [cut for cut in stage.cuts if set(cut.names) & set(stage.used) or cut in (stage.cuts[0], stage.cuts[-1])]
    more = [cut for cut in stage.cuts if len(cut.tensors) == 1 and len(cut.names) > 1 and cut not in must]
    for depth in sorted({cut.name.count(".") for cut in more}):  # blocks first, then the layers within them
        some = [cut for cut in more if cut.name.count(".") == depth]
        if len(must) + len(some) > MOST:
            break
        must += some
    return sorted(must, key=lambda cut: cut.position)


def _shapes(cut: ModelCut) -> str:
    """Shape of what crosses; of several tensors how many there are, and whether the records are among them."""
    if cut.bare and len(cut.tensors) > 1:
        return f"input and {len(cut.tensors) - 1}"
    if len(cut.tensors) > 1:
        return f"{len(cut.tensors)} tensors"
    return "x".join(map(str, cut.tensors[0].shape)) or "1"


def _short(number: int) -> str:
    """A whole number in at most six characters.

    >>> _short(9999), _short(12_345), _short(3_400_000)
    ('9999', '12.3k', '3.4M')
    """
    value, unit = float(number), ""
    for unit in ("", "k", "M", "G", "T"):  # noqa: B007 - the one at which it ends is used
        if value < (10_000 if not unit else 999.95):
            break
        value /= 1000
    return str(number) if not unit else f"{value:.1f}{unit}"


def _end(text: str, width: int) -> str:
    """Text, or its end after two dots."""
    told = plain(text)
    return told if len(told) <= width else f"..{told[2 - width :]}"


def _wrapped(text: str, indent: str) -> list[str]:
    """A paragraph; what follows its first line is indented further."""
    return textwrap.wrap(
        plain(text), WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False
    )


def _sight_lines(topology: Topology, found: Sequence[Sight]) -> list[str]:
    """What each party sees."""
    lines = []
    for name, trust in [*((one.name, one.trust) for one in topology.parties), (WIRE, "honest-but-curious")]:
        mine = [one for one in found if one.party == name]
        lines += _wrapped(f"{name} ({trust})" + ("" if mine else ": nothing"), "  ")
        for one in mine:
            what = {
                "features": f"features after {one.cut}",
                "inputs": f"the records of {one.data}" if one.data else "the records themselves",
                "weights": f"weights of {one.part}",
                "gradients": f"gradients from {one.part}",
            }.get(one.sees, one.sees)
            lines += _wrapped(f"{what}: {one.way}", "    ")
    return lines


def _risk_lines(found: Sequence[Answered]) -> list[str]:
    """What each adversary could learn, and which threat tests it."""
    lines = []
    for who in dict.fromkeys(one.risk.adversary for one in found):
        mine = [one for one in found if one.risk.adversary == who]
        more = ", beyond what each could alone" if len(who) > 1 else ""
        evil = mine[0].risk.malicious
        lines += _wrapped(f"{' and '.join(who)} (malicious)" if evil else " and ".join(who) + more, "  ")
        for one in mine:
            lines += _wrapped(in_words(one.risk), "    ")
            told = (
                f"threat {' and '.join(one.threats)}: {one.risk.remark}" if one.threats else f"NOT TESTED: {one.reason}"
            )
            lines += _wrapped(told, "      ")
    return lines or ["  nothing: no party sees more than its own"]
