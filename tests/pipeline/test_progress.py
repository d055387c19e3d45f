"""What a run tells while it works and when it is interrupted: time left, what is kept, how to continue."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
import supplied_models
from flat import flat
from supplied_models import SERIAL, records
from supplied_models import fit as whole_fit

import dosimeter
from dosimeter.cli.app import main
from dosimeter.jobs.runners import Workers
from dosimeter.pipeline import progress, verbs
from dosimeter.pipeline.progress import Clock, in_time

INPUTS, LABELS = records(240)
PARTS = {"members": (INPUTS[:120], LABELS[:120]), "nonmembers": (INPUTS[120:], LABELS[120:])}
TOML = """
[[stage]]
name = "train"
data = "digits"
rows = "0:120"
model = "{model}"
epochs = 1
[threat]
shadows = 6
targets = 2
population = 20
[[attack]]
name = "loss"
"""
RECIPE = """
import sys
import numpy as np
from pathlib import Path
from torch import nn
def model(shape, classes):
    return Net(shape, classes)
class Net(nn.Sequential):
    def __init__(self, shape, classes):
        super().__init__(nn.Flatten(), nn.Linear(int(np.prod(shape)), classes))
    def forward(self, x):
        if self.training and len(x) > 2:
            many = Path("updates")
            done = int(many.read_text()) if many.exists() else 0
            many.write_text(str(done + 1))
            if done == {stop}:
                raise KeyboardInterrupt
        return super().forward(x)
"""


def fit(dataset, seed):
    """A quick fit."""
    return whole_fit(dataset, seed, epochs=5)


@pytest.fixture
def clock(monkeypatch):
    """The clock of the display, which a test sets."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_phase_tells_a_bound_before_its_first_job_and_its_pace_after():
    clock = Clock(begun=0.0, first=4, at_once=2, done=4, total=20, moved=0.0)
    assert clock.left(0.5) is None
    assert clock.left(2.0) == (14.0, True)  # 16 jobs, two at once: seven rounds after this one
    clock.advance(8, 20, 10.0)
    assert clock.left(10.0) == (30.0, False)
    assert clock.left(25.0) == (15.0, False)
    assert clock.left(99.0) == (0.0, False)
    clock.advance(20, 20, 99.0)
    assert clock.left(99.0) is None
    loading = Clock(begun=0.0, first=0, at_once=2, done=0, total=16, moved=0.0, loading=5.0)
    assert [loading.left(one) for one in (3.0, 6.0)] == [None, (7.0, True)]
    unknown = Clock(begun=0.0, first=0, at_once=None, done=0, total=20, moved=0.0)
    assert unknown.left(50.0) is None
    assert [in_time(one) for one in (0.2, 99.4, 101, 5_900, 7_260)] == ["0 s", "99 s", "2 min", "98 min", "2 h 1 min"]


def test_a_terminal_shows_the_time_left_within_the_first_tenth(clock, monkeypatch, capsys):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True)
    with progress.showing(quiet=False, workers=Workers(1, "serial")) as display:
        display("models", 0, 100)
        clock[0] += 2.0  # of the 100 jobs none is done yet
        assert display.told("models") == "at least about 3 min left"
        clock[0] += 2.0
        display("models", 1, 100)
        assert display.told("models") == "about 7 min left"
        display.expect(60.0)  # an estimate that the pace shows to be too low is not believed
        assert display.told(progress.WHOLE) == "about 7 min left"
        display("models", 100, 100)
        assert display.told("models") == ""
        assert display.told(progress.WHOLE) == "about 60 s left"
    shown = capsys.readouterr().err
    assert "whole run" in shown
    assert "100/100" in shown


def test_names_in_brackets_are_no_markup_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True)
    with progress.showing(quiet=False) as display:
        display("stage [red]", 1, 2)
    assert "stage [red]" in capsys.readouterr().err


