"""Attacks on messages: known answers, chance where nothing leaks, and nothing of the victim in a game."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from oracles import auc

from dosimeter.data import Dataset
from dosimeter.families.exchange.attacks.batch_property import BatchProperty
from dosimeter.families.exchange.attacks.drawing import Drawn
from dosimeter.families.exchange.attacks.features import WIDEST, of_entries, of_inputs, of_moments, of_set
from dosimeter.families.exchange.attacks.label_only import LabelOnly
from dosimeter.families.exchange.attacks.learning import log_odds
from dosimeter.families.exchange.attacks.simulating import Stand, observed_of
from dosimeter.families.exchange.case.batches import coins_of, mixed, shuffled
from dosimeter.foundation.errors import AccessError, StoreError
from dosimeter.training.joint.alignment import coral
from dosimeter.training.joint.transcript import COORDINATOR
from families.exchange.games import CHANNELS, case_of, records, table

QUICK = (("coral", "gradient"), ("mmd", "representations"), ("dann", "moments"), ("fedavg", "update"))
"""Each channel once, of methods that other tests do not attack."""


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Cases whose joint trainings are done, by method and changes of the threat, made when first asked for."""
    found = {}

    def get(method="fedsgd", **threat):
        key = (method, *sorted(threat.items()))
        if key not in found:
            found[key] = case_of(table(method, **threat), tmp_path_factory.mktemp("case"))
        return found[key]

    return get


def play_of(case, channel, mixture=0):
    """The play of an attack on a channel; of None the yardstick."""
    reads = "labels" if channel is None else "messages"
    row = next(one for one in case.attacks if (one.attack.needs.channel, one.attack.needs.reads) == (channel, reads))
    return case.plays(row)[mixture][0]


def seen_in(game, channel):
    """What was seen in a channel, by step."""
    rng = np.random.default_rng(0)
    return observed_of(game, channel, Stand(game, [game.model.head(0)], rng))


def found_auc(case, attack, game, coins=None):
    """AUC of an attack on a game."""
    guesses = attack.run(game, np.random.default_rng(0)).values[0]
    return auc(guesses[:, 1] - guesses[:, 0], case.coins(0)[0] if coins is None else coins)


@pytest.mark.parametrize(
    ("method", "channel"),
    [
        pytest.param(one, channel, marks=() if (one, channel) in QUICK else pytest.mark.slow)
        for one, own in CHANNELS.items()
        for channel in own
    ],
)
def test_a_property_that_moves_inputs_is_told_in_every_channel(method, channel, cases):
    case = cases(method)
    game = play_of(case, channel).game()
    found = found_auc(case, BatchProperty(channel, simulated=1), game)
    assert found > (0.85 if channel in ("gradient", "update") else 0.93), found


def test_the_receiver_is_read_from_what_it_sends_back():
    """The gradient of an alignment depends on the receiver's batch alone; the oracle is the covariance that it had."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(6, 32, 4, generator=generator)
    own = torch.randn(32, 4, generator=generator)
    back = torch.stack([coral(own, one).source for one in rows])
    centred = own - own.mean(0)
    covariances = torch.stack([torch.cov(one.T) for one in rows])
    solved = torch.linalg.lstsq(centred.expand(6, 32, 4), back).solution * 16 * 31
    torch.testing.assert_close(torch.cov(own.T) - solved, covariances, rtol=1e-3, atol=1e-4)


def test_where_nothing_depends_on_the_coin_attacks_are_at_chance(cases):
    for method, channel in (("fedsgd", "gradient"), ("coral", "representations")):
        case = cases(method, property="luck")
        found = found_auc(case, BatchProperty(channel, simulated=1), play_of(case, channel).game())
        assert abs(found - 0.5) < 0.2, (method, found)  # 80 batches: 3 standard errors
        case = cases(method)
        null = play_of(case, channel, mixture=1).game()  # a training in which no coin chose
        found = found_auc(case, BatchProperty(channel, simulated=1), null, case.coins(None)[0])
        assert abs(found - 0.5) < 0.2, (method, found)


def test_labels_alone_tell_a_property_that_goes_with_the_task_and_no_other(cases):
    case = cases(property="task")
    assert found_auc(case, LabelOnly(), play_of(case, None).game()) > 0.95
    case = cases()
    assert abs(found_auc(case, LabelOnly(), play_of(case, None).game()) - 0.5) < 0.2


def test_the_coordinator_sees_each_gradient_and_a_party_the_others_sum(cases):
    for method in ("fedsgd", "coral"):
        seen, kept = (cases(method, adversary=who) for who in ("receiver", "coordinator"))
        worked_out, sent = (seen_in(play_of(one, "gradient").game(), "gradient") for one in (seen, kept))
        assert sorted(worked_out) == sorted(sent) == list(range(80))
        for step, one in sent.items():
            torch.testing.assert_close(worked_out[step], dict(one), rtol=0, atol=2e-5)
    game = play_of(kept, "gradient").game()
    assert game.own is None
    assert game.adversary == COORDINATOR
    assert found_auc(kept, BatchProperty("gradient", simulated=1), game) > 0.85


@pytest.mark.parametrize(("method", "channel"), [(one, channel) for one, own in CHANNELS.items() for channel in own])
def test_what_is_simulated_is_what_the_victim_would_send(method, channel, cases):
    """With the victim's own batch in place of a simulated one, and the head that it began with."""
    play = play_of(cases(method), channel)
    stand, batch = in_the_victims_place(play)
    sent = seen_in(play.game(), channel)[0]
    made = stand.said(0, channel, batch)
    assert made.keys() == sent.keys()
    for name, one in sent.items():  # differences of a trunk are rounded: 1e-7 over the rate
        torch.testing.assert_close(made[name][0], one, rtol=1e-4, atol=1e-5)


