"""Attacks behind defenses of messages: what is simulated goes through them, and what they cannot hide is still told."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from oracles import auc

from dosimeter.config.audit import parse
from dosimeter.families.exchange.attacks.batch_property import BatchProperty
from dosimeter.families.exchange.attacks.features import of_moments, of_told_moments
from dosimeter.families.exchange.attacks.simulating import observed_of
from dosimeter.families.exchange.attacks.standing import Stand
from dosimeter.foundation.errors import AuditError
from dosimeter.jobs.store import Store
from dosimeter.pipeline.recipe.prepare import prepare
from families.exchange.games import BASE, case_of, table
from families.exchange.test_attacks import found_auc, in_the_victims_place, play_of, seen_in


def defended(*defenses, method="fedsgd", channels=None, **threat):
    """An audit of a training behind defenses, without momentum."""
    raw = table(method, **threat)
    raw["stage"][0] |= {"defenses": list(defenses), "momentum": 0.0}
    if channels is not None:
        told = [{"name": "batch_property", "channel": one, "simulated": 1} for one in channels]
        raw["attack"] = [*told, *raw["attack"][-2:]]
    return raw


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Cases behind defenses, by their rows, made when first asked for."""
    found = {}

    def get(*defenses, **more):
        key = repr((defenses, sorted(more.items())))
        if key not in found:
            found[key] = case_of(defended(*defenses, **more), tmp_path_factory.mktemp("case"))
        return found[key]

    return get


SIGNS = {"name": "compress", "how": "sign"}
TOP = {"name": "compress", "keep": 0.1}


@pytest.mark.parametrize("row", [TOP, SIGNS], ids=["top", "signs"])
def test_what_is_simulated_is_compressed_as_what_the_victim_sends(row, cases):
    play = play_of(cases(row, adversary="coordinator"), "gradient")
    sent = seen_in(play.game(), "gradient")[0]
    stand, batch = in_the_victims_place(play)
    made = stand.said(0, "gradient", batch)
    bare, batch = in_the_victims_place(play, defenses=())
    plain = bare.said(0, "gradient", batch)
    for name, one in sent.items():
        torch.testing.assert_close(made[name][0], one, rtol=1e-4, atol=1e-6)
    kept = [torch.cat([one.flatten() for one in own.values()]) for own in (plain, sent)]
    if row is TOP:
        assert int((kept[1] != 0).sum()) < 0.11 * len(kept[1]) < int((kept[0] != 0).sum())
    else:
        assert len(kept[1].abs().unique()) <= 2 < len(kept[0].abs().unique())


def test_simulated_noise_is_fresh_and_as_large_as_the_victims(cases):
    """Deviation of SGLD is s / √η; one batch that is simulated many times differs by noise alone."""
    play = play_of(cases({"name": "sgld", "scale": 0.1}, adversary="coordinator"), "gradient")
    stand, batch = in_the_victims_place(play)
    many = torch.stack([stand.said(0, "gradient", batch)["0.weight"][0] for _ in range(60)])
    wanted = 0.1 / 0.05**0.5
    assert float(many.std(0).mean()) == pytest.approx(wanted, rel=0.03)  # 60 draws of 192 numbers: 0.7 %
    bare, batch = in_the_victims_place(play, defenses=())
    sent = seen_in(play.game(), "gradient")[0]["0.weight"]
    noise = sent - bare.said(0, "gradient", batch)["0.weight"][0]
    assert float(noise.std()) == pytest.approx(wanted, rel=0.25)  # 192 numbers: 5 %
    assert not any(torch.allclose(one, sent, atol=0.05) for one in many)  # the victim's own draws are not known


@pytest.mark.parametrize("method", ["fedsgd", "fedavg"])
def test_a_party_knows_what_its_own_organisation_gave(method, cases):
    channel = {"fedsgd": "gradient", "fedavg": "update"}[method]
    row = {"fedsgd": {"name": "sgld", "scale": 0.01}, "fedavg": TOP}[method]
    game = play_of(cases(row, method=method, steps=20), channel).game()
    known = Stand(game, [game.model.head(0)], np.random.default_rng(0)).own_parts()
    sent = game.seen.of(channel, "receiver")
    assert sorted(known) == sorted(sent) == list(range(20))
    for step, one in sent.items():
        for name, array in one.items():
            assert torch.equal(known[step][name], array)


def test_a_part_of_each_gradient_tells_most_of_it(cases):
    plain = found_auc(cases(), BatchProperty("gradient"), play_of(cases(), "gradient").game())
    case = cases(TOP)
    found = found_auc(case, BatchProperty("gradient"), play_of(case, "gradient").game())
    assert 0.72 < found < plain + 0.1, (found, plain)  # 80 batches: a standard error of each is 0.03


@pytest.mark.parametrize(
    ("row", "more"),
    [
        ({"name": "sgld", "scale": 1.0}, {}),
        pytest.param({"name": "dp_sgd", "noise_multiplier": 60.0, "accountant": "rdp"}, {}, marks=pytest.mark.slow),
        ({"name": "noise", "scale": 1e3, "clip": 1.0}, {"method": "mmd", "channels": ("representations",)}),
        pytest.param(
            {"name": "noise", "scale": 1e3, "clip": 1.0},
            {"method": "mmd", "channels": ("moments",)},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"name": "dp_moments", "scale": 1e4}, {"method": "mmd", "channels": ("moments",)}, marks=pytest.mark.slow
        ),
    ],
    ids=["sgld", "dp_sgd", "noise", "noise of moments", "dp_moments"],
)
def test_behind_strong_noise_attacks_are_at_chance(row, more, cases):
    case = cases(row, **more)
    assert case.refusals() == {}
    for channel in more.get("channels", ("gradient",)):
        found = found_auc(case, BatchProperty(channel, simulated=1), play_of(case, channel).game())
        assert abs(found - 0.5) < 0.2, (channel, found)  # 80 batches: 3 standard errors


