"""Cases: what is refused before training, what a plan says, and what the jobs are."""

from __future__ import annotations

import numpy as np
import pytest

from dosimeter.config.audit import parse
from dosimeter.data.entries import save_data
from dosimeter.families.exchange.case.people import cramers_v
from dosimeter.foundation.errors import AuditError
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.training.joint.job import JointJob
from families.exchange.games import BASE, case_of, table


def problems(raw, folder):
    """Lines about an audit; nothing is trained."""
    with pytest.raises(AuditError) as caught:
        prepare(parse(raw, base=BASE), store=Store(folder))
    assert not list(folder.rglob("*.safetensors"))
    return caught.value.problems


def changed(**changes):
    """An audit with other keys of the threat; None removes one."""
    raw = table()
    raw["threat"] = {key: one for key, one in {**raw["threat"], **changes}.items() if one is not None}
    return raw


WRONG = [
    (changed(victim=None), "threat.victim: is required and missing: name the party whose batches"),
    (changed(adversary=None), "threat.adversary: is required and missing: name the party that watches"),
    (changed(property=None), "threat.property: is required and missing"),
    (changed(auxiliary=None), "threat.auxiliary: is required and missing"),
    (changed(adversary="source"), "threat.adversary: must be another than the victim, got 'source' twice"),
    (changed(victim="sorce"), "threat.victim: must be a party of the stage, got 'sorce', did you mean 'source'?"),
    (changed(adversary="cordinator"), "threat.adversary: must be a party of the stage or the coordinator, got 'cordi"),
    (changed(auxiliary="others"), "threat.auxiliary: no such part of data, got 'others'"),
    (changed(auxiliary="source"), "threat.auxiliary: must share nothing with 'source', got in both 300 records"),
    (changed(property="sex"), "threat.property: the records of 'source' have no such attribute, got 'sex'"),
    (changed(property="same"), "threat.property: 'same' must differ among the records, got 'yes' for all"),
    (changed(property="class"), "threat.property: must be no function of the task's classes, got 'class', which every"),
    (changed(property="many"), "threat.value: is required where the property has more than two values, got 5 of"),
    (changed(value="maybe"), "threat.value: must be a value of 'size', got 'maybe'"),
    (changed(mixtures=[[0.3, 0.7]]), "threat.mixtures[0]: must be two shares in [0, 1], the larger one first, got [0"),
    (changed(mixtures=[[1.5, 0.0]]), "threat.mixtures[0]: must be two shares in [0, 1]"),
    (changed(mixtures=[[0.51, 0.5]]), "threat.mixtures: both sides must differ in a batch of 16, got [0.51, 0.5]"),
    (changed(mixtures=[[1.0, 0.0]] * 2), "threat.mixtures: must be distinct, got one twice"),
    (changed(mixtures=[]), "threat.mixtures: must be a list of at least 1, got []"),
    (changed(steps=5), "threat.steps: must be at least 20, got 5"),
    (changed(at_risk="first"), "threat.at_risk: no such stage, got 'first'"),
    (changed(auxiliary="narrow"), "threat.auxiliary: its records must have the form of the victim's, float32 (12,)"),
    (changed(auxiliary="few"), "threat.property: the records of 'few' must hold 16 with size 'yes' to fill a batch of"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "line"), WRONG, ids=[line[:60] for _, line in WRONG])
def test_a_wrong_threat_is_one_line(raw, line, tmp_path):
    raw["data"]["narrow"] = {"data": "families.exchange.games:narrow", "rows": "332:600"}
    raw["data"]["few"] = {"data": "families.exchange.games:records", "rows": "332:352"}
    found = problems(raw, tmp_path)
    assert [one for one in found if one.startswith(line)], found
    assert all(one.isprintable() for one in found)


def stage(**changes):
    """An audit with other keys of the stage."""
    raw = table(changes.pop("transfer", "fedsgd"))
    raw["stage"][0].update(changes)
    return raw


def narrow():
    """Parties whose records have another width."""
    raw = table()
    raw["data"]["receiver"]["data"] = "families.exchange.games:narrow"
    return raw


def followed():
    """A plain stage after the joint one."""
    raw = table()
    del raw["stage"][0]["test"]
    raw["stage"].append({"name": "after", "data": "own", "transfer": "head"})
    return raw


