"""A toy family: what is a record's secret colour? Each record has a card; an attack sees a blurred picture of it.

It is registered by one line, `FAMILIES["colour"] = COLOUR`, and stands for what any family must bring.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from markupsafe import Markup, escape
from pydantic import Field

from dosimeter.data import Dataset
from dosimeter.families.attack import NamedAttack
from dosimeter.families.family import CaseFolder, Surroundings
from dosimeter.families.threat import ThreatTable
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.gate import Gate
from dosimeter.foundation.seeds import generator
from dosimeter.jobs.arrays import arrays_hash, read_arrays, save_arrays, undamaged
from dosimeter.jobs.job import Job
from dosimeter.jobs.store import Store, key_of
from dosimeter.models.access import Access
from dosimeter.results.findings import Findings, Null
from dosimeter.results.metrics import Metric
from dosimeter.results.page.section import Section
from dosimeter.results.rows import Row, figure
from dosimeter.statistics.dose.measure import dose_of_guesses
from dosimeter.statistics.evidence import Guesses
from dosimeter.statistics.intervals.crossed import clopper_pearson
from dosimeter.training.system import System

NAME, COLOURS = "colour", ("red", "green", "blue", "white")


class ColourThreat(ThreatTable):
    """How many cards there are, and how sharp the pictures are; 0 shows nothing."""

    family: str = NAME
    cards: int = Field(default=400, ge=8)
    sharpness: float = Field(default=2.0, ge=0)


@dataclass(frozen=True)
class Picture:
    """The game: a blurred picture of each card `[n 4]`."""

    ids: np.ndarray
    pixels: np.ndarray


@dataclass(frozen=True)
class Needs:
    """Least access."""

    access: Access = Access.PROBS
    retrain: bool = False

    @property
    def in_words(self) -> str:
        return f"{str(self.access.name).lower()}, a picture of each card"


@dataclass(frozen=True)
class Brightest:
    """Name the colour that is brightest in the picture."""

    paper: ClassVar[str] = "none; a toy"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs()
    signals: ClassVar[tuple[str, ...]] = ()
    weight: float = 1.0

    def run(self, game: Picture, rng: np.random.Generator) -> Guesses:
        return Guesses(game.ids, self.weight * game.pixels[None])


@dataclass(frozen=True)
class Dice(Brightest):
    """Throw a die: a control."""

    control: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs(Access.LABELS)

    def run(self, game: Picture, rng: np.random.Generator) -> Guesses:
        return Guesses(game.ids, rng.normal(size=(1, *game.pixels.shape)))


@dataclass(frozen=True)
class ColourPlay:
    """One attack on the cards, or (`null`) on pictures of other cards."""

    store: Store
    seed: int
    threat: ColourThreat
    row: NamedAttack
    null: bool
    users_code: tuple[str, ...] = ()

    @cached_property
    def definition(self) -> dict[str, Any]:
        pixels = pictures(self.threat, self.seed, null=self.null)[1]
        attack = [self.row.id, self.row.name, self.row.settings]
        return {"kind": "play", "attack": attack, "pixels": arrays_hash(pixels=pixels), "seed": self.seed}

    @cached_property
    def key(self) -> str:
        return key_of(self.definition)

    @property
    def place(self) -> str:
        return f"attack {self.row.id!r}"

    def perform(self) -> None:
        _, pixels = pictures(self.threat, self.seed, null=self.null)
        game = Picture(np.arange(len(pixels)).astype(str), pixels)
        found = self.row.attack.run(game, generator(self.seed, f"{self.row.id} {self.null}"))
        self.store.save(self.key, {"guesses": torch.from_numpy(found.values)}, self.definition)

    def load(self) -> np.ndarray:
        return self.store.load(self.key)["guesses"].numpy()


def pictures(threat: ColourThreat, seed: int, *, null: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The colours of the cards `[n]`, and pictures `[n 4]`: of these cards, or (`null`) of others."""
    rng = generator(seed, "cards")
    colours, other = rng.integers(4, size=(2, threat.cards))
    noise = rng.normal(size=(threat.cards, 4))
    return colours, noise + threat.sharpness * np.eye(4)[other if null else colours]


@dataclass(frozen=True)
class ColourCase:
    """One threat on one system; it needs no model."""

    system: System
    threat: ColourThreat
    attacks: tuple[NamedAttack, ...]

    @cached_property
    def plays(self) -> dict[tuple[str, bool], ColourPlay]:
        rows = [row for row in self.attacks if row.id not in self.refusals()]
        store, seed = self.system.store, self.system.seed
        return {
            (row.id, null): ColourPlay(store, seed, self.threat, row, null) for row in rows for null in (False, True)
        }

    def phases(self) -> list[tuple[str, Sequence[Job]]]:
        return [("attacks", list(self.plays.values()))]

    def datasets(self) -> list[Dataset]:
        return []

    def records(self) -> int:
        return 2

    def definition(self) -> Mapping[str, Any]:
        attacks = [[row.id, row.name, row.settings] for row in self.attacks]
        return {"threat": self.threat.model_dump(mode="json"), "attacks": attacks}

    def begin(self, progress: Callable[[str, int, int], None]) -> ColourCase:
        return self

    def refusals(self) -> Mapping[str, str]:
        granted = self.threat.access_flag.includes
        lacking = [row for row in self.attacks if row.attack.needs.access not in granted]
        return {row.id: f"needs a picture, but threat.access grants {self.threat.access}" for row in lacking}

    def notes(self) -> list[str]:
        return ["pictures: they show nothing"] if self.threat.sharpness == 0 else []

    def collect(self, folder: Path) -> Mapping[str, Any]:
        colours, _ = pictures(self.threat, self.system.seed)
        save_arrays(folder / "truth" / "truth.npz", {"colours": colours})
        for (name, null), play in self.plays.items():
            number = [row.id for row in self.attacks].index(name)
            save_arrays(folder / "evidence" / f"{number}-{int(null)}.npz", {"guesses": play.load()})
        refused = self.refusals()
        return {
            "threat": {"at_risk": "cards", "access": self.threat.access, "sharpness": self.threat.sharpness},
            "data": {"name": "cards", "records": self.threat.cards},
            "attacks": [row.listed(refused.get(row.id, "")) for row in self.attacks],
            "gates": [],
        }


