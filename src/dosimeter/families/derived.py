"""From a topology to the threats of an audit, and what no threat of an audit tests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from dosimeter.families.joint_risks import all_risks
from dosimeter.families.risks import STRENGTH, Risk, in_words
from dosimeter.families.sights import WIRE, StageRole
from dosimeter.families.threat import ThreatTable
from dosimeter.families.topology import ModelPart, Topology

LONGEST = 64
"""Letters of an id, at most."""
WORDS: Mapping[str, str] = {"probs": "probabilities", "topk": "labels"}
"""Words of a `[[threat]]` for access, where a topology says it otherwise."""
SAME: Mapping[str, Any] = {
    "victims": None, "knows": None, "answers": "seen", "victim": None, "adversary": None, "property": None,
    "active": None,
}  # fmt: skip
"""Keys in which a threat must be what a row says, with what a row means that does not say it; None is anything."""
FLAGS = ("gradients", "active")
"""Keys that say what else an adversary can do; a threat that can do more than a row asks for tests the row."""
UNION = ("cuts", "attributes")
"""Keys that are lists; a threat that tests more than a row asks for tests the row."""


def by_names(topology: Topology, stages: Sequence[StageRole]) -> tuple[StageRole, ...]:
    """The chain as a topology uses it, as far as that can be told without any model.

    A part follows the one that ends where it begins, by name of the layer. Where the names do not lead from the input
    to the output, since one place has several names, parts stay in the order of the file.

    Args:
        topology: parties and parts.
        stages: the chain, without parts.
    """
    return tuple(replace(role, parts=_ordered(topology.parts_of(role.name))) for role in stages)


def _ordered(own: Sequence[ModelPart]) -> tuple[ModelPart, ...]:
    """Parts of one model by the names of the layers at which they begin and end."""
    found: list[ModelPart] = []
    following: str | None = None
    while len(found) < len(own):
        later = [one for one in own if one.first == following and one not in found]
        if len(later) != 1:
            return tuple(own)
        found.append(later[0])
        following = later[0].last
    return tuple(found)


def access_words(settings: type[ThreatTable]) -> frozenset[str]:
    """What attacks of a family read, in the words for access.

    Where a threat may have other access too, features are those of the last layer and not those at a cut.

    Args:
        settings: keys of its `[[threat]]`.
    """
    words = frozenset(get_args(settings.model_fields["access"].annotation))
    return words - {"features"} if len(words) > 1 else words


def derived(
    topology: Topology, stages: Sequence[StageRole], family: str, settings: type[ThreatTable]
) -> list[dict[str, Any]]:
    """The `[[threat]]` tables of one family that follow from a topology, each with an id.

    Rows of one adversary that differ in attributes and `FLAGS` alone become one threat; so do equal rows of several
    adversaries.

    Args:
        topology: who holds and runs what.
        stages: the chain, with the parts of each.
        family: name of the family.
        settings: keys of its `[[threat]]`.
    """
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for risk in all_risks(topology, stages, {family: access_words(settings)}):
        if risk.tested:
            same = tuple(item for item in risk.threat.items() if item[0] not in ("attributes", *FLAGS))
            own = found.setdefault(same, {"id": _id(risk), **risk.threat})
            own |= {key: True for key in FLAGS if risk.threat.get(key)}
            if more := (*own.get("attributes", ()), *risk.threat.get("attributes", ())):
                own["attributes"] = tuple(dict.fromkeys(more))
    return distinct(list(found.values()))


def _id(risk: Risk) -> str:
    """Family and adversary of a risk, as an id."""
    who = ["wire" if one == WIRE else one for one in risk.adversary]
    return re.sub(r"[^A-Za-z0-9._-]", "-", "-".join([str(risk.rule.family), *who]))[:LONGEST]


def distinct(tables: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tables with a number at the end of each id that occurs again; upper and lower case count as one."""
    taken: set[str] = set()
    for one in tables:
        name, number = one["id"], 1
        while one["id"].lower() in taken:
            number += 1
            one["id"] = f"{name[: LONGEST - 4]}-{number}"
        taken.add(one["id"].lower())
    return tables


