"""A membership game drawn from a generative model, so that its leakage is known."""

from __future__ import annotations

import numpy as np

from dosimeter.games import MembershipGame, Population, Truth


def fleet(
    seed,
    *,
    leakage,
    n_shadows=16,
    n_targets=2,
    n_records=400,
    n_views=1,
    n_population=200,
):
    """Draw a game and its truth.

    Model i says of record x in view v: phi = d_x + u_xv + leakage * l_x * [x in D_i] + s_x * e_ixv, where d is the
    record's difficulty, l in [0.5, 2] how much it is memorised, s in [0.5, 1.5] its spread and e standard normal. At
    leakage 0 nothing depends on membership. Rows of the membership matrix are complementary pairs of exact halves; the
    targets are the first `n_targets` rows and none of their complements is a shadow.

    Args:
        seed: of the draw.
        leakage: mean effect of membership on phi, nats.

    Returns:
        The game and a `Truth` with one cluster per record.
    """
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
    tables = {"logit_confidence": phi, "logit_confidence_t2": phi / 2}

    targets = np.arange(n_targets)
    shadows = np.arange(2 * n_pairs - n_shadows, 2 * n_pairs)
    population = Population(
        ids=np.arange(n_records, total),
        labels=np.zeros(n_population, dtype=np.int64),
        outputs={name: values[targets][..., n_records:] for name, values in tables.items()},
        shadow_outputs={name: values[shadows][..., n_records:] for name, values in tables.items()},
    )
    game = MembershipGame(
        ids=np.arange(n_records),
        labels=np.zeros(n_records, dtype=np.int64),
        classes=2,
        outputs={name: values[targets][..., :n_records] for name, values in tables.items()},
        shadow_outputs={name: values[shadows][..., :n_records] for name, values in tables.items()},
        shadow_in=member[shadows],
        population=population,
    )
    return game, Truth(np.arange(n_records), member[targets], np.arange(n_records))