def in_the_victims_place(play, defenses=None):
    """A stand with the victim's first head, and the victim's batch of the first step."""
    game, job = play.game(), play.job
    if defenses is not None:
        game = dataclasses.replace(game, recipe=dataclasses.replace(game.recipe, defenses=defenses))
    data = job.store.load(job.members[0].data)
    rows = torch.from_numpy(job.members[0].batches[: job.local_steps].reshape(1, -1))
    stand = Stand(game, [game.model.head(job.head_seed(0))], np.random.default_rng(0))
    return stand, Drawn(data["inputs"][rows], data["labels"][rows], np.zeros(1, int))


def test_gradients_as_inputs_are_weighted_means_of_inputs():
    """With errors of one sign the weighted mean of inputs is a mean with positive weights; bias and head drop out."""
    generator = torch.Generator().manual_seed(1)
    errors, inputs = torch.rand(3, 8, 5, generator=generator), torch.randn(3, 8, 4, generator=generator)
    weight, bias = torch.einsum("kbo,kbi->koi", errors, inputs), errors.sum(1)
    found = of_inputs({"0.weight": weight, "0.bias": bias})
    share = errors.sum(2) / errors.sum((1, 2), keepdim=False)[:, None]
    torch.testing.assert_close(found, torch.einsum("kb,kbi->ki", share, inputs))
    torch.testing.assert_close(of_inputs({"0.weight": 7 * weight, "0.bias": 7 * bias}), found)
    torch.testing.assert_close(of_inputs({"0.weight": -weight, "0.bias": -bias}), found)
    kernel = torch.randn(2, 6, 3, 3, 3, generator=generator)
    assert of_inputs({"c.weight": kernel, "c.bias": torch.ones(2, 6)}).shape == (2, 27)
    assert torch.equal(of_inputs({"0.weight": weight}), of_entries({"0.weight": weight}))  # no layer has a bias


def test_entries_are_reduced_as_in_the_papers_code():
    wide = torch.randn(2, 60, 100)
    assert wide[0].numel() > WIDEST
    kernel, narrow = torch.randn(2, 4, 3, 5, 5), torch.randn(2, 3, 4)
    found = of_entries({"a": kernel, "b": narrow, "c": wide, "bias": torch.randn(2, 60)})
    assert found.shape == (2, 12 + 12 + 60)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2))
    parts = torch.cat([kernel.abs().amax((3, 4)).flatten(1), narrow.abs().flatten(1), wide.abs().amax(2)], 1)
    torch.testing.assert_close(found, parts / parts.norm(dim=1, keepdim=True))


def test_sets_and_moments_do_not_depend_on_the_order_of_records():
    rows = torch.randn(2, 9, 3)
    moved = rows[:, torch.randperm(9)]
    for read, width in ((of_set, 15), (of_moments, 3 + 6)):
        assert read(rows).shape == (2, width)
        torch.testing.assert_close(read(rows), read(moved))
    torch.testing.assert_close(of_moments(rows)[:, 3], rows[..., 0].var(1))


