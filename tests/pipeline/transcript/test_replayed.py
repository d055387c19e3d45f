"""Defenses of a recorded training: tried where the training would have been the same, refused where it would not."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from families.exchange.games import BASE, case_of, table

import dosimeter
from dosimeter.config.audit import parse
from dosimeter.config.defense_rows import defense_rows
from dosimeter.foundation.errors import AuditError, DataError
from dosimeter.pipeline import verbs
from dosimeter.training.defending import with_defenses
from dosimeter.training.deployment.received import receive
from dosimeter.training.deployment.replaying import replayed
from dosimeter.training.joint.transcript import Message, Transcript, write_transcript
from dosimeter.training.joint.truth import write_truth
from pipeline.transcript.test_received import ATTACKS, MODEL, QUICK, own, recorded


def row(name, **settings):
    """One defense."""
    ((found,), problems) = defense_rows(({"name": name, **settings},), BASE, "defense")
    assert not problems
    return found


def three(folder, method="fedsgd"):
    """A joint training of three parties that ran here."""
    raw = table(method, adversary="coordinator", steps=48)
    raw["data"]["more"] = {**raw["data"]["own"], "rows": "500:600"}
    raw["data"]["own"]["rows"] = "332:500"
    raw["stage"][0]["parties"] = {"source": "source", "receiver": "receiver", "third": "more"}
    raw["stage"][0] |= {"schedule": "cosine", "momentum": 0.5}
    return case_of(raw, folder / "store")


def write(case, transcript, place):
    """A folder with messages, and what the victim of a case knows."""
    write_transcript(transcript, place)
    rows = case.runs[0][0].members[0].batches
    labels = case.partners.parties["source"].labels[rows]
    write_truth(place, case.partners.has[rows].sum(1), np.stack([(labels == one).sum(1) for one in range(2)], 1))
    return place


@pytest.fixture(scope="module")
def federated(tmp_path_factory):
    """A training of three parties, and its folder."""
    folder = tmp_path_factory.mktemp("replayed")
    case = three(folder)
    return case, write(case, case.runs[0][0].transcript(), folder / "transcript")


@pytest.fixture(scope="module")
def fixed(tmp_path_factory):
    """The folder of a training in which features of layers that do not move are shown."""
    folder = tmp_path_factory.mktemp("fixed")
    case = case_of(table("coral", steps=48), folder / "store")
    whole, kept = case.runs[0][0].transcript(), []
    trunk = whole.of("trunk")[0]
    inputs, (weight, bias) = (
        torch.from_numpy(case.partners.parties["source"].inputs),
        (trunk["0.weight"], trunk["0.bias"]),
    )
    for step, rows in enumerate(case.runs[0][0].members[0].batches):
        features = torch.relu(inputs[rows] @ weight.T + bias)
        kept.append(Message("trunk", "coordinator", "all", step, trunk))
        kept.append(Message("representations", "source", "receiver", step, {"features": features}))
        kept.append(Message("alignment_gradient", "receiver", "source", step, {"features": features / 100}))
    kept.append(Message("trunk", "coordinator", "all", 48, trunk))
    return write(case, Transcript(whole.agreement, tuple(kept)), folder / "transcript")


def behind(job, one):
    """The same training behind a defense, as it runs here."""
    link = job.links[-1]
    hp = with_defenses(replace(link.hyperparameters, epochs=job.steps), [one], joint=True)
    members = tuple(replace(own, batches=own.batches[: hp.epochs]) for own in job.members)
    return replace(job, links=(*job.links[:-1], replace(link, hyperparameters=hp)), members=members)


def test_a_training_that_ends_early_sends_what_the_record_holds_up_to_then(federated):
    case, place = federated
    one = row("early_stopping", share=0.5)
    job = behind(case.runs[0][0], one)
    sent = job.transcript_in(job.train())
    found = replayed(receive(place), one, 0)
    assert (found.steps, found.planned, len(found.truth.having)) == (24, 24, 24)
    assert found.agreement.rates[:24] == sent.agreement.rates
    known, wanted = found.transcript.tensors(), sent.tensors()
    assert known.keys() == wanted.keys()
    assert all(torch.equal(known[name], array) for name, array in wanted.items())


@pytest.mark.parametrize("method", ["fedsgd", pytest.param("fedavg", marks=pytest.mark.slow)])
def test_sums_of_what_was_recorded_are_those_of_a_training_behind_a_secure_sum(tmp_path, method):
    case = three(tmp_path, method)
    job, one = case.runs[0][0], row("secure_sum")
    whole = job.transcript()
    write_transcript(whole, tmp_path / "transcript")
    write_truth(tmp_path / "transcript", np.zeros(job.steps, int), np.full((job.steps, 1), 16))
    found = replayed(receive(tmp_path / "transcript"), one, 0).transcript
    link = job.links[-1]
    hp = replace(link.hyperparameters, defenses=(one.defense,))
    there = replace(job, links=(*job.links[:-1], replace(link, hyperparameters=hp)))
    sent = there.transcript_in(there.train())
    assert found.agreement == sent.agreement
    assert {one.kind for one in found.seen_by("coordinator").messages} == {"trunk", "sum"}
    known, wanted = found.tensors(), sent.tensors()
    assert known.keys() == wanted.keys()
    for name, array in wanted.items():
        torch.testing.assert_close(known[name], array, rtol=1e-3, atol=1e-4)


def test_a_run_tries_defenses_of_the_coordinators_view(federated, tmp_path):
    _, place = federated
    raw = recorded(place, threat={"adversary": "coordinator"})
    raw["data"]["own"]["rows"] = "332:500"
    raw["defense"] = [{"name": "secure_sum"}, {"name": "early_stopping", "share": 0.5}]
    plan = verbs.plan(parse(raw, base=BASE), store=tmp_path / "store")
    assert "variant secure_sum: secure_sum (bits 24)" in [one.how for one in plan.stages]
    verbs.run(parse(raw, base=BASE), tmp_path / "run", workers=1)
    result = json.loads((tmp_path / "run" / "result.json").read_text("utf-8"))
    (threat,) = result["threats"]
    aucs = {one["variant"]: one["value"] for one in threat["estimates"]
            if one["metric"] == "property_auc" and one["attack"] == "batch_property gradient"}  # fmt: skip
    assert aucs.keys() == {"none", "secure_sum", "early_stopping-0.5"}
    assert aucs["secure_sum"] < aucs["none"] - 0.1
    changes = {one["variant"] for one in threat["estimates"] if one["metric"] == "property_auc_change"}
    assert changes == {"secure_sum"}  # other steps are other batches, which cannot be paired
    behind_sum = json.loads((tmp_path / "run" / "variants" / "secure_sum" / "result.json").read_text("utf-8"))
    (alone,) = behind_sum["threats"]
    assert "since the shared layers move by the same sum" in alone["verdict"]["sentences"][-1]
    assert {one["id"]: one["status"] for one in alone["gates"]}["E6"] == "pass"  # judged by what was recorded
    assert behind_sum["chain"][0]["settings"]["defenses"] == [{"id": "secure_sum", "name": "secure_sum", "bits": 24}]


def test_features_of_layers_that_do_not_move_are_tried_behind_noise(fixed, tmp_path):
    attacks = [{"name": "batch_property", "channel": "moments", **QUICK}, *ATTACKS[1:]]
    found = dosimeter.audit(
        MODEL, transcript=fixed, data={"own": own()}, threats=[recorded(fixed)["threat"]], attacks=attacks,
        defenses=[{"name": "noise", "scale": 4.0, "clip": 1.0, "id": "noise"}], out=tmp_path / "run", workers=1,
    )  # fmt: skip
    (threat,) = found.content["threats"]
    aucs = {one["variant"]: one["value"] for one in threat["estimates"]
            if one["metric"] == "property_auc" and one["attack"] == "batch_property moments"}  # fmt: skip
    assert aucs["noise"] < aucs["none"] - 0.1


def test_moments_of_recorded_features_are_what_crosses_in_their_place(fixed):
    whole = receive(fixed)
    found = replayed(whole, row("dp_moments", scale=1e-6, clip=1e3), 0)
    rows, told = (one.transcript.of("representations", "source")[3] for one in (whole, found))
    torch.testing.assert_close(told["mean"], rows["features"].mean(0), rtol=1e-3, atol=1e-3)
    assert found.sent is whole.transcript
    assert found.recipe(16)[0].defenses == (row("dp_moments", scale=1e-6, clip=1e3).defense,)


@pytest.mark.parametrize(
    ("defense", "line"),
    [
        ({"name": "compress"}, "defense[0]: compress changes what moves the shared layers, so that every later"),
        ({"name": "sgld"}, "defense[0]: sgld adds noise to every step, so that the shared layers"),
        ({"name": "dp_sgd", "noise_multiplier": 1.0}, "defense[0]: dp_sgd clips the gradient of each record"),
        ({"name": "mixup"}, "defense[0]: mixup trains on mixtures of records, which no message holds"),
        ({"name": "l2"}, "defense[0]: l2 changes the training from its first step"),
        ({"name": "dropout"}, "defense[0]: dropout does not act where parties train together"),
        ({"name": "noise", "clip": 1.0, "id": "n"}, "defense 'n': noise changes representations, got transfer"),
        ({"name": "secure_sum", "bits": 4, "id": "n"}, "defense 'n': secure_sum rounds, and must change a sum by 0.1%"),
        ({"name": "early_stopping", "share": 0.1, "id": "n"}, "defense 'n': early_stopping must end the training"),
    ],
    ids=lambda one: one.get("name") if isinstance(one, dict) else "",
)  # fmt: skip
def test_what_would_have_been_another_training_is_one_line(federated, tmp_path, defense, line):
    _, place = federated
    raw = recorded(place, threat={"adversary": "coordinator"}) | {"defense": [defense]}
    with pytest.raises(AuditError) as caught:
        verbs.plan(parse(raw, base=BASE), store=tmp_path / "store")
    assert [one[: len(line)] for one in caught.value.problems] == [line]
    assert all(": remove" in one or "[[stage]]" in one or "choose" in one for one in caught.value.problems)


def test_a_defense_of_what_the_adversary_does_not_see_is_one_line(federated, fixed, tmp_path):
    _, place = federated
    back = {"victim": "receiver", "adversary": "source"}
    wrong = {
        "secure_sum hides the parts of a sum from the coordinator and changes nothing of what a party sees":
            (place, {}, "gradient", {"name": "secure_sum"}),
        "noise changes the features that 'source' shows to 'receiver', but 'source' watches 'receiver'":
            (fixed, back, "alignment_gradient", {"name": "noise", "clip": 1.0}),
    }  # fmt: skip
    for line, (folder, threat, channel, defense) in wrong.items():
        raw = recorded(folder, threat=threat) | {"defense": [defense]}
        raw["attack"] = [{"name": "batch_property", "channel": channel, **QUICK}]
        with pytest.raises(AuditError, match=line):
            verbs.plan(parse(raw, base=BASE), store=tmp_path / "store")


def test_features_that_move_the_shared_layers_are_refused(tmp_path):
    case = case_of(table("coral", steps=24), tmp_path / "store")
    place = write(case, case.runs[0][0].transcript(), tmp_path / "transcript")
    with pytest.raises(DataError, match="dp_moments changes features, by which the shared layers move in this record"):
        replayed(receive(place), row("dp_moments"), 0)


def test_a_part_that_was_not_recorded_cannot_be_summed(federated, tmp_path):
    case, place = federated
    whole = receive(place)
    some = tuple(
        one for one in whole.transcript.messages if (one.kind, one.sender, one.step) != ("gradient", "third", 7)
    )
    fewer = replace(whole, transcript=Transcript(whole.agreement, some))
    with pytest.raises(DataError, match="sums the gradient of each party, got none of 'third' in step 7"):
        replayed(fewer, row("secure_sum"), 0)
