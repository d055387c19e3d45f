"""What holds for every attack of the registry in every mode."""

import dataclasses
import inspect
import pickle
import re

import numpy as np
import pytest
from oracles import auc
from synthetic import fleet, signals_of, texts_of

from dosimeter.families.membership.attacks import ATTACKS
from dosimeter.families.membership.game import Needs
from dosimeter.models.access import Access
from dosimeter.statistics import evidence

SETTINGS = {
    "gap": [{}],
    "augmentation": [{"rule": "classifier"}, {"rule": "mean"}],
    "loss": [{}],
    "entropy": [{}],
    "modified_entropy": [{"per_class": True}, {"per_class": False}],
    "population": [{"per_class": False}, {"per_class": True}],
    "shokri": [{"per_class": True}, {"per_class": False}],
    "quantile": [{"mode": "shadows", "trees": 3}, {"mode": "inputs", "trees": 3}],
    "difficulty": [{"mode": "offline"}, {"mode": "online"}, {"mode": "offline", "statistic": "loss"}],
    "reference": [{"ties": "interpolated"}, {"ties": "kept"}],
    "proxy": [{"proxies": "class"}, {"proxies": "global"}, {"proxies": "nearest"}],
    "lira": [
        {"mode": mode, "variance": variance}
        for mode in ("online", "offline")
        for variance in ("auto", "per-record", "global", "shrunken", "bayesian")
    ],
    "rmia": [
        {"mode": "online"},
        {"mode": "online", "gamma": 1.0, "temperature": 1.0},
        {"mode": "offline"},
        {"mode": "offline", "a": 0.3, "temperature": 1.0},
    ],
    "base": [{"mode": "online"}, {"mode": "offline"}, {"mode": "offline", "alpha": 0.33, "temperature": 1.0}],
    "fused": [{"mode": "online"}, {"mode": "offline"}],
    "learned_ratio": [{}, {"trees": 20, "rate": 0.3, "leaves": 4}],
    "universal_ratio": [{}],
    "bmia": [{"draws": 10}, {"posterior": "kfac", "draws": 10}, {"references": 2, "draws": 10}],
    "influence": [{}],
    "cascading": [{"references": 16}, {"rounds": 2, "references": 8, "tolerance": 0}],
    "gradient_norm": [{"calibrated": False}, {"calibrated": True}],
    "iha": [{}],
    "boundary": [{"queries": 250}, {"queries": 1000}],
    "trajectory": [{}],
    "laplacian_shot": [
        {"shots": 1, "episodes": 8},
        {"mode": "as_released", "shots": 5},
        {"features": "base-relative", "episodes": 8},
    ],
    "transductive_tuning": [
        {"episodes": 4, "epochs": 2},
        {"mode": "as_released", "shots": 5, "epochs": 1},
    ],
    "simple_shot": [
        *({"shots": shots, "episodes": 10} for shots in (1, 10)),
        {"shots": 5, "mode": "as_released"},
        {"meta": True, "shots": 5, "features": "base-relative", "episodes": 10},
    ],
    "tmi": [{"updates": 40}, {"outputs": "top", "updates": 40}, {"outputs": "label", "updates": 40}, {"compat": True}],
    "adapted_lira": [{"mode": "mean"}, {"mode": "views"}],
    "discriminant": [{}],
    "pooled_discriminant": [{}],
    "direct": [{}],
    "text_loss": [{"of": "mean"}, {"of": "sum"}],
    "zlib": [{"of": "sum"}, {"of": "mean"}],
    "min_k": [{}],
    "min_k_plus_plus": [{}],
    "neighbourhood": [{}],
    "recall": [{}],
    "extraction": [{}],
    "base_reference": [{}],
    "ez_mia": [{}],
    "wbc": [{}, {"windows": (2, 30)}],
    "ht_mia": [{}, {"hard": "base", "gain": "log"}],
    "constant": [{}],
    "count": [{}],
}
CASES = [
    pytest.param(name, one, id=f"{name}-{'-'.join(map(str, one.values()))}")
    for name in SETTINGS
    for one in SETTINGS[name]
]
every_attack = pytest.mark.parametrize(("name", "settings"), CASES)


def attack_needs(name, settings):
    return ATTACKS[name](**settings).needs


def with_shadows(*numbers, alone):
    """Every attack with these numbers of shadows; one that needs none with the number `alone` only."""
    return pytest.mark.parametrize(
        ("name", "settings", "n_shadows"),
        [
            pytest.param(*case.values, number, id=f"{number}-{case.id}")
            for number in sorted({*numbers, alone})
            for case in CASES
            if number in (numbers if shadows_needed(*case.values) else (alone,))
        ],
    )


def shadows_needed(name, settings):
    needs = attack_needs(name, settings)
    return max(needs.in_shadows, needs.out_shadows)


def fleet_of(name, seed, **settings):
    """A game with the signals that an attack reads; tokens take much memory, so only attacks on texts get them."""
    return fleet(seed, texts=ATTACKS[name]().needs.texts, **settings)


