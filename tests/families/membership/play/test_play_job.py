"""Plays as jobs: what a key holds, and which membership the null audit plays under."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest
from audits import BASE, gaussian, table

from dosimeter.config.audit import parse
from dosimeter.families.attack import NamedAttack, attack_code
from dosimeter.families.membership.design.design import membership_matrix
from dosimeter.families.membership.game import Needs
from dosimeter.families.membership.play.play import Part, play_part
from dosimeter.jobs.store import Store
from dosimeter.models.access import Access
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.statistics.evidence import Scores


@dataclass(frozen=True)
class Recorder:
    """An attack that keeps the games that it is given."""

    paper: ClassVar[str] = "none"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.PROBS)
    signals: ClassVar[tuple[str, ...]] = ("logit_confidence",)
    games: list[object] = field(default_factory=list)

    def run(self, game, rng):
        self.games.append(game)
        return Scores(game.ids, np.zeros((game.n_targets, len(game.ids))))


def case(tmp_path, attack, **changes):
    raw = table() | {"attack": [{"name": "lira", "id": "x", **attack}]} | changes
    return prepare(parse(raw, base=BASE), store=Store(tmp_path)).case


def keys(found):
    """Keys of the plays of the named attack; a control beside it reads little, and plays alike."""
    return [job.key for job in found.plays.every if not job.row.beside]


def test_the_key_of_a_play_holds_all_that_can_change_its_scores(tmp_path):
    first = keys(case(tmp_path, {}))
    assert len(set(first)) == len(first)
    assert keys(case(tmp_path, {})) == first
    for attack, changes in (
        ({"variance": "bayesian"}, {}),
        ({"mode": "offline"}, {}),
        ({"id": "y"}, {}),
        ({}, {"seed": 1}),
        ({}, {"threat": {**table()["threat"], "candidates": 300}}),
    ):
        other = set(keys(case(tmp_path, attack, **changes)))
        assert not other & set(first), (attack, changes)


def test_the_null_audit_of_a_case_has_a_membership_that_no_model_was_trained_on(tmp_path):
    arena = case(tmp_path, {}).arena
    null, member = arena.null_member, arena.design.member
    assert null.shape == member.shape
    assert (null[0::2] == ~null[1::2]).all()
    assert 0.4 < (null == member).mean() < 0.6


@pytest.mark.parametrize("fold", [0, 1])
def test_a_null_play_reads_the_null_membership_and_others_the_true_one(fold):
    design, observations = gaussian(0, leakage=1.0, shadows=8, targets=4)
    null = membership_matrix(design.member.shape[1], len(design.member), 0, purpose="null membership")
    row = NamedAttack("recorder", "recorder", attack := Recorder())
    for role in ("null", "target"):
        play_part(row, Part(role, fold), design, observations, null_member=null, seed=0)
    others = np.setdiff1d(np.arange(len(null)), design.folds[fold])
    of_null, of_target = (game.shadow_in for game in attack.games)
    assert (of_null == null[others]).all()
    assert (of_target == design.member[others]).all()


OPAQUE = iter(range(3))
"""A value that no digest can hold."""


def test_an_attack_that_reads_what_no_key_can_hold_is_played_in_every_run():
    class Plain:
        def run(self, game, rng):
            return len("plain")

    class Hidden:
        def run(self, game, rng):
            return next(OPAQUE)

    found = []
    for _ in range(2):  # each as in a process of its own
        attack_code.cache_clear()
        found.append([attack_code(kind) for kind in (Plain, Hidden)])
    (plain, hidden), (again, other) = found
    assert plain == again
    assert hidden != other
