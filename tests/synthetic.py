"""A membership game drawn from a generative model, so that its leakage is known."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from dosimeter.families.membership.game import BEFORE_TRANSFER, FrozenHead, MembershipGame, Population
from dosimeter.families.membership.known import Known
from dosimeter.families.membership.texts import Texts
from dosimeter.families.membership.weights import Weights
from dosimeter.statistics.evidence import Truth

PLACES = 32
"""Tokens of a text after the first."""
WEIGHTS = 1 + 0.5 * np.cos(np.arange(PLACES))
WEIGHTS = WEIGHTS / WEIGHTS.mean()
"""How hard each place of a text is; on average 1."""


def texts_of(phi):
    """Every signal of a language model, from the logit of a text's mean token."""
    tokens = -np.logaddexp(0, -phi)[..., None] * WEIGHTS
    return {
        "token_log_probs": tokens,
        "token_means": np.full_like(tokens, -3.0),
        "token_deviations": np.ones_like(tokens),
        "token_hits": (tokens > np.log(0.5)).astype(float),
        "neighbour_log_probs": np.full_like(phi, -3.0),
        "conditioned_ratio": np.minimum(phi, 1000.0),
        "continued_tokens": np.clip(2 * phi + 4, 0, 10).round(),
    }


def signals_of(phi):
    """Every signal of a model with two classes, from its logit-scaled confidence in the true one."""
    own, other = -np.logaddexp(0, -phi), -np.logaddexp(0, phi)
    high, low = np.maximum(own, other), np.minimum(own, other)
    return {
        "logit_confidence": phi,
        "logit_confidence_t2": phi / 2,
        "correctness": (phi > 0).astype(float),
        "entropy": -np.exp(own) * own - np.exp(other) * other,
        "modified_entropy": -2 * np.exp(other) * own,
        "top1": high,
        "top2": low,
        "top3": np.full_like(phi, -104.0),
        "hinge": phi,
        "scaled_confidences": np.stack([-phi, phi], -1),
        "scaled_top": np.stack([-phi, phi], -1),
        "predicted_class": np.stack([phi <= 0, phi > 0], -1).astype(float),
        "logits": np.stack([-phi, phi], -1) / 2,
        "activations": np.stack([-phi, phi], -1) / 2,
        BEFORE_TRANSFER: phi,
        "gradient_norm": np.log(2) / 2 + other,
        "iha": phi,
        **{f"boundary_distance_{queries}": np.maximum(phi, 0.0) for queries in (250, 1000, 4000)},
        **{f"trajectory_{epoch}": np.full_like(phi, np.log(2)) for epoch in range(1, 11)},
    }


def _head(seed, n_records):
    """A recipe in which all records are easy and alike, for attacks that judge by features; no model here has any."""
    rng = np.random.default_rng([seed, 2])
    labels = rng.integers(2, size=n_records)
    features = rng.normal(size=(n_records, 4)) + 2.0 * labels[:, None]
    return FrozenHead(features, labels, 2, np.arange(n_records), np.full(20, 0.5), 0.0, 0.0, standardise=False)


def _texts(seed, difficulty):
    """Lengths and sizes of texts, and the base, which says of a token about what a model says that never saw it."""
    rng = np.random.default_rng([seed, 5])
    base = texts_of(difficulty + rng.normal(0, 0.3, len(difficulty)))["token_log_probs"]
    base = base + rng.normal(0, 0.3, base.shape)
    return Texts(np.full(len(base), PLACES + 1), rng.integers(80, 120, len(base)), {"token_log_probs": base})


KNOWN = 90
"""Records with known membership."""


class Answers(torch.nn.Module):
    """A model that looks its logits up by a record's number, so that its weights give the answers of the game."""

    def __init__(self, phi, labels):
        super().__init__()
        own = torch.from_numpy(phi)[:, None] / 2
        self.register_buffer("logits", torch.where(torch.from_numpy(labels)[:, None] == torch.arange(2), own, -own))
        self.gain, self.bias = torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.zeros(2))

    def forward(self, x):
        return self.logits[x[:, 0].long()] * self.gain + self.bias


@dataclass(frozen=True, eq=False)
class Nets:
    """Models of a fleet by number."""

    phi: np.ndarray
    labels: np.ndarray

    def __call__(self, row):
        return Answers(self.phi[row], self.labels)


def _weights(phi, labels, known, rows):
    """The models of a game, whose phi of judged records is `[m n]`."""
    own = np.empty((len(phi), KNOWN))
    for bits, table in zip(rows, (known.outputs, known.shadow_outputs), strict=True):
        own[bits] = table["logit_confidence"][:, 0]
    nets = Nets(np.concatenate([phi, own], 1), np.concatenate([labels, known.labels]))
    numbers = torch.arange(nets.phi.shape[1], dtype=torch.float32)[:, None]
    return Weights(nets, numbers, *rows)


