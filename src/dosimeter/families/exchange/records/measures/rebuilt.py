"""Numbers of each attack on records: how many are made again, how near, and whether the right one is picked out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float

from dosimeter.families.directions import says_alike
from dosimeter.families.exchange.metrics import METRICS
from dosimeter.families.exchange.stored import Left
from dosimeter.families.exchange.threat import NAME
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.seeds import generator
from dosimeter.results.findings import FAR_WORSE
from dosimeter.results.rows import DOSE, Condition, Row
from dosimeter.statistics.dose.dose import Dose
from dosimeter.statistics.dose.measure import dose_of_guesses
from dosimeter.statistics.identification import place_of, placed, recognised
from dosimeter.statistics.intervals.crossed import Interval
from dosimeter.statistics.leakage.matched import RECOVERED
from dosimeter.statistics.leakage.pixels import mean_of, psnr

LEVEL = 0.95
"""Confidence level of every row, two-sided; rows are not corrected for the number of attacks."""
NEAR = 1e-2
"""Mean squared error, as a share of the spread of each number, below which what is no picture counts as recovered."""


@dataclass(frozen=True)
class Rebuilt:
    """What a run left, with its numbers. The unit is the batch: its records move together.

    Attributes:
        left: what it left.
    """

    left: Left

    def rng(self, purpose: str) -> np.random.Generator:
        """A generator for one number."""
        return generator(int(self.left.summary["seed"]), f"exchange records {purpose}")

    @property
    def batches(self) -> int:
        """Batches that are sought in each training."""
        return int(self.left.truth["rows"].shape[1])

    @cached_property
    def running(self) -> list[str]:
        """Attacks that were run."""
        return list(self.left.evidence)

    def telling(self) -> list[str]:
        """Attacks that read messages, of which a finding may be made."""
        return [one for one in self.running if self.left.attack(one)["channel"] is not None]

    def controls(self) -> list[str]:
        """Attacks that see nothing and must be at chance."""
        return [one for one in self.running if self.left.attack(one)["control"]]

    @property
    def anchor(self) -> str | None:
        """The mean record, and no other yardstick; None of a run that an earlier release left."""
        return next((one for one in self.running if self.left.attack(one).get("anchor")), None)

    def near(self, attack: str) -> float:
        """Error below which what an attack made counts as recovered."""
        pictures = self.left.summary["data"]["pictures"] and self.left.attack(attack)["makes"] == "records"
        return RECOVERED if pictures else NEAR

    def lineup(self, attack: str, *, null: bool = False) -> Float[Array, "s n n"]:
        """Minus the error of the nearest reconstruction of batch i for a record of batch j, by training and place."""
        found: Array = self.left.evidence[attack]["null_lineup" if null else "lineup"]
        return found.reshape(-1, *found.shape[-2:])

    def recovered(self, attack: str) -> Float[Array, "t n"]:
        """Share of each batch that is made again."""
        found: Array = (self.left.evidence[attack]["error"] < self.near(attack)).mean(2)
        return found

    def picked(self, attack: str) -> Float[Array, "t n"]:
        """Share of each batch whose records are picked out of all at the same place."""
        return self._by_batch(recognised(self.lineup(attack)))

    def places(self, attack: str) -> Float[Array, "t n"]:
        """Mean place of each batch's records in their lineups."""
        return self._by_batch(placed(self.lineup(attack)))

    def _by_batch(self, values: Array) -> Float[Array, "t n"]:
        """Mean over the places of a batch."""
        found: Array = values.reshape(len(self.left.truth["rows"]), -1, self.batches).mean(1)
        return found

    def dose(self, attack: str, level: float = LEVEL) -> Dose:
        """Bits that reconstructions tell about which of some records of one class was in a batch, read by halves."""
        found: Array = self.left.evidence[attack]["lineup"]
        lineup = found.reshape(len(found), -1, self.batches)
        batch = np.tile(np.arange(self.batches), lineup.shape[1] // self.batches)
        truth = np.tile(batch, (len(lineup), 1))
        return dose_of_guesses(lineup, truth, batch, rng=self.rng(f"dose {attack}"), level=level)

    def share(self, values: Float[Array, "t n"], level: float = LEVEL) -> Interval:
        """A mean share with its interval over batches; unseen batches may have any share."""
        found = place_of(values, level=level)
        return found._replace(method=found.method.replace("mean place", "mean share"))

    def rows(self) -> list[Row]:
        """All numbers of all attacks."""
        return [
            replace(row, doubt=self.doubt(attack)) if row.ok else row
            for attack in self.running
            for row in self._of_attack(attack)
        ]

    @cached_property
    def mean_error(self) -> float | None:
        """Squared error of the mean record, which somebody makes who has seen nothing; None if it was not run."""
        return None if self.anchor is None else float(self.left.evidence[self.anchor]["error"].mean())

    def failed(self, attack: str) -> bool:
        """Returns whether an attack that makes records comes far less near to them than the mean record does."""
        return self.farther(attack, FAR_WORSE)

    def farther(self, attack: str, factor: float = 1.0) -> bool:
        """Returns whether the error of an attack that makes records is larger than so many times the mean record's."""
        if self.left.attack(attack)["makes"] != "records" or self.mean_error is None:
            return False
        return float(self.left.evidence[attack]["error"].mean()) > factor * self.mean_error

    def doubt(self, attack: str) -> str:
        """Why a number of an attack meets no limit: the attack failed. Empty where nothing says so."""
        if attack not in self.telling():
            return ""
        if says_alike(self.lineup(attack)):
            return "the attack said the same of every batch (P8)"
        return "the attack came far less near than the mean record (E5)" if self.failed(attack) else ""

    def at(self, attack: str) -> dict[str, Condition]:
        """Conditions of an attack's rows."""
        channel = self.left.attack(attack)["channel"]
        return {} if channel is None else {"channel": str(channel)}

    def _of_attack(self, attack: str) -> Iterator[Row]:
        """The numbers of one attack."""
        error, n = self.left.evidence[attack]["error"], np.arange(self.batches)
        yield self.row(attack, "recovered", self.share(self.recovered(attack)))
        yield self.row(attack, "identified", self.share(self.picked(attack)))
        yield self.row(attack, "record_place", place_of(self.places(attack)))
        yield self.row(attack, "mse", mean_of(error.mean(2), n, limits=(0.0, np.inf)))
        if self.left.summary["data"]["pictures"] and self.left.attack(attack)["makes"] == "records":
            nearness = psnr(error.ravel()).reshape(error.shape).mean(2)
            yield self.row(attack, "psnr", mean_of(nearness, n))
        dose = self.dose(attack)
        if dose.value is not None and dose.low is not None and dose.high is not None:
            yield self.row(attack, DOSE, Interval(max(0.0, dose.value), dose.low, dose.high, dose.method))

    def row(self, attack: str, metric: str, found: Interval, variant: str = "none") -> Row:
        """One number of one attack."""
        threat = self.left.summary["threat"]
        return Row(
            threat=NAME, family=NAME, stage=str(threat["at_risk"]), variant=variant, attack=attack, metric=metric,
            unit=METRICS[metric].unit, conditions=self.at(attack), value=found.value, low=found.low, high=found.high,
            level=LEVEL, method=found.method, n={"batches": self.left.truth["rows"].shape[0] * self.batches},
            n_targets=int(threat["targets"]),
        )  # fmt: skip
