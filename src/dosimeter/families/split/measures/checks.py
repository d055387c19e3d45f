"""Checks of a split audit: of the null audit, of controls and yardsticks, of training, and of the records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dosimeter.families.directions import Said, directions, level_of, says_alike
from dosimeter.families.split.measures.measured import Measured
from dosimeter.families.split.measures.shown import Decision
from dosimeter.foundation.gate import Gate
from dosimeter.results.findings import FALSE_ALARM, Null, controls_gate, exchanges_for, null_decision, null_row
from dosimeter.statistics.identification import names_at_chance, place_of, placed, recognised
from dosimeter.statistics.intervals.crossed import Interval
from dosimeter.statistics.leakage.attributes import auc_of
from dosimeter.statistics.leakage.exchange import attributes_at_chance

GOALS = ("input", "attribute")
"""What attacks are after."""


def null_audit(found: Measured) -> tuple[Null, ...]:
    """Every attack where nothing is to be found: victims and attributes are exchanged.

    An attack that reads the audit instead of what crosses the cut would still be right there.
    """
    rows: list[Null] = []
    attacks = list(found.left.evidence)
    guessing = [one for one in attacks if found.left.attack(one)["goal"] != "input"]
    chances = _at_chance(found, guessing, exchanges_for(len(attacks) * len(found.attributes)), null=True)
    for attack in attacks:
        level = 1 - FALSE_ALARM / len(attacks)
        if found.left.attack(attack)["goal"] == "input":
            own = found.lineup(attack, 0, null=True)
            p = names_at_chance(own, rng=found.rng(f"null {attack}"), draws=exchanges_for(len(attacks)))
            shown = place_of(placed(own), level=level)
            rows.append(null_row(attack, p, shown, "input_place", len(attacks)))
            continue
        worst: tuple[float, Interval] | None = None
        for told in found.attributes:
            p = min(1.0, chances[attack, told.name] * len(found.attributes))
            if worst is None or p < worst[0]:
                own = found.guesses(attack, told, 0, null=True)
                worst = p, auc_of(own, told.truth, told.unit, level=level)
        if worst is not None:
            rows.append(null_row(attack, *worst, "attribute_auc", len(attacks)))
    return tuple(rows)


def _at_chance(found: Measured, ids: Sequence[str], draws: int, *, null: bool) -> dict[tuple[str, str], float]:
    """p-value of each attack being so far from chance at the first cut, and each attribute; attack by attack."""
    kind, by_name = "null" if null else "control", dict[str, tuple[float, ...]]()
    for told in found.attributes if ids else ():
        own = [found.guesses(one, told, 0, null=null) for one in ids]
        rng = found.rng(f"{kind} {told.name}")
        by_name[told.name] = attributes_at_chance(own, told.truth, found.person, rng=rng, draws=draws)
    return {(one, name): ps[place] for place, one in enumerate(ids) for name, ps in by_name.items()}


def null_gate(rows: tuple[Null, ...]) -> Gate:
    """N1: the decision on the null audit."""
    return null_decision(rows, "on exchanged victims and attributes")


def controls(found: Measured) -> Gate:
    """N2: controls, which see nothing of the victims, must be at chance."""
    rows = [found.left.attack(one) for one in found.left.evidence]
    ids = {goal: [str(one["id"]) for one in rows if one["control"] and one["goal"] == goal] for goal in GOALS}
    tests = len(ids["input"]) + len(ids["attribute"]) * len(found.attributes)
    wrong = []
    for one in ids["input"]:
        p = names_at_chance(found.lineup(one, 0), rng=found.rng(f"control {one}"), draws=exchanges_for(tests))
        if p <= FALSE_ALARM / tests:
            wrong.append(one)
    chances = _at_chance(found, ids["attribute"], exchanges_for(tests), null=False)
    wrong += [f"{one} ({name})" for (one, name), p in chances.items() if p <= FALSE_ALARM / tests]
    return controls_gate([*ids["input"], *ids["attribute"]], wrong, "gives the victims' secrets away")


def trained_enough(found: Measured) -> Gate | None:
    """S1: a reconstruction that is worse than the mean record says that the attack is under-trained.

    None where no attack seeks the input. A control of the user's is no mean record, and errors beside it say nothing.
    """
    if not found.telling("input"):
        return None
    if found.mean_error is None:  # a run that an earlier release left
        return Gate("S1", "Training of attacks", "warn", 0.0, "No mean record was run, below which attacks are weak.")
    wrong = [
        f"{attack} after {cut}"
        for attack in found.telling("input")
        for source, cut in enumerate(found.cuts)
        if found.untrained(attack, source)
    ]
    if wrong:
        return Gate(
            "S1", "Training of attacks", "warn", float(len(wrong)),
            f"{', '.join(wrong)} did worse than the mean record: such an attack is under-trained and not defeated.",
        )  # fmt: skip
    return Gate("S1", "Training of attacks", "pass", 0.0, "Every reconstruction is nearer than the mean record.")


def knowing(found: Measured) -> Gate | None:
    """S4: whether an attack that does not know the defense of the cut did better than all that do.

    None where no such attack was run, or where there is no defense. Then those that know it learned too little from it.
    """
    rows = [found.left.attack(one) for one in found.left.evidence]
    naive = [one for one in rows if not one.get("adaptive", True)]
    if not naive or not found.released:
        return None
    better = []
    for one in naive:
        rivals = found.of(one["goal"], "features")
        for source, cut in enumerate(found.cuts):
            if one["goal"] == "input":
                reached = {name: recognised(found.lineup(name, source)).mean() for name in (one["id"], *rivals)}
                better += (
                    [f"{one['id']} after {cut}"] if reached.pop(one["id"]) > max(reached.values(), default=1) else []
                )
                continue
            for told in found.attributes:
                reached = {
                    name: auc_of(found.guesses(name, told, source), told.truth, told.unit).value
                    for name in (one["id"], *rivals)
                }
                if reached.pop(one["id"]) > max(reached.values(), default=1):
                    better.append(f"{one['id']} after {cut} ({told.name})")
    if better:
        return Gate(
            "S4", "Attacks that know the defense", "warn", float(len(better)),
            f"{', '.join(better)} did better without knowing the defense than the attacks that do: those learned too "
            "little, and a better one would find more.",
        )  # fmt: skip
    return Gate(
        "S4", "Attacks that know the defense", "pass", 0.0, "No attack does better without knowing the defense."
    )


def tellable(found: Measured) -> Gate | None:
    """S2: whether the inputs themselves tell each attribute; None where none is sought or no yardstick was run."""
    if not found.of("attribute", "inputs") or not found.attributes:
        return None
    weak = [told.name for told in found.attributes if found.untold(told)]
    if weak:
        return Gate(
            "S2", "Ceilings", "warn", float(len(weak)),
            f"Not even the inputs are shown to tell {', '.join(weak)} with these auxiliary records: that features do "
            "not tell it says little.",
        )  # fmt: skip
    return Gate("S2", "Ceilings", "pass", 0.0, "The inputs themselves tell every attribute.")


def apart(found: Measured) -> Gate:
    """S3: victims are queries, and auxiliary records are the adversary's: neither should be training records."""
    data = found.left.summary["data"]
    if data["victims_trained_on"] is None:
        traffic = found.left.summary["door"] == "transcript"
        whose = "recorded traffic" if traffic else "a supplied model without `members`"
        return Gate(
            "S3", "Training records", "warn", 0.0,
            f"Whether victims or auxiliary records are training records is not known of {whose}: features of such "
            "records may tell more than those of others.",
        )  # fmt: skip
    victims, auxiliary = int(data["victims_trained_on"]), int(data["auxiliary_trained_on"])
    if victims or auxiliary:
        return Gate(
            "S3", "Training records", "warn", float(victims + auxiliary),
            f"{victims} of {data['records']} victims and {auxiliary} of {data['auxiliary']} auxiliary records are "
            "records that a stage is trained on: features of such records may tell more than those of others.",
        )  # fmt: skip
    return Gate("S3", "Training records", "pass", 0.0, "No victim and no auxiliary record is a training record.")


