"""The `[[threat]]` rows: from tables to one threat each, with its family and its attacks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dosimeter.config.attack_rows import share_attacks
from dosimeter.config.stages.leg_topologies import by_leg
from dosimeter.config.stages.legs import last_of
from dosimeter.families.attack import NamedAttack
from dosimeter.families.derived import by_names, distinct
from dosimeter.families.family import Family, Surroundings
from dosimeter.families.registry import FAMILIES
from dosimeter.families.sights import StageRole
from dosimeter.families.threat import ThreatTable
from dosimeter.families.topology import Topology
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.findings import findings, lines
from dosimeter.foundation.toml import as_tuples
from dosimeter.foundation.wording import quote

MOST = 100
"""Most threats of one audit."""


@dataclasses.dataclass(frozen=True)
class ThreatRow:
    """One `[[threat]]` row.

    Attributes:
        family: family of its attacks.
        threat: the adversary.
        attacks: attacks to run, in order.
        place: where messages say that it stands: "threat", or "threat[1]" if there are several.
        derived: whether it follows from a topology and stands in no file.
    """

    family: Family
    threat: ThreatTable
    attacks: tuple[NamedAttack, ...]
    place: str = "threat"
    derived: bool = False

    @property
    def id(self) -> str:
        """Name of the threat, and of its folder."""
        return self.threat.id or self.family.name


@dataclasses.dataclass(frozen=True)
class Draft:
    """The rows that are not wrong themselves, and the problems of all, one line each."""

    rows: tuple[ThreatRow, ...]
    problems: tuple[str, ...]


def exposed(topology: Topology, stages: Sequence[StageRole]) -> tuple[dict[str, Any], ...]:
    """The `[[threat]]` tables that a topology stands for, of all families.

    Args:
        topology: who holds and runs what.
        stages: the chain in order, with the parts of each.
    """
    return tuple(
        {**threat.model_dump(exclude_unset=True), "family": name}
        for name, family in FAMILIES.items()
        for threat in family.threats(topology, stages)
    )


def threat_rows(whole: Mapping[str, Any], stages: Sequence[Any], base: Path, topology: Topology | None = None) -> Draft:
    """Validates the threats of an audit file, and gives each its attacks.

    Args:
        whole: the audit file.
        stages: its stages, None for those that are wrong; empty beside a supplied model.
        base: folder of the audit file.
        topology: stands for the threats, if the file has none and some follow from it.
    """
    told = () if topology is None or "threat" in whole else by_leg(topology, stages)
    follows = tuple(distinct([one for own, roles in told for one in exposed(own, by_names(own, roles))]))
    if follows:
        whole = {**whole, "threat": follows}
    raw = whole.get("threat", {})
    several = isinstance(raw, tuple)
    given = raw if isinstance(raw, tuple) else (raw,)
    places = [f"threat[{index}]" if several else "threat" for index in range(len(given))]
    places = [f"threat {one['id']}" for one in follows] or places
    if wrong := _no_tables(given, places):
        return Draft((), tuple(wrong))
    tables, problems = _spiked(list(given), whole)
    threats: list[ThreatTable | None] = []
    for table, place in zip(tables, places, strict=True):
        threat, wrong = _read(table, place, top_spike=whole.get("spike") is not None)
        threats.append(threat)
        problems += wrong
    problems += _repeated_ids(threats)
    around = [_surroundings(whole, threat, stages) for threat in threats]
    # a threat that is wrong itself is taken for its family's default, so that its attacks are checked all the same
    families = [FAMILIES.get(str(table.get("family", "membership"))) for table in tables]
    served = [
        (family, threat or family.settings(), place)
        for family, threat, place in zip(families, threats, places, strict=True)
        if family is not None
    ]
    attacks: list[tuple[NamedAttack, ...]] = [() for _ in served]
    of_attacks: list[str] = []
    if len(served) == len(tables):
        transferred = [bool(one.transferred) for one in around]
        texts = _of_texts(whole, stages)
        attacks, of_attacks = share_attacks(whole.get("attack"), base, served, transferred, texts=texts)
    rows = []
    for (family, _, place), threat, own, one in zip(served, threats, attacks, around, strict=False):
        if threat is not None:
            rows.append(ThreatRow(family, threat, own, place, bool(follows)))
            tails = family.problems(threat, own, one)
            problems += [_at(place, tail, top_spike=whole.get("spike") is not None) for tail in tails]
    return Draft(tuple(rows), (*problems, *of_attacks))


def _no_tables(given: Sequence[Any], places: Sequence[str]) -> list[str]:
    """Problems with the list of threats itself."""
    if not 0 < len(given) <= MOST:
        return [
            f"threat: must be 1 to {MOST} tables, got {len(given)}: write [threat], or [[threat]] for each adversary"
        ]
    return [
        f"{place}: must be a table, got {quote(one, 80)}: correct it"
        for one, place in zip(given, places, strict=True)
        if not isinstance(one, Mapping)
    ]


def _surroundings(whole: Mapping[str, Any], threat: ThreatTable | None, stages: Sequence[Any]) -> Surroundings:
    """What stands around a threat in the file; `stages` are those of the file, None for those that are wrong."""
    target = whole.get("target")
    if isinstance(target, Mapping) and "transcript" in target:
        return Surroundings(draws=False, trains=False, recorded=True)
    if target is not None:
        return Surroundings(draws=False, transferred=False, trains=isinstance(target, Mapping) and "fit" in target)
    last = None if threat is None or not stages else last_of(stages, threat.at_risk, FAMILIES[threat.family])
    if threat is None or last is None:
        return Surroundings(transferred=None)
    return Surroundings(transferred=threat.at_risk not in (None, last))


def _of_texts(whole: Mapping[str, Any], stages: Sequence[Any]) -> bool:
    """Whether the audit is about a language model: its last stage is one, or the supplied model."""
    target = whole.get("target")
    task = target.get("task") if isinstance(target, Mapping) else getattr(stages[-1], "task", None) if stages else None
    return bool(task == "language")


def _at(place: str, tail: str, *, top_spike: bool) -> str:
    """A problem with its place; canaries may stand in a table of their own."""
    return tail[1:] if top_spike and tail.startswith(".spike") else place + tail


def _spiked(tables: list[Mapping[str, Any]], whole: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], list[str]]:
    """The tables, with `[spike]` in the one that it means."""
    spike = whole.get("spike")
    if spike is None or not isinstance(spike, Mapping):
        return tables, []
    if "target" in whole:
        return tables, ["spike: a supplied model is trained already, got [spike] beside [target]: remove [spike]"]
    meant = [index for index, table in enumerate(tables) if table.get("family", "membership") == "membership"]
    if len(meant) != 1:
        return tables, [
            f"spike: canaries belong to one threat of membership, got [spike] beside {len(meant)} of them: write "
            "[threat.spike] below the threat that it is for"
        ]
    if "spike" in tables[meant[0]]:
        return tables, ["spike: must be written once, got [spike] and [threat.spike]: remove one of them"]
    return [{**table, "spike": spike} if index == meant[0] else table for index, table in enumerate(tables)], []


def _read(table: Mapping[str, Any], place: str, *, top_spike: bool = False) -> tuple[ThreatTable | None, list[str]]:
    """One threat, or the problems with its table; canaries may stand in a table of their own, `[spike]`."""
    family = table.get("family", "membership")
    if not isinstance(family, str) or family not in FAMILIES:
        told = suggest(family, FAMILIES) if isinstance(family, str) else "write text in quotes"
        return None, [f"{place}.family: unknown family {quote(family)}, {told}"]
    settings = FAMILIES[family].settings
    try:
        return settings.model_validate(table), []
    except ValidationError as error:
        found = findings(error, place, settings.model_fields)
        if top_spike:
            found = [(where.replace(f"{place}.spike", "spike", 1), text) for where, text in found]
        return None, lines(found)


def _repeated_ids(threats: Sequence[ThreatTable | None]) -> list[str]:
    """Problems with ids that occur twice; some file systems take a and A for one folder."""
    ids = [(threat.id or threat.family).lower() for threat in threats if threat is not None]
    return [
        f"threat: ids must be distinct, got {twice!r} {ids.count(twice)} times: give each [[threat]] an `id`"
        for twice in sorted({one for one in ids if ids.count(one) > 1})
    ]


def python_threats(
    given: Sequence[object] | None, common: Mapping[str, Any], *, trains: bool, recorded: bool = False
) -> list[tuple[Family, ThreatTable, str]]:
    """The threats of a call about a supplied model, each with its family and place.

    Args:
        given: tables as in an audit file; None for one of membership.
        common: keys of each that has none of its own, such as `shadows`.
        trains: whether further models can be trained.
        recorded: whether recorded traffic stands in place of a model.

    Raises:
        ConfigError: every problem, one line each.
    """
    if given is not None and (isinstance(given, str | Mapping) or not isinstance(given, Sequence) or not given):
        raise ConfigError(f"threats: must be a list of tables, got {quote(given)}: write [{{'family': 'membership'}}]")
    problems: list[str] = []
    found: list[tuple[Family, ThreatTable, str]] = []
    for index, table in enumerate(({},) if given is None else given):
        place = "" if given is None else f"threats[{index}]"
        if not isinstance(table, Mapping):
            problems.append(f"{place}: must be a table, got {quote(table)}: write {{'family': 'membership'}}")
            continue
        family = table.get("family", "membership")
        keys = FAMILIES[family].settings.model_fields if isinstance(family, str) and family in FAMILIES else {}
        own = {key: one for key, one in common.items() if key in keys}
        threat, wrong = _read({**own, **as_tuples(table)}, place)
        problems += wrong
        if threat is not None:
            tails = FAMILIES[threat.family].problems(
                threat, (), Surroundings(draws=False, trains=trains, recorded=recorded)
            )
            problems += [place + tail if place else tail[1:] for tail in tails]
            found.append((FAMILIES[threat.family], threat, place or "threat"))
    problems += _repeated_ids([threat for _, threat, _ in found])
    if problems:
        raise ConfigError(*problems)
    return found