def run(attack, game, seed=0):
    return attack.run(game, np.random.default_rng(seed))


def test_the_registry_is_covered():
    assert set(SETTINGS) == set(ATTACKS)


@every_attack
def test_is_a_frozen_dataclass_without_base(name, settings):
    attack = ATTACKS[name](**settings)
    assert type(attack).__bases__ == (object,)
    for field in dataclasses.fields(attack):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(attack, field.name, getattr(attack, field.name))
    assert attack == ATTACKS[name](**settings)
    assert hash(attack) == hash(ATTACKS[name](**settings))


@every_attack
def test_is_documented_and_cited(name, settings):
    kind = ATTACKS[name]
    for section in ("Paper:", "Threat model:", "Deviations:", "Cost:", "https://arxiv.org/abs/"):
        assert section in kind.__doc__
    assert re.search(r"\b(19|20)\d\d\b", kind.paper)
    assert "https://" in kind.paper
    for field in dataclasses.fields(kind):
        assert f"{field.name}:" in kind.__doc__


@every_attack
def test_declares_its_needs_and_has_one_public_method(name, settings):
    attack = ATTACKS[name](**settings)
    assert isinstance(attack.needs, Needs)
    assert attack.needs.access in Access.WEIGHTS.includes
    assert isinstance(attack.signals, tuple)
    assert isinstance(type(attack).control, bool)
    methods = [
        key for key, value in vars(type(attack)).items() if inspect.isfunction(value) and not key.startswith("_")
    ]
    assert set(methods) - {"effective", "run_and_rehearse"} == {"run"}


@every_attack
def test_is_seeded_and_picklable(name, settings):
    game, _ = fleet_of(name, 1, leakage=1.0, n_views=2)
    attack = ATTACKS[name](**settings)
    again = pickle.loads(pickle.dumps(attack))
    assert again == attack
    assert np.array_equal(run(attack, game, 7).values, run(again, game, 7).values)


@every_attack
def test_leaves_the_game_alone(name, settings):
    game, _ = fleet_of(name, 1, leakage=1.0, n_views=2)
    before = pickle.dumps(game)
    run(ATTACKS[name](**settings), game)
    assert pickle.dumps(game) == before


@every_attack
def test_is_blind_to_the_truth(name, settings):
    """It takes a game and a generator, its module holds no Truth, and the game holds no row of the targets' bits."""
    kind = ATTACKS[name]
    assert list(inspect.signature(kind.run).parameters) == ["self", "game", "rng"]
    assert not [key for key, value in vars(inspect.getmodule(kind)).items() if value is evidence.Truth]
    game, truth = fleet_of(name, 2, leakage=1.0)
    for bits in truth.is_member:
        assert not (game.shadow_in == bits).all(axis=1).any()
        assert not (game.shadow_in == ~bits).all(axis=1).any()


@every_attack
def test_a_shadow_plays_the_target_like_any_target(name, settings):
    """Scores of a rehearsed target come from its outputs alone: other bits, same outputs, same scores."""
    game, _ = fleet_of(name, 2, leakage=1.0)
    attack = ATTACKS[name](**settings)
    rehearsal, is_member = game.rehearse(0)
    swapped = game.shadow_in.copy()
    swapped[:2] = swapped[1::-1]
    other, flipped = dataclasses.replace(game, shadow_in=swapped).rehearse(0)
    assert (flipped == ~is_member).all()
    assert np.array_equal(run(attack, rehearsal).values, run(attack, other).values)


@every_attack
def test_judges_every_target_by_itself(name, settings):
    game, _ = fleet_of(name, 3, leakage=1.0, n_views=2)
    attack = ATTACKS[name](**settings)
    both = run(attack, game).values
    for target in range(2):
        pick = slice(target, target + 1)
        alone = dataclasses.replace(
            game,
            outputs={key: values[pick] for key, values in game.outputs.items()},
            known=dataclasses.replace(
                game.known,
                is_member=game.known.is_member[pick],
                outputs={key: values[pick] for key, values in game.known.outputs.items()},
            ),
            weights=dataclasses.replace(game.weights, rows=game.weights.rows[pick]),
            population=dataclasses.replace(
                game.population, outputs={key: values[pick] for key, values in game.population.outputs.items()}
            ),
        )
        np.testing.assert_allclose(run(attack, alone).values, both[pick], rtol=1e-5, atol=1e-6)


@every_attack
@pytest.mark.parametrize("views", [1, 3])
def test_gives_one_finite_score_per_target_and_record(name, settings, views):
    game, _ = fleet_of(name, 4, leakage=1.0, n_views=views)
    scores = run(ATTACKS[name](**settings), game)
    assert np.array_equal(scores.ids, game.ids)
    assert scores.values.shape == (2, 400)
    assert scores.values.dtype == np.float64
    assert np.isfinite(scores.values).all()