@dataclass(frozen=True)
class Listed:
    """An attack of a threat of which a finding could be made.

    Attributes:
        id: names it.
        seeks: what it is after; empty of a family whose attacks do not differ in that.
        makes_use: of each of `FLAGS` that attacks of its family may need, whether it does.
        refused: why it cannot run, or empty.
    """

    id: str
    seeks: str
    makes_use: Mapping[str, bool]
    refused: str = ""

    def fits(self, risk: Risk) -> bool:
        """Returns whether it tests a row as far as that depends on the attack.

        One that reads or returns gradients says nothing of an adversary without them.
        """
        flags = all(used == bool(risk.threat.get(key)) for key, used in self.makes_use.items())
        return flags and (not self.seeks or self.seeks == (risk.rule.seeks or self.seeks))


@dataclass(frozen=True)
class Answered:
    """A risk, and what an audit does about it.

    Attributes:
        risk: one row of the table.
        threats: ids of the threats that test it.
        reason: why none does, or empty.
    """

    risk: Risk
    threats: tuple[str, ...]
    reason: str

    @property
    def sentence(self) -> str:
        """What is not tested, and why."""
        return f"{' and '.join(self.risk.adversary)}, {in_words(self.risk)}. Not tested: {self.reason}"


@dataclass(frozen=True)
class Unfit:
    """A threat that follows from a topology and does not fit the records.

    Attributes:
        threat: its settings.
        reason: why not.
    """

    threat: ThreatTable
    reason: str


def answered(
    found: Sequence[Risk],
    threats: Mapping[str, ThreatTable],
    last: str,
    unfit: Mapping[str, Unfit],
    attacks: Mapping[str, Sequence[Listed]] | None = None,
) -> tuple[Answered, ...]:
    """Every row of a topology's table, with the threats that test it, or the reason why none does.

    Args:
        found: the rows.
        threats: of the audit, by id.
        last: name of the last stage, which threats without `at_risk` are about.
        unfit: threats that would test some, by id.
        attacks: of each threat; None where they are not known.
    """
    rows = []
    for risk in found:
        able = [name for name, one in threats.items() if _tests(one, risk, last)]
        fit = {name: [one for one in (attacks or {}).get(name, ()) if one.fits(risk)] for name in able}
        own = tuple(name for name in able if attacks is None or any(not one.refused for one in fit[name]))
        reason = "" if own else risk.remark
        if able and not own:
            reason = _unplayed(able[0], fit[able[0]], risk)
        elif not own and risk.threat:
            reason = f"no threat of this file does; one with {risk.remark} would"
            odd = next((name for name, one in unfit.items() if _tests(one.threat, risk, last)), None)
            reason = reason if odd is None else f"threat {odd} does not fit the records ({unfit[odd].reason})"
        rows.append(Answered(risk, own, reason))
    return tuple(rows)


def _unplayed(threat: str, fit: Sequence[Listed], risk: Risk) -> str:
    """Why no attack of a threat tests a row that the threat would test.

    Args:
        threat: its id.
        fit: its attacks that would, all of which are refused.
        risk: the row.
    """
    if fit:
        return f"no attack of threat {threat} that would can run, {'; '.join(f'{one.id} {one.refused}' for one in fit)}"
    wanted = [key for key in sorted(FLAGS) if risk.threat.get(key)]
    if wanted:
        return f"threat {threat} has {' and '.join(wanted)} and no attack that makes use of it"
    return f"threat {threat} has no attack on what crosses that seeks {risk.rule.learns}"


def _tests(threat: ThreatTable, risk: Risk, last: str) -> bool:
    """Returns whether a threat tests what a row says, or more than that."""
    wanted = risk.threat
    if not wanted or threat.family != wanted["family"] or (threat.at_risk or last) != wanted["at_risk"]:
        return False
    if _strength(threat.access) < _strength(str(wanted["access"])):
        return False
    for key, meant in SAME.items():
        said = wanted.get(key, meant)
        if said is not None and getattr(threat, key, said) != said:
            return False
    for key in wanted.keys() - {"family", "at_risk", "access", *SAME}:
        own = getattr(threat, key)
        if key in UNION:
            if own != "all" and not set(wanted[key]) <= set(own):
                return False
        elif key in FLAGS:
            if not own:
                return False
        elif own is None:  # whichever records of others it names
            return False
    return True


def _strength(access: str) -> int:
    """Place of an access among all, the least telling first."""
    return STRENGTH.index(WORDS.get(access, access))