def tensors_of(value, seen=()):
    """All tensors and arrays in a game, its model left out."""
    if isinstance(value, torch.Tensor | np.ndarray):
        yield torch.as_tensor(value) if not isinstance(value, np.ndarray) or value.dtype.kind in "fiub" else None
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            if field.name != "model":
                yield from tensors_of(getattr(value, field.name))
    elif isinstance(value, dict):
        for one in value.values():
            yield from tensors_of(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from tensors_of(one)


def test_a_game_holds_what_one_party_saw_and_its_own_data_and_nothing_else(cases):
    case = cases("coral")
    play = play_of(case, "gradient")
    game, whole = play.game(), play.job.transcript()
    own = whole.seen_by("receiver")
    assert [(one.kind, one.sender, one.step) for one in game.seen.messages] == [
        (one.kind, one.sender, one.step) for one in own.messages
    ]
    assert len(game.seen.messages) < len(whole.messages)
    assert game.classes is None
    victim = case.partners.parties["source"]
    known = {one.tobytes() for one in victim.inputs}
    for tensor in tensors_of(game):
        if tensor is not None and tensor.ndim >= 2 and tensor.shape[-1] == victim.inputs.shape[1]:
            rows = tensor.reshape(-1, tensor.shape[-1]).numpy().astype(np.float32)
            assert not known & {row.tobytes() for row in rows}
    coins = torch.from_numpy(case.coins(0)[0])
    bits = [one for one in tensors_of(game) if one is not None and one.shape == coins.shape]
    assert not any(torch.equal(one.bool(), coins) for one in bits)
    assert {field.name for field in dataclasses.fields(game)} == {
        "ids", "seen", "adversary", "victim", "mixture", "batch", "auxiliary", "own", "model", "recipe", "classes",
    }  # fmt: skip
    yardstick = play_of(case, None).game()
    assert yardstick.seen.messages == ()
    assert yardstick.classes.shape == (80, 2)
    assert (yardstick.classes.sum(1) == 16).all()


def test_a_game_is_made_without_the_victims_records(tmp_path):
    """Where the entry of the victim's data is gone, the game is what it was; the yardstick's cannot be made."""
    case = case_of(table(steps=20), tmp_path)
    play, yardstick = play_of(case, "gradient"), play_of(case, None)
    before = list(tensors_of(play.game()))
    entry = play.store.root / play.job.members[0].data
    entry.rename(tmp_path / "away")
    after = list(tensors_of(play.game()))
    assert len(before) == len(after) > 20
    assert all(a is None or torch.equal(a, b) for a, b in zip(before, after, strict=True))
    with pytest.raises(StoreError, match="cannot be read"):
        yardstick.game()


def test_an_attack_on_nothing_and_a_yardstick_without_classes_are_refused(cases):
    game = play_of(cases(), "gradient").game()
    with pytest.raises(AccessError, match="channel 'moments': nothing of the victim was seen in it"):
        BatchProperty("moments").run(game, np.random.default_rng(0))
    with pytest.raises(AccessError, match="needs the classes of each batch"):
        LabelOnly().run(game, np.random.default_rng(0))


@pytest.mark.parametrize("wrong", [{"simulated": 0}, {"heads": 0}, {"classifiers": ()}, {"classifiers": ("tree",)}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        BatchProperty(**wrong)


def test_batches_keep_to_the_mixture_and_are_of_distinct_records():
    rng = np.random.default_rng(0)
    has = rng.random(200) < 0.5
    coins = coins_of(50, rng)
    batches = mixed(coins, has, (0.75, 0.25), 16, rng)
    assert (has[batches].sum(1) == np.where(coins, 12, 4)).all()
    assert all(len(set(one)) == 16 for one in batches)
    plain = shuffled(30, 50, 16, rng)
    assert plain.shape == (30, 16)
    assert all(len(set(epoch.ravel())) == 48 for epoch in plain.reshape(10, 3, 16))
    assert isinstance(records(0), Dataset)


def test_of_three_parties_the_sum_of_the_others_is_simulated(tmp_path):
    raw = table(victim="north", adversary="south")
    raw["data"]["third"] = {**raw["data"]["source"], "rows": "600:700"}
    raw["data"]["later"]["rows"] = "700:900"
    raw["stage"][0]["parties"] = {"north": "source", "south": "receiver", "east": "third"}
    case = case_of(raw, tmp_path)
    assert case.partners.receiver == "east"  # nobody is called so: the last one
    play = play_of(case, "gradient")
    game, sent = play.game(), play.job.transcript()
    seen = seen_in(game, "gradient")
    for step in (0, 40):
        parts = [sent.of("gradient", name)[step] for name in ("north", "east")]
        for name, one in seen[step].items():
            torch.testing.assert_close(one, parts[0][name] + parts[1][name], rtol=0, atol=5e-5)
    assert found_auc(case, BatchProperty("gradient", simulated=1), game) > 0.7


def test_classifiers_compete_on_batches_that_are_held_back():
    """A sum of many weak numbers is the linear one's, a threshold on the size of one number the forest's."""
    rng = np.random.default_rng(0)
    for kind in ("linear", "forest"):
        features = rng.normal(size=(800, 30))
        inside = features.sum(1) > 0 if kind == "linear" else np.abs(features[:, 0]) > 0.67
        sides = inside.astype(np.int64)
        both = log_odds(features[:500], sides[:500], features[500:], ("forest", "logistic"), rng)
        assert auc(both, inside[500:]) > 0.9, kind
        assert np.isfinite(both).all()
