"""Numbers of each attack at each cut: how near reconstructions are, who is identified, how well attributes are told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.families.directions import says_alike
from dosimeter.families.split.metrics import METRICS, TOPS
from dosimeter.families.split.stored import Left
from dosimeter.families.split.threat import NAME
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.seeds import generator
from dosimeter.results.findings import FAR_WORSE
from dosimeter.results.rows import DOSE, Condition, Row
from dosimeter.statistics.dose.dose import Dose
from dosimeter.statistics.dose.measure import dose_of_guesses
from dosimeter.statistics.identification import place_of, placed, rate_of, recognised
from dosimeter.statistics.intervals.crossed import Interval, rate_interval
from dosimeter.statistics.leakage.attributes import auc_of, balanced_accuracy, leakage_index
from dosimeter.statistics.leakage.pixels import mean_of, psnr

LEVEL = 0.95
"""Confidence level of every row, two-sided; rows are not corrected for the number of attacks and cuts."""
NO_ROOM = "the inputs are not shown to tell the attribute better than the answers, so there is no share to give"
"""Why there is no leakage index."""


@dataclass(frozen=True)
class Told:
    """One attribute of the victims, as far as its values occur among them.

    Attributes:
        index: of the attribute.
        name: of it.
        kept: values that some victim has.
        truth: the value of each victim, a position among those `[n]`.
        prior: share of each among the labels that the adversary has `[v]`.
        unit: cluster of each victim's record, by which intervals are made `[n]`: its person. Where the attribute says
            who a person is, no value has a second person, so intervals are those of further records of these persons.
    """

    index: int
    name: str
    kept: Int[Array, " v"]
    truth: Int[Array, " n"]
    prior: Float[Array, " v"]
    unit: Int[Array, " n"]


@dataclass(frozen=True)
class Measured:
    """What a run left, with its numbers.

    Attributes:
        left: what it left.
    """

    left: Left

    def rng(self, purpose: str) -> np.random.Generator:
        """A generator for one number."""
        return generator(int(self.left.summary["seed"]), f"split {purpose}")

    @cached_property
    def person(self) -> Int[Array, " n"]:
        """Whose each victim's record is."""
        return self.left.truth["person"]

    @cached_property
    def cuts(self) -> list[str]:
        """Names of the cuts."""
        return [str(one["name"]) for one in self.left.summary["cuts"]]

    @cached_property
    def attributes(self) -> tuple[Told, ...]:
        """The attributes."""
        found = []
        for index, one in enumerate(self.left.summary["attributes"]):
            kept, truth = np.unique(self.left.truth[f"value-{index}"], return_inverse=True)
            prior = self.left.truth[f"prior-{index}"][kept]
            persons = np.unique(np.stack([self.person, truth]), axis=1).shape[1]
            named = persons == len(kept) == len(np.unique(self.person))
            unit = np.arange(len(truth)) if named else self.person
            found.append(Told(index, str(one["name"]), kept, truth.astype(np.int64), prior / prior.sum(), unit))
        return tuple(found)

    def of(self, goal: str, reads: str) -> list[str]:
        """Attacks that were run, by what they are after and what they read; without controls.

        Without those, too, that do not know the defenses of the cut: what they miss, others may find.
        """
        rows = [self.left.attack(one) for one in self.left.evidence]
        return [
            str(one["id"])
            for one in rows
            if (one["goal"], one["reads"]) == (goal, reads) and not one["control"] and one.get("adaptive", True)
        ]

    def telling(self, goal: str) -> list[str]:
        """Attacks on features of which a finding may be made: no controls, and no yardsticks."""
        return [one for one in self.of(goal, "features") if not self.left.attack(one).get("reference")]

    def floors(self, goal: str, source: int) -> list[tuple[str, int]]:
        """All that was told from the answers alone, as attack and place: attacks on answers, and counterparts.

        Features must tell more than each of them, so that no attack is shown to win only because it is a better one.

        Args:
            goal: what is sought.
            source: number of the cut; behind defenses of the cut each has answers of its own.
        """
        place = source if self.released else 0
        counterparts = [one for one in self.of(goal, "features") if self.left.attack(one).get("counterpart")]
        return [
            *((one, place) for one in self.of(goal, "answers")),
            *((one, len(self.cuts) + place) for one in counterparts),
        ]

    def sources(self, attack: str) -> list[str | None]:
        """Names of the cuts at which an attack was run; None where it reads the same at every cut.

        Those of its counterpart stand last: all cuts behind defenses of the cut, and else one None.
        """
        own = self.left.attack(attack)
        answers: list[str | None] = [*self.cuts] if self.released else [None]
        if own["reads"] != "features":
            return answers if own["reads"] == "answers" else [None]
        return [*self.cuts, *(answers if own.get("counterpart") else [])]

    def still(self, source: int) -> bool:
        """Returns whether what crosses a cut is the same for everyone, as far as it is known."""
        shares = self.left.truth.get("radius-share")
        return shares is not None and bool(np.isnan(shares[:, source]).all())

    @property
    def released(self) -> bool:
        """Returns whether defenses stand at the cuts, so that each cut has answers of its own."""
        return bool(self.left.summary.get("releases"))

    @property
    def steered(self) -> bool:
        """Returns whether an attack that was run decides what comes back over the cut in training."""
        return any(self.left.attack(one).get("active") for one in self.left.evidence)

    def at(self, attack: str, source: int) -> dict[str, Condition]:
        """Conditions of an attack's rows: the cut; behind defenses whether it knows them, and what it read."""
        cut, told = self.sources(attack)[source], self.left.attack(attack)
        if cut is None:
            return {}
        found = dict[str, Condition](cut=cut)
        if self.released and told["reads"] == "features":
            found["adaptive"] = "yes" if told.get("adaptive", True) else "no"
            if source >= len(self.cuts):
                found["reads"] = "answers"
        return found

    def lineup(self, attack: str, source: int, *, null: bool = False) -> Float[Array, "t m m"]:
        """Similarity of reconstructions to the true inputs of the lineup."""
        arrays = self.left.evidence[attack]
        return arrays["null_lineup"] if null else arrays["lineup"][:, source]

    def by_person(self, attack: str, source: int) -> Float[Array, "t p"]:
        """Mean squared error of each person's records."""
        counts = np.bincount(self.person)
        errors = self.left.evidence[attack]["mse"][:, source]
        return np.stack([np.bincount(self.person, one) / counts for one in errors])

    def guesses(self, attack: str, told: Told, source: int, *, null: bool = False) -> Float[Array, "t n v"]:
        """Log-scores of the values that victims have."""
        arrays = self.left.evidence[attack]
        if null:
            return arrays[f"null_guesses-{told.index}"][..., told.kept]
        return arrays[f"guesses-{told.index}"][:, source][..., told.kept]

    def rows(self) -> list[Row]:
        """All numbers of all attacks."""
        found: list[Row] = []
        for attack in self.left.evidence:
            after = self._of_input if self.left.attack(attack)["goal"] == "input" else self._of_attributes
            for source in range(len(self.sources(attack))):
                rows = after(attack, source, self.at(attack, source))
                found += [replace(row, doubt=self.doubt(attack, source, row)) if row.ok else row for row in rows]
        return found

    @cached_property
    def mean_error(self) -> float | None:
        """Squared error of the mean record, which somebody makes who has seen nothing; None if it was not run."""
        anchor = next((one for one in self.left.evidence if self.left.attack(one).get("anchor")), None)
        return None if anchor is None else float(self.left.evidence[anchor]["mse"].mean())

    def untrained(self, attack: str, source: int) -> bool:
        """Returns whether an attack on the input comes less near to the victims than the mean record does."""
        error = self.left.evidence[attack]["mse"][:, source].mean()
        return self.mean_error is not None and float(error) > self.mean_error

    def failed(self, attack: str, source: int) -> bool:
        """Returns whether an attack on the input does far worse than the mean record, so that it tells nothing."""
        error = float(self.left.evidence[attack]["mse"][:, source].mean())
        return self.mean_error is not None and error > FAR_WORSE * self.mean_error

    @property
    def all_failed(self) -> bool:
        """Returns whether every attack on the input does so after every cut."""
        attacks = self.telling("input")
        tried = [self.failed(attack, source) for attack in attacks for source in range(len(self.cuts))]
        return bool(tried) and all(tried)

    def untold(self, told: Told) -> bool:
        """Returns whether not even the inputs are shown to tell an attribute."""
        ceiling = next(iter(self.of("attribute", "inputs")), None)
        return ceiling is not None and auc_of(self.guesses(ceiling, told, 0), told.truth, told.unit).low <= 0.5

    def doubt(self, attack: str, source: int, row: Row) -> str:
        """Why a number of an attack meets no limit: the attack failed. Empty where nothing says so."""
        own = self.left.attack(attack)
        if own["control"] or own["reads"] != "features":
            return ""
        told = next((one for one in self.attributes if one.name == row.conditions.get("attribute")), None)
        said = self.lineup(attack, source) if told is None else self.guesses(attack, told, source)
        if says_alike(said) and not (source < len(self.cuts) and self.still(source)):
            return "the attack said the same of everyone (P8)"
        if told is None:
            return "the attack did far worse than the mean record (S1)" if self.failed(attack, source) else ""
        return "not even the inputs are shown to tell the attribute (S2)" if self.untold(told) else ""

    def _of_input(self, attack: str, source: int, at: dict[str, Condition]) -> Iterator[Row]:
        """The numbers of one attack on inputs at one cut."""
        arrays, lineup = self.left.evidence[attack], self.lineup(attack, source)
        error = arrays["mse"][:, source]
        yield self._row(attack, "mse", mean_of(error, self.person, limits=(0.0, np.inf)), at)
        if "ssim" in arrays:
            yield self._row(attack, "psnr", mean_of(psnr(error.ravel()).reshape(error.shape), self.person), at)
            yield self._row(attack, "ssim", mean_of(arrays["ssim"][:, source], self.person, limits=(-1.0, 1.0)), at)
        if "recognised" in arrays:
            yield self._row(attack, "recognised_class", self.shares(arrays["recognised"][:, source]), at)
        for top in (one for one in TOPS if one < lineup.shape[-1]):
            rate = rate_of(recognised(lineup, top), rng=self.rng(f"identified {attack}"))
            yield self._row(attack, "identified", rate, {"top": top, **at})
        yield self._row(attack, "input_place", place_of(placed(lineup), level=LEVEL), at)
        yield from self._dosed(attack, self.dose_of_input(attack, source), at)

    def _of_attributes(self, attack: str, source: int, at: dict[str, Condition]) -> Iterator[Row]:
        """The numbers of one attack on attributes at one cut."""
        for told in self.attributes:
            mine: dict[str, Condition] = {"attribute": told.name, **at}
            guesses = self.guesses(attack, told, source)
            yield self._row(attack, "attribute_auc", auc_of(guesses, told.truth, told.unit), mine)
            accuracy = balanced_accuracy(guesses, told.truth, told.unit, told.prior)
            yield self._row(attack, "attribute_accuracy", accuracy, mine)
            if self.left.attack(attack)["reads"] == "features":
                yield from self._index(attack, told, source, mine)
            yield from self._dosed(attack, self.dose_of_attribute(attack, told, source), mine)

    def shares(self, right: Bool[Array, "t n"]) -> Interval:
        """Share of the victims of whom something is right."""
        rng = self.rng("recognised class")
        return rate_interval(right, np.ones_like(right), record=self.person, rng=rng, level=LEVEL)

    def _index(self, attack: str, told: Told, source: int, at: dict[str, Condition]) -> Iterator[Row]:
        """The share of what could be told; nothing without both yardsticks."""
        floors, ceiling = (
            self.floors("attribute", source % len(self.cuts)),
            next(iter(self.of("attribute", "inputs")), None),
        )
        if not floors or ceiling is None:
            return
        floor = max(
            (self.guesses(one, told, place) for one, place in floors),
            key=lambda one: auc_of(one, told.truth, told.unit).value,
        )
        ends = [self.guesses(attack, told, source), floor, self.guesses(ceiling, told, 0)]
        index = leakage_index(ends, told.truth, told.unit)
        if index is None:
            yield self._row(attack, "leakage_index", None, at, NO_ROOM)
        else:
            yield self._row(attack, "leakage_index", index, at)

    def dose_of_input(self, attack: str, source: int, level: float = LEVEL) -> Dose:
        """Bits that a reconstruction tells about which record of the lineup it is of, read by halves."""
        lineup = self.lineup(attack, source)
        m = np.arange(lineup.shape[-1])
        truth = np.tile(m, (len(lineup), 1))
        return dose_of_guesses(lineup, truth, m, rng=self.rng(f"dose {attack} {source}"), level=level)

    def dose_of_attribute(self, attack: str, told: Told, source: int, level: float = LEVEL) -> Dose:
        """Bits that guesses tell about an attribute, read by halves."""
        guesses = self.guesses(attack, told, source)
        truth = np.tile(told.truth, (len(guesses), 1))
        rng = self.rng(f"dose {attack} {source} {told.name}")
        return dose_of_guesses(guesses, truth, told.unit, rng=rng, prior=told.prior, level=level)

    def _dosed(self, attack: str, dose: Dose, at: dict[str, Condition]) -> Iterator[Row]:
        """The row of a dose, if there is a number."""
        if dose.value is not None and dose.low is not None and dose.high is not None:
            yield self._row(attack, DOSE, Interval(max(0.0, dose.value), dose.low, dose.high, dose.method), at)

    def _row(
        self, attack: str, metric: str, found: Interval | None, conditions: Mapping[str, Condition], reason: str = ""
    ) -> Row:
        """One number of one attack, or the reason why there is none."""
        of_lineup = metric in ("identified", "input_place") or (metric == DOSE and "attribute" not in conditions)
        repeats = int(self.left.summary["threat"].get("repeats", 1))
        if repeats > 1 and "cut" in conditions:
            conditions = {**conditions, "repeats": repeats}
        n = len(self.left.truth["lineup"]) if of_lineup else len(self.person)
        value, low, high, method = (None, None, None, "") if found is None else found
        return Row(
            threat=NAME, family=NAME, stage=str(self.left.summary["threat"]["at_risk"]), variant="none", attack=attack,
            metric=metric, unit=METRICS[metric].unit, conditions=conditions, value=value, low=low, high=high,
            level=LEVEL, method=method, n={"records": n}, n_targets=int(self.left.summary["threat"]["targets"]),
            status="not_resolvable" if found is None else "ok", reason=reason,
        )  # fmt: skip
