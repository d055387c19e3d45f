"""Few-shot features of texts against a slow twin."""

import dataclasses

import numpy as np
import oracles_language as oracles
import pytest

from dosimeter.families.membership.attacks.few_shot import features
from dosimeter.families.membership.attacks.few_shot.simple_shot import SimpleShot
from dosimeter.families.membership.game import Holdings, MembershipGame
from dosimeter.families.membership.known import Known
from dosimeter.families.membership.texts import Texts


def read(n, seed):
    """Signals of some texts of 3 to 12 tokens, under one target."""
    rng = np.random.default_rng(seed)
    there = np.arange(12) < rng.integers(3, 13, n)[:, None]
    logs = np.where(there, -rng.gamma(2.0, size=(n, 12)), 0.0)
    means, spread = np.where(there, -rng.gamma(2.0, size=(n, 12)), 0.0), np.where(there, 1 + rng.random((n, 12)), 0.0)
    tokens = {"token_log_probs": logs, "token_means": means, "token_deviations": spread}
    plain = {name: rng.normal(size=n) for name in ("logit_confidence", "entropy", "correctness")}
    return {name: values[None, None] for name, values in {**tokens, **plain}.items()}, there


def game_of(outputs, known):
    """A game of nine judged texts and four known ones."""
    return MembershipGame(
        ids=np.array(list("abcdefghi")), labels=np.zeros(9, np.int64), classes=1, outputs=outputs, shadow_outputs={},
        shadow_in=np.zeros((0, 9), bool),
        known=Known(
            ids=np.array(list("wxyz")), labels=np.zeros(4, np.int64), is_member=np.array([[True, True, False, False]]),
            shadow_in=np.zeros((0, 4), bool), outputs=known, shadow_outputs={},
        ),
    )  # fmt: skip


def test_numbers_of_a_text_are_those_of_a_loop_over_its_tokens():
    outputs, there = read(9, 0)
    known, _ = read(4, 1)
    game = game_of(outputs, known)
    rows = features.rows_of(game, "texts", 0)
    assert rows.judged.shape == (9, 5)
    assert rows.known.shape == (4, 5)
    for text in range(9):
        own = {name: values[0, 0, text] for name, values in outputs.items()}
        count = int(there[text].sum())
        logs, means, spread = (own[f"token_{name}"][:count] for name in ("log_probs", "means", "deviations"))
        wanted = [
            own["logit_confidence"], own["entropy"], own["correctness"], oracles.lowest(logs.tolist(), 0.2),
            oracles.lowest(np.clip((logs - means) / spread, -10, 10).tolist(), 0.2),
        ]  # fmt: skip
        assert rows.judged[text] == pytest.approx(wanted, abs=1e-9)


def test_numbers_beside_the_base_are_those_of_loops_and_known_texts_are_the_ones_after_the_judged():
    outputs, there = read(13, 0)
    rng = np.random.default_rng(2)
    outputs["token_hits"] = (rng.random(outputs["token_log_probs"].shape) < 0.4) * there * 1.0
    base = {name: read(13, 3)[0][name][0, 0] * there for name in ("token_log_probs", "token_means")}
    judged, known = ({name: one[:, :, rows] for name, one in outputs.items()} for rows in (slice(9), slice(9, 13)))
    told = Holdings(texts=Texts(there.sum(1) + 1, np.ones(13, int), base)).tell(
        game_of(judged, known), SimpleShot(shots=2, features="texts-and-base").needs
    )
    rows = features.rows_of(told, "texts-and-base", 0)
    plain = features.rows_of(told, "texts", 0)
    for text, row in enumerate([*rows.judged, *rows.known]):
        count = int(there[text].sum())
        own = {name: one[0, 0, text, :count] for name, one in outputs.items() if one.ndim == 4}
        before = {name: one[text, :count] for name, one in base.items()}
        gains = own["token_log_probs"] - before["token_log_probs"]
        wanted = [
            *([*plain.judged, *plain.known][text]),
            *(np.quantile(gains, share) for share in (0.1, 0.25, 0.5, 0.75, 0.9)),
            gains.mean(), (gains > 0).mean(), before["token_means"].mean() - own["token_means"].mean(),
            oracles.ez(own["token_log_probs"], before["token_log_probs"], own["token_hits"]),
            oracles.wbc(own["token_log_probs"], before["token_log_probs"]),
        ]  # fmt: skip
        assert row == pytest.approx(wanted, abs=1e-9)


def test_without_the_base_of_known_texts_they_are_refused():
    outputs, there = read(9, 0)
    known, _ = read(4, 1)
    game = game_of(outputs, known)
    texts = Texts(there.sum(1) + 1, np.ones(9, int), {"token_log_probs": outputs["token_log_probs"][0, 0]})
    attack = SimpleShot(shots=2, features="texts-and-base")
    with pytest.raises(ValueError, match="needs what the base says of the known texts, got none"):
        attack.run(dataclasses.replace(game, texts=texts), np.random.default_rng(0))
