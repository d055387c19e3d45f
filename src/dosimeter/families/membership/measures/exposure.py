"""Exposure of every record, person and group, simultaneously; and lists that are ranked apart from their figures.

The trainings are all models that played target: the measured ones, and the shadows that rehearsed, which face
thresholds from other pairs than their own and an adversary with two shadows fewer. For a supplied model only its
shadows count: their membership was drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.families.membership.design.target_halves import players, second_half
from dosimeter.families.membership.measures.cross_fitting import CrossFit
from dosimeter.families.membership.measures.groups import measure_persons
from dosimeter.families.membership.measures.material import Material
from dosimeter.foundation.arrays import Array
from dosimeter.results import words
from dosimeter.results.rows import Row
from dosimeter.statistics import exposure as metric
from dosimeter.statistics.intervals.cells import exceeds
from dosimeter.statistics.intervals.crossed import rate_interval
from dosimeter.statistics.rates import shadow_threshold

LEVEL = 0.95
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
SHARES = (0.01, 0.05, 0.1)
"""Lengths of the lists of the most exposed, as shares of all units; there is one of ten units too."""
EDGES = np.linspace(0, 1, 11)
Unit = Literal["record", "person"]


@dataclass(frozen=True)
class Decisions:
    """Decisions of an attack about every record under every model that played target.

    Attributes:
        hits: whether it named the record `[m n]`.
        member: whether the model was trained on it `[m n]`.
        block: of each model, see `target_halves.players` `[m]`.
        scores: scores of the attack, for ranking within one half `[m n]`; None if there are none that the other half's
            models had no part in.
        as_given: the scores come from a table, and nobody knows what had a part in them.
    """

    hits: Bool[Array, "m n"]
    member: Bool[Array, "m n"]
    block: Int[Array, " m"]
    scores: Float[Array, "m n"] | None
    as_given: bool = False

    @property
    def halves(self) -> tuple[Bool[Array, " m"], Bool[Array, " m"]]:
        """Masks of the models in each half."""
        second = second_half(self.block)
        return ~second, second


def decisions(material: Material, attack: str, fpr: float) -> Decisions | None:
    """Decisions of an attack at the thresholds of a nominal rate; None for fewer than two blocks of models."""
    own = exceeds(material.scores[attack], material.thresholds(attack, fpr))
    member, calibration = material.truth.is_member, material.calibration
    if isinstance(calibration, CrossFit) or calibration.source == "split":
        if material.drawn:  # complementary targets, that is one block, say of each record one thing
            return Decisions(own, member, players(len(own), 0), material.apart.get(attack)) if len(own) > 2 else None
        if len(own) < 2 or material.queried:
            return None
        return Decisions(own, member, np.arange(len(own)), material.scores[attack], as_given=True)
    scores, bits = calibration.scores[attack][0], calibration.is_member[0]
    if bits.shape[1:] != member.shape[1:] or len(bits) < 4:
        return None
    pairs = np.arange(len(bits)).reshape(-1, 2)
    thresholds = [shadow_threshold(np.delete(scores, one, 0), np.delete(bits, one, 0), fpr) for one in pairs]
    called = scores > np.repeat(thresholds, 2)[:, None]
    if material.queried and not material.drawn:
        own, member = own[:0], member[:0]
    block = players(len(own), len(bits))
    hits, member = np.concatenate([own, called]), np.concatenate([member, bits])
    return Decisions(hits, member, block, material.apart.get(attack))


@dataclass(frozen=True)
class Exposed:
    """Exposure of all units of one kind.

    Attributes:
        kind: "record" or "person".
        made_of: the decisions.
        unit: unit of each record `[n]`.
        found: the exposures.
    """

    kind: Unit
    made_of: Decisions
    unit: Int[Array, " n"]
    found: metric.Exposure

    @property
    def units(self) -> int:
        """Number of units."""
        return len(self.found.low)

    @cached_property
    def ranks(self) -> tuple[metric.Ranks, metric.Ranks] | None:
        """Rankings by each half of the models, or None."""
        scores = self.made_of.scores
        if scores is None:
            return None
        first, second = (metric.rank(scores[h], self.made_of.member[h], unit=self.unit) for h in self.made_of.halves)
        return first, second

    @cached_property
    def most(self) -> int:
        """The unit with the highest lower end, then the highest value."""
        return int(np.lexsort((np.nan_to_num(self.found.named, nan=-1.0), self.found.low))[-1])


def measure(material: Material, attack: str, fpr: float) -> list[Exposed]:
    """Exposure of all records, then of all persons if the data name them; empty if it cannot be measured."""
    made_of = decisions(material, attack, fpr)
    if made_of is None:
        return []
    hits, member = made_of.hits, made_of.member
    records = metric.records(hits, member, level=LEVEL)
    found = [Exposed("record", made_of, np.arange(hits.shape[1]), records)]
    names = _owners(material)
    if names is not None:
        person = np.asarray(np.unique(names, return_inverse=True)[1]).reshape(-1)
        persons = metric.persons(hits, member, person=person, block=made_of.block, level=LEVEL)
        found.append(Exposed("person", made_of, person, persons))
    return found


def _owners(material: Material) -> Array | None:
    """Person of each record, or None if the data name no persons."""
    if material.persons is None and not material.drawn:
        return None if material.summary["data"].get("persons") is None else material.truth.record
    return material.persons


def row(material: Material, attack: str | None, groups: Sequence[Row]) -> dict[str, Any]:
    """The key `exposure` of the details; it names no record and no person.

    Args:
        material: material of a finished run.
        attack: the headline, or None.
        groups: rows of `estimates` that are about groups.
    """
    fpr = material.leading
    base = {"attack": attack, "fpr": fpr, "level": LEVEL, "unit": str(material.summary["threat"].get("unit", "record"))}
    told = _groups(groups, 0 if material.groups is None else len(np.unique(material.groups)))
    nothing = {"models": 0, "records": None, "persons": None, "groups": told, "first": ""}
    if attack is None or fpr is None:
        reason = "no attack could be run" if attack is None else "no false positive rate can be certified"
        return {**base, **nothing, "status": "not_measurable", "reason": reason}
    found = measure(material, attack, fpr)
    if not found:
        reason = (
            f"{'one training says' if len(material.truth.is_member) == 1 else 'two complementary trainings say'} "
            "nothing of single records: it needs shadows that rehearse, or "
            f"{'3 targets' if material.drawn else 'a table with 2 targets'} or more"
        )
        return {**base, **nothing, "status": "not_measurable", "reason": reason}
    parts: dict[str, Any] = {f"{one.kind}s": _part(material, one) for one in found}
    if base["unit"] == "person" and parts.get("persons"):
        parts["persons"]["attack"] = measure_persons(material, attack, found[1].unit)
    content = {**base, **nothing, **parts, "models": len(found[0].made_of.hits), "status": "ok", "reason": ""}
    return {**content, "first": _sentence(content, str(material.summary["noun"]))}


def individuals(material: Material, attack: str, fpr: float) -> dict[str, Array]:
    """One line for each record, then for each person: private. It ranks exposure and accuses nobody.

    Returns:
        Columns; empty where nothing is measurable. Ranks are from 1, 0 where there is none.
    """
    parts = [_columns(material, one) for one in measure(material, attack, fpr)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}


def _columns(material: Material, one: Exposed) -> dict[str, Array]:
    """The columns of one kind of unit."""
    first = np.unique(one.unit, return_index=True)[1]
    owners = _owners(material)
    ids = material.truth.ids if one.kind == "record" or owners is None else owners
    groups = np.full(len(one.unit), "") if material.groups is None else material.groups.astype(str)
    ranks = np.zeros((2, one.units), np.int64)
    for half, ranking in enumerate(one.ranks or ()):
        ranks[half, ranking.order] = np.arange(1, len(ranking.order) + 1)
    return {
        "kind": np.full(one.units, one.kind),
        "id": ids[first].astype(str),
        "group": groups[first] if one.kind == "record" else np.full(one.units, ""),
        **{name: value for name, value in asdict(one.found).items() if name != "level"},
        "shown": one.found.low > 0,
        "rank_first_half": ranks[0],
        "rank_second_half": ranks[1],
    }


def _part(material: Material, one: Exposed) -> dict[str, Any]:
    """The content of `result.json` about one kind of unit."""
    found, most = one.found, one.most
    used = found.trainings > 0
    named = found.named[used]
    counts = [np.histogram(x[~np.isnan(x)], EDGES)[0].tolist() for x in (found.named, found.unused)]
    return {
        "n": int(used.sum()),
        "trainings": float(np.median(found.trainings[used])),
        "shown": int((found.low > 0).sum()),
        "quantiles": [{"share": q, "value": float(np.quantile(named, q))} for q in QUANTILES],
        "distribution": {"edges": EDGES.tolist(), "used": counts[0], "unused": counts[1]},
        "always": int((found.named[used] == 1).sum()),
        "always_unused": int((found.unused == 1).sum()),
        "highest": {
            "value": _number(found.named[most]),
            "low": float(found.low[most]),
            "high": float(found.high[used].max()),
            "unused": _number(found.unused[most]),
            "trainings": int(found.trainings[most]),
        },
        "once": _once(one) if one.kind == "person" else None,
        "top": _lists(material, one),
        "stability": _stability(one),
        "ranking": "none" if one.ranks is None else "as_given" if one.made_of.as_given else "apart",
        "attack": None,
    }


def _number(value: float) -> float | None:
    """The number; None for NaN."""
    return None if np.isnan(value) else float(value)


def _once(one: Exposed) -> dict[str, float]:
    """Frequency with which at least one of a person's used records is called, and at least one unused one."""
    told = {}
    member, hits, person = one.made_of.member, one.made_of.hits, one.unit
    for name, cells in (("used", member), ("unused", ~member)):
        some, any_named = (np.zeros((len(hits), one.units), bool) for _ in range(2))
        for counted, where in ((cells, some), (cells & hits, any_named)):
            model, column = np.nonzero(counted)
            where[model, person[column]] = True
        told[name] = float(any_named[some].mean()) if some.any() else 0.0
    return told


