"""Attacks on records: exact where theory says so, seeded, at chance where nothing is seen."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.families.exchange.attacks import (
    ATTACKS,
    AnyRecord,
    DenseInversion,
    Dlg,
    HeadFeatures,
    IDlg,
    InvertingGradients,
    MeanRecord,
)
from dosimeter.families.exchange.game import Auxiliary
from dosimeter.families.exchange.records.game import RecordsGame
from dosimeter.statistics.leakage.matched import matched
from families.exchange.inverting.batches import batch, dense_net, seen, sigmoid_net

SEARCHES = {"rounds": 8, "steps": 20, "attempts": 2}
READING = [
    DenseInversion(), Dlg(**SEARCHES), IDlg(**SEARCHES), InvertingGradients(iterations=30), HeadFeatures(**SEARCHES),
]  # fmt: skip


def game_of(net, size, count=2):
    """Some batches of a net, each made again from what the adversary sees."""
    trunk, head = net(0)
    batches = [batch(seed, size) for seed in range(count)]
    own = Auxiliary(batch(99, 200)[0], batch(99, 200)[1], np.zeros(200, bool))
    observed = tuple(seen(trunk, head, *one) for one in batches)
    game = RecordsGame(np.array(["0", "1"][:count]), observed, (trunk,) * count, size, own)
    return game, torch.stack([records for records, _ in batches]).numpy()


@pytest.mark.parametrize(
    ("attack", "net", "size"),
    [
        (DenseInversion(), dense_net, 2),
        pytest.param(Dlg(**SEARCHES), sigmoid_net, 1, marks=pytest.mark.slow),
        pytest.param(IDlg(**SEARCHES), sigmoid_net, 1, marks=pytest.mark.slow),
    ],
    ids=["dense", "dlg", "idlg"],
)
def test_records_come_back(attack, net, size):
    game, true = game_of(net, size)
    made = attack.run(game, np.random.default_rng(0)).values[0]
    assert made.shape == true.shape
    assert max(matched(a, b).recovered for a, b in zip(made, true, strict=True)) == 1.0


def test_features_of_one_record_come_back():
    game, true = game_of(dense_net, 1)
    made = HeadFeatures(rounds=1, attempts=1).run(game, np.random.default_rng(0)).values[0]
    with torch.no_grad():
        wanted = game.trunks[0](torch.from_numpy(true[0])).numpy()
    assert made.shape == (2, 1, wanted.shape[1])
    assert np.abs(made[0] - wanted).mean() < 0.05 * np.abs(wanted).mean()


@pytest.mark.parametrize("attack", [*READING, MeanRecord(), AnyRecord()], ids=lambda one: type(one).__name__)
def test_attacks_are_frozen_cited_seeded_and_bear_a_gradient_of_zeros(attack):
    assert type(attack) in ATTACKS.values()
    assert type(attack).paper
    with pytest.raises(dataclasses.FrozenInstanceError):
        attack.paper = ""
    game, _ = game_of(dense_net, 2)
    game = dataclasses.replace(game, seen=(None, game.seen[1]))
    quick = dataclasses.replace(attack, rounds=1, steps=2) if hasattr(attack, "rounds") else attack
    first, again = (quick.run(game, np.random.default_rng(3)).values for _ in range(2))
    assert np.array_equal(first, again)
    assert np.isfinite(first).all()
    assert first.shape[:3] == (1, 2, 2)
    if attack.needs.makes == "records" and not attack.control:
        np.testing.assert_allclose(first[0, 0], game.auxiliary.inputs.mean(0).expand(2, 1, 6, 6), atol=1e-6)


def test_wrong_settings_are_refused():
    for wrong in (lambda: Dlg(rounds=0), lambda: IDlg(attempts=0), lambda: InvertingGradients(variation=-1.0)):
        with pytest.raises(ValueError, match="must be"):
            wrong()


def test_a_control_draws_own_records_and_a_yardstick_their_mean():
    game, _ = game_of(dense_net, 3)
    drawn = AnyRecord().run(game, np.random.default_rng(0)).values[0]
    own = {one.tobytes() for one in game.auxiliary.inputs.numpy()}
    assert all(one.astype(np.float32).tobytes() in own for one in drawn.reshape(-1, 1, 6, 6))
    assert isinstance(game.trunks[0], nn.Module)