def _known(seed, leakage, models, n_views, rows, texts):
    """Further records of the same law, half of them in each model, whose membership the adversary knows."""
    rng = np.random.default_rng([seed, 4])
    first = np.stack([rng.permutation(KNOWN) < KNOWN // 2 for _ in range(models // 2)])
    member = np.stack([first, ~first], axis=1).reshape(models, KNOWN)
    difficulty, of_view = rng.normal(0.5, 2.0, KNOWN), rng.normal(0.0, 0.5, (n_views, KNOWN))
    of_view[0] = 0.0
    memorised, spread = rng.uniform(0.5, 2.0, KNOWN), rng.uniform(0.5, 1.5, KNOWN)
    noise = rng.normal(size=(models, n_views, KNOWN))
    phi = difficulty + of_view + leakage * memorised * member[:, None, :] + spread * noise
    tables = {**signals_of(phi), **(texts_of(phi) if texts else {})}
    targets, shadows = ({name: values[one] for name, values in tables.items()} for one in rows)
    ids, labels = np.arange(KNOWN) + 1_000_000, rng.integers(2, size=KNOWN)
    return Known(ids, labels, member[rows[0]], member[rows[1]], targets, shadows)


@dataclass(frozen=True, eq=False)
class Retrain:
    """Draws further shadows of the same law, as the recipe would train them."""

    difficulty: np.ndarray
    effect: np.ndarray
    spread: np.ndarray

    def __call__(self, member, seed):
        noise = np.random.default_rng(seed).normal(size=(len(member), *self.difficulty.shape))
        return signals_of(self.difficulty + self.effect * member[:, None, :] + self.spread * noise)


def fleet(
    seed,
    *,
    leakage,
    n_shadows=16,
    n_targets=2,
    n_records=400,
    n_views=1,
    n_population=200,
    texts=False,
):
    """Draw a game and its truth.

    Model i says of record x in view v: phi = d_x + u_xv + leakage * l_x * [x in D_i] + s_x * e_ixv, where d is the
    record's difficulty, l in [0.5, 2] how much it is memorised, s in [0.5, 1.5] its spread and e standard normal. At
    leakage 0 nothing depends on membership. Of the three columns of inputs the first is d with noise, and further
    shadows are drawn by the same law. Each model has two classes, so phi decides every signal. Rows of the
    membership matrix are complementary pairs of exact halves; the targets are the first `n_targets` rows and none of
    their complements is a shadow.

    Args:
        seed: of the draw.
        leakage: mean effect of membership on phi, nats.
        texts: give the signals of a language model too, and what it said before it was finetuned: d, with noise.

    Returns:
        The game and a `Truth` with one cluster per record; every call gives its own.
    """
    return pickle.loads(_drawn(seed, leakage, n_shadows, n_targets, n_records, n_views, n_population, texts))


@lru_cache(maxsize=2)  # tests of all attacks on one game follow each other, with and without texts
def _drawn(seed, leakage, n_shadows, n_targets, n_records, n_views, n_population, texts):
    """The bytes of a game and its truth, since drawing takes several times as long as reading."""
    rng = np.random.default_rng(seed)
    n_pairs = n_shadows // 2 + (n_targets + 1) // 2
    first = np.zeros((n_pairs, n_records), dtype=bool)
    for row in first:
        row[rng.permutation(n_records)[: n_records // 2]] = True
    member = np.stack([first, ~first], axis=1).reshape(2 * n_pairs, n_records)

    total = n_records + n_population
    difficulty = rng.normal(0.5, 2.0, total)
    memorised, spread = rng.uniform(0.5, 2.0, total), rng.uniform(0.5, 1.5, total)
    of_view = rng.normal(0.0, 0.5, (n_views, total)) * (np.arange(n_views) > 0)[:, None]
    inside = np.concatenate([member, np.zeros((2 * n_pairs, n_population), dtype=bool)], axis=1)
    noise = rng.normal(size=(2 * n_pairs, n_views, total))
    phi = difficulty + of_view + leakage * memorised * inside[:, None, :] + spread * noise
    tables = {**signals_of(phi), **(texts_of(phi) if texts else {})}
    labels = np.random.default_rng([seed, 1]).integers(2, size=total)
    inputs = np.random.default_rng([seed, 3]).normal(size=(total, 3))
    inputs[:, 0] += difficulty
    part = slice(n_records)

    targets = np.arange(n_targets)
    shadows = np.arange(2 * n_pairs - n_shadows, 2 * n_pairs)
    population = Population(
        ids=np.arange(n_records, total),
        labels=labels[n_records:],
        outputs={name: values[targets][:, :, n_records:] for name, values in tables.items()},
        shadow_outputs={name: values[shadows][:, :, n_records:] for name, values in tables.items()},
        inputs=inputs[n_records:],
    )
    known = _known(seed, leakage, 2 * n_pairs, n_views, (targets, shadows), texts)
    game = MembershipGame(
        ids=np.arange(n_records),
        labels=labels[:n_records],
        classes=2,
        outputs={name: values[targets][:, :, :n_records] for name, values in tables.items()},
        shadow_outputs={name: values[shadows][:, :, :n_records] for name, values in tables.items()},
        shadow_in=member[shadows],
        population=population,
        head=_head(seed, n_records),
        inputs=inputs[:n_records],
        retrain=Retrain((difficulty + of_view)[:, part], leakage * memorised[part], spread[part]),
        known=known,
        weights=_weights(phi[:, 0, part], labels[part], known, (targets, shadows)),
        texts=_texts(seed, difficulty[part]) if texts else None,
    )
    return pickle.dumps((game, Truth(np.arange(n_records), member[targets], np.arange(n_records))), protocol=5)
