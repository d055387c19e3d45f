"""A toy family: what is a record's secret colour? Each record has a card; an attack sees a blurred picture of it.
It is registered by one line, `FAMILIES["colour"] = COLOUR`.
"""

from __future__ import annotations

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
from dosimeter.families.sights import StageRole
from dosimeter.families.threat import ThreatTable
from dosimeter.families.topology import Topology
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.gate import Gate
from dosimeter.foundation.seeds import generator
from dosimeter.jobs.arrays import arrays_hash, read_arrays, save_arrays, undamaged
from dosimeter.jobs.job import Job
from dosimeter.jobs.store import Store, key_of
from dosimeter.models.access import Access
from dosimeter.results.findings import Findings, Null, found_dose
from dosimeter.results.metrics import Metric
from dosimeter.results.page.section import Section
from dosimeter.results.rows import Row, figure
from dosimeter.statistics.dose.measure import dose_of_guesses
from dosimeter.statistics.evidence import Guesses
from dosimeter.statistics.intervals.crossed import clopper_pearson
from dosimeter.training.system import System

NAME = "colour"


class ColourThreat(ThreatTable):
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
    access: Access = Access.PROBS
    in_words: ClassVar[str] = "a picture of each card"


@dataclass(frozen=True)
class Brightest:
    """Name the colour that is brightest in the picture."""

    paper, control, needs, signals = "none; a toy", False, Needs(), ()
    weight: float = 1.0

    def run(self, game: Picture, rng: np.random.Generator) -> Guesses:
        return Guesses(game.ids, self.weight * game.pixels[None])


@dataclass(frozen=True)
class Dice(Brightest):
    """Throw a die: a control."""

    control, needs = True, Needs(Access.LABELS)

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
        row, pixels = self.row, arrays_hash(pixels=pixels)
        return {"kind": "play", "attack": [row.id, row.name, row.settings], "pixels": pixels, "seed": self.seed}

    @cached_property
    def key(self) -> str:
        return key_of(self.definition)

    @property
    def place(self) -> str:
        return f"attack {self.row.id!r}"

    def perform(self) -> None:
        _, pixels = pictures(self.threat, self.seed, null=self.null)
        game = Picture(np.arange(len(pixels)).astype(str), pixels)
        found = self.row.attack.run(game, generator(self.seed, f"{self.row.id} {self.null}")).values
        self.store.save(self.key, {"guesses": torch.from_numpy(found)}, self.definition)


