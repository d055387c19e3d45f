"""Numbers of what noise at the cut lets through: Fisher information, and what follows from it or does not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dosimeter.families.split.measures.measured import LEVEL, Measured
from dosimeter.families.split.metrics import METRICS
from dosimeter.families.split.threat import NAME
from dosimeter.results.rows import Condition, Row
from dosimeter.statistics.intervals.crossed import Interval
from dosimeter.statistics.leakage.information import by_groups, unbiased_bound
from dosimeter.statistics.leakage.pixels import mean_of

UNDEFINED = (
    "not defined: features have a Fisher information only where the last step adds Gaussian or Laplace noise and all "
    "steps before it can be differentiated; masks, signs, levels and leaving out numbers are none of these"
)
"""Why there is no Fisher information."""
WIDE = "not computed: records or features are too wide, or too few"
LAPLACE = "not defined: the formula is for Gaussian noise"
NO_BOUND = "a prediction for normal records, and no bound: attacks may do better"
"""Remark of a number that looks like a bound."""
ONE_KIND = "bounds attacks without bias alone; attacks that know what records look like do far better"
MOST = "at most so many, if the covariance is as estimated; usually far more than attacks find"


def information(found: Measured) -> Iterator[Row]:
    """Rows of each cut where defenses stand there, or the reason why there are no numbers."""
    if not found.released:
        return
    for source, cut in enumerate(found.cuts):
        arrays = {name: found.left.truth.get(f"{name}-{source}") for name in ("trace", "predicted", "channel")}
        trace = arrays["trace"]
        if trace is None:
            for metric in ("fisher_information", "mse_unbiased", "mse_predicted", "channel"):
                yield _row(found, cut, metric, None, UNDEFINED, 0)
            continue
        n = trace.shape[1]
        dfil = mean_of(trace / np.prod(found.left.summary["data"]["shape"]), np.arange(n), limits=(0.0, np.inf))
        yield _row(found, cut, "fisher_information", dfil, "", n)
        bound = unbiased_bound(dfil) if dfil.low > 0 else None
        yield _row(found, cut, "mse_unbiased", bound, ONE_KIND if bound else "dFIL is not shown to be above 0", n)
        for name, metric, remark in (("predicted", "mse_predicted", NO_BOUND), ("channel", "channel", MOST)):
            values = arrays[name]
            if values is None:
                reason = LAPLACE if arrays["predicted"] is not None else WIDE
                yield _row(found, cut, metric, None, reason, n)
            else:
                yield _row(found, cut, metric, by_groups(values.mean(0), LEVEL), remark, n)


def _row(found: Measured, cut: str, metric: str, one: Interval | None, reason: str, n: int) -> Row:
    """One number of one cut, or the reason why there is none."""
    value, low, high, method = (None, None, None, "") if one is None else one
    repeats = int(found.left.summary["threat"].get("repeats", 1))
    conditions: dict[str, Condition] = {"cut": cut, **({"repeats": repeats} if repeats > 1 else {})}
    return Row(
        threat=NAME, family=NAME, stage=str(found.left.summary["threat"]["at_risk"]), variant="none", attack=None,
        metric=metric, unit=METRICS[metric].unit, conditions=conditions, value=value, low=low, high=high,
        level=LEVEL, method=method, n={"records": n}, n_targets=int(found.left.summary["threat"]["targets"]),
        status="refused" if one is None else "ok", reason=reason,
    )  # fmt: skip