def of_these_persons(found: Measured) -> Gate | None:
    """S6: where who a person is is the secret, nothing is said of other persons; None where it is not.

    No value has a second person then, so intervals are those of further records of the same persons.
    """
    persons = len(np.unique(found.person))
    names = [told.name for told in found.attributes if len(np.unique(told.unit)) > persons]
    if not names:
        return None
    return Gate(
        "S6", "Persons as the secret", "warn", float(len(names)),
        f"{', '.join(names)} says who a person is: intervals are those of further records of these {persons} persons, "
        "and say nothing of others.",
    )  # fmt: skip


def directed(found: Measured, tests: Sequence[Decision]) -> tuple[Gate, ...]:
    """P8 and P16: whether attacks on features say something, and in the right direction.

    Of features that are the same for everyone an attack rightly says the same.

    Args:
        found: numbers of the run.
        tests: of each attack at each cut, after each secret.
    """
    said, level = [], level_of(len(tests))
    for one in tests:
        about = one.cut if one.told is None else f"{one.cut}, {one.told.name}"
        if one.told is None:
            own = found.lineup(one.attack, one.source)
            high = place_of(placed(own), level=level).high
        else:
            own = found.guesses(one.attack, one.told, one.source)
            high = auc_of(own, one.told.truth, one.told.unit, level=level).high
        said.append(Said(f"{one.attack} after {about}", says_alike(own) and not found.still(one.source), high))
    return directions(said, shown=any(one.shown for one in tests))
