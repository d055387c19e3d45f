"""What holds for every attack of inversion, and slow twins of those that compute something."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import re

import numpy as np
import pytest
import torch

from dosimeter.families.inversion.attacks import (
    ATTACKS,
    GMI,
    PLGMI,
    PPA,
    SLOW,
    BrepMI,
    MeanPublic,
    MIFace,
    NearestPublic,
    PriorBest,
    default_rows,
)
from dosimeter.families.inversion.attacks.reading import KEPT
from dosimeter.families.inversion.game import Needs
from dosimeter.foundation.errors import AccessError
from dosimeter.models.access import Access
from dosimeter.statistics.identification import exchange_names, recognised
from families.inversion.games import PICTURE, SHAPE, game_of, helped

SETTINGS = {
    "miface": [{"steps": 40}, {"steps": 40, "start": "zero"}],
    "gmi": [
        {"mode": "logit", "restarts": 2, "steps": 80},
        {"mode": "ce", "restarts": 2, "steps": 80},
        {"copies": 3, "restarts": 1, "steps": 60},
        {"mode": "ce", "copies": 3, "restarts": 2, "steps": 60, "copied": "views"},
        {"students": 2, "student_steps": 40, "restarts": 2, "steps": 60},
        {"mode": "ce", "checkpoint": "usual", "restarts": 2, "steps": 80},
    ],
    "plg_mi": [{"top": 10, "latent": 16, "generator_steps": 15, "critic_steps": 1, "restarts": 2, "steps": 50}],
    "ppa": [
        {"samples": 200, "restarts": 2, "steps": 40, "views": 5},
        {"samples": 200, "restarts": 1, "steps": 40, "views": 5, "aim": "margin", "copies": 3},
    ],
    "brep_mi": [{"samples": 400, "steps": 60, "directions": 16}],
    "prior_best": [{"samples": 400}],
    "nearest_public": [{}],
    "mean_public": [{}],
}
CASES = [
    pytest.param(name, one, id=f"{name}-{'-'.join(map(str, one.values()))}")
    for name, all_ in SETTINGS.items()
    for one in all_
]
every_attack = pytest.mark.parametrize(("name", "settings"), CASES)


def run(attack, game, seed=0):
    return attack.run(game, np.random.default_rng(seed)).values


def game_for(attack, seed, **settings):
    """A game with all that an attack needs, and the truth about it."""
    game, people = game_of(seed, **settings)
    return helped(game, attack.needs), people


def test_the_registry_is_covered_and_all_of_it_runs_by_default_but_what_trains_a_generator_for_each_model():
    assert set(SETTINGS) == set(ATTACKS)
    assert {row["name"] for row in default_rows()} == set(ATTACKS) - SLOW
    assert {name for name, all_ in SETTINGS.items() if ATTACKS[name](**all_[0]).needs.guided} == SLOW


@every_attack
def test_is_a_frozen_documented_dataclass_with_one_public_method(name, settings):
    attack, kind = ATTACKS[name](**settings), ATTACKS[name]
    assert kind.__bases__ == (object,)
    for field in dataclasses.fields(kind):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(attack, field.name, getattr(attack, field.name))
        assert f"{field.name}:" in kind.__doc__
    for section in ("Threat model:", "Cost:"):
        assert section in kind.__doc__
    assert not kind.paper.startswith("none") or "yardstick" in kind.__doc__ or kind.control
    if "https://" in kind.paper:
        assert kind.paper.rpartition("/")[2] in kind.__doc__
        assert re.search(r"\b20\d\d\b", kind.paper)
        assert "Deviations:" in kind.__doc__
    assert isinstance(attack.needs, Needs)
    methods = [key for key, value in vars(kind).items() if inspect.isfunction(value) and not key.startswith("_")]
    assert methods == ["run"]
    assert list(inspect.signature(kind.run).parameters) == ["self", "game", "rng"]


@every_attack
def test_is_seeded_and_picklable_and_leaves_the_game_alone(name, settings):
    attack = ATTACKS[name](**settings)
    game, _ = game_for(attack, 1, leaks=True, pictures=attack.needs.guided is not None)
    again, before = (
        pickle.loads(pickle.dumps(attack)),
        copy.deepcopy((game.public, game.prior, game.opened.model.state_dict())),
    )
    assert again == attack
    first = run(attack, game, 7)
    assert np.array_equal(first, run(again, game, 7))
    assert first.dtype == np.float32
    assert torch.equal(game.public, before[0])
    assert torch.equal(game.prior.mean, before[1].mean)
    assert all(
        torch.equal(a, b) for a, b in zip(game.opened.model.state_dict().values(), before[2].values(), strict=True)
    )


@every_attack
def test_gives_finite_records_in_range_the_best_first(name, settings):
    attack = ATTACKS[name](**settings)
    game, _ = game_for(attack, 2, leaks=True, pictures=attack.needs.guided is not None)
    found = run(attack, game)
    assert found.shape[:2] == (1, 10)
    assert found.shape[3:] == (SHAPE if attack.needs.guided is None else PICTURE)
    assert 1 <= found.shape[2] <= KEPT
    assert np.isfinite(found).all()
    assert found.min() >= game.prior.low - 1e-6
    assert found.max() <= game.prior.high + 1e-6
    if name in ("gmi", "plg_mi", "prior_best", "nearest_public"):
        own = torch.from_numpy(found[0]).flatten(0, 1)
        trust = game.asked.log_probs(own).reshape(10, found.shape[2], -1)[np.arange(10), :, np.arange(10)]
        assert (np.diff(trust.numpy(), axis=1) <= 1e-5).all()


@every_attack
def test_is_at_chance_where_the_model_does_not_know_these_people_and_better_where_it_does(name, settings):
    attack = ATTACKS[name](**settings)
    similarity = {True: [], False: []}
    for seed in range(6):
        for leaks, seen in similarity.items():
            game, people = game_for(attack, seed, leaks=leaks, pictures=attack.needs.pictures)
            seen.append(people.similarity(run(attack, game)[0, :, 0]))
    tests = {
        leaks: exchange_names({name: np.stack(seen)}, rng=np.random.default_rng(0))
        for leaks, seen in similarity.items()
    }
    rare = 0.05 / (2 * len(CASES))  # all cases together are allowed one failure in twenty
    assert tests[False].p_recognised > rare
    assert tests[False].p_placed > rare
    rate = recognised(np.stack(similarity[True])).mean()
    if attack.control:
        assert rate == pytest.approx(0.1)  # one for each game
        assert tests[True].p_placed > 0.9
    else:
        assert tests[True].p_recognised <= 0.001
        assert rate >= (0.25 if name in ("prior_best", "nearest_public") else 0.4)


@every_attack
def test_starts_do_not_depend_on_which_identities_are_attacked_together(name, settings):
    """A run may divide identities into several plays."""
    if name in ("brep_mi", "ppa") or "copies" in settings:
        pytest.skip("draws for all identities of a play together")
    attack = ATTACKS[name](**settings)
    pictures = attack.needs.guided is not None
    whole, part = (
        run(attack, game_for(attack, 3, leaks=True, classes=some, pictures=pictures)[0]) for some in (None, [4, 7])
    )
    assert np.allclose(whole[:, [4, 7]], part, atol=1e-4)


@every_attack
def test_without_the_access_it_needs_it_says_so(name, settings):
    attack = ATTACKS[name](**settings)
    if attack.needs.access == Access.LABELS:
        game, _ = game_of(0, leaks=True, access=Access.LABELS)
        assert np.isfinite(run(attack, game)).all()
        return
    game, _ = game_of(0, leaks=True, access=Access.LABELS if attack.needs.access == Access.PROBS else Access.PROBS)
    with pytest.raises(AccessError, match="weights|probs"):
        run(attack, game)


def test_attacks_that_ask_use_nothing_but_the_answers():
    """The same labels, or the same probabilities, from another model: the same reconstructions."""
    for attack, access, tell in (
        (BrepMI(samples=200, steps=20), Access.LABELS, lambda logits: 3.0 * logits + 1.0),
        (PriorBest(samples=200), Access.PROBS, lambda logits: logits + 5.0),
        (NearestPublic(), Access.LOGITS, lambda logits: logits - 2.0),
    ):
        plain, moved = (game_of(4, leaks=True, access=access, tell=one)[0] for one in (lambda logits: logits, tell))
        assert np.array_equal(run(attack, plain), run(attack, moved))


def test_gmi_is_its_slow_twin():
    """One start at a time, the gradient of a linear softmax by hand, Nesterov's recursion as in the paper's code."""
    attack, (game, _) = GMI(mode="ce", restarts=2, steps=25), game_of(5, leaks=True)
    found = run(attack, game)[0]
    w, b = game.opened.head.weight.double().numpy(), game.opened.head.bias.double().numpy()
    mean, axes = game.prior.mean.double().numpy(), game.prior.directions.double().numpy()
    for identity in range(10):
        made = []
        for restart in range(2):
            z = game.starts.of_classes(2)[identity, restart].double().numpy().clip(-3, 3)
            v = np.zeros_like(z)
            for _ in range(25):
                raw = mean + z @ axes
                x = raw.clip(game.prior.low, game.prior.high)
                logits = w @ x + b
                p = np.exp(logits - logits.max())
                p /= p.sum()
                inside = (raw > game.prior.low) & (raw < game.prior.high)
                slope = axes @ ((w.T @ (p - np.eye(10)[identity])) * inside) + 0.01 * z
                before, v = v, 0.9 * v - 0.02 * slope
                z = (z - 0.9 * before + 1.9 * v).clip(-3, 3)
            x = (mean + z @ axes).clip(game.prior.low, game.prior.high)
            logits = w @ x + b
            made.append((logits[identity] - np.logaddexp.reduce(logits), x))
        made.sort(key=lambda one: -one[0])
        twin = np.stack([x for _, x in made])
        assert np.allclose(found[identity].reshape(2, -1), twin, atol=2e-4)


def test_copies_average_the_gradient_and_without_noise_change_nothing():
    plain, same = (run(GMI(restarts=1, steps=20, copies=k, noise=0.0), game_of(5, leaks=True)[0]) for k in (1, 4))
    assert np.allclose(plain, same, atol=1e-4)
    noisy = [run(GMI(restarts=1, steps=20, copies=4, noise=0.2), game_of(5, leaks=True)[0], seed) for seed in (0, 0, 1)]
    assert np.array_equal(noisy[0], noisy[1])
    assert not np.allclose(noisy[0], noisy[2], atol=1e-4)


def test_the_logit_loss_is_that_of_the_paper():
    from dosimeter.families.inversion.attacks.reading import aim_of

    game, _ = game_of(6, leaks=True)
    x, wanted = game.public[:4], torch.tensor([0, 3, 3, 9])
    features, logits = x.flatten(1), game.opened.model(x)
    usual = game.public.flatten(1).mean(0)
    expected = ((features - usual) ** 2).mean(1) - logits[torch.arange(4), wanted]
    assert torch.allclose(aim_of(game, "logit", wanted)(x), expected, atol=1e-5)


def test_miface_is_its_slow_twin():
    attack, (game, _) = MIFace(steps=15), game_of(7, leaks=True, sharpness=2.0)
    found = run(attack, game)[0, :, 0].reshape(10, -1)
    w, b = game.opened.head.weight.double().numpy(), game.opened.head.bias.double().numpy()
    low, high = game.prior.low, game.prior.high
    length = 0.01 * (high - low) * np.sqrt(w.shape[1])
    for identity in range(10):
        x, best = game.prior.mean.double().numpy().clip(low, high), None
        for number in range(16):
            logits = w @ x + b
            cost = np.logaddexp.reduce(logits) - logits[identity]
            best = (cost, x) if best is None or cost < best[0] else best
            if number == 15:
                break
            p = np.exp(logits - np.logaddexp.reduce(logits))
            slope = w.T @ (p - np.eye(10)[identity])
            x = (x - length * slope / np.linalg.norm(slope)).clip(low, high)
        assert np.allclose(found[identity], best[1], atol=2e-4)


def test_yardsticks_are_the_best_by_hand():
    game, _ = game_of(8, leaks=True)
    sampled = game.prior.decode(game.starts.samples(300))
    for attack, pool in ((PriorBest(samples=300), sampled), (NearestPublic(), game.public)):
        found, log_probs = run(attack, game)[0], game.opened.model(pool).double().log_softmax(1).numpy()
        for identity in range(10):
            best = np.argsort(-log_probs[:, identity], kind="stable")[:KEPT]
            assert np.allclose(found[identity], pool[best].numpy(), atol=1e-6)
    assert np.allclose(run(MeanPublic(), game)[0, 3, 0], game.public.mean(0).numpy(), atol=1e-6)


def test_brep_mi_keeps_to_the_class_and_moves_away_from_its_border():
    attack, (game, _) = BrepMI(samples=500, steps=80), game_of(9, leaks=True, access=Access.LABELS)
    model = game_of(9, leaks=True)[0].opened.model
    start = game.prior.decode(game.starts.samples(500).clamp(-3, 3))
    labels = game.asked.labels(start)
    named = labels.unique()
    found = torch.from_numpy(run(attack, game)[0, :, 0])[named]
    assert torch.equal(model(found).argmax(1), named)
    first = torch.stack([start[labels == one][0] for one in named])
    after, before = (model(one).log_softmax(1)[torch.arange(len(named)), named].mean() for one in (found, first))
    assert float(after) > float(before)


def test_brep_mi_never_leaves_the_class():
    """Wherever it is stopped, what it has is named for the class, of every identity that a sample was named for."""
    game, _ = game_of(10, leaks=True, access=Access.LABELS)
    model = game_of(10, leaks=True)[0].opened.model
    started = game.asked.labels(game.prior.decode(game.starts.samples(300).clamp(-3, 3))).unique()
    assert len(started) >= 5
    made = [run(BrepMI(samples=300, steps=steps, directions=8), game)[0, :, 0] for steps in range(1, 26)]
    assert all(torch.equal(model(torch.from_numpy(one[started])).argmax(1), started) for one in made)
    assert len({one.tobytes() for one in made}) > 5


def test_queries_are_counted():
    game, _ = game_of(0, leaks=True, access=Access.LABELS)
    run(BrepMI(samples=50, steps=3, directions=4), game)
    assert game.asked.count == [50 + 3 * 10 * (4 + 1)]


WRONG = [
    (GMI, {"steps": 0}),
    (GMI, {"momentum": 1.0}),
    (GMI, {"prior_weight": -1.0}),
    (GMI, {"noise": -0.1}),
    (GMI, {"copies": 0}),
    (PPA, {"steps": 0}),
    (PPA, {"crop": 1.5}),
    (PPA, {"noise": -0.1}),
    (PPA, {"samples": 4}),
    (MIFace, {"step": 0.0}),
    (PriorBest, {"samples": 0}),
    (BrepMI, {"growth": 1.0}),
    (BrepMI, {"inside": 0.0}),
    (BrepMI, {"radius": 0.0}),
    (GMI, {"students": -1}),
    (GMI, {"student_steps": 0}),
    (GMI, {"checkpoint_weight": -0.1}),
    (PLGMI, {"top": 0}),
    (PLGMI, {"generator_steps": 0}),
    (PLGMI, {"guidance": -1.0}),
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda one: next(iter(one[1])))
def test_impossible_settings_are_refused(wrong):
    kind, settings = wrong
    with pytest.raises(ValueError, match=next(iter(settings))):
        kind(**settings)
