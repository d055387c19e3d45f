"""A threat about a distribution: what is refused at plan, whose records are drawn, a whole run, and chance."""

from __future__ import annotations

import dataclasses
import json

import jsonschema
import numpy as np
import pytest
import torch
from oracles import auc

from dosimeter.config.audit import parse
from dosimeter.data.entries import save_data
from dosimeter.families.exchange.attacks import ATTACKS, DistributionInference, SetProperty, WorldCoin
from dosimeter.families.exchange.attacks.distribution.distribution_inference import TESTS
from dosimeter.families.exchange.attacks.simulating import read
from dosimeter.families.exchange.distribution.game import DistributionGame
from dosimeter.families.exchange.distribution.measure import measure_distribution
from dosimeter.families.exchange.distribution.worlds import Pool, fewest, scaled, told_apart
from dosimeter.families.exchange.family import EXCHANGE
from dosimeter.families.exchange.inferring.distributions import Own
from dosimeter.families.exchange.measures.measured import Measured
from dosimeter.families.exchange.measures.shown import Decisions
from dosimeter.families.exchange.section.distribution import distribution_section
from dosimeter.families.exchange.stored import Left, evidence_file, read_left, truth_file
from dosimeter.families.family import CaseFolder
from dosimeter.foundation.errors import AccessError, AuditError
from dosimeter.jobs.arrays import save_arrays
from dosimeter.jobs.job import ensure
from dosimeter.jobs.runners import SerialRunner
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.training.joint.gradients import others_gradient, others_update
from families.exchange.distribution.audits import distribution_table
from families.exchange.games import BASE


def changed(**threat):
    """An audit with other keys of the threat."""
    return distribution_table(**threat)


def with_attacks(*names):
    """An audit with attacks of its own."""
    return {**distribution_table(), "attack": [{"name": one} for one in names]}


def few(name, rows):
    """An audit in which one part of the data is small."""
    raw = distribution_table()
    raw["data"][name]["rows"] = rows
    return raw


WRONG = [
    (changed(property=None), "threat.property: is required and missing"),
    (changed(property="sex"), "threat.property: the records of 'source' have no such attribute, got 'sex'"),
    (changed(property="class"), "threat.property: must be no function of the task's classes, got 'class'"),
    (changed(targets=15), "threat.targets: must be an even number of 16 or more for question = 'distribution', since"),
    (changed(targets=8), "threat.targets: must be an even number of 16 or more for question = 'distribution', since"),
    (changed(shadows=9), "threat.shadows: must be an even number, half of each world, got 9: choose one, or remove"),
    (changed(mixtures=[[1.0, 0.0], [0.7, 0.3]]), "threat.mixtures: must be one pair of shares, those of the two"),
    (changed(adversary="coordinator"), "threat.adversary: must be a party, which has a last layer to ask the shared"),
    (changed(active=True), "threat.active: is read for question = 'property' alone, got True: remove it, or ask"),
    (changed(targets=100), "threat.targets: each of the 50 pairs of trainings needs 16 records of its own, a batch,"),
    (few("own", "1640:1700"), "threat.auxiliary: must hold records for trainings of the adversary's own, a batch of"),
    (with_attacks("world_coin"), "threat.family: exchange needs an attack that reads messages, got world_coin: add"),
    (with_attacks("distribution_inference", "coin"), "threat.question: is 'distribution', which attack 'coin' does"),
    ({**distribution_table(), "attack": [{"name": "distribution_inference", "test": "x"}]}, "attack[0].test: must be"),
    ({**changed(question="tasks", shadows=8)}, "threat.shadows: is read for question = 'distribution' alone, got 8"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "line"), WRONG, ids=[line[:50] for _, line in WRONG])
def test_a_wrong_threat_is_one_line(raw, line, tmp_path):
    raw["threat"] = {key: one for key, one in raw["threat"].items() if one is not None}
    with pytest.raises(AuditError) as caught:
        prepare(parse(raw, base=BASE), store=Store(tmp_path))
    assert [one for one in caught.value.problems if one.startswith(line)], caught.value.problems


def case_of(raw, folder):
    """The case of an audit, with nothing trained."""
    (case,) = prepare(parse(raw, base=BASE), store=Store(folder)).cases.values()
    return case


