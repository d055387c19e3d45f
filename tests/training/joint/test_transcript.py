"""Transcripts in a folder: the same after reading, cut short, damaged, of something else."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from dosimeter.foundation.errors import DataError
from dosimeter.training.joint.protocols import METHODS
from dosimeter.training.joint.transcript import Message, Transcript, read_transcript, write_step, write_transcript
from training.joint.parties import STEPS, together


@pytest.fixture
def folder(tmp_path):
    write_transcript(together("coral")[0], tmp_path)
    return tmp_path


@pytest.mark.parametrize("method", METHODS)
def test_a_transcript_is_the_same_after_reading(method, tmp_path):
    transcript, _ = together(method)
    write_transcript(transcript, tmp_path)
    found, notes = read_transcript(tmp_path)
    assert notes == ()
    assert found.agreement == transcript.agreement
    assert len(found.messages) == len(transcript.messages)
    for ours, theirs in zip(found.messages, transcript.messages, strict=True):
        assert (ours.kind, ours.sender, ours.receiver, ours.step) == (
            theirs.kind,
            theirs.sender,
            theirs.receiver,
            theirs.step,
        )  # fmt: skip
        assert set(ours.arrays) == set(theirs.arrays)
    assert set(found.tensors()) == set(transcript.tensors())
    assert all(torch.equal(array, found.tensors()[name]) for name, array in transcript.tensors().items())


def test_a_folder_holds_json_and_safetensors_alone(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        *(f"{step:06d}.safetensors" for step in range(STEPS + 1)), "agreement.json",
    ]  # fmt: skip
    assert json.loads((folder / "agreement.json").read_text())["parties"] == ["source", "receiver"]


@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_of_a_transcript_cut_short_the_steps_before_are_used(folder, how):
    path = folder / "000002.safetensors"
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-7])
    found, (note,) = read_transcript(folder)
    assert note == f"{folder}: step 2 is {how}: 2 of 5 steps are used, 3 are not"
    assert {one.step for one in found.messages} == {0, 1}


def test_without_a_first_step_there_is_nothing(folder):
    (folder / "000000.safetensors").unlink()
    with pytest.raises(DataError, match="step 0 is missing: 0 of 5 steps are used, 5 are not: give a folder with"):
        read_transcript(folder)


def test_steps_beyond_the_agreement_are_said(folder):
    (folder / "000005.safetensors").write_bytes((folder / "000004.safetensors").read_bytes())
    assert read_transcript(folder)[1] == (f"{folder}: 1 steps beyond the rates of agreement.json are not used",)


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("format", 2, "format must be 1, got 2"),
        ("parties", ["a"], "parties must be two or more distinct names"),
        ("parties", ["a", "all"], "parties must be two or more distinct names"),
        ("rates", [0.1, 0], "rates must be learning rates above 0"),
        ("momentum", 1, "momentum must be in"),
        ("momentum", float("nan"), "momentum must be in"),
        ("averaged", "yes", "averaged must be true or false, got 'yes'"),
        ("weight", -1, "weight must be at least 0, got -1"),
        ("local_steps", 0, "local_steps must be a whole number above 0, got 0"),
        ("local_steps", True, "local_steps must be a whole number above 0, got True"),
        ("sum_bits", 0, "sum_bits must be null, or a whole number above 0, got 0"),
        ("rate", 1, "no such key, got 'rate', did you mean 'rates'"),
        ("parties", ["a", "b"], "no party of agreement.json, use one of: a, b, coordinator"),
        ("rates", [0.1], "1 steps"),
    ],
)
def test_a_wrong_agreement_is_one_line(folder, key, value, line):
    told = json.loads((folder / "agreement.json").read_text())
    (folder / "agreement.json").write_text(json.dumps({**told, key: value}))
    if line == "1 steps":  # an agreement on fewer steps leaves the rest unused
        assert "3 steps beyond the rates" in read_transcript(folder)[1][0]
        return
    with pytest.raises(DataError) as caught:
        read_transcript(folder)
    (problem,) = caught.value.problems
    assert line in problem
    assert "\n" not in problem


def test_an_agreement_without_weight_and_local_steps_has_none(folder):
    told = json.loads((folder / "agreement.json").read_text())
    short = {key: value for key, value in told.items() if key not in ("weight", "local_steps")}
    (folder / "agreement.json").write_text(json.dumps(short))
    found = read_transcript(folder)[0].agreement
    assert (found.weight, found.local_steps) == (0.0, 1)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000])
def test_other_json_is_refused(folder, text):
    (folder / "agreement.json").write_text(text)
    with pytest.raises(DataError, match="must be JSON|must be a table"):
        read_transcript(folder)


def test_a_folder_without_an_agreement_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"agreement.json: cannot be read \(No such file or directory\): give a folder"):
        read_transcript(tmp_path)


def one_step(kind="trunk", sender="coordinator", receiver="all", array=None):
    return Message(kind, sender, receiver, 1, {"0.weight": torch.ones(5, 6) if array is None else array})


@pytest.mark.parametrize("name", ["weights/coordinator/all/0.weight", "trunk/coordinator/all", "x"])
def test_arrays_of_another_layout_are_refused(folder, name):
    save_file({name: torch.ones(2)}, folder / "000001.safetensors")
    with pytest.raises(DataError, match="arrays must be named kind/sender/receiver/name with a kind of trunk, "):
        read_transcript(folder)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (one_step(receiver="hospital"), "step 1 has 'hospital', no party of agreement.json"),
        (one_step(array=torch.tensor([float("nan")])), "arrays must be finite floats, got others in step 1, trunk of"),
        (one_step(array=torch.ones(3, dtype=torch.int64)), "arrays must be finite floats"),
        (one_step(), "trunks and gradients must have the same arrays in every step, got others in step 1, trunk of"),
    ],
)
def test_what_cannot_be_of_the_training_is_one_line(folder, message, line):
    write_step([message], folder)
    with pytest.raises(DataError) as caught:
        read_transcript(folder)
    (problem,) = caught.value.problems
    assert line in problem


def test_two_messages_of_which_a_file_would_keep_one_are_refused(folder):
    transcript, _ = together("fedsgd")
    with pytest.raises(ValueError, match="must differ in kind, sender or receiver"):
        Transcript(transcript.agreement, transcript.messages[:1] * 2)
    with pytest.raises(ValueError, match="must differ in kind, sender or receiver"):
        write_step([one_step(), one_step()], folder)


def test_an_unknown_party_sees_nothing():
    with pytest.raises(DataError, match="has no party 'sauce', did you mean 'source'"):
        together("fedsgd")[0].seen_by("sauce")