def pictures(threat: ColourThreat, seed: int, *, null: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The cards' colours `[n]`, and pictures `[n 4]` of these cards or (`null`) of others."""
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
    def plays(self) -> list[ColourPlay]:
        rows, system = [row for row in self.attacks if row.id not in self.refusals()], self.system
        return [ColourPlay(system.store, system.seed, self.threat, row, null) for row in rows for null in (False, True)]

    def phases(self) -> list[tuple[str, Sequence[Job]]]:
        return [("attacks", self.plays)]

    def datasets(self) -> list[Dataset]:
        return []

    def records(self) -> int:
        return 2

    def definition(self) -> Mapping[str, Any]:
        return {"threat": self.threat.model_dump(), "attacks": [[row.id, row.settings] for row in self.attacks]}

    def begin(self, progress: Callable[[str, int, int], None]) -> ColourCase:
        return self

    def refusals(self) -> Mapping[str, str]:
        granted, told = self.threat.access_flag.includes, f"needs a picture, but access is {self.threat.access}"
        return {row.id: told for row in self.attacks if row.attack.needs.access not in granted}

    def notes(self) -> list[str]:
        return ["pictures: they show nothing"] if self.threat.sharpness == 0 else []

    def collect(self, folder: Path) -> Mapping[str, Any]:
        colours, _ = pictures(self.threat, self.system.seed)
        save_arrays(folder / "truth" / "truth.npz", {"colours": colours})
        for play in self.plays:
            number, guesses = self.attacks.index(play.row), self.system.store.load(play.key)["guesses"].numpy()
            save_arrays(folder / "evidence" / f"{number}-{int(play.null)}.npz", {"guesses": guesses})
        refused = self.refusals()
        return {
            "threat": {"at_risk": "cards", "access": self.threat.access, "sharpness": self.threat.sharpness},
            "data": {"name": "cards", "records": self.threat.cards},
            "attacks": [row.listed(refused.get(row.id, "")) for row in self.attacks],
            "gates": [],
        }


@dataclass(frozen=True)
class Colour:
    name, question = NAME, "Which colour is this {noun}'s card?"
    settings, needs, takes, members = ColourThreat, Needs, frozenset(), False
    details_schema: ClassVar[Mapping[str, Any]] = {"type": "object"}
    metrics: ClassVar[Mapping[str, Metric]] = {
        "right": Metric("share", by=("attack",), counts=("records",), example={"max": 0.3})
    }

    def attacks(self) -> Mapping[str, type]:
        return {"brightest": Brightest, "dice": Dice}

    def names(self) -> dict[str, Any]:
        return {}

    def template(self) -> dict[str, str]:
        return {"audit.toml": "[threat]\nfamily = 'colour'\n"}

    def default_attacks(self, threat: ThreatTable, *, transferred: bool) -> list[dict[str, Any]]:
        return [{"name": "brightest"}, {"name": "dice"}]

    def threats(self, topology: Topology, stages: Sequence[StageRole]) -> list[ColourThreat]:
        return [ColourThreat(id=f"{one.name}-sees") for one in topology.parties if one.trust != "full"]

    def problems(self, threat: ThreatTable, attacks: Sequence[NamedAttack], around: Surroundings) -> list[str]:
        return [f".cards: must be even, got {threat.cards}: use {threat.cards + 1}"] * (threat.cards % 2)

    def check_records(self, parts: Any, threat: ThreatTable, *, trains: bool, seed: int) -> None: ...

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
        rng, low = generator(int(summary["seed"]), "dose"), rows[head].low
        text = f"Somebody who sees the picture names at least {figure('share', low)} of the colours, by luck 25 %."
        bad = any(one["control"] and rows[one["id"]].low > 0.25 for one in summary["attacks"] if one["id"] in rows)
        gate = Gate("N1", "Controls at chance", ("pass", "fail")[bad], None, "Dice name a quarter of the colours.")
        return Findings(
            verdict={"status": "shown" if low > 0.25 else "not_shown", "attack": head, "sentences": [text]},
            estimates=tuple(rows.values()),
            gates=(gate,),
            null_audit=tuple(
                Null(name, *row.ends, ("pass", "fail")[row.low > 0.25], "right") for name, row in nulls.items()
            ),
            attacks=tuple({**one, "headline": one["id"] == head} for one in summary["attacks"]),
            data=summary["data"],
            adversary=summary["threat"],
            dose=found_dose(head, dose_of_guesses(found[head][0], colours[None], np.arange(len(colours)), rng=rng)),
        )

    def _guesses(self, folder: CaseFolder, name: str, null: int) -> np.ndarray:
        number = [one["id"] for one in folder.summary["attacks"]].index(name)
        return read_arrays(folder.path / "evidence" / f"{number}-{null}.npz")["guesses"]

    def _right(self, attack: str, guesses: np.ndarray, colours: np.ndarray) -> Row:
        right, n = int((guesses[0].argmax(1) == colours).sum()), len(colours)
        ends = dict(zip(("low", "high"), clopper_pearson(right, n), strict=True))
        return Row(NAME, NAME, "cards", "none", attack, "right", value=right / n, **ends, n={"records": n}, n_targets=1)

    def compare(self, cases: Mapping[str, CaseFolder]) -> tuple[Row, ...]:
        return ()

    def section(self, result: Mapping[str, Any], provenance: Mapping[str, Any]) -> Section:
        first = Markup("<section class='card'><h1>{}</h1></section>").format(escape(result["verdict"]["sentences"][0]))
        names = {one["id"]: one["name"] for one in result["attacks"]}
        return Section("Colour audit", result["verdict"]["status"], first, names)


COLOUR = Colour()
