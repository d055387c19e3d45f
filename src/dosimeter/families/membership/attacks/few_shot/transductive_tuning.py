"""Transductive tuning: a copy of the target is trained to tell members, on a few known ones and the judged records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.attacks.few_shot import episodes, features, tuning
from dosimeter.families.membership.attacks.few_shot.episodes import Episode, Mode
from dosimeter.families.membership.attacks.few_shot.features import Kind
from dosimeter.families.membership.attacks.few_shot.tuning import Batch, Judge
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation import checks
from dosimeter.foundation.arrays import Array
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

QUERIES = 100
"""Records that one mended episode asks about, its own block among them."""
TEMPERATURES = (7.0, 8.0, 9.0, 10.0, 11.0, 13.0)
"""Of the authors' code for pictures."""
MENDED = (7.0, 10.0, 13.0)
"""Temperatures among which the mended mode chooses."""
FEW = 5
"""Shots from which a fifth of the support is held out to choose; with fewer, both are fixed before any result."""
FIXED = (10.0, 5)
"""Temperature and epochs then."""
PATIENCE = 2
"""Epochs without a lower validation loss after which the authors' code stops."""


@dataclass(frozen=True)
class TransductiveTuning:
    """Score a record by a copy of the target that was tuned to tell members.

    Paper: Jiménez-López, Rodríguez-Barroso, Luzón, Del Ser, Herrera, "Membership Inference Attacks Fueled by Few-Shot
    Learning", 2025, https://arxiv.org/abs/2503.09365 (FeS-MIA TT), after Dhillon et al. 2019,
    https://arxiv.org/abs/1909.02729. A layer of two outputs stands on what is read of the model's answer and starts
    from the class means of a support of `shots` members and non-members. Each epoch has a step of Adam on the support's
    cross-entropy and one on the entropy of the episode's queries at a temperature; all weights are trained.
    Threat model: the target's weights, and `shots` known members and non-members; the judged records are used
    together, without labels. What the stage at risk kept frozen stays so.
    Deviations: scores are shares of an episode's queries that score lower. "as_released" follows the authors' code:
    the positive part of the logits is read, Adam's moments stay when the temperature changes, batch normalisation runs
    in training mode, and 15 + 15 further labelled records choose temperature and stop. "mended" reads the label, keeps
    the model's statistics, and chooses temperature and epochs on a fifth of the support, or not at all below 5 shots.
    Cost: up to 360 updates and 6 validations in each episode of each target as released, 180 and 60 mended.

    Attributes:
        shots: known members, and known non-members, in the support of one episode.
        mode: "mended", or "as_released" with the defects of the authors' code.
        features: "logits", or "label-aware" as in `SimpleShot`; "auto" as released logits, mended label-aware.
        episodes: for each target in mended mode; as released there is one for 30 records.
        epochs: most epochs.
        lr: learning rate of Adam.
    """

    paper: ClassVar[str] = "Jiménez-López et al., 2025, https://arxiv.org/abs/2503.09365"
    control: ClassVar[bool] = False
    trainings: ClassVar[int | None] = None

    shots: int = 10
    mode: Mode = "mended"
    features: Kind = "auto"
    episodes: int = 40
    epochs: int = 30
    lr: float = 5e-5

    def __post_init__(self) -> None:
        features.check(self)
        checks.in_range("epochs", self.epochs, 1, 10_000)
        checks.in_range("lr", self.lr, 0, 1, open_low=True)
        if features.chosen(self.mode, self.features) not in ("logits", "label-aware"):
            others = ", which simple_shot and laplacian_shot read" if self.features.startswith("texts") else ""
            raise ValueError(f"features must be 'logits' or 'label-aware' to be tuned, got {self.features!r}{others}")

    @property
    def needs(self) -> Needs:
        """The target's weights and known records."""
        known = self.shots + (episodes.VALIDATION if self.mode == "as_released" else 0)
        return Needs(Access.WEIGHTS, labelled=known, weights=True)

    @property
    def labels(self) -> int:
        """Labelled records that one episode uses."""
        return episodes.labels_of(self.mode, self.shots)

    @property
    def signals(self) -> tuple[str, ...]:
        """What the untuned answer is made of, by which an unfit model is refused."""
        return features.SIGNALS[features.chosen(self.mode, self.features)]

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game.

        Raises:
            ValueError: too few known records, no weights, or a signal is missing or not finite.
        """
        reading.require(game, self.needs, self.signals)
        plan = episodes.plan_of(self.mode, self.shots, self.episodes, len(game.ids), QUERIES)
        drawn = episodes.draw(game, plan, rng)
        nets: dict[int, nn.Module] = {}
        assert game.weights is not None
        weights = game.weights

        def judge(target: int, episode: Episode) -> Float[Array, " q"]:
            if target not in nets:
                nets.clear()
                nets[target] = weights.target(target)
            return self._episode(nets[target], game, episode)

        return Scores(game.ids, episodes.score(game, drawn, judge))

    def _episode(self, net: nn.Module, game: MembershipGame, episode: Episode) -> Float[Array, " q"]:
        """Log-odds of the queries of one episode."""
        support = _known(game, episode.support, episode.is_member)
        queries = _judged(game, episode.queries)
        read: tuning.Reading = tuning.released_reading
        if features.chosen(self.mode, self.features) == "label-aware":
            read = tuning.label_aware(net, queries)
        if self.mode == "as_released":
            validation = _known(game, episode.validation, episode.validation_in)
            return self._as_released(tuning.begin(net, read, support, released=True), support, validation, queries)
        temperature, epochs = self._choice(net, read, support, queries)
        own = tuning.begin(net, read, support, released=False)
        optimizer = torch.optim.Adam(tuning.trainable(own), self.lr)
        for _ in range(epochs):
            tuning.epoch(own, optimizer, support, queries, temperature, released=False)
        return np.asarray(own.odds(queries).numpy())

    def _choice(self, net: nn.Module, read: tuning.Reading, support: Batch, queries: Batch) -> tuple[float, int]:
        """Temperature and epochs with the least loss on held-out support records; ties: the first."""
        if self.shots < FEW:
            return FIXED[0], min(FIXED[1], self.epochs)
        place = torch.arange(2 * self.shots) % self.shots
        rest, held = support.only(place >= self.shots // FEW), support.only(place < self.shots // FEW)
        trials: list[tuple[float, float, int]] = []
        for temperature in MENDED:
            own = tuning.begin(net, read, rest, released=False)
            optimizer = torch.optim.Adam(tuning.trainable(own), self.lr)
            for number in range(self.epochs + 1):
                trials.append((_loss(own, held), temperature, number))
                if number < self.epochs:
                    tuning.epoch(own, optimizer, rest, queries, temperature, released=False)
        _, temperature, epochs = min(trials, key=lambda one: one[0])
        return temperature, epochs

    def _as_released(self, own: Judge, support: Batch, validation: Batch, queries: Batch) -> Float[Array, " q"]:
        """What the authors' code does; its optimizer outlives the weights that each temperature starts from."""
        first, optimizer = tuning.weights_of(own), torch.optim.Adam(tuning.trainable(own), self.lr)
        kept, most = first, -1
        for temperature in TEMPERATURES:
            own.load_state_dict(first)
            lowest, waited = float("inf"), 0
            for _ in range(self.epochs):
                tuning.epoch(own, optimizer, support, queries, temperature, released=True)
                now = _loss(own, validation)
                lowest, waited = (now, 0) if now < lowest else (lowest, waited + 1)
                if waited >= PATIENCE:
                    break
            right = episodes.found_alone(own.odds(validation).numpy(), validation.is_member.numpy())
            if right >= most:
                kept, most = tuning.weights_of(own), right
        own.load_state_dict(kept)
        return np.asarray(own.odds(queries).numpy())


def _loss(own: Judge, batch: Batch) -> float:
    """Cross-entropy of known bits, in evaluation mode."""
    with torch.no_grad():
        return float(own.resting().loss(batch))


def _known(game: MembershipGame, rows: Array, is_member: Array) -> Batch:
    """Known records as the model takes them."""
    assert game.known is not None
    assert game.weights is not None
    inputs = game.weights.inputs[torch.from_numpy(rows + len(game.ids))]
    return Batch(inputs, torch.from_numpy(np.asarray(game.known.labels[rows])), torch.from_numpy(is_member))


def _judged(game: MembershipGame, rows: Array) -> Batch:
    """Judged records as the model takes them; their bits are not known."""
    assert game.weights is not None
    inputs = game.weights.inputs[torch.from_numpy(rows)]
    return Batch(inputs, torch.from_numpy(np.asarray(game.labels[rows])), torch.empty(0, dtype=torch.bool))
