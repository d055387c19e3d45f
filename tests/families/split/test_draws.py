"""Attacks that learn from several draws of a defense of the cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.stats import binomtest

from dosimeter.families.split.attacks import Decoder, OutputOnly
from dosimeter.families.split.attacks.reading import sent_anew
from families.split.games import game_of


def errors(attack, game, true):
    """Squared error of each victim."""
    made = attack.run(game, np.random.default_rng(3)).values[0, :, 0]
    return ((made - true.numpy()) ** 2).reshape(len(made), -1).mean(1)


def test_several_draws_bring_a_decoder_nearer_behind_noise():
    game, (true, _) = game_of(5, leaks=True, noise=1.5, victims=300, auxiliary=200)
    one, many = (errors(Decoder(epochs=40, draws=draws), game, true) for draws in (1, 16))
    assert many.mean() < one.mean()
    assert binomtest(int((many < one).sum()), 300, alternative="greater").pvalue < 1e-4


def test_draws_change_nothing_where_no_defense_draws():
    game, (true, _) = game_of(5, leaks=True, victims=20, auxiliary=64)
    assert sent_anew(game, 16, np.random.default_rng(0)) is None
    assert np.array_equal(*(errors(Decoder(epochs=3, draws=draws), game, true) for draws in (1, 16)))
    assert np.array_equal(*(errors(OutputOnly(mode="input", epochs=3, draws=n), game, true) for n in (1, 16)))


def test_each_draw_is_another_and_comes_again_after_all_others():
    game, _ = game_of(5, leaks=True, noise=1.0, victims=20, auxiliary=64)
    anew = sent_anew(game, 3, np.random.default_rng(0))
    first, second, third = (anew(epoch).clone() for epoch in range(3))
    assert torch.equal(first, game.auxiliary.seen)
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)
    assert all(torch.equal(anew(epoch), one) for epoch, one in enumerate((first, second, third), 3))


def test_nobody_draws_again_who_cannot_send_records_of_their_own():
    game, (true, _) = game_of(5, leaks=True, noise=1.0, victims=20, auxiliary=64)
    alone = replace(game, asked=None)
    assert sent_anew(alone, 16, np.random.default_rng(0)) is None
    assert errors(Decoder(epochs=2), alone, true).shape == (20,)
