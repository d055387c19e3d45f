import dataclasses

import numpy as np
import pytest
from oracles import auc, cascading, unchecked
from synthetic import fleet

from dosimeter.families.membership.attacks import Cascading, LiRA
from dosimeter.families.membership.attacks.shadows.cascading import draw_memberships
from dosimeter.families.membership.design.design import membership_matrix
from dosimeter.families.membership.game import MembershipGame
from dosimeter.foundation.seeds import generator, seed_for


def run(attack, game, seed=0):
    return attack.run(game, np.random.default_rng(seed)).values


@dataclasses.dataclass(frozen=True, eq=False)
class Crowd:
    """Models in which records of a group of ten support each other: a member gains 1.5 nats, its group 0.5 a member.

    Whoever knows the others of a group knows what to expect of a record.
    """

    difficulty: np.ndarray

    def __call__(self, member, seed):
        noise = np.random.default_rng(seed).normal(size=member.shape) / 2
        crowd = member.reshape(len(member), -1, 10).sum(axis=2).repeat(10, axis=1)
        return {"logit_confidence": (self.difficulty + 1.5 * member + 0.5 * crowd + noise)[:, None]}


def crowds(seed, *, n=400, targets=8, shadows=32):
    """A game of such models, and its truth."""
    member = membership_matrix(n, targets + shadows, seed)
    train = Crowd(np.random.default_rng([seed, 0]).normal(size=n))
    phi = train(member, [seed, 1])["logit_confidence"]
    parts = {"logit_confidence": phi[:targets]}, {"logit_confidence": phi[targets:]}
    labels = np.zeros(n, dtype=np.int64)
    return MembershipGame(np.arange(n), labels, 2, *parts, member[targets:], retrain=train), member[:targets]


@pytest.mark.parametrize(("rounds", "tolerance", "views"), [(1, 3, 2), (2, 0, 1)])
def test_agrees_with_loops_over_shadows_and_records(rounds, tolerance, views):
    game, _ = fleet(0, leakage=2.0, n_shadows=8, n_records=60, n_views=views)
    seed = int(np.random.default_rng(0).integers(2**31))

    def draw(known, references, number):
        return draw_memberships(known, references, generator(seed, "cascading membership", number))

    def seeds(number):
        return seed_for(seed, "cascading training", number)

    found = run(Cascading(rounds, 8, tolerance), game)
    expected = cascading(game, rounds, 8, tolerance, draw, seeds)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("inside", "outside"), [(0, 0), (30, 30), (50, 0), (0, 50), (7, 31)])
def test_memberships_keep_what_is_known_and_are_even(inside, outside):
    known = np.repeat([1, 0, -1], [inside, outside, 200 - inside - outside])
    member = draw_memberships(known, 16, np.random.default_rng(0))
    assert (member.sum(axis=1) == 100).all()
    assert member[:, known == 1].all()
    assert not member[:, known == 0].any()
    counts = member[:, known == -1].sum(axis=0)
    assert counts.max() - counts.min() <= 1
    assert counts.min() >= 5  # a third of the shadows, for laws of both sides
    assert counts.max() <= 11
    assert len(np.unique(member, axis=0)) == 16


def test_knowing_the_others_helps_where_records_support_each_other():
    """Beats LiRA with as many trainings, and each round helps: 8 targets of 400 records."""
    game, truth = crowds(0)
    more, _ = crowds(0, shadows=96)
    base, once, twice = run(LiRA(), more), run(Cascading(1), game), run(Cascading(2), game)
    strength = [np.mean([auc(row, bits) for row, bits in zip(one, truth, strict=True)]) for one in (base, once, twice)]
    assert strength[1] > strength[0] + 0.01
    assert strength[2] > strength[1] + 0.005


def test_nobody_is_found_by_retraining_where_nobody_was_trained():
    """The null audit: real answers, real training, shadow bits and truth from a matrix that no model saw."""
    game, _ = crowds(1)
    nobody = membership_matrix(400, 40, 99)
    scores = run(Cascading(2), dataclasses.replace(game, shadow_in=nobody[8:]))
    error = np.sqrt(401 / (12 * 200 * 200))
    found = [auc(row, bits) for row, bits in zip(scores, nobody, strict=False)]
    assert np.abs(np.array(found) - 0.5).max() < 4.5 * error
    assert abs(np.mean(found) - 0.5) < 4.5 * error / np.sqrt(8)


def test_rehearsed_thresholds_hold_for_targets():
    """False positive rates that thresholds of 16 rehearsed shadows reach on 16 targets, 3,200 non-members each."""
    game, truth = crowds(2, targets=16)
    attack = Cascading(references=16)
    scores, played, bits = run(attack, game), [], []
    for pair in range(8):
        rehearsal, own = game.rehearse(pair)
        played.append(run(attack, rehearsal, seed=1 + pair))
        bits.append(own)
    rehearsed = np.sort(np.concatenate(played)[~np.concatenate(bits)])[::-1]
    for nominal in (0.1, 0.03, 0.01):
        threshold = rehearsed[int(nominal * len(rehearsed))]
        error = np.sqrt(2 * nominal * (1 - nominal) / (~truth).sum())
        assert abs((scores[~truth] > threshold).mean() - nominal) < 4 * error


def test_training_is_told_nothing_but_a_membership_and_a_seed():
    game, truth = crowds(3, targets=2)
    asked = []

    def spy(member, seed):
        asked.append((member, seed))
        return game.retrain(member, seed)

    run(Cascading(2, 8), dataclasses.replace(game, retrain=spy))
    assert len(asked) == 4  # two targets, two rounds
    assert len({seed for _, seed in asked}) == 2
    for member, _ in asked:
        assert (member.sum(axis=1) == 200).all()
        fixed = member.all(axis=0) | ~member.any(axis=0)
        assert 0 < fixed.sum() <= 200
        assert not any((row == bits).all() or (row == ~bits).all() for row in member for bits in truth)


def test_without_anchors_it_is_lira():
    """Where nothing is sure nothing is trained: the limits lie beyond all scores."""
    game, _ = crowds(4, targets=2)

    def never(member, seed):
        raise AssertionError

    still = {"logit_confidence": game.shadow_outputs["logit_confidence"].mean(axis=0, keepdims=True).repeat(2, axis=0)}
    game = dataclasses.replace(game, outputs=still, retrain=never)
    np.testing.assert_array_equal(run(Cascading(tolerance=0), game), run(LiRA(), game))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rounds": 0}, r"rounds must be in \[1, 5\], got 0"),
        ({"references": 7}, r"references must be in \[8, 1024\], got 7"),
        ({"tolerance": -1}, r"tolerance must be in \[0, 1000\], got -1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        unchecked(Cascading, **settings)
