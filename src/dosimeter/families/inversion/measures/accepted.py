"""Which reconstructions the lineup accepts as the identity, whoever else it may be: an answer that may be "nobody"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dosimeter.families.inversion.measures.identified import LEVEL, Measured
from dosimeter.families.inversion.metrics import ACCEPTING, METRICS
from dosimeter.families.inversion.threat import NAME
from dosimeter.foundation.arrays import Array
from dosimeter.results.rows import Row
from dosimeter.statistics.identification import rate_of, recognised
from dosimeter.statistics.intervals.crossed import rate_interval

FALSE_ACCEPTANCE = 0.05
"""Share of records of somebody else that the lineup accepts, on people on whom it did not learn."""
FEW_OTHERS = "the judges' other people are too few to choose a threshold: 4 identities with 2 records each are needed"
NONE_NAMED = "the classifier names no identity right, so none of its successes can be rejected"


def accepted_rows(found: Measured) -> Iterator[Row]:
    """Of each attack the share that is accepted and that is confirmed, and the share of successes that is rejected.

    Args:
        found: what a run left.
    """
    least = float(found.left.truth.get("accepts_from", np.nan))
    for attack in found.left.evidence:
        if np.isnan(least):
            for metric in ("accepted", "confirmed", "rejected"):
                yield _row(found, attack, metric, status="not_resolvable", reason=FEW_OTHERS)
            continue
        accepted, named = accepts(found.left.lineup(attack), least), recognised(found.left.classifier(attack))
        for metric, hits in (("accepted", accepted), ("confirmed", accepted & named)):
            rate = rate_of(hits, rng=found.rng(f"{metric} {attack}"))
            yield _row(found, attack, metric, **_ends(rate))
        if not named.any():
            yield _row(found, attack, "rejected", status="not_resolvable", reason=NONE_NAMED)
            continue
        rate = rate_interval(
            ~accepted, named, record=np.arange(found.identities), rng=found.rng(f"rejected {attack}"), level=LEVEL
        )
        yield _row(found, attack, "rejected", n=int(named.any(0).sum()), **_ends(rate))


def accepts(similarity: Array, least: float) -> Array:
    """Whether what was made for each identity is accepted as that identity `[t n]`.

    Args:
        similarity: `[t n v]`.
        least: a record is accepted if it is more similar than this.
    """
    n = similarity.shape[1]
    found: Array = similarity[:, np.arange(n), np.arange(n)] > least
    return found


def accepted_share(found: Measured, attack: str) -> dict[str, float] | None:
    """The share of identities as which an attack's records are accepted, and that of real records; None without either.

    Args:
        found: what a run left.
        attack: its id.
    """
    real = acceptance(found)
    if real is None:
        return None
    least = float(found.left.truth["accepts_from"])
    return {"made": float(accepts(found.left.lineup(attack), least).mean()), "real": real["right"]}


def acceptance(found: Measured) -> dict[str, float] | None:
    """How the threshold does on real records that the judges were tested on; None without a threshold.

    Args:
        found: what a run left.
    """
    truth = found.left.truth
    least = float(truth.get("accepts_from", np.nan))
    if np.isnan(least):
        return None
    return {
        "rate": FALSE_ACCEPTANCE,
        "right": float(np.mean(truth["own_similarity"] > least)),
        "wrong": float(np.mean(truth["other_similarity"] > least)),
    }


def _ends(rate: Any) -> dict[str, Any]:
    """Value, ends and method of an interval."""
    return {name: getattr(rate, name) for name in ("value", "low", "high", "method")}


def _row(found: Measured, attack: str, metric: str, *, n: int | None = None, **numbers: Any) -> Row:
    """One number of one attack, or why there is none."""
    return Row(
        threat=NAME, family=NAME, stage=str(found.left.summary["threat"]["at_risk"]), variant="none", attack=attack,
        metric=metric, unit=METRICS[metric].unit, conditions={ACCEPTING: FALSE_ACCEPTANCE}, level=LEVEL,
        n={"identities": found.identities if n is None else n}, n_targets=len(found.left.lineup(attack)), **numbers,
    )  # fmt: skip