def test_trainings_of_a_pair_differ_in_the_property_alone_and_share_no_record_with_another(tmp_path):
    case = case_of(changed(mixtures=[[0.75, 0.25]]), tmp_path)
    victim = case.joint.partners.parties["source"]
    used = []
    for index, (coin, one) in enumerate(zip(case.coins, case.worlds, strict=True)):
        rows = np.unique(one.job.members[0].batches)
        used.append(set(rows.tolist()))
        assert np.mean(victim.attributes["kind"][rows] == "yes") == pytest.approx(0.75 if coin else 0.25, abs=0.02)
        counts = np.bincount(victim.labels[rows])
        np.testing.assert_array_equal(counts, case.drawn.counts)
        assert all(not used[index] & used[other] for other in range(index // 2 * 2))
    assert case.coins.reshape(-1, 2).sum(1).tolist() == [1] * 8
    shares = [np.mean(victim.attributes["kind"][one.job.members[0].batches] == "yes") for one in case.nulls]
    assert np.abs(np.array(shares) - 0.5).max() < 0.2


def test_what_the_adversary_plays_holds_no_record_of_the_victim_and_no_probe(tmp_path):
    case = case_of(changed(), tmp_path)
    own, receiver = (case.shadows[0].job.members[one].data for one in (0, 1))
    truth = case.worlds[0].job.members
    assert own == case.joint.arena.auxiliary != truth[0].data
    assert receiver == truth[1].data
    rows = np.unique([one.job.members[0].batches for one in case.shadows])
    assert not set(rows.tolist()) & set(case.drawn.probes.tolist())
    assert len(case.drawn.probes) == len(set(case.drawn.probes.tolist()))
    has = case.joint.partners.known[case.drawn.probes]
    assert has[case.drawn.probe_world == 1].all()
    assert not has[case.drawn.probe_world == 0].any()
    assert any(note.startswith("distribution: 16 trainings of 30 steps on ") for note in case.notes())


def test_a_threat_that_says_nothing_has_many_trainings_and_epochs_of_their_own_records(tmp_path):
    raw = changed()
    for key in ("targets", "steps"):
        del raw["threat"][key]
    case = case_of(raw, tmp_path)
    assert case.threat.targets == 40
    assert case.steps == max(20, 4 * (case.drawn.size // 16))


def test_draws_keep_classes_and_shares():
    rng = np.random.default_rng(0)
    has, labels = rng.random(400) < 0.3, rng.integers(3, size=400)
    pool = Pool(has, labels, np.arange(100, 400))
    most = pool.most((0.8, 0.2), 3)
    for kind, count in enumerate(most.tolist()):
        wanted = [(round(0.8 * one), one - round(0.2 * one)) for one in (count, count + 1)]
        cells = len(pool.cell(kind, True)), len(pool.cell(kind, False))
        assert [all(np.less_equal(one, cells)) for one in wanted] == [True, False]
    rows = pool.draw(most, 0.8, rng)
    assert len(rows) == len(set(rows.tolist())) == most.sum()
    assert rows.min() >= 100
    for kind, count in enumerate(most.tolist()):
        assert has[rows[labels[rows] == kind]].sum() == round(0.8 * count)
    parts = pool.split(3, rng)
    assert sorted(np.concatenate([one.rows for one in parts]).tolist()) == pool.rows.tolist()
    assert fewest(parts, (0.8, 0.2), 3).sum() <= most.sum() // 2
    assert scaled(np.array([10, 30]), 20).tolist() == [5, 15]
    assert not told_apart(np.array([1, 1]), (0.4, 0.3))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run in which each world teaches the model another half of the numbers; 45 small trainings, so some seconds."""
    folder = tmp_path_factory.mktemp("distribution")
    verbs.run(parse(distribution_table(), base=BASE), folder / "run", workers=1, store=folder / "store")
    return folder / "run"


def test_worlds_that_teach_another_thing_are_told(run):
    (threat,) = json.loads((run / "result.json").read_text(encoding="utf-8"))["threats"]
    assert threat["verdict"]["status"] == "shown"
    told = threat["verdict"]["sentences"][0].replace("\N{NO-BREAK SPACE}", " ")
    assert told.startswith("The party “receiver” can tell whether 100 % or 0 % of all records that the party “source”")
    rows = {(row["attack"], row["metric"]): row for row in threat["estimates"]}
    assert rows["distribution_inference kl", "distribution_auc"]["value"] > 0.9
    assert rows["set_property gradient", "distribution_auc"]["value"] > 0.9
    assert rows["distribution_inference kl", "distribution_auc"]["n"] == {"trainings": 16}
    assert rows["distribution_inference kl", "distribution_auc"]["method"].endswith("clustered pairs of trainings")
    assert {one["status"] for one in threat["null_audit"]} == {"pass"}
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "What the joint training tells of all records of source" in page
    assert "16 trainings in pairs" in page


def game(gap, seed=0):
    """Predictions of 20 trainings and 12 of the adversary's own; those of world 1 are surer of half of the probes."""
    rng = np.random.default_rng(seed)

    def made(world):
        odds = rng.normal(0, 0.3, (len(world), 40)) + gap * world[:, None] * (np.arange(40) < 20)
        return np.stack([1 / (1 + np.exp(odds)), 1 / (1 + np.exp(-odds))], -1)

    truth, own = rng.permutation(np.arange(20) % 2), np.arange(12) % 2
    known = Own(made(own), own, np.ones(40, np.int64), np.repeat([1, 0], 20))
    return DistributionGame(np.arange(20), made(truth), known), truth


@pytest.mark.parametrize("test", TESTS)
def test_attacks_are_seeded_registered_and_right(test):
    attack = DistributionInference(test)
    assert type(attack) in ATTACKS.values()
    asked, truth = game(1.0)
    first, again = (attack.run(asked, np.random.default_rng(1)).values for _ in range(2))
    assert first.shape == (1, 20, 2)
    np.testing.assert_allclose(first, again, rtol=1e-5)
    assert auc(first[0, :, 1] - first[0, :, 0], truth.astype(bool)) == 1.0


def test_messages_of_all_steps_tell_what_single_ones_do_not():
    """The mean of messages differs by world in one number of eight, by two of its standard deviations."""
    asked, truth = game(0.0)
    rng = np.random.default_rng(2)
    told = [rng.normal(size=(len(one), 8)) + 4 * np.outer(one, np.arange(8) == 3) for one in (truth, asked.own.world)]
    attack = SetProperty("gradient", inverse_penalty=1.0)
    assert type(attack) in ATTACKS.values()
    said = attack.run(dataclasses.replace(asked, messages=(told[0], told[1])), rng).values[0]
    assert auc(said[:, 1] - said[:, 0], truth.astype(bool)) > 0.95
    noise = tuple(rng.normal(size=one.shape) for one in told)
    said = attack.run(dataclasses.replace(asked, messages=noise), rng).values[0]
    assert abs(auc(said[:, 1] - said[:, 0], truth.astype(bool)) - 0.5) < 0.4  # three standard errors of 20 trainings
    with pytest.raises(AccessError, match="nothing of the victim was seen"):
        attack.run(asked, rng)


@pytest.mark.parametrize("method", ["fedsgd", "coral", "fedavg"])
def test_what_is_kept_of_a_training_is_the_mean_of_what_the_victim_sent(method, tmp_path):
    case = case_of(distribution_table(method, steps=20), tmp_path)
    for one in case.datasets():
        save_data(one, case.system.store)
    kept = case.worlds[0]
    ensure([kept, kept.job], SerialRunner(), lambda count, total: None)
    whole = kept.job.transcript()
    wanted = {"fedsgd": {"gradient"}, "fedavg": {"update"}, "coral": {"gradient", "representations", "moments"}}
    assert set(kept.channels) == wanted[method]
    for channel in kept.channels:
        if channel in ("gradient", "update"):  # as the receiver works it out, from how the trunk moved
            worked_out = others_update if channel == "update" else others_gradient
            sent = dict(worked_out(whole.seen_by("receiver"), "receiver", None)).values()
        else:
            sent = whole.of("representations", "source").values()
        rows = [read(channel, {name: one[None] for name, one in step.items()}, "both") for step in sent]
        assert len(rows) == 20
        np.testing.assert_allclose(kept.load_messages(channel), torch.cat(rows).double().mean(0), rtol=1e-5, atol=1e-6)


def test_a_coin_says_what_its_generator_says():
    assert WorldCoin in ATTACKS.values()
    asked, _ = game(1.0)
    first, again, other = (WorldCoin().run(asked, np.random.default_rng(seed)).values for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def left(folder, seed, *, told=0.0, pairs=12, common=0.0):
    """What a run left, whose scores are the worlds times a strength, noise, and noise that a pair has in common."""
    rng = np.random.default_rng(seed)
    coins, null_coins = (np.stack([one, ~one], 1).ravel() for one in rng.integers(2, size=(2, pairs)).astype(bool))
    save_arrays(truth_file(folder), {"coins": coins[None, None], "null_coins": null_coins[None]})
    rows = []
    for index, (name, channel) in enumerate((("distribution_inference", "trunk"), ("world_coin", None))):
        own, null = rng.normal(size=(2, 2 * pairs)) + common * rng.normal(size=(2, pairs)).repeat(2, 1)
        own = own + told * (index == 0) * (2.0 * coins - 1)
        arrays = {"guesses": np.stack([-own, own], -1)[None, None], "null_guesses": np.stack([-null, null], -1)[None]}
        save_arrays(evidence_file(folder, index), arrays)
        rows.append(
            {
                "id": name, "name": name, "mode": None, "paper": "none", "control": channel is None, "settings": {},
                "status": "ok", "reason": "", "channel": channel, "reads": "messages",
            }
        )  # fmt: skip
    threat = {
        "question": "distribution", "at_risk": "joint", "access": "weights", "targets": 2 * pairs, "shadows": 12,
        "method": "fedsgd", "parties": ["source", "receiver"], "victim": "source", "adversary": "receiver",
        "receiver": "receiver", "property": "sex", "value": "f", "auxiliary": "own", "steps": 40, "batch_size": 16,
        "mixtures": [[0.7, 0.3]],
    }  # fmt: skip
    data = {
        "name": "source", "records": 300, "parties": {"source": 300, "receiver": 30}, "auxiliary": 100, "test": None,
        "having": 150, "auxiliary_having": 50, "correlation": 0.1, "drawn": 25, "own": 25, "probes": 20,
    }  # fmt: skip
    return CaseFolder(folder, {"seed": seed, "noun": "photo", "threat": threat, "data": data, "attacks": rows})


def test_findings_fit_the_schema_and_make_a_page(tmp_path):
    for seed, told in enumerate([2.0, 0.0]):
        found = measure_distribution(left(tmp_path / str(seed), seed, told=told))
        assert found.verdict["status"] == ("shown" if told else "not_shown")
        made = {
            "noun": "photo", "verdict": dict(found.verdict), "adversary": dict(found.adversary),
            "data": dict(found.data), "details": dict(found.details), "attacks": found.attacks,
            "estimates": found.estimates, "utility": found.utility, "dose": found.dose.to_json(),
        }  # fmt: skip
        plain = {key: made[key] for key in ("adversary", "data", "verdict", "details")}
        jsonschema.Draft202012Validator(EXCHANGE.details_schema).validate(json.loads(json.dumps(plain)))
        assert distribution_section(made).leads[0] == "distribution_auc"


def test_where_worlds_tell_nothing_it_is_rarely_shown(tmp_path):
    """Of 40 runs 2 are shown in the mean; more than 6 are so in 1 of 250 such simulations."""
    shown = [
        Decisions(Measured(read_left(left(tmp_path / str(seed), seed, common=seed % 3)))).headline.shown
        for seed in range(40)
    ]
    assert sum(shown) <= 6, sum(shown)


def decided(raw, folder, seed):
    """The tests of an audit without its null audit: what each attack says of the trainings."""
    case = case_of(raw, folder)
    for one in case.datasets():
        save_data(one, case.system.store)
    evidence = {}
    for row in case.running:
        play = case.plays(row)[0]
        for jobs in ([*play.victims, *play.own], [play]):
            ensure(jobs, SerialRunner(), lambda count, total: None)
        evidence[row.id] = {"guesses": play.load()[None, None]}
    truth = {"coins": case.coins[None, None], "null_coins": case.null_coins[None]}
    rows = [{"id": one.id, "channel": one.attack.needs.channel, "reads": "messages"} for one in case.running]
    threat = {"question": "distribution", "mixtures": [[1.0, 0.0]]}
    return Decisions(Measured(Left({"seed": seed, "threat": threat, "attacks": rows}, truth, evidence)))


@pytest.mark.slow
def test_half_and_none_are_told_apart(tmp_path):
    """Shares of 50 % and 0 %, 24 trainings; 72 trainings of 100 steps."""
    raw = changed(mixtures=[[0.5, 0.0]], steps=100, targets=24, shadows=24)
    verbs.run(parse(raw, base=BASE), tmp_path / "run", workers=1, store=tmp_path / "store")
    (threat,) = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))["threats"]
    assert threat["verdict"]["status"] == "shown", threat["verdict"]


@pytest.mark.slow
def test_of_audits_of_a_property_that_moves_nothing_few_show_anything(tmp_path):
    """Who has the property is luck. Of 40 audits 2 show it in the mean at 5 %; more than 6 do in 1 of 250 such runs."""
    shown = 0
    for seed in range(40):
        raw = {**distribution_table(property="luck", steps=20, shadows=8), "seed": seed}
        shown += any(one.shown for one in decided(raw, tmp_path / str(seed), seed).all)
    assert shown <= 6, shown