@every_attack
def test_stays_finite_far_out(name, settings):
    """Confidences that saturate in float32, shadows that agree to the last digit, targets a thousand nats away."""
    game, _ = fleet_of(name, 4, leakage=1.0)
    phi, shadows = game.outputs["logit_confidence"].copy(), game.shadow_outputs["logit_confidence"].copy()
    phi[:, :, :4] = [-1000.0, 1000.0, 60.0, -60.0]
    shadows[:, :, 2:6] = 3.0
    give = texts_of if game.texts is not None else signals_of
    extreme = dataclasses.replace(game, outputs=give(phi), shadow_outputs=give(shadows))
    values = run(ATTACKS[name](**settings), extreme).values
    assert np.isfinite(values).all()
    # A label does not say how sure the model is.
    # Where few records are known, two records are judged by different ones.
    if settings.get("outputs") != "label" and not attack_needs(name, settings).labelled:
        assert (values[:, 1] >= values[:, 0]).all()


@with_shadows(8, 16, 64, alone=16)
def test_is_at_chance_without_leakage(name, settings, n_shadows):
    """4.5 standard errors of the AUC under the null: one false alarm in 100,000 per comparison."""
    game, truth = fleet_of(name, 5, leakage=0.0, n_shadows=n_shadows, n_records=1000)
    values = run(ATTACKS[name](**settings), game).values
    error = np.sqrt(1001 / (12 * 500 * 500))
    for row, is_member in zip(values, truth.is_member, strict=True):
        assert abs(auc(row, is_member) - 0.5) < 4.5 * error
        if name in ("constant", "count"):
            assert len(np.unique(row)) == 1


@every_attack
def test_finds_leakage_unless_it_is_a_control(name, settings):
    if settings.get("mode") == "as_released":
        pytest.skip("without the true label these are near chance: test_few_shot.py")
    game, truth = fleet_of(name, 6, leakage=2.0, n_shadows=16, n_records=1000)
    attack = ATTACKS[name](**settings)
    for row, is_member in zip(run(attack, game).values, truth.is_member, strict=True):
        found = auc(row, is_member)
        least = 0.52 if settings.get("shots") == 1 else 0.6
        assert (found == 0.5) if attack.control else (found > least)


@with_shadows(0, 2, 4, alone=4)
def test_few_shadows_work_or_are_refused(name, settings, n_shadows):
    game, _ = fleet_of(name, 7, leakage=1.0, n_shadows=n_shadows)
    attack = ATTACKS[name](**settings)
    if n_shadows // 2 < shadows_needed(name, settings):
        with pytest.raises(ValueError, match="needs at least"):
            run(attack, game)
        return
    values = run(attack, game).values
    assert np.isfinite(values).all()
    if not shadows_needed(name, settings) and not attack.control:
        assert np.array_equal(run(attack, without_shadows(game)).values, values)


def without_shadows(game):
    """The same game of an adversary who has trained no shadows."""
    own = {key: values[:0] for key, values in game.shadow_outputs.items()}
    population = {key: values[:0] for key, values in game.population.shadow_outputs.items()}
    known = {key: values[:0] for key, values in game.known.shadow_outputs.items()}
    return dataclasses.replace(
        game,
        shadow_outputs=own,
        shadow_in=game.shadow_in[:0],
        population=dataclasses.replace(game.population, shadow_outputs=population),
        known=dataclasses.replace(game.known, shadow_outputs=known, shadow_in=game.known.shadow_in[:0]),
        weights=dataclasses.replace(game.weights, shadow_rows=game.weights.shadow_rows[:0]),
    )


@every_attack
def test_an_unfit_game_is_refused(name, settings):
    game, _ = fleet_of(name, 8, leakage=1.0)
    attack = ATTACKS[name](**settings)
    if attack.needs.population:
        with pytest.raises(ValueError, match="population records, got 0"):
            run(attack, dataclasses.replace(game, population=None))
    if attack.needs.labelled:
        with pytest.raises(ValueError, match="known non-members of each target, got 0"):
            run(attack, dataclasses.replace(game, known=None))
    lacks = {
        "inputs": "needs the records themselves", "retrain": "needs to train further", "weights": "needs the models",
        "texts": "needs the tokens of texts",
    }  # fmt: skip
    for part, message in lacks.items():
        if getattr(attack.needs, part):
            with pytest.raises(ValueError, match=message):
                run(attack, dataclasses.replace(game, **{part: None}))
    for signal in attack.signals:
        lacking = {key: values for key, values in game.outputs.items() if key != signal}
        with pytest.raises(ValueError, match=f"needs the signal '{signal}' in outputs"):
            run(attack, dataclasses.replace(game, outputs=lacking))
        broken = {key: values.copy() for key, values in game.outputs.items()}
        broken[signal].reshape(*broken[signal].shape[:3], -1)[0, 0, 3, 0] = np.nan
        with pytest.raises(ValueError, match=r"must be finite, got 1 NaN or infinite values, the first at \(0, 0, 3"):
            run(attack, dataclasses.replace(game, outputs=broken))
