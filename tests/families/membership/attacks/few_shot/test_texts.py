"""Few-shot features of texts against a slow twin."""

import numpy as np
import oracles_language as oracles
import pytest

from dosimeter.families.membership.attacks.few_shot import features
from dosimeter.families.membership.game import MembershipGame
from dosimeter.families.membership.known import Known


def read(n, seed):
    """Signals of some texts of 3 to 12 tokens, under one target."""
    rng = np.random.default_rng(seed)
    there = np.arange(12) < rng.integers(3, 13, n)[:, None]
    logs = np.where(there, -rng.gamma(2.0, size=(n, 12)), 0.0)
    means, spread = np.where(there, -rng.gamma(2.0, size=(n, 12)), 0.0), np.where(there, 1 + rng.random((n, 12)), 0.0)
    tokens = {"token_log_probs": logs, "token_means": means, "token_deviations": spread}
    plain = {name: rng.normal(size=n) for name in ("logit_confidence", "entropy", "correctness")}
    return {name: values[None, None] for name, values in {**tokens, **plain}.items()}, there


def test_numbers_of_a_text_are_those_of_a_loop_over_its_tokens():
    outputs, there = read(9, 0)
    known, _ = read(4, 1)
    game = MembershipGame(
        ids=np.array(list("abcdefghi")), labels=np.zeros(9, np.int64), classes=1, outputs=outputs, shadow_outputs={},
        shadow_in=np.zeros((0, 9), bool),
        known=Known(
            ids=np.array(list("wxyz")), labels=np.zeros(4, np.int64), is_member=np.array([[True, True, False, False]]),
            shadow_in=np.zeros((0, 4), bool), outputs=known, shadow_outputs={},
        ),
    )  # fmt: skip
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