def test_python_shows_bars_on_a_terminal_and_nothing_elsewhere(tmp_path, monkeypatch, capsys):
    wanted = {**PARTS, "fit": fit, "shadows": 4, "attacks": ["loss"], "workers": SERIAL}
    dosimeter.audit(MODEL, **wanted, out=tmp_path / "plain")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True)
    seen = []
    dosimeter.audit(MODEL, **wanted, out=tmp_path / "own", progress=lambda *step: seen.append(step))
    assert ("shadows", 4, 4) in seen
    assert capsys.readouterr() == ("", "")
    found = dosimeter.audit(MODEL, **wanted, out=tmp_path / "bars")
    out, err = capsys.readouterr()
    assert out == ""
    assert "shadows" in err
    assert "4/4" in err
    plain = flat(json.loads((tmp_path / "plain" / "result.json").read_text()))
    assert flat(found.content)["estimates"] == plain["estimates"]


def test_a_recipe_is_estimated_before_its_first_job_for_a_display_alone(folder, monkeypatch):
    class Seen:
        def __init__(self):
            self.steps = []

        def __call__(self, *step):
            self.steps.append(step)

        def expect(self, seconds):
            self.steps.append(seconds)

    Path("recipe.py").write_text(RECIPE.format(stop=-1))
    Path("audit.toml").write_text(TOML.format(model="mlp"))
    settings = dosimeter.load_config(Path("audit.toml"))
    seen = Seen()
    verbs.run(settings, Path("runs/a"), workers=1, progress=seen)
    assert seen.steps[0] > 0
    assert seen.steps[1][:2] == ("models", 0)
    plain = []
    monkeypatch.setattr(verbs, "time_left", None)  # which nobody may call
    verbs.run(settings, Path("runs/b"), store=Path("other"), workers=1, progress=lambda *step: plain.append(step))
    assert plain == seen.steps[1:]
    assert Path("runs/a/result.json").read_bytes() == Path("runs/b/result.json").read_bytes()


def test_the_command_says_what_is_kept_when_it_is_interrupted(folder, capsys):
    Path("audit.toml").write_text(TOML.format(model="recipe:model"))
    Path("recipe.py").write_text(RECIPE.format(stop=7))  # two updates a model, and one pass before training
    assert main(["run", "audit.toml", "--workers", "1", "--quiet"]) == 130
    stored = len([one for one in Path("runs/.store").iterdir() if one.name.isalnum()]) - 1  # beside the data
    assert 0 < stored < 8
    assert capsys.readouterr().err.splitlines() == [
        f"interrupted: {stored} of 8 trainings are stored in runs/.store: to continue, run the same command, or make "
        "the same call, again"
    ]
    assert main(["run", "audit.toml", "--workers", "1", "--quiet"]) == 0


def test_python_says_what_is_kept_and_ends_its_workers(tmp_path):
    def slow(dataset, seed):
        if not list(tmp_path.glob("*.pid")):
            (tmp_path / f"{os.getpid()}.pid").touch()
            time.sleep(600)
        for _ in range(600):
            if list(tmp_path.glob("*.pid")):
                raise KeyboardInterrupt
            time.sleep(0.05)
        return fit(dataset, seed)

    wanted = {**PARTS, "shadows": 2, "attacks": ["loss"], "out": tmp_path / "audit"}
    with pytest.raises(KeyboardInterrupt) as caught:
        dosimeter.audit(MODEL, **wanted, fit=slow, workers=2)
    assert caught.value.__notes__ == [
        f"interrupted: 0 of 2 trainings are stored in {tmp_path / '.store'}: to continue, run the same command, or "
        "make the same call, again"
    ]
    (sleeper,) = tmp_path.glob("*.pid")
    with pytest.raises(ProcessLookupError):
        os.kill(int(sleeper.stem), 0)


def test_an_interruption_before_any_training_is_told_too(tmp_path):
    class Stopped:
        def __len__(self):
            return 9

        def __getitem__(self, index):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        dosimeter.audit(MODEL, **{**PARTS, "members": Stopped()}, out=tmp_path / "audit")
    assert caught.value.__notes__ == [
        "interrupted: what was trained is kept: to continue, run the same command, or make the same call, again"
    ]


MODEL = fit(supplied_models.Data(*PARTS["members"]), 1)