@dataclass(frozen=True)
class Colour:
    """The family."""

    name: str = NAME
    question: str = "Which colour is this {noun}'s card?"
    settings: type[ColourThreat] = ColourThreat
    needs: type[Needs] = Needs
    takes: frozenset[str] = frozenset()
    details_schema: Mapping[str, Any] = dataclasses.field(default_factory=lambda: {"type": "object"})
    metrics: Mapping[str, Metric] = dataclasses.field(
        default_factory=lambda: {"right": Metric("share", by=("attack",), counts=("records",), example={"max": 0.3})}
    )

    def attacks(self) -> Mapping[str, type]:
        return {"brightest": Brightest, "dice": Dice}

    def default_attacks(self, threat: ThreatTable, *, transferred: bool) -> list[dict[str, Any]]:
        return [{"name": "brightest"}, {"name": "dice"}]

    def problems(self, threat: ThreatTable, attacks: Sequence[NamedAttack], around: Surroundings) -> list[str]:
        odd = threat.cards % 2
        return [f".cards: must be even, got {threat.cards}: use {threat.cards + 1}"] if odd else []

    def check_records(self, parts: Mapping[str, Dataset], threat: ThreatTable, *, trains: bool, seed: int) -> None:
        """Does nothing, since it reads no records."""

    def case(self, system: System, threat: ThreatTable, attacks: Sequence[NamedAttack]) -> ColourCase:
        if threat.cards > 10_000:
            raise ConfigError(f"threat.cards: must be at most 10000, got {threat.cards}: lower it")
        return ColourCase(system, threat, tuple(attacks))

    def measure(self, folder: CaseFolder) -> Findings:
        summary, names = folder.summary, [one["id"] for one in folder.summary["attacks"] if one["status"] == "ok"]
        with undamaged(folder.path):
            colours = read_arrays(folder.path / "truth" / "truth.npz")["colours"]
            found = {name: [self._guesses(folder, name, null) for null in (0, 1)] for name in names}
        rows = {name: self._right(name, guesses, colours) for name, (guesses, _) in found.items()}
        nulls = {name: self._right(name, guesses, colours) for name, (_, guesses) in found.items()}
        head = next(one["id"] for one in summary["attacks"] if one["status"] == "ok" and not one["control"])
        rng, record = generator(int(summary["seed"]), "dose"), np.arange(len(colours))
        dose = dose_of_guesses(found[head][0], colours[None], record, rng=rng)
        low = rows[head].low or 0.0
        status = "shown" if low > 0.25 else "not_shown"
        text = (
            f"Somebody who sees the picture names {figure('share', low)} of the colours at least; guessing names 25 %."
        )
        bad = [one for one in summary["attacks"] if one["control"] and (rows[one["id"]].low or 0.0) > 0.25]
        gate = Gate("N1", "Controls at chance", "fail" if bad else "pass", None, "Dice name a quarter of the colours.")
        return Findings(
            verdict={"status": status, "attack": head, "sentences": [text]},
            estimates=tuple(rows.values()),
            utility=(),
            gates=(gate,),
            gates_not_asked=(),
            null_audit=tuple(
                Null(n, r.value, r.low, r.high, "pass" if (r.low or 0.0) <= 0.25 else "fail", "right")
                for n, r in nulls.items()
            ),
            details={},
            not_tested=("Other cards were not tested.",),
            attacks=tuple({**one, "headline": one["id"] == head} for one in summary["attacks"]),
            data=summary["data"],
            adversary={key: value for key, value in summary["threat"].items() if key != "at_risk"},
            dose=None,
        )

    def _guesses(self, folder: CaseFolder, name: str, null: int) -> np.ndarray:
        number = [one["id"] for one in folder.summary["attacks"]].index(name)
        return read_arrays(folder.path / "evidence" / f"{number}-{null}.npz")["guesses"]

    def _right(self, attack: str, guesses: np.ndarray, colours: np.ndarray) -> Row:
        right, n = int((guesses[0].argmax(1) == colours).sum()), len(colours)
        low, high = clopper_pearson(right, n)
        ends = {"value": right / n, "low": low, "high": high, "method": "clopper-pearson", "n": {"records": n}}
        return Row(NAME, NAME, "cards", "none", attack, "right", **ends, n_targets=1)

    def compare(self, cases: Mapping[str, CaseFolder]) -> tuple[Row, ...]:
        return ()

    def section(self, result: Mapping[str, Any], provenance: Mapping[str, Any]) -> Section:
        first = Markup("<section class='card'><h1>{}</h1></section>").format(escape(result["verdict"]["sentences"][0]))
        names = {one["id"]: one["name"] for one in result["attacks"]}
        return Section(
            "Colour audit", result["verdict"]["status"], first, Markup(), Markup(), (), (), (), names, "an eye"
        )


COLOUR = Colour()
