"""Attacks on pretraining texts that learn from a few numbers of each."""

import dataclasses

import numpy as np
import pytest
from oracles import auc
from synthetic import fleet

from dosimeter.families.membership.attacks import TMI, Discriminant
from dosimeter.families.membership.attacks.language.numbers import SIGNALS, beside_shadows, numbers_of

BOTH = [TMI(outputs="texts", updates=40), Discriminant(outputs="texts")]


def run(attack, game):
    return attack.run(game, np.random.default_rng(0)).values


@pytest.mark.parametrize("attack", BOTH, ids=["tmi", "discriminant"])
def test_members_are_found_where_there_is_a_leak_and_only_there(attack):
    for leakage, low, high in ((2.0, 0.85, 1.0), (0.0, 0.43, 0.57)):
        game, truth = fleet(3, leakage=leakage, texts=True, n_population=0)
        values = run(attack, game)
        found = np.mean([auc(own, bits) for own, bits in zip(values, truth.is_member, strict=True)])
        assert low < found < high
    assert attack.signals == SIGNALS


def test_the_discriminant_of_texts_is_that_of_an_answer_of_their_numbers():
    game, _ = fleet(4, leakage=1.0, texts=True, n_records=60, n_population=0)
    own, shadows = (
        np.stack(
            [[numbers_of({name: table[name][m, q] for name in SIGNALS}) for q in range(1)] for m in range(len(bits))]
        )
        for table, bits in ((game.outputs, range(game.n_targets)), (game.shadow_outputs, game.shadow_in))
    )
    own, shadows = beside_shadows(own, shadows)
    plain = dataclasses.replace(
        game, outputs={"scaled_confidences": own}, shadow_outputs={"scaled_confidences": shadows}, texts=None
    )
    np.testing.assert_allclose(run(BOTH[1], game), run(Discriminant(), plain), atol=1e-9)


def test_units_and_what_all_models_say_of_a_text_change_nothing():
    rng = np.random.default_rng(0)
    own, shadows = rng.normal(size=(2, 1, 9, 5)), rng.normal(size=(6, 1, 9, 5))
    moved, unit = rng.normal(size=(1, 1, 9, 5)), np.array([1.0, 10.0, 0.1, 3.0, 7.0])
    for a, b in zip(
        beside_shadows(own, shadows), beside_shadows(own * unit + moved, shadows * unit + moved), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-9)
    alike = beside_shadows(own, np.zeros_like(shadows))
    assert all(np.isfinite(one).all() for one in alike)
