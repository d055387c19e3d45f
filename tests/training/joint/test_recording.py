"""Transcripts of trainings that run elsewhere: written message by message, refused before they are read."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from dosimeter.foundation.errors import DataError
from dosimeter.training.joint.gradients import others_update
from dosimeter.training.joint.protocols import METHODS
from dosimeter.training.joint.recording import TranscriptWriter
from dosimeter.training.joint.transcript import Agreement, read_transcript, write_transcript
from training.joint.parties import together

PAGE = Path(__file__).parents[3] / "docs" / "joint-training.md"
KNOWN = Agreement("fedavg", ("a", "b"), (0.1, 0.1), 0.0, 0.0, True)
ARRAY = {"w": torch.ones(2)}


@pytest.mark.parametrize("method", METHODS)
def test_what_is_written_one_by_one_is_what_is_written_whole(method, tmp_path):
    transcript, _ = together(method)
    write_transcript(transcript, tmp_path / "whole")
    with TranscriptWriter(tmp_path / "single", transcript.agreement) as writer:
        for one in transcript.messages:
            writer.add(one.kind, one.sender, one.receiver, one.step, one.arrays)
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert sorted(path.name for path in (tmp_path / "single").iterdir()) == names
    for name in names:
        assert (tmp_path / "single" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_training_that_breaks_off_leaves_whole_steps(tmp_path):
    def breaks_off():
        with TranscriptWriter(tmp_path, KNOWN) as writer:
            writer.add("trunk", "coordinator", "all", 0, ARRAY)
            writer.add("update", "a", "coordinator", 0, ARRAY)
            writer.add("trunk", "coordinator", "all", 1, ARRAY)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        breaks_off()
    found, (note,) = read_transcript(tmp_path)
    assert [one.kind for one in found.messages] == ["trunk", "update"]
    assert note.endswith("step 1 is missing: 1 of 3 steps are used, 2 are not")


@pytest.mark.parametrize(
    ("added", "line"),
    [
        (("weights", "a", "b", 0, ARRAY), "message: no such kind, got 'weights'"),
        (("trunk", "coordinator", "all", 2, ARRAY), "message: step 0 or 1 must come next, got 2 with a trunk of"),
        (("update", "c", "coordinator", 0, ARRAY), "message: step 0 has 'c', no party of agreement.json"),
        (("update", "a", "coordinator", 0, {"w": torch.ones(2) / 0}), "message: arrays must be finite floats"),
        (("update", "a", "coordinator", 0, {"v": torch.ones(2)}), "message: trunks and gradients must have the same"),
        (("trunk", "coordinator", "all", 0, ARRAY), "message: step 0 has a trunk from 'coordinator' to 'all' already"),
    ],
)
def test_what_cannot_be_read_is_refused_when_it_is_added(added, line, tmp_path):
    writer = TranscriptWriter(tmp_path, KNOWN)
    writer.add("trunk", "coordinator", "all", 0, {"w": np.ones(2, np.float32)})
    with pytest.raises(DataError) as caught:
        writer.add(*added)
    (problem,) = caught.value.problems
    assert problem.startswith(line)
    with pytest.raises(DataError, match="holds a transcript, which stays as it is: give a new folder"):
        TranscriptWriter(tmp_path, KNOWN)


def test_the_program_of_the_page_writes_a_transcript_and_is_short(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (program,) = [one for one in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S) if "Writer" in one]
    recording = [line for line in program.splitlines() if re.search("transcript|agreement", line.lower())]
    assert 0 < len(recording) <= 20
    exec(compile(program, str(PAGE), "exec"), {"__name__": "page"})
    found, notes = read_transcript(tmp_path / "transcript")
    assert notes == ()
    assert found.agreement.local_steps == 5
    others = others_update(found.seen_by("a"), "a")
    sent = [found.of("update", name) for name in ("b", "c")]
    assert sorted(others) == list(range(10))
    for step, arrays in others.items():
        for name, one in arrays.items():
            torch.testing.assert_close(one, sent[0][step][name] + sent[1][step][name], rtol=0, atol=2e-6)