def after_the_first():
    """The plain stage at risk, before the joint one."""
    raw = table()
    raw["stage"].insert(0, {"name": "first", "data": "own", "model": raw["stage"][0].pop("model")})
    raw["threat"]["at_risk"] = "first"
    return raw


def another_family():
    """Membership through a joint stage."""
    raw = table()
    del raw["attack"]
    raw["threat"] = {"shadows": 4, "targets": 2}
    return raw


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (narrow(), "stage[0].parties.receiver: its records must have the form of those of 'source', float32 (12,)"),
        (stage(optimizer="adam"), "stage 'joint': optimizer: a joint stage takes 'sgd' only"),
        (stage(defenses=[{"name": "label_smoothing"}]), "stage[0].defenses: label_smoothing does not act where"),
        (stage(batch_size=64), "stage 'joint': parties.receiver must have a batch of records or more, got 32 with"),
        (stage(test="receiver"), "stage 'joint': test records must be none that a party trains on, as the gain would"),
        (stage(model="linear"), "stage 'joint': model Classifier: a trunk that parties share must have para"),
        (stage(model="training.joint.parties:normalised"), "stage 'joint'"),
        (followed(), "stage 'joint': no stage can follow a joint one in this release, got 'after' after it"),
        (after_the_first(), "threat.at_risk: must be the last stage, which the parties train together, got 'first'"),
        (another_family(), "threat.family: a chain with a joint stage, 'joint', is audited by 'exchange' only in this"),
    ],
    ids=["width", "adam", "defense", "batch", "tested", "no trunk", "batch norm", "followed", "before", "family"],
)  # fmt: skip
def test_a_stage_that_cannot_be_trained_or_audited_is_refused_at_plan(raw, line, tmp_path):
    found = problems(raw, tmp_path)
    assert [one for one in found if one.startswith(line)], found


def test_a_plain_stage_or_a_supplied_model_has_no_messages(tmp_path):
    raw = table()
    own = {key: one for key, one in raw["stage"][0].items() if key not in ("parties", "transfer")}
    raw["stage"] = [{**own, "data": "source"}]
    (line,) = problems(raw, tmp_path)
    assert line.startswith("threat.at_risk: exchange is about a stage that parties train together, got 'joint', which")


def test_attacks_need_a_channel_and_get_the_yardstick(tmp_path):
    raw = table()
    raw["attack"] = raw["attack"][:1]
    (row,) = parse(raw, base=BASE).threats
    assert [one.id for one in row.attacks] == ["batch_property gradient", "label_only", "coin"]
    raw["attack"] = [{"name": "label_only"}]
    (line,) = problems(raw, tmp_path)
    assert "needs an attack that reads messages, got label_only" in line
    raw["attack"].append({"name": "batch_property", "channel": "moments"})
    found = problems(raw, tmp_path)
    assert found[0].startswith(
        "threat.family: exchange needs an attack that can run, got batch_property moments: needs"
    )


def test_defaults_are_the_attacks_that_can_run(tmp_path):
    raw = table("coral")
    raw["stage"][0]["defenses"] = [{"name": "dp_moments"}]
    del raw["attack"]
    plan = verbs.plan(parse(raw, base=BASE), store=tmp_path)
    found = {one.id: one.refused for one in plan.attacks}
    assert [name for name, why in found.items() if not why] == [
        "batch_property gradient", "batch_property moments", "label_only", "coin",
    ]  # fmt: skip
    (hidden,) = [name for name, why in found.items() if why]  # what a defense takes away is said
    assert hidden == "batch_property representations"
    assert "moments alone" in found[hidden]


def test_channels_that_nobody_sends_are_refused_by_name(tmp_path):
    raw = table()
    raw["attack"].append({"name": "batch_property", "channel": "representations"})
    plan = verbs.plan(parse(raw, base=BASE), store=tmp_path)
    found = {one.id: one.refused for one in plan.attacks}
    assert found["batch_property gradient"] == found["label_only"] == found["coin"] == ""
    assert "which transfer 'fedsgd' does not send" in found["batch_property representations"]
    (only,) = plan.stages
    assert (only.models, only.cached) == (2, 0)
    assert "80 steps" in only.how
    assert "source (source: 300 records), receiver (receiver: 32 records)" in only.data
    assert plan.seconds > 0
    assert any(note.startswith("joint: 1 trainings of 80 steps in which a coin") for note in plan.notes)
    assert any(note.startswith("steps: 80 batches show only a large leak") for note in plan.notes)
    raw = table("coral", victim="receiver", adversary="source")
    raw["data"]["receiver"]["rows"], raw["data"]["own"]["rows"] = "300:450", "450:600"
    channels = ("gradient", "update", "representations", "moments", "alignment_gradient")
    raw["attack"] = [*({"name": "batch_property", "channel": one} for one in channels), *raw["attack"][-2:]]
    (case,) = prepare(parse(raw, base=BASE), store=Store(tmp_path)).cases.values()
    refused = case.refusals()
    assert set(refused) == {f"batch_property {one}" for one in ("representations", "moments", "update")}
    assert "'source' sends to 'receiver' alone, but 'source' watches 'receiver'" in refused["batch_property moments"]


