"""Attacks on tokens against twins in loops, on texts of different lengths; forced and refused scores."""

import dataclasses

import numpy as np
import oracles_language as oracles
import pytest

from dosimeter.families.membership.attacks import ATTACKS
from dosimeter.families.membership.attacks.language.ez_mia import EZMIA, TOP, forced
from dosimeter.families.membership.attacks.language.numbers import numbers_of
from dosimeter.families.membership.game import MembershipGame
from dosimeter.families.membership.gates.numbers import ties
from dosimeter.families.membership.texts import Texts

T, N, K = 2, 12, 45


def drawn(seed=0, shortest=31):
    """A game of random token values; what stands after the end of a text is 0, as a pass gives it."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(shortest + 1, K + 2, size=N)
    there = np.arange(K) < lengths[:, None] - 1

    def tokens(low, high, shape):
        return rng.uniform(low, high, shape) * there

    outputs = {
        "token_log_probs": tokens(-6, 0, (T, 1, N, K)),
        "token_means": tokens(-3, -1, (T, 1, N, K)),
        "token_deviations": tokens(0.5, 2, (T, 1, N, K)),
        "token_hits": (rng.random((T, 1, N, K)) < 0.4) * there * 1.0,
        "neighbour_log_probs": rng.uniform(-6, 0, (T, 1, N)),
        "conditioned_ratio": rng.uniform(0.5, 1.5, (T, 1, N)),
        "continued_tokens": rng.integers(0, 11, (T, 1, N)).astype(float),
    }
    texts = Texts(lengths, rng.integers(20, 60, N), {"token_log_probs": tokens(-6, 0, (N, K))})
    game = MembershipGame(
        np.arange(N), np.zeros(N, int), 1, outputs, {name: one[:0] for name, one in outputs.items()},
        np.zeros((0, N), bool), texts=texts,
    )  # fmt: skip
    return game


def rows_of(game):
    """For each target and text: its values by signal, those of the base, and its size."""
    for target in range(T):
        for text, length in enumerate(game.texts.lengths):
            own = {name: one[target, 0, text] for name, one in game.outputs.items()}
            own = {name: one[: length - 1].tolist() if np.ndim(one) else one for name, one in own.items()}
            yield own, game.texts.base["token_log_probs"][text, : length - 1].tolist(), game.texts.compressed[text]


def standardised(own):
    parts = zip(own["token_log_probs"], own["token_means"], own["token_deviations"], strict=True)
    return [(value - mean) / deviation for value, mean, deviation in parts]


def mean(values):
    return sum(values) / len(values)


LOGS = "token_log_probs"
TWINS = {
    "text_loss": ({}, lambda own, base, size: mean(own[LOGS])),
    "text_loss sum": ({"of": "sum"}, lambda own, base, size: sum(own[LOGS])),
    "zlib": ({}, lambda own, base, size: sum(own[LOGS]) / size),
    "zlib mean": ({"of": "mean"}, lambda own, base, size: mean(own[LOGS]) / size),
    "min_k": ({}, lambda own, base, size: oracles.lowest(own[LOGS], 0.2)),
    "min_k all": ({"share": 1.0}, lambda own, base, size: mean(own[LOGS])),
    "min_k_plus_plus": ({}, lambda own, base, size: oracles.lowest(standardised(own), 0.2)),
    "neighbourhood": ({}, lambda own, base, size: mean(own[LOGS]) - own["neighbour_log_probs"]),
    "recall": ({}, lambda own, base, size: own["conditioned_ratio"]),
    "extraction": ({}, lambda own, base, size: own["continued_tokens"]),
    "base_reference": ({}, lambda own, base, size: mean(own[LOGS]) - mean(base)),
    "ez_mia": ({}, lambda own, base, size: oracles.ez(own[LOGS], base, own["token_hits"])),
    "wbc": ({}, lambda own, base, size: oracles.wbc(own[LOGS], base)),
    "wbc config": (
        {"windows": (2, 3, 4, 6, 9, 13, 18, 25, 32, 40)},
        lambda own, base, size: oracles.wbc(own[LOGS], base, (2, 3, 4, 6, 9, 13, 18, 25, 32, 40)),
    ),
    "ht_mia": ({}, lambda own, base, size: oracles.ht(own[LOGS], base)),
}


def hard():
    """Texts of one token, of one token over and over, as long as windows are, all right, all wrong, and all gained.

    Values are quarters, so sums are exact in any order, and windows and sums of exactly 0 are there.
    """
    rng = np.random.default_rng(5)
    lengths = np.array([2, 2, 3, 32, 40, 41, 42, 42, 46, 46, 46, 46])
    there = np.arange(K) < lengths[:, None] - 1
    logs = -rng.integers(0, 5, (T, 1, N, K)) / 4.0
    base = -rng.integers(0, 5, (N, K)) / 4.0
    logs[..., 6, :], base[6] = -0.5, -0.5  # one token over and over, and nothing changed
    logs[..., 8, :], base[8] = 0.0, -1.0  # learned by heart
    logs[..., 9, :], base[9] = -1.0, 0.0
    hits = (rng.random((T, 1, N, K)) < 0.4) * 1.0
    hits[..., (1, 8), :], hits[..., 9, :] = 1.0, 0.0
    own = drawn().outputs | {"token_log_probs": logs * there, "token_hits": hits * there}
    own["token_means"] = np.full((T, 1, N, K), -2.0) * there
    own["token_deviations"] = np.ones((T, 1, N, K)) * there
    texts = Texts(lengths, np.full(N, 30), {"token_log_probs": base * there})
    return dataclasses.replace(drawn(), outputs=own, texts=texts)


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("game", [drawn, hard])
def test_each_attack_equals_its_twin(game, name):
    game = game()
    settings, twin = TWINS[name]
    found = ATTACKS[name.split()[0]](**settings).run(game, np.random.default_rng(0)).values
    wanted = [twin(*row) for row in rows_of(game)]
    np.testing.assert_allclose(found, np.reshape(wanted, (T, N)), rtol=1e-9, atol=1e-9)


def test_what_the_floor_forces_is_finite_and_on_top():
    game = drawn()
    logs, hits = game.outputs["token_log_probs"].copy(), game.outputs["token_hits"].copy()
    hits[:, :, 0] = np.arange(K) < game.texts.lengths[0] - 1  # nothing is wrong
    hits[:, :, 1:3] = 0
    logs[:, :, 1] = np.where(game.texts.base["token_log_probs"][1] < 0, -1e-3, 0)  # everything is raised
    logs[:, :, 2] = 3 * game.texts.base["token_log_probs"][2]  # everything is lowered
    game = dataclasses.replace(game, outputs={**game.outputs, "token_log_probs": logs, "token_hits": hits})
    values = ATTACKS["ez_mia"]().run(game, np.random.default_rng(0)).values
    assert np.isfinite(values).all()
    assert (values[:, 0] == 50.0).all()
    assert (values[:, 1] > values[:, 3:].max(1)).all()
    assert (values[:, 2] < values[:, 3:].min(1)).all()
    assert (values[:, 1] < 50.0).all()


def test_short_texts_are_refused():
    game = drawn(shortest=5)
    texts = dataclasses.replace(game.texts, lengths=np.full(N, 20))
    with pytest.raises(ValueError, match="half have at least 30 tokens after the first, got 19: use longer texts"):
        ATTACKS["wbc"]().run(dataclasses.replace(game, texts=texts), np.random.default_rng(0))


@pytest.mark.parametrize("name", ["base_reference", "ez_mia", "wbc", "ht_mia"])
def test_without_a_base_they_are_refused(name):
    game = drawn()
    without = dataclasses.replace(game, texts=dataclasses.replace(game.texts, base={}))
    with pytest.raises(ValueError, match="needs the base of the finetuned model, got none"):
        ATTACKS[name]().run(without, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("min_k", {"share": 0.0}, r"share must be in \(0.0, 1.0\], got 0.0"),
        ("min_k_plus_plus", {"share": 1.5}, r"share must be in \(0.0, 1.0\], got 1.5"),
        ("ez_mia", {"floor": 0.0}, "floor must be in"),
        ("wbc", {"windows": ()}, "windows must be whole numbers from 1"),
    ],
)
def test_settings_out_of_range_are_refused(name, settings, message):
    with pytest.raises(ValueError, match=message):
        ATTACKS[name](**settings)


def test_forced_and_tied_scores_are_counted():
    """A text without an error and one that gained everywhere have the highest score, and P8 says how many share it."""
    game = hard()
    scores = {name: ATTACKS[name]().run(game, np.random.default_rng(0)).values for name in ("ez_mia", "wbc")}
    assert (scores["ez_mia"][:, (1, 8)] == TOP).all()
    assert (scores["wbc"][:, 8] == 1.0).all()
    assert np.isfinite(scores["ez_mia"]).all()
    counts = {name: (values == values.max()).sum() for name, values in scores.items()}
    found = ties(scores, {name: np.full(T, 0.1) for name in scores}, "ez_mia")
    for name, count in counts.items():
        assert f"{count} of {T * N} of {name}" in found.message
    loose = {"loss": np.arange(T * N, dtype=float).reshape(T, N)}
    assert "highest" not in ties(loose, {"loss": np.full(T, 0.1)}, "loss").message


def test_scores_that_a_rule_of_ez_mia_sets_are_told_by_kind():
    """By hand: no error; errors that only gain; that only lose; that change nothing; and an ordinary text."""
    gains, hits = np.zeros((1, 1, 5, 2)), np.zeros((1, 1, 5, 2))
    hits[0, 0, 0] = 1
    gains[0, 0] = [[1, -1], [1, 2], [-1, -2], [1e-4, -1e-4], [1, -1]]
    outputs = {"token_log_probs": gains - 9, "token_hits": hits}
    texts = Texts(np.full(5, 3), np.full(5, 30), {"token_log_probs": np.full((5, 2), -9.0)})
    game = MembershipGame(np.arange(5), np.zeros(5, int), 1, outputs, {}, np.zeros((0, 5), bool), texts=texts)
    found = forced(EZMIA(), game)
    assert found.certain[0].tolist() == [True, False, False, False, False]
    assert found.not_lowered[0].tolist() == [False, True, False, True, False]
    assert found.not_raised[0].tolist() == [False, False, True, False, False]
    assert forced(EZMIA(floor=1e-5), game).not_lowered[0].tolist() == [False, True, False, False, False]


def test_numbers_of_a_text_count_tokens_that_the_model_is_sure_of():
    logs = np.array([[[[0.0, -4.0, 0.0, 0.0, 0.0, -1.0, 0.0]]]])  # six tokens, of which four are certain; then the end
    read = {"token_log_probs": logs, "token_means": logs * 0, "token_deviations": np.ones_like(logs)}
    read |= dict.fromkeys(("logit_confidence", "entropy", "correctness"), logs[..., 0])
    lowest = numbers_of(read)[..., 3:].ravel()
    assert lowest.tolist() == [-4.0, -4.0]  # one of six is 20 %
    ten = np.concatenate([logs[..., :2], np.zeros((1, 1, 1, 7)), logs[..., 5:]], -1)  # ten tokens: 20 % are two
    read |= {"token_log_probs": ten, "token_means": ten * 0, "token_deviations": np.ones_like(ten)}
    assert numbers_of(read)[..., 3].ravel().tolist() == [-2.5]
