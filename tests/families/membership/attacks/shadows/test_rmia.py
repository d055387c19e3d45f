import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from oracles import auc, base, rmia, unchecked
from synthetic import fleet

from dosimeter.families.membership.attacks import RMIA
from dosimeter.families.membership.attacks.reading import TENTHS
from dosimeter.families.membership.attacks.shadows.rmia import _DEFAULT_A, _tune


def run(attack, game):
    return attack.run(game, np.random.default_rng(0)).values


@pytest.mark.parametrize("gamma", [1.0, 2.0])
@pytest.mark.parametrize(("temperature", "signal"), [(1.0, "logit_confidence"), (2.0, "logit_confidence_t2")])
@pytest.mark.parametrize("a", [None, 0.0, 0.3, 1.0])
@pytest.mark.parametrize("n_views", [1, 3])
def test_agrees_with_the_matrix_of_pairs(gamma, temperature, signal, a, n_views):
    game, _ = fleet(0, leakage=1.0, n_views=n_views)
    attack = RMIA("online" if a is None else "offline", gamma, temperature, a)
    assert np.array_equal(run(attack, game), rmia(game, signal, gamma, a))


def test_a_ratio_must_be_strictly_larger():
    """Population record and candidate are the same record: at gamma 1 it does not beat itself."""
    game, _ = fleet(1, leakage=1.0, n_population=400)
    population = dataclasses.replace(game.population, outputs=game.outputs, shadow_outputs=game.shadow_outputs)
    values = run(RMIA(gamma=1.0), dataclasses.replace(game, population=population))
    for row in values:
        assert np.array_equal(np.sort(row), np.arange(400) / 400)


@pytest.mark.parametrize("gamma", [1.0, 2.0])
def test_online_ranks_as_base_up_to_ties(gamma):
    game, _ = fleet(2, leakage=1.0, n_records=2000)
    for row, other in zip(run(RMIA(gamma=gamma), game), base(game, "logit_confidence_t2"), strict=True):
        assert (np.diff(row[np.argsort(other)]) >= 0).all()
        assert len(np.unique(row)) > 20


def test_offline_with_a_given_reads_no_in_shadow():
    game, _ = fleet(3, leakage=1.0)
    phi = game.shadow_outputs["logit_confidence_t2"]
    other = np.where(game.shadow_in[:, None], 99.0, phi)
    changed = dataclasses.replace(game, shadow_outputs={"logit_confidence_t2": other})
    assert np.array_equal(run(RMIA("offline", a=0.3), game), run(RMIA("offline", a=0.3), changed))


@pytest.mark.parametrize("gamma", [1.5, "auto"])
@pytest.mark.parametrize("mode", ["online", "offline"])
def test_gamma_and_a_are_tuned_on_the_shadows_alone(mode, gamma):
    game, _ = fleet(4, leakage=2.0, n_shadows=8)
    attack = RMIA(mode, gamma)
    chosen = _tune(game, attack)
    assert np.array_equal(run(attack, game), run(RMIA(mode, chosen[0], a=chosen[1]), game))
    silent = {name: np.zeros_like(values) for name, values in game.outputs.items()}
    assert _tune(dataclasses.replace(game, outputs=silent), attack) == chosen
    best = {}
    for one in (1.25, 1.0, 1.5, 2.0) if gamma == "auto" else (gamma,):
        found = {a: rehearsed(RMIA(mode, one, a=a), game) for a in (TENTHS if mode == "offline" else (None,))}
        a = max(found, key=lambda key: found[key][0])
        best[one, a] = sum(found[a])
    assert chosen == max(best, key=best.get)


def rehearsed(attack, game):
    """Mean AUC, and mean TPR at the lowest threshold that at most 1 % of non-members exceed, over all four pairs."""
    areas, rates = [], []
    for pair in range(4):
        rehearsal, is_member = game.rehearse(pair)
        for row, bits in zip(run(attack, rehearsal), is_member, strict=True):
            areas.append(auc(row, bits))
            threshold = min(cut for cut in [-1.0, *row] if (row[~bits] > cut).mean() <= 0.01)
            rates.append((row[bits] > threshold).mean())
    return np.mean(areas), np.mean(rates)


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_where_models_are_sure_of_all_records_gamma_becomes_1(mode):
    """Confidences near 1 leave no room to beat a record by a quarter: scores tie, and the AUC is that of a coin."""
    game, truth = fleet(6, leakage=1.5, n_shadows=8)

    def sure(values):
        return {name: 8 + table for name, table in values.items()}

    outside = game.population
    outside = dataclasses.replace(outside, outputs=sure(outside.outputs), shadow_outputs=sure(outside.shadow_outputs))
    game = dataclasses.replace(
        game, outputs=sure(game.outputs), shadow_outputs=sure(game.shadow_outputs), population=outside
    )
    assert _tune(game, RMIA(mode))[0] == 1.0
    areas = {
        gamma: np.mean(
            [auc(row, bits) for row, bits in zip(run(RMIA(mode, gamma), game), truth.is_member, strict=True)]
        )
        for gamma in ("auto", 1.25)
    }
    assert areas[1.25] < 0.55
    assert areas["auto"] > areas[1.25] + 0.1


def test_one_pair_of_shadows_is_too_few_to_tune():
    game, _ = fleet(5, leakage=1.0, n_shadows=2)
    assert _tune(game, RMIA("offline")) == (1.25, _DEFAULT_A)
    assert _tune(game, RMIA("online")) == (1.25, None)
    assert np.array_equal(run(RMIA("offline"), game), run(RMIA("offline", 1.25, a=_DEFAULT_A), game))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "off-line"}, "mode must be known, got 'off-line': did you mean 'offline'"),
        ({"gamma": 0.5}, r"gamma must be in \[1.0, inf\), got 0.5"),
        ({"gamma": float("nan")}, "gamma must be in"),
        ({"gamma": "best"}, "gamma must be 'auto' or a number of at least 1, got 'best'"),
        ({"temperature": 3.0}, "temperature must be 1.0 or 2.0, got 3.0"),
        ({"a": 1.5}, r"a must be in \[0.0, 1.0\], got 1.5"),
    ],
)
def test_unfit_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        unchecked(RMIA, **settings)


def test_the_page_shows_the_gammas_that_were_measured():
    root = Path(__file__).parents[5]
    found = json.loads((root / "benchmarks" / "results" / "rmia_gamma.json").read_text("utf-8"))["fleets"]
    page = (root / "docs" / "attacks.md").read_text("utf-8")
    for name, rows in found.items():
        for mode in ("online", "offline"):
            for key in ("tpr", "auc"):
                shown = ["{:.3f} ± {:.3f}".format(*one[key]) for one in rows[mode].values()]
                assert f"| {' | '.join([name, str(rows['targets']), f'`{mode}`', *shown])} |" in page
            gain, error = rows[mode]["auto"]["gain"]
            assert gain > 2 * error