def test_a_property_that_goes_with_the_task_is_told_in_the_plan(tmp_path):
    plan = verbs.plan(parse(changed(property="task"), base=BASE), store=tmp_path)
    assert any(note.startswith("property: task goes with the classes (Cramér's V 0.") for note in plan.notes)


def test_parties_take_the_same_batches_in_every_mixture_but_the_victim(tmp_path):
    raw = changed(mixtures=[[1.0, 0.0], [0.75, 0.25]], targets=2)
    (case,) = prepare(parse(raw, base=BASE), store=Store(tmp_path)).cases.values()
    (first, second), (other, _) = case.runs
    assert np.array_equal(first.members[1].batches, other.members[1].batches)
    assert not np.array_equal(first.members[0].batches, other.members[0].batches)
    assert not np.array_equal(first.members[1].batches, second.members[1].batches)
    has = case.partners.has
    for mixture, (high, low) in enumerate(case.threat.mixtures):
        for target in range(2):
            share = has[case.runs[mixture][target].members[0].batches].mean(1)
            assert (share == np.where(case.coins(mixture)[target], high, low)).all()
    assert not (case.coins(0) == case.coins(1)).all()
    plain = has[case.plain[0].members[0].batches].mean(1)
    assert 0 < plain.std() < 0.2
    assert len({one.key for one in (*case.runs[0], *case.runs[1], *case.plain)}) == 6


def test_a_joint_stage_starts_from_the_stage_before(tmp_path):
    raw = table(steps=20)
    model = raw["stage"][0].pop("model")
    raw["stage"].insert(0, {"name": "first", "data": "own", "model": model, "epochs": 3})
    case = case_of(raw, tmp_path)
    assert [name for name, _ in case.phases()] == ["stage first", "stage joint", "models", "attacks"]
    (before,) = case.system.before
    trained = case.system.store.load(before.key)
    sent = case.plain[0].transcript().of("trunk")[0]
    known = [one.numpy().ravel() for one in trained.values()]
    assert all(any(np.array_equal(one.numpy().ravel(), own) for own in known) for one in sent.values())
    assert case.system.parent == before.key


def test_a_model_alone_is_what_one_party_trains_by_itself(tmp_path):
    """One party in the protocol is plain SGD; the joint model answers with the head of the party whose labels count."""
    case = case_of(table(steps=20), tmp_path)
    (job,) = case.answers
    assert isinstance(job.job, JointJob)
    assert (job.teacher, case.partners.receiver) == (1, "receiver")
    job.perform()
    right = {name: job.load(name) for name in ("joint", "alone")}
    assert all(one.shape == (300,) and one.dtype == bool for one in right.values())
    assert right["joint"].mean() > 0.55
    assert not np.array_equal(right["joint"], right["alone"])
    aligned = case_of(table("coral", steps=20), tmp_path)
    assert aligned.answers[0].teacher == 0
    for one in case.datasets():
        save_data(one, case.system.store)


def test_correlation_is_cramers_v():
    labels = np.array([0, 0, 1, 1, 2, 2] * 20)
    has = np.array([True, False] * 60)
    assert cramers_v(has, labels) == pytest.approx(0.0, abs=1e-12)
    assert cramers_v(labels == 0, labels) == pytest.approx(1.0)
    rng = np.random.default_rng(0)
    a, b = rng.integers(2, size=(2, 500))
    b = np.where(rng.random(500) < 0.4, a, b)
    assert cramers_v(a.astype(bool), b) == pytest.approx(abs(np.corrcoef(a, b)[0, 1]))
