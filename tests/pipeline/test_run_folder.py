"""A run's folder that is taken: what differs is told, a free one is offered, and nothing is changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dosimeter.cli.app import main
from dosimeter.foundation.errors import StoreError
from dosimeter.pipeline.run_folder import check_folder

SETTINGS = {"seed": 0, "name": "a", "stage": [{"epochs": 30, "lr": 0.1}], "attack": [], "threat": {"views": ["a", "b"]}}


def begun(folder: Path, key: str = "k1", settings: object = SETTINGS) -> Path:
    """A folder that an audit has begun."""
    folder.mkdir(parents=True)
    (folder / "audit_key").write_text(key + "\n")
    (folder / "audit.json").write_text(json.dumps(settings))
    return folder


def refusal(folder: Path, key: str, settings: object = None) -> str:
    """The one line of a refusal."""
    with pytest.raises(StoreError) as caught:
        check_folder(folder, key, settings)
    (line,) = caught.value.problems
    return line


def test_what_differs_is_told_and_a_free_folder_offered(folder):
    place = begun(Path("runs/demo"))
    changed = {**SETTINGS, "stage": [{"epochs": 40, "lr": 0.1}], "extra": "x"}
    assert refusal(place, "k2", changed) == (
        "runs/demo: holds another audit (extra is absent there and 'x' here; stage[0].epochs is 30 there and 40 here): "
        "add --out runs/demo-2 to the command (in Python out='runs/demo-2'), which leaves this folder as it is"
    )
    check_folder(place, "k1", changed)


@pytest.mark.parametrize(
    ("there", "here", "told"),
    [
        (SETTINGS, SETTINGS, "the settings are the same; data, models or code are not"),
        (SETTINGS, None, "its settings, data, models or code are not the same"),
        ([], SETTINGS, "its settings, data, models or code are not the same"),
        ({"a": 1, "b": 2, "c": 3, "d": 4}, {"a": 0, "b": 0, "c": 0, "d": 0},
         "a is 1 there and 0 here; b is 2 there and 0 here; c is 3 there and 0 here; 1 more"),
        ({"a": "\x1b\n"}, {"a": [1, 2]}, r"a is '\x1b\n' there and [1, 2] here"),
    ],
)  # fmt: skip
def test_the_difference_in_words(there, here, told, folder):
    assert f"holds another audit ({told}): add" in refusal(begun(Path("runs/a"), settings=there), "k2", here)


def test_the_folder_that_is_offered_is_free_or_holds_this_very_audit(folder):
    begun(Path("runs/a"))
    begun(Path("runs/a-2"))
    Path("runs/a-3").write_text("a file")
    begun(Path("runs/a-5"), "k5")
    assert "--out runs/a-4 to" in refusal(Path("runs/a"), "k2")
    assert "--out runs/a-4 to" in refusal(Path("runs/a-2"), "k2")
    assert "--out runs/a-4 to" in refusal(Path("runs/a"), "k5")
    begun(Path("runs/a-4"))
    assert "--out runs/a-5 to" in refusal(Path("runs/a"), "k5")
    assert "--out runs/a-6 to" in refusal(Path("runs/a"), "k2")
    begun(Path("two words"))
    assert "--out 'two words-2' to the command (in Python out='two words-2')" in refusal(Path("two words"), "k2")
    other = Path("other")
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    assert refusal(other, "k2").endswith("an earlier run of this audit: add --out other-2 to the command (in Python "
                                         "out='other-2'), which leaves this folder as it is")  # fmt: skip
    assert "audit-2" in refusal(Path(), "k2")
    assert (other / "notes.txt").read_text() == "mine"


def test_a_changed_table_of_scores_can_be_measured_as_offered(folder, capsys):
    rows = [f"{number},{number % 7 / 7},{number % 2}" for number in range(200)]
    Path("t.csv").write_text("\n".join(["id,score,is_member", *rows]))
    command = ["measure", "--scores", "t.csv", "--quiet"]
    assert main(command) == 0, capsys.readouterr().err
    before = {path: path.read_bytes() for path in Path("runs/t").rglob("*") if path.is_file()}
    assert main([*command, "--seed", "1"]) == 2
    line = capsys.readouterr().err
    assert "runs/t: holds another audit (seed is 0 there and 1 here): add --out runs/t-2 to the command" in line
    assert main([*command, "--seed", "1", "--out", "runs/t-2"]) == 0
    assert before == {path: path.read_bytes() for path in Path("runs/t").rglob("*") if path.is_file()}
