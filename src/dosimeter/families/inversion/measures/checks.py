"""Checks of an inversion audit: of the judges, of the null audit, of the controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dosimeter.families.directions import Said, directions, level_of, says_alike
from dosimeter.families.inversion.measures.identified import Measured
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.gate import Gate
from dosimeter.results.findings import FALSE_ALARM, Null, controls_gate, exchanges_for, null_decision
from dosimeter.statistics.identification import names_at_chance, place_of, placed, rate_of, recognised
from dosimeter.statistics.intervals.crossed import clopper_pearson

GOOD_JUDGE = 0.9
"""Share of real records that a judge should name right."""
METRIC = "recognised"
"""What the null audit measures."""


def blind_judge(found: Measured) -> bool:
    """Returns whether the lineup is not shown to recognise even real records of the identities."""
    right = found.left.truth["lineup_right"]
    return clopper_pearson(int(right.sum()), len(right))[0] <= 1 / found.identities


def marks(found: Measured) -> dict[str, str]:
    """By judge that names less than `GOOD_JUDGE` of real records right, the remark for each of its rows."""
    shares = {name: float(np.mean(found.left.truth[f"{name}_right"])) for name in ("lineup", "classifier")}
    return {
        name: f"the {name} names only {100 * share:.0f} % of real records right"
        for name, share in shares.items()
        if share < GOOD_JUDGE
    }


def judges(found: Measured) -> Gate:
    """V1: whether the judges recognise real records of the identities, which nobody trained on."""
    shares = {name: float(np.mean(found.left.truth[f"{name}_right"])) for name in ("lineup", "classifier")}
    n = len(found.left.truth["lineup_right"])
    told = (
        f"Of {n} real records that nobody trained on, the lineup names {100 * shares['lineup']:.0f} % right, the "
        f"classifier {100 * shares['classifier']:.0f} %"
    )
    if blind_judge(found):
        return Gate(
            "V1", "Judges", "warn", shares["lineup"],
            f"{told}: the lineup is not shown to recognise the identities at all, so nothing can be concluded.",
        )  # fmt: skip
    if min(shares.values()) < GOOD_JUDGE:
        return Gate(
            "V1", "Judges", "warn", shares["lineup"],
            f"{told}. A better judge may recognise more of what the attacks made.",
        )  # fmt: skip
    return Gate("V1", "Judges", "pass", shares["lineup"], f"{told}.")


def null_audit(found: Measured) -> tuple[Null, ...]:
    """Every attack on a model that learned the same records under exchanged names, where no name tells who is meant.

    An attack that reads the audit instead of the model would still be right there. Empty where no such model could be
    trained.
    """
    ids = tuple(one for one, arrays in found.left.evidence.items() if "null_lineup" in arrays)
    p_values = _p_values(found, {one: found.left.lineup(one, null=True) for one in ids}, "null")
    level = 1 - FALSE_ALARM / max(len(ids), 1)
    rows = []
    for one in ids:
        hits = recognised(found.left.lineup(one, null=True))
        rate = rate_of(hits, rng=found.rng(f"null rate {one}"), level=level)
        rows.append(Null(one, rate.value, rate.low, rate.high, _status(p_values[one], len(ids)), METRIC))
    return tuple(rows)


def null_gate(rows: Sequence[Null]) -> Gate:
    """N1: the decision on the null audit."""
    if not rows:
        return Gate(
            "N1", "Null audit", "warn", 0.0,
            "There was none, since nothing could train the model anew: give `fit`. An attack that reads the audit and "
            "not the model would not have been found out.",
        )  # fmt: skip
    return null_decision(rows, "on a model that learned the same records under exchanged names")


def controls(found: Measured) -> Gate:
    """N2: controls, which ask nothing of the model, must be at chance on the audited models."""
    ids = [one for one in found.left.evidence if one in found.left.controls]
    p_values = _p_values(found, {one: found.left.lineup(one) for one in ids}, "control")
    wrong = [one for one in ids if _status(p_values[one], len(ids)) == "fail"]
    return controls_gate(ids, wrong, "gives away which identity is which")


def directed(found: Measured) -> tuple[Gate, ...]:
    """P8 and P16: whether attacks make something else of each identity, and not what is least like it."""
    level = level_of(len(found.attackers))
    said = [
        Said(one, says_alike(own := found.left.lineup(one)), place_of(placed(own), level=level).high)
        for one in found.attackers
    ]
    return directions(said, shown=found.test.shown)


def _p_values(found: Measured, similarity: Mapping[str, Array], purpose: str) -> dict[str, float]:
    """For each attack by itself the two-sided p-value of chance."""
    draws = exchanges_for(len(similarity))
    return {
        name: names_at_chance(one, rng=found.rng(f"{purpose} {name}"), draws=draws) for name, one in similarity.items()
    }


def _status(p_value: float, attacks: int) -> str:
    """Whether an attack is at chance, with the number of attacks allowed for."""
    return "fail" if p_value <= FALSE_ALARM / attacks else "pass"
