"""Games about records of an earlier stage, whose classes the answers do not have."""

import numpy as np
from synthetic import fleet

from dosimeter.families.membership.game import MembershipGame


def run(attack, game, seed=0):
    return attack.run(game, np.random.default_rng(seed)).values


def answers(seed, *, n=200, shadows=16, targets=2, views=2, classes=6, leak=1.0, along=None):
    """Scaled confidences in which a member's answer moves in a direction of its own, or along one class."""
    rng = np.random.default_rng(seed)
    game, truth = fleet(seed, leakage=0.0, n_shadows=shadows, n_targets=targets, n_records=n)
    member = np.concatenate([truth.is_member, game.shadow_in])
    effect = rng.normal(size=(n, classes)) if along is None else np.eye(classes)[along] * np.ones((n, 1))
    values = (
        3 * rng.normal(size=(n, classes))
        + leak * effect * member[..., None]
        + rng.normal(size=(len(member), n, classes))
    )
    values = values[:, None] + 0.3 * rng.normal(size=(len(member), views, n, classes))
    parts = {"scaled_confidences": values[:targets]}, {"scaled_confidences": values[targets:]}
    return MembershipGame(game.ids, game.labels, classes, *parts, game.shadow_in), truth.is_member
