"""Checks of an audit about records: of the null audit and of controls."""

from __future__ import annotations

from dosimeter.families.directions import Said, directions, level_of, says_alike
from dosimeter.families.exchange.records.measures.rebuilt import Rebuilt
from dosimeter.foundation.gate import Gate
from dosimeter.results.findings import FALSE_ALARM, Null, controls_gate, exchanges_for, null_decision, null_row
from dosimeter.statistics.identification import names_at_chance, place_of, placed


def null_audit(found: Rebuilt) -> tuple[Null, ...]:
    """Every attack judged by records of one class that were in none of the batches."""
    rows, attacks = [], found.running
    for attack in attacks:
        own = found.lineup(attack, null=True)
        p = names_at_chance(own, rng=found.rng(f"null {attack}"), draws=exchanges_for(len(attacks)))
        shown = place_of(placed(own), level=1 - FALSE_ALARM / len(attacks))
        rows.append(null_row(attack, p, shown, "record_place", len(attacks)))
    return tuple(rows)


def null_gate(rows: tuple[Null, ...]) -> Gate:
    """N1: the decision on the null audit."""
    return null_decision(rows, "on records of no batch")


def controls(found: Rebuilt) -> Gate:
    """N2: controls, which see nothing, must be at chance."""
    ids = found.controls()
    wrong = []
    for one in ids:
        p = names_at_chance(found.lineup(one), rng=found.rng(f"control {one}"), draws=exchanges_for(len(ids)))
        if p <= FALSE_ALARM / len(ids):
            wrong.append(one)
    return controls_gate(ids, wrong, "gives away which records are in a batch")


def nearer(found: Rebuilt) -> Gate:
    """E5: whether reconstructions are nearer than the mean record; one that is not was sought in vain, or badly."""
    if found.mean_error is None:
        return Gate("E5", "Mean record", "warn", None, "No mean record was run, beside which errors could be read.")
    wrong = [one for one in found.telling() if found.farther(one)]
    if wrong:
        return Gate(
            "E5", "Mean record", "warn", float(len(wrong)),
            f"{', '.join(wrong)} came less near to the records than the mean record does, on average: such a search "
            "failed, and that says little about what another would find.",
        )  # fmt: skip
    return Gate("E5", "Mean record", "pass", 0.0, "Reconstructions come nearer to the records than the mean record.")


def directed(found: Rebuilt, *, shown: bool) -> tuple[Gate, ...]:
    """P8 and P16: whether attacks make something else of each batch, and come nearer to it than to others.

    Args:
        found: numbers of the run.
        shown: whether a leak is shown.
    """
    level = level_of(len(found.telling()))
    said = [
        Said(one, says_alike(found.lineup(one)), place_of(found.places(one), level=level).high)
        for one in found.telling()
    ]
    return directions(said, shown=shown)
