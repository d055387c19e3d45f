"""Records of joint trainings that are odd, have holes, or say what cannot be: no wrong answer is given in silence."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from families.exchange.games import BASE, case_of, table
from safetensors.torch import load_file, save_file

from dosimeter.config.audit import parse
from dosimeter.data.entries import save_data
from dosimeter.families.exchange.case.counted import counted_p
from dosimeter.foundation.errors import AuditError
from dosimeter.jobs.store import Store
from dosimeter.pipeline.transcript.prepared import prepare_recorded, read_recorded
from dosimeter.training.deployment.received import receive
from dosimeter.training.joint.transcript import write_step, write_transcript
from dosimeter.training.joint.truth import write_truth
from pipeline.transcript.test_received import QUICK, recorded

STEPS = 40


def folder_of(case, place):
    """What the parties of a training would have recorded, with the victim's truth."""
    job = case.runs[0][0]
    write_transcript(job.transcript(), place)
    rows = job.members[0].batches
    labels = case.partners.parties["source"].labels[rows]
    write_truth(place, case.partners.has[rows].sum(1), np.stack([(labels == one).sum(1) for one in range(2)], 1))
    return place


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Folders of a training by gradients, and one by representations."""
    folder = tmp_path_factory.mktemp("hostile")
    found = {}
    for method in ("fedsgd", "coral"):
        found[method] = folder_of(case_of(table(method, steps=STEPS), folder / "store"), folder / method)
    return found


def changed(folder, place, change):
    """A copy of a folder whose messages are changed: `change` gives what is left of one, or None."""
    shutil.copytree(folder, place)
    for path in sorted(place.glob("0*.safetensors")):
        path.unlink()
    found = receive(folder).transcript
    kept = [one for message in found.messages if (one := change(message)) is not None]
    for step in sorted({one.step for one in kept}):
        write_step([one for one in kept if one.step == step], place)
    return place


def prepared(folder, channel="gradient", adversary="receiver"):
    """The case of an audit of a folder."""
    raw = recorded(folder, threat={"adversary": adversary})
    raw["attack"] = [{"name": "batch_property", "channel": one, **QUICK} for one in np.atleast_1d(channel).tolist()]
    raw["attack"] += [{"name": "label_only", **QUICK}, {"name": "coin"}]
    found = prepare_recorded(read_recorded(parse(raw, base=BASE)), store=Store(folder / ".store"), device="cpu")
    (case,) = found.cases.values()
    return case


def without(kind, sender, steps):
    """Leaves out messages of some steps."""
    return lambda one: None if (one.kind, one.sender) == (kind, sender) and one.step in steps else one


def test_steps_of_which_the_adversary_sees_nothing_are_not_judged(whole, tmp_path):
    """Even odds for them would hide a leak."""
    odd = range(1, STEPS, 2)
    place = changed(whole["fedsgd"], tmp_path / "coordinator", without("gradient", "source", odd))
    case = prepared(place, adversary="coordinator")
    assert case.judged[::2].all()
    assert not case.judged[1::2].any()
    assert any(
        "20 steps of which the adversary sees nothing of the victim are not judged" in one for one in case.notes()
    )
    place = changed(whole["fedsgd"], tmp_path / "party", without("gradient", "receiver", odd))
    assert prepared(place).judged.sum() == STEPS // 2
    assert counted_p(receive(place), "source", 0) == 0.001  # of what the victim sent, which is all there


def test_an_attack_that_sees_less_than_another_is_refused_and_one_that_sees_nothing_is_told_at_once(whole, tmp_path):
    place = changed(whole["coral"], tmp_path / "some", without("gradient", "receiver", range(5)))
    case = prepared(place, ["gradient", "moments"])
    assert case.judged.all()
    assert list(case.refusals()) == ["batch_property gradient"]
    assert "of which none were recorded in 5 of 40 judged steps" in case.refusals()["batch_property gradient"]
    place = changed(whole["fedsgd"], tmp_path / "none", without("gradient", "receiver", range(STEPS)))
    with pytest.raises(AuditError, match="of which none were recorded in any step"):
        prepared(place)


def test_counts_are_compared_with_what_is_there_where_the_victims_gradients_are_not(whole, tmp_path):
    seen = changed(whole["fedsgd"], tmp_path / "seen", without("gradient", "source", range(STEPS)))
    shown = changed(whole["coral"], tmp_path / "shown", lambda one: None if one.kind == "gradient" else one)
    for place in (seen, shown):
        found = receive(place)
        assert counted_p(found, "source", 0, "receiver") <= 0.05
        late = replace(
            found.truth, having=np.roll(found.truth.having, 7), classes=np.roll(found.truth.classes, 7, axis=0)
        )
        assert counted_p(replace(found, truth=late), "source", 0, "receiver") > 0.05


def test_a_message_of_another_step_is_one_line(whole, tmp_path):
    first = receive(whole["coral"]).transcript.of("representations", "source")[0]
    place = changed(
        whole["coral"], tmp_path / "same",
        lambda one: replace(one, arrays=first) if one.kind == "representations" else one,
    )  # fmt: skip
    with pytest.raises(AuditError, match="each representations of 'source' must be of its own batch, got the same in"):
        prepared(place, "moments")


def test_numbers_of_other_widths_are_read_as_float32(whole, tmp_path):
    place = changed(
        whole["coral"], tmp_path / "half",
        lambda one: replace(one, arrays={name: array.half() for name, array in one.arrays.items()}),
    )  # fmt: skip
    case = prepared(place, "moments")
    case.training.perform()
    for one in case.datasets():
        save_data(one, case.system.store)
    play = case.play(case.attacks[0])
    play.perform()
    assert np.isfinite(play.load()).all()
    assert {array.dtype for one in case.training.transcript().messages for array in one.arrays.values()} == {
        torch.float32
    }


def test_parts_beside_a_secure_sum_are_one_line(whole, tmp_path):
    place = tmp_path / "summed"
    shutil.copytree(whole["fedsgd"], place)
    told = json.loads((place / "agreement.json").read_text("utf-8"))
    (place / "agreement.json").write_text(json.dumps({**told, "sum_bits": 24}), "utf-8")
    with pytest.raises(AuditError, match="parties of a secure sum must send no part of their own, got a gradient of"):
        prepared(place, adversary="coordinator")


def test_a_second_file_of_a_step_and_a_huge_number_change_nothing(whole, tmp_path):
    place = tmp_path / "twice"
    shutil.copytree(whole["fedsgd"], place)
    save_file(load_file(place / "000003.safetensors"), place / "0000002.safetensors")
    known = receive(whole["fedsgd"]).transcript
    assert all(torch.equal(one, known.tensors()[name]) for name, one in receive(place).transcript.tensors().items())
    told = json.loads((place / "agreement.json").read_text("utf-8"))
    (place / "agreement.json").write_text(json.dumps({**told, "weight": 10**400}), "utf-8")
    with pytest.raises(AuditError, match="weight must be at least 0"):
        receive(place)
    with pytest.raises(AuditError, match="be counts of at most 10,000,000, got 1,000,000,000,000"):
        write_truth(tmp_path / "many", np.array([1]), np.array([[10**12]]))


def test_a_plan_says_what_no_message_tells(whole):
    assert any(
        one.startswith("auxiliary: must hold no record of 'source'") for one in prepared(whole["fedsgd"]).notes()
    )


def test_shared_layers_that_the_adversary_does_not_get_are_one_line(whole, tmp_path):
    def to_the_victim(one):
        return replace(one, receiver="source") if one.kind == "trunk" and one.step == 7 else one

    place = changed(whole["fedsgd"], tmp_path / "away", to_the_victim)
    with pytest.raises(AuditError, match="'receiver' must get the shared layers in every step, got none in step 7"):
        prepared(place)


def test_what_several_get_is_the_same_and_what_no_attack_reads_is_told(whole, tmp_path):
    place = tmp_path / "more"
    shutil.copytree(whole["fedsgd"], place)
    path = place / "000003.safetensors"
    arrays = load_file(path)
    other = {name.replace("/all/", "/source/"): 2 * one for name, one in arrays.items() if name.startswith("trunk")}
    save_file({**arrays, **other}, path)
    with pytest.raises(AuditError, match="the same, got two trunk of 'coordinator' in step 3, to"):
        receive(place)
    save_file({**arrays, "head/source/receiver/weight": torch.ones(2, 16)}, path)
    assert (
        "head of 'source' crossed too, which method 'fedsgd' does not send and no attack reads"
        in receive(place).left_out
    )