def test_moments_that_are_told_are_read_as_those_of_rows(cases):
    rows = torch.randn(3, 16, 5, generator=torch.Generator().manual_seed(0))
    told = {"mean": rows.mean(1), "second": rows.transpose(1, 2) @ rows / 16, "count": torch.full((3, 1), 16.0)}
    torch.testing.assert_close(of_told_moments(told), of_moments(rows), rtol=1e-4, atol=1e-5)
    case = cases({"name": "dp_moments", "scale": 0.01, "clip": 10.0}, method="coral", channels=("moments",))
    found = found_auc(case, BatchProperty("moments", simulated=1), play_of(case, "moments").game())
    assert found > 0.85, found


def test_who_gets_the_alignment_back_reads_it_behind_a_defense_of_moments(cases):
    raw = defended({"name": "dp_moments", "scale": 0.01}, method="coral", channels=("alignment_gradient",),
                   victim="receiver", adversary="source")  # fmt: skip
    raw["data"]["receiver"]["rows"], raw["data"]["own"]["rows"] = "300:450", "450:600"
    (case,) = prepare(parse(raw, base=BASE), store=Store("unused")).cases.values()
    assert case.refusals() == {}


def test_the_coordinator_of_a_secure_sum_reads_the_sum(cases, tmp_path):
    """Three parties: the observed sum is that of three parts; a party's is the sum of the others."""
    found = {}
    for who in ("coordinator", "third"):
        raw = defended({"name": "secure_sum"}, adversary=who, steps=20)
        raw["data"]["more"] = {**raw["data"]["own"], "rows": "500:600"}
        raw["data"]["own"]["rows"] = "332:500"
        raw["stage"][0]["parties"] = {"source": "source", "receiver": "receiver", "third": "more"}
        case = case_of(raw, tmp_path / who)
        game = play_of(case, "gradient").game()
        stand = Stand(game, [game.model.head(0)], np.random.default_rng(0))
        found[who] = observed_of(game, "gradient", stand), stand, game
        assert np.isfinite(BatchProperty(simulated=1).run(game, np.random.default_rng(0)).values).all()
    (total, _, seen), (others, stand, _) = found["coordinator"], found["third"]
    assert {one.kind for one in seen.seen.messages} == {"trunk", "sum"}
    own = stand.own_parts()
    for step, one in others.items():
        for name, array in one.items():
            torch.testing.assert_close(array + own[step][name], total[step][name], rtol=1e-3, atol=1e-4)


def test_a_model_alone_needs_no_defense(cases):
    found = []
    for case in (cases(steps=20), cases(SIGNS, steps=20)):
        (job,) = case.answers
        job.perform()
        found.append(job)
    assert np.array_equal(found[0].load("alone"), found[1].load("alone"))
    assert not np.array_equal(found[0].load("joint"), found[1].load("joint"))


def test_a_defense_changes_messages_and_training(cases):
    """No defense of what is recorded alone: the trunk of the next step is another."""
    first, second = (case.runs[0][0].transcript() for case in (cases(steps=20), cases(SIGNS, steps=20)))
    assert torch.equal(first.of("trunk")[0]["0.weight"], second.of("trunk")[0]["0.weight"])
    assert not torch.allclose(first.of("trunk")[1]["0.weight"], second.of("trunk")[1]["0.weight"], atol=1e-5)
    assert np.array_equal(cases(steps=20).coins(0), cases(SIGNS, steps=20).coins(0))  # so variants are paired


def undone():
    """Early stopping where the threat fixes the steps."""
    return defended({"name": "early_stopping", "share": 0.5})


def by_rows():
    """Rows of representations where moments alone are told."""
    return defended({"name": "dp_moments"}, method="coral", channels=("representations",))


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (undone(), "threat.steps: would undo early stopping, which ends after a share of the epochs, got 80: remove"),
        (by_rows(), "needs rows of representations, of which a defense tells moments alone: use channel"),
        (table("soft", adversary="coordinator"), "threat.adversary: transfer 'soft' has no coordinator, got 'coordi"),
        (table("dann", adversary="coordinator"), "needs the discriminator of 'dann', which 'receiver' alone has, but"),
    ],
    ids=["steps", "rows", "soft", "dann"],
)  # fmt: skip
def test_what_cannot_be_attacked_is_refused_at_plan(raw, line, tmp_path):
    with pytest.raises(AuditError) as caught:
        prepare(parse(raw, base=BASE), store=Store(tmp_path))
    assert any(line in one for one in caught.value.problems), caught.value.problems


def test_who_does_not_know_the_defense_can_do_no_better(cases):
    """A naive attack learns from bare gradients; the one that is judged never loses to it by more than luck."""
    case = cases(SIGNS)
    game = play_of(case, "gradient").game()
    naive = dataclasses.replace(game, recipe=dataclasses.replace(game.recipe, defenses=()))
    attack, coins = BatchProperty("gradient"), case.coins(0)[0]
    told = [attack.run(one, np.random.default_rng(0)).values[0] for one in (game, naive)]
    aware, bare = (auc(one[:, 1] - one[:, 0], coins) for one in told)
    assert aware > bare - 0.1, (aware, bare)