def _sizes(units: int, records: int) -> list[int]:
    """Lengths of the lists: at most a fifth of all, and of ten records or more where there are so many.

    >>> _sizes(360, 360), _sizes(40, 360), _sizes(20, 20)
    ([10, 18, 36], [2, 4], [2])
    """
    wanted = sorted({max(1, round(share * units)) for share in SHARES} | {10})
    fitting = [size for size in wanted if size <= max(1, units // 5)]
    return [size for size in fitting if size * records >= 10 * units] or fitting[-1:]


def _lists(material: Material, one: Exposed) -> list[dict[str, Any]]:
    """Lists ranked by one half of the models and measured in the other, both ways."""
    if one.ranks is None:
        return []
    shortest = min(len(ranking.order) for ranking in one.ranks)
    return [_list(material, one, size) for size in _sizes(one.units, len(one.unit)) if size <= shortest]


def _list(material: Material, one: Exposed, size: int) -> dict[str, Any]:
    """One list; both directions are averaged, and so are their ends, each at half of the error probability.

    The listed units are given; their records and the trainings are the draws.
    """
    assert one.ranks is not None
    made_of, ways = one.made_of, []
    # Where membership was drawn, each record's coin is a draw of its own; where it was stated, persons are.
    record = np.arange(len(one.unit)) if material.drawn else material.truth.record
    for number, (ranking, own) in enumerate(zip(one.ranks, made_of.halves, strict=True)):
        listed = np.isin(one.unit, ranking.order[:size])
        other = ~own
        rng = material.rng(f"exposure {one.kind} {size} {number}")
        way: dict[str, tuple[float, ...]] = {}
        for name, cells in (("used", made_of.member), ("unused", ~made_of.member)):
            hits, bits = made_of.hits[other][:, listed], cells[other][:, listed]
            if not bits.any():
                continue
            level = (1 + LEVEL) / 2
            found = rate_interval(hits, bits, record=record[listed], rng=rng, level=level)
            way[name] = (found.value, found.low, found.high)
        everybody, mine = made_of.hits[other][made_of.member[other]], made_of.member[own][:, listed]
        way["average"] = (float(everybody.mean()) if everybody.size else np.nan,)
        way["in_half"] = (float(made_of.hits[own][:, listed][mine].mean()) if mine.any() else np.nan,)
        ways.append(way)
    mean = {name: np.mean([way[name] for way in ways], 0) for name in ways[0] if all(name in way for way in ways)}
    told: dict[str, Any] = {"n": size, "share": size / one.units}
    for name in ("in_half", "average"):
        told[name] = _number(float(mean[name][0]))
    for name, key in (("used", "other_half"), ("unused", "unused")):
        value, low, high = (float(x) for x in mean[name]) if name in mean else (None, None, None)
        told |= {key: value, "low" if name == "used" else "unused_low": low,
                 "high" if name == "used" else "unused_high": high}  # fmt: skip
    return told


def _stability(one: Exposed) -> dict[str, Any] | None:
    """Agreement of the two halves on the most exposed units."""
    if one.ranks is None:
        return None
    first, second = one.ranks
    size = min(max(1, round(0.1 * one.units)), len(first.order), len(second.order))
    if not size:
        return None
    jaccard, chance = metric.overlap(first, second, size)
    return {"n": size, "jaccard": jaccard, "chance": chance, "spearman": metric.agreement(first, second)}


def _groups(rows: Sequence[Row], declared: int) -> dict[str, Any] | None:
    """Highest ends over all groups; the lower end is 0 for a group that may be called as often when unused.

    For a group that is too small for a rate nothing is excluded, so one such group among the `declared` ones sets the
    upper end to 1.
    """
    named = [one for one in rows if one.metric == "tpr" and one.status == "ok"]
    if not named:
        return None
    reached = {one.group: one for one in rows if one.metric == "fpr"}
    unused, (values, ends, highs) = (
        [reached[one.group] for one in named],
        zip(*(one.ends for one in named), strict=True),
    )
    lows = [low if low > (fpr.high or 0.0) else 0.0 for low, fpr in zip(ends, unused, strict=True)]
    most = int(np.argmax(lows)) if max(lows) > 0 else int(np.argmax(values))
    high = 1.0 if len(named) < declared else max(highs)
    highest = {"value": values[most], "low": lows[most], "high": high, "unused": unused[most].value}
    return {"n": max(declared, len(named)), "highest": highest}


def _sentence(content: Mapping[str, Any], noun: str) -> str:
    """The sentences of the first page; empty if 0 to 100 % is all that can be said."""
    told, every = [], []
    for key, word in (("persons", "person"), ("records", noun), ("groups", "group")):
        part = content[key]
        if part is None:
            continue
        low, high = (part["highest"][end] for end in ("low", "high"))
        always = "" if low else _every_time(part, word)
        every += [always] if always else []
        if low == 0 and high >= 1:
            continue
        least = f"shown at least {words.percent(low, spread=high - low, away='down')}, "
        least = least if low else "" if always else "none shown, "
        upper = words.percent(high, spread=high - low, away="up")
        told.append(f"of any {word}: {least}not excluded up to {upper} (all {part['n']:,} together)")
    mean = "" if content["persons"] is None else "; of a person, the mean of that share over their records"
    highest = (
        f"Highest exposure {'; '.join(told)}. Exposure: the share of the trainings with a record in which it is "
        f"recognised{mean} ({content['models']} trainings)."
    )
    return " ".join([*every, *([highest] if told else [])])


def _every_time(part: Mapping[str, Any], word: str) -> str:
    """Text: units recognised in every training that used them, if clearly more than by chance."""
    always, unused = part.get("always", 0), part.get("always_unused", 0)
    if always <= 2 * unused or always < 0.05 * part["n"]:
        return ""
    return (
        f"{always:,} of {part['n']:,} {words.plural(word)} were recognised in every training that used them (about "
        f"{part['trainings']:.0f} each), and {unused:,} in every training that did not."
    )
