"""What users get wrong with a supplied model or a table of scores: one line each, exit code 2, no half-result."""

from __future__ import annotations

import errno
import json
import os
import pickle
import re
import shutil
from pathlib import Path

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
from flat import flat
from nasty import page_of, policy, refusal, tree
from pyarrow import csv
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from supplied_models import SERIAL, Data, fit, records
from torch import nn

import dosimeter
from dosimeter.cli.app import main
from dosimeter.foundation.errors import AuditError, DataError, TrainingError
from dosimeter.pipeline import page

TOML = """
name = "mine"
[target]
model = "recipe:model"
members = "members.npz"
nonmembers = "nonmembers.npz"
[[attack]]
name = "loss"
"""
RECIPE = """
import sys
from pathlib import Path
import numpy as np
import torch
from torch import nn

def model(shape, classes):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, classes))

def answer(x):
    return ANSWER

def fit(dataset, seed):
    FIT
    return model((20,), 5)
"""
SHADOWS = TOML.replace("[[attack]]", 'fit = "recipe:fit"\n[threat]\nshadows = 2\n[[attack]]')
INPUTS, LABELS = records(80)


@pytest.fixture(autouse=True)
def data(folder):
    """The records of both parts."""
    np.savez(folder / "members.npz", inputs=INPUTS[:40], labels=LABELS[:40])
    np.savez(folder / "nonmembers.npz", inputs=INPUTS[40:], labels=LABELS[40:])


def call(verb: str, *arguments: str, toml: str = TOML, recipe: str = RECIPE) -> int:
    """Write the files and run a verb."""
    Path("audit.toml").write_text(toml, encoding="utf-8")
    Path("recipe.py").write_text(recipe, encoding="utf-8")
    serial = ["--runner", "serial", "--quiet"] if verb == "run" else []
    return main([verb, "audit.toml", *serial, *arguments])


def refused(capsys, code: int, *parts: str, count: int | None = None) -> list[str]:
    """The lines of a refusal, which must hold `parts`, each in one of them; no result is there."""
    lines = refusal(capsys, code)
    for part in parts:
        assert any(part in line for line in lines), "\n".join(lines)
    assert count is None or len(lines) == count, "\n".join(lines)
    assert not list(Path().glob("runs/*/*.json"))
    assert not list(Path().glob("runs/*/report.html"))
    return lines


def test_the_good_one_is_good(capsys):
    assert call("plan") == 0
    assert call("plan", toml=SHADOWS) == 0
    assert "read as logits" in capsys.readouterr().out
    assert not Path("runs").exists()


# The table [target].

KEYS = [
    ('model = "recipe:model"\n', "", "target.model: is required and missing: add it"),
    ('members = "members.npz"\n', "", "target.members: is required and missing: add it"),
    ('nonmembers = "nonmembers.npz"\n', "", "target.nonmembers: is required and missing"),
    ("[target]\n", "[target]\nmember = 1\n", "target.member: unknown key, did you mean 'members'?"),
    ("[target]\n", "[target]\noutput = 'logit'\n", "target.output: must be one of 'auto', 'logits', 'probs', got"),
    ("[target]\n", "[target]\nduplicates = 'drop'\n", "target.duplicates: must be one of 'refuse', 'exclude', got"),
    ("[target]\n", "[target]\noptions = 3\n", "target.options: must be a table, got 3"),
    ("[target]\n", "[target]\nmembers_rows = '9:0'\n", "target.members_rows: must be a range 'a:b'"),
    ("[target]\n", "[target]\nmembers_rows = '0:900'\n", "rows must lie in 0:40"),
    ("[target]\n", "[target]\npopulation_rows = '0:9'\n", "target.population_rows: choose from `population`"),
    ("[target]\n", "[target]\nfit = 'fit'\n", "target.fit: must be package.module:function, got 'fit'"),
    ("[target]\n", "[target]\nfit = 'recipe:fti'\n", "did you mean 'fit'?"),
    ("[target]\n", "[target]\ndepends = ['a b']\n", "target.depends: must be package.module"),
    ("[target]\n", "[target]\ndata_options = { lable = 'y' }\n", "target.data_options.lable: unknown key, did you"),
    ("[target]\n", "[target]\nweights = 'w.pt'\n", "target, weights: must be a file, got 'w.pt': correct the path"),
    ("[target]", "[[target]]", "target: must be a table"),
    ('"recipe:model"', '"recipe:modle"', "did you mean 'model'?"),
    ('"recipe:model"', '"nowhere:model"', "got no module 'nowhere'"),
    ('"recipe:model"', '"nowhere.pt"', "target, model: must be a file, got 'nowhere.pt'"),
    ('"recipe:model"', '"resnet50"', "target, model: must be package.module:name"),
    ('"recipe:model"', '"mlp"', "target, weights: must name the file"),
    ('"recipe:model"', "3", 'target.model: must be text in quotes, got 3: write "3"'),
    ('"members.npz"', '"nowhere.npz"', "members: nowhere.npz"),
    ('"members.npz"', '"."', "members: ."),
    ("[[attack]]", "[threat]\ntargets = 2\n[[attack]]", "threat.targets: belongs to a recipe, got 2 beside [target]"),
    ("[[attack]]", "[threat]\npopulation = 9\n[[attack]]", "threat.population: belongs to a recipe, got 9 beside"),
    ("[[attack]]", "[threat]\ncandidates = 9\n[[attack]]", "threat.candidates: belongs to a recipe"),
    ("[[attack]]", "[threat]\nat_risk = 'x'\n[[attack]]", "threat.at_risk: belongs to a recipe"),
    ("[[attack]]", "[threat]\nshadows = 4\n[[attack]]", "threat.shadows: shadows are trained by `target.fit`"),
    ("[[attack]]", "[[stage]]\nname = 's'\ndata = 'digits'\nmodel = 'mlp'\n[[attack]]", "target: a supplied model is"),
    ('"loss"', '"lira"', "needs shadow models: give `fit`"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), KEYS, ids=[case[2][:50] for case in KEYS])
def test_each_wrong_key_is_one_line(old, new, message, capsys):
    assert old in TOML
    verb = "run" if "lira" in new else "plan"
    refused(capsys, call(verb, toml=TOML.replace(old, new, 1)), message, count=1)


def test_all_problems_of_a_file_are_told_together(capsys):
    toml = TOML.replace("[target]", "[target]\noutput = 'x'\nmembers_rows = 'x'").replace('"loss"', '"los"')
    toml = toml.replace("[[attack]]", "[threat]\nshadows = 3\n[[attack]]")
    refused(capsys, call("plan", toml=toml), "target.output", "threat.shadows: must be even", "did you mean 'loss'?")
    toml = TOML.replace('"members.npz"', '"no.npz"').replace('"nonmembers.npz"', '"none.npz"')
    refused(capsys, call("plan", toml=toml), "members: no.npz", "nonmembers: none.npz", count=2)


# Models and files.


def test_a_checkpoint_that_does_not_fit_names_its_tensors(capsys):
    toml = TOML.replace("[target]", '[target]\nweights = "w.safetensors"')
    save_file({"0.weight": torch.zeros(8, 20), "odd": torch.zeros(1)}, "w.safetensors")
    refused(capsys, call("plan", toml=toml), "got missing 0.bias, 2.bias, 2.weight; unknown odd", count=1)
    good = nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 5)).state_dict()
    save_file({**good, "2.weight": torch.zeros(3, 8)}, "w.safetensors")
    refused(capsys, call("plan", toml=toml), "2.weight has shape (3, 8) instead of (5, 8)", count=1)
    save_file({**good, "2.bias": torch.full((5,), torch.nan)}, "w.safetensors")
    refused(capsys, call("plan", toml=toml), "answers must be finite, got", count=1)
    Path("w.safetensors").write_bytes(b"nonsense")
    refused(capsys, call("plan", toml=toml), "must hold tensors and nothing else", count=1)
    save_file(good, "w.safetensors")
    assert call("plan", toml=toml) == 0


class Trap:
    """Runs code when unpickled."""

    def __reduce__(self):
        return os.mkdir, ("sprung",)


@pytest.mark.parametrize("suffix", [".pkl", ".joblib", ".pt", ".pth", ".bin", ".ckpt", ".pt2"])
def test_code_in_a_model_file_does_not_run(suffix, capsys):
    with Path(f"m{suffix}").open("wb") as file:
        (torch.save if suffix in (".pt", ".pth", ".bin", ".ckpt") else pickle.dump)(Trap(), file)
    for verb in ("plan", "run"):
        toml = TOML.replace("recipe:model", f"m{suffix}")
        refused(capsys, call(verb, toml=toml), "(not opened)", "--trust-pickle", count=1)
    toml = TOML.replace("[target]", f'[target]\nweights = "m{suffix}"')
    refused(capsys, call("plan", "--trust-pickle", toml=toml), "no code in it was run", count=1)
    assert not Path("sprung").exists()


def test_a_trusted_pickle_runs_and_the_report_says_so(capsys):
    joblib.dump(LogisticRegression().fit(INPUTS[:40], LABELS[:40]), "m.joblib")
    toml = TOML.replace("recipe:model", "m.joblib")
    refused(capsys, call("run", toml=toml), "must be a file that cannot run code", count=1)
    assert call("run", "--trust-pickle", toml=toml) == 0
    assert gates_of("runs/mine")["I2"] == "warn"
    assert "m.joblib is a pickle, which runs code when it is loaded" in page_of(Path("runs/mine")).text
    joblib.dump({"a": 1}, "m.joblib")
    refusal(capsys, call("plan", "--trust-pickle", toml=toml))
    Path("m.joblib").write_bytes(b"noise")
    (line,) = refusal(capsys, call("plan", "--trust-pickle", toml=toml))
    assert "must hold a model, got" in line


ANSWERS = [
    ("torch.zeros(len(x))", "got one (regression?)"),
    ("torch.zeros(len(x), 1)", "got one (regression?)"),
    ("torch.sigmoid(x[:, :5])", "several labels per record"),
    ("torch.zeros(len(x), 5, 7, 7)", "one answer per pixel (segmentation)"),
    ("torch.zeros(len(x), 7, 5)", "one answer per token or position"),
    ("[{'boxes': torch.zeros(3, 4), 'labels': torch.zeros(3)}] * len(x)", "(object detection)"),
    ("torch.zeros(len(x), 4)", "must return 5 columns, one for each class of the data, got 4"),
    ("torch.zeros(len(x), 6)", "must return 5 columns, one for each class of the data, got 6"),
    ("torch.full((len(x), 5), float('nan'))", "answers must be finite, got"),
    ("torch.full((len(x), 5), float('inf'))", "answers must be finite, got"),
    ("100 * torch.softmax(x[:, :5], 1)", "percent instead of a fraction: divide by 100"),
    ("x.argmax(1)", "int64 values (labels?)"),
    ("torch.zeros(2, 5)", "another number of answers"),
    ("None", "must return numbers, one row for each record, got NoneType"),
    ("'yes'", "got str"),
    ("{}", "got dict with no parts"),
    ("(torch.zeros(len(x), 5), torch.ones(len(x), 5))", "could each be it"),
    ("1 / 0", "ZeroDivisionError"),
    ("sys.exit(0)", "SystemExit"),
    ("answer(x)", "RecursionError"),
    ("x @ torch.zeros(3, 5)", "must take inputs of shape (2, 20)"),
]


@pytest.mark.parametrize(("body", "message"), ANSWERS, ids=[case[0] for case in ANSWERS])
def test_models_that_are_no_classifiers_of_this_data(body, message, capsys):
    toml, recipe = TOML.replace("recipe:model", "recipe:answer"), RECIPE.replace("ANSWER", body)
    refused(capsys, call("plan", toml=toml, recipe=recipe), message, count=1)


def test_answers_that_change_are_warned_of(capsys):
    body = "x[:, :5] + torch.randn(len(x), 5)"
    toml, recipe = TOML.replace("recipe:model", "recipe:answer"), RECIPE.replace("ANSWER", body)
    assert call("plan", toml=toml, recipe=recipe) == 0
    assert "Repeated answers: The same query was answered differently" in capsys.readouterr().out
    assert call("run", toml=toml, recipe=recipe) == 0
    gates = {
        gate["id"]: gate["status"] for gate in flat(json.loads(Path("runs/mine/result.json").read_text()))["gates"]
    }
    assert gates["I1"] == "warn"


def test_answers_that_go_wrong_only_later(capsys):
    body = "x[:, :5] / (0 if (x[:, 0] == FIRST).any() else 1)".replace("FIRST", repr(float(INPUTS[64, 0])))
    toml, recipe = TOML.replace("recipe:model", "recipe:answer"), RECIPE.replace("ANSWER", body)
    refusal(capsys, call("run", toml=toml, recipe=recipe))
    assert not Path("runs/mine/result.json").exists()
    assert not Path("runs/mine/report.html").exists()


def test_a_model_that_changes_its_inputs_spoils_nothing(capsys):
    recipe = RECIPE.replace("ANSWER", "x.mul_(0.5)[:, :5]")
    assert call("run", toml=TOML.replace("recipe:model", "recipe:answer"), recipe=recipe) == 0
    assert gates_of("runs/mine")["I1"] == "pass"


FITS = [
    ("def fit(dataset)", "must take (dataset, seed)", "plan"),
    ("def fit(model, dataset, seed)", "must take (dataset, seed)", "plan"),
    ("return None", "shadow 0: fit: must return the trained model, got None", "run"),
    ("raise OSError('gone')", "shadow 0: fit: raised OSError: gone", "run"),
    ("sys.exit(1)", "shadow 0: fit: raised SystemExit: 1", "run"),
    ("return fit(dataset, seed)", "RecursionError", "run"),
    ("return 3", "shadow 0: fit: must be a torch.nn.Module", "run"),
    ("return nn.Linear(20, 4)", "shadow 0: fit: must return 5 columns, one for each class of the data, got 4", "run"),
    ("return nn.Linear(9, 5)", "shadow 0: fit", "run"),
    ("return model", "shadow 0: fit", "run"),
    ("from sklearn.linear_model import Ridge as R; return R().fit(dataset.inputs.numpy(), dataset.labels.numpy())",
     "shadow 0: fit: must be a fitted classifier, got a regressor", "run"),
    ("from sklearn.linear_model import LogisticRegression as R; return R()", "(not fitted?)", "run"),
    ("m = nn.Linear(20, 5); m.bias.data.fill_(float('nan')); return m", "answers must be finite", "run"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "message", "verb"), FITS, ids=[case[0][:40] for case in FITS])
def test_a_fit_that_goes_wrong(body, message, verb, capsys):
    recipe = RECIPE.replace("ANSWER", "x")
    recipe = (
        recipe.replace("def fit(dataset, seed)", body).replace("FIT", "pass")
        if verb == "plan"
        else recipe.replace("FIT", body)
    )
    lines = refusal(capsys, call(verb, toml=SHADOWS, recipe=recipe))
    assert len(lines) == 1
    assert message in lines[0]
    assert not Path("runs/mine/result.json").exists()


def test_an_interrupted_fit_goes_on_where_it_stopped(capsys):
    body = "n = Path('count'); n.write_text(n.read_text() + 'x' if n.exists() else 'x')\n"
    body += "    if len(n.read_text()) == 2: raise KeyboardInterrupt"
    recipe = RECIPE.replace("ANSWER", "x").replace("FIT", body)
    toml = SHADOWS.replace("shadows = 2", "shadows = 4")
    assert call("run", toml=toml, recipe=recipe) == 130
    assert (
        "interrupted: 1 of 4 trainings are stored in runs/.store: to continue, run the same" in capsys.readouterr().err
    )
    assert not Path("runs/mine/result.json").exists()
    assert call("plan", toml=toml, recipe=recipe) == 0
    assert "4 models: 1 cached, 3 to train" in capsys.readouterr().out
    assert call("run", toml=toml, recipe=recipe) == 0
    assert len(Path("count").read_text()) == 5
    assert not [path for path in Path("runs/.store").iterdir() if path.name.startswith(".")]


# Records.

X, Y = INPUTS[:20], LABELS[:20]
OTHER = (INPUTS[20:40], LABELS[20:40])
PARTS = [
    ((X, Y), (X, Y), "no record may be in both, got 20 exact duplicates"),
    ((X, Y), (np.concatenate([X[:1], OTHER[0]]), np.concatenate([Y[:1], OTHER[1]])), "got 1 exact duplicates"),
    ((X[:0], Y[:0]), OTHER, "needs at least one record"),
    ((X[:1], Y[:1]), OTHER, "members: must have at least 2 records, got 1"),
    ((X, Y * 0), (OTHER[0], OTHER[1] * 0), "labels must have at least two classes"),
    ((X[:, :5], Y), OTHER, "nonmembers: inputs must have the shape and type of members, (5,) float32, got (20,)"),
    ((X.astype(np.int64), Y), OTHER, "nonmembers: inputs must have the shape and type of members, (20,) int64, got"),
    ((X, Y[:5]), OTHER, "members: inputs and labels must have equal lengths, got 20 and 5"),
    ((np.full_like(X, np.nan), Y), OTHER, "members: inputs must be finite, got NaN or infinity in 20 records"),
    ((X, Y + 0.5), OTHER, "members"),
    ((X, Y - 9), OTHER, "classes"),
    ((X, Y + 10**6), OTHER, "labels must be class numbers below 100000"),
    ((X, Y + 3), OTHER, "must return 8 columns, one for each class of the data, got 5"),
    ((X, np.array(["a", "b"] * 10)), OTHER, "labels must be of one kind"),
    ((X, np.eye(5)[Y]), OTHER, "members"),
    ((X.astype(str), Y), OTHER, "members: inputs must be numbers"),
    ((X[0], Y), OTHER, "members: inputs must have shape (n, features...)"),
    (X, OTHER, "members: must be a Dataset, (inputs, labels)"),
    (None, OTHER, "members: is required and missing, got None: pass records"),
    ({"x": X}, OTHER, "members: must be a Dataset"),
    ((X, Y, Y), OTHER, "members"),
    (iter([(X[0], 0)]), OTHER, "members"),
]


@pytest.mark.parametrize(("members", "nonmembers", "message"), PARTS, ids=[case[2][:60] for case in PARTS])
def test_records_that_cannot_be_compared(members, nonmembers, message, folder):
    model, before = nn.Linear(20, 5), tree(folder)
    with pytest.raises((DataError, TrainingError)) as caught:
        dosimeter.audit(model, members=members, nonmembers=nonmembers, out="out", attacks=["loss"])
    assert message in str(caught.value)
    assert all(line.isprintable() and len(line) < 1000 for line in caught.value.problems)
    assert tree(folder) == before


def test_nothing_left_without_duplicates(folder):
    with pytest.raises(DataError, match="must differ, got the same records in both"):
        dosimeter.audit(nn.Linear(20, 5), members=(X, Y), nonmembers=(X, Y), out="out", duplicates="exclude")


CALLS = [
    ({"seed": -1}, "seed: must be at least 0, got -1"),
    ({"seed": "0"}, "seed: must be a whole number, got '0': write 0 without quotes"),
    ({"seed": 1.5}, "seed: must be a whole number, got 1.5"),
    ({"shadows": 5, "fit": fit}, "shadows: must be even"),
    ({"shadows": -2, "fit": fit}, "shadows: must be at least 0, got -2"),
    ({"shadows": "4", "fit": fit}, "shadows: must be a whole number, got '4'"),
    ({"output": "logit"}, "output: must be one of 'auto', 'logits', 'probs', got 'logit'"),
    ({"duplicates": "drop"}, "duplicates: must be one of 'refuse', 'exclude', got 'drop'"),
    ({"workers": 0}, "workers: must be at least 1, got 0"),
    ({"device": 0}, "device: must be text"),
    ({"noun": ""}, "noun: must be text of at least 1"),
    ({"noun": "x" * 41}, "noun: must be text of at most 40"),
    ({"options": {"label": "y"}}, "options: must be a dosimeter.data.Options, got {'label': 'y'}"),
    ({"attacks": "loss"}, "attacks: must be a list, got 'loss': write ['loss']"),
    ({"attacks": [{"name": "loss"}, {"name": "loss"}]}, "ids must be distinct"),
    ({"out": "members.npz"}, "members.npz: must be a new or empty folder"),
    ({"out": "members.npz/x"}, "members.npz/x"),
    ({"out": "x" * 300}, "must be a folder that can be read"),
    ({"store": "members.npz"}, "members.npz: cannot be written"),
    ({"model": None}, "model: is required and missing, got None: pass the trained model"),
    ({"model": nn.Linear}, "must be a trained model, got the class Linear"),
    ({"model": "recipe:model"}, "give the model itself, not its file"),
    ({"model": {"w": torch.zeros(1)}}, "build the network and load it into that"),
]


@pytest.mark.parametrize(("change", "message"), CALLS, ids=[case[1][:50] for case in CALLS])
def test_wrong_arguments_of_the_one_call(change, message, folder):
    before = tree(folder)
    given = {
        "model": nn.Linear(20, 5),
        "members": (X, Y),
        "nonmembers": OTHER,
        "out": "out",
        "workers": SERIAL,
        "attacks": ["loss"],
    }
    given |= change
    with pytest.raises(AuditError) as caught:
        dosimeter.audit(given.pop("model"), **given)
    assert message in str(caught.value)
    assert all(line.isprintable() for line in caught.value.problems)
    assert {one for one in tree(folder) - before if not one.startswith(("out", ".store"))} == set()
    assert not Path("out/result.json").exists()


# Tables of scores.


def table(n: int = 80, shift: float = 1.0, header: str = "score,is_member", bits: tuple[str, str] = ("0", "1")) -> str:
    """A table in which members score higher by `shift`."""
    rng = np.random.default_rng(0)
    rows = [f"{rng.normal() + shift * (i % 2):.4f},{bits[i % 2]}" for i in range(n)]
    return "\n".join([header, *rows]) + "\n"


def measure(text: str | bytes, *arguments: str, name: str = "t.csv") -> int:
    """Write a table and measure it."""
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return main(["measure", "--scores", name, "--out", "runs/t", *arguments])


TABLES = [
    ("", "needs a header line and rows, got an empty file"),
    ("score,is_member\n", "needs rows, got a header and none"),
    ("score,is_member\n0.5,1\n", "must have members and non-members, got 1 members and 0 non-members"),
    (table(bits=("1", "1")), "must have members and non-members, got 80 members and 0 non-members"),
    (table(header="scores,is_member"), "needs a column 'score', got none: did you mean 'scores'?"),
    (table(header="score,label"), "needs a column 'is_member', got none"),
    (table(header="score,Is_Member"), "needs a column 'is_member', got none: did you mean 'Is_Member'?"),
    (table(header="score,score"), "column names must be distinct, got 'score' twice"),
    (table(bits=("no", "perhaps")), "column 'is_member' must be 0 or 1, got 'perhaps' in row 1"),
    (table(bits=("0", "")), "column 'is_member' must be 0 or 1, got an empty cell in row 1"),
    (table().replace(",", ";"), "separate the columns by commas"),
    (table().replace("0.", "0,", 1), "every row must have 2 cells like the header, got 3"),
    (table() + "50 %,1\n", "column 'score' must be a number, got '50 %' in row 80"),
    (table().replace(",", ";").replace(".", ","), "columns must be separated by ',', got ';'"),
    (table().replace(",", "\t"), "columns must be separated by ',', got tabs"),
    (table().replace(",", "|"), "columns must be separated by ',', got '|'"),
    (table() + '"0,91",1\n', "got '0,91' in row 80: write scores as in 1234.5, without marks and units"),
    (table() + "\u22120.5,1\n", "got '\u22120.5' in row 80: write scores as in 1234.5"),
    (table() + "0.5,\uff11\n", "column 'is_member' must be 0 or 1, got '\uff11' in row 80"),
    (table(bits=("out", "in")), "column 'is_member' must be 0 or 1, got 'out' in row 0"),
    (table() + "0.5,1,x\n", "every row must have 2 cells like the header, got 3 in line 82"),
    (b"\xff\xfes\x00c\x00", "must be readable, got UnicodeDecodeError"),
    (b"\x00" * 50, "t.csv"),
]


@pytest.mark.parametrize(("text", "message"), TABLES, ids=[case[1][:60] for case in TABLES])
def test_tables_that_are_refused(text, message, capsys):
    refused(capsys, measure(text), "t.csv: ", message, count=1)


def test_places_that_hold_no_table(capsys, monkeypatch):
    places = {"t.xlsx": "must end in .csv or .parquet, got '.xlsx'", "t": "got ''", "t.parquet": "must be readable"}
    for name, message in places.items():
        refused(capsys, measure(table(), name=name), message, count=1)
    Path("folder.csv").mkdir()
    refused(capsys, main(["measure", "--scores", "folder.csv"]), "folder.csv: must be a file, got a folder", count=1)
    refused(capsys, main(["measure", "--scores", "none.csv"]), "none.csv: must be a file, got none", count=1)
    Path("t.csv").write_text(table())
    if os.geteuid():
        Path("t.csv").chmod(0)
    else:  # everything is readable for root
        opened = Path.open
        monkeypatch.setattr(
            Path, "open", lambda path, *a, **k: _denied(path) if path.name == "t.csv" else opened(path, *a, **k)
        )
    refused(capsys, main(["measure", "--scores", "t.csv"]), "must be readable, got PermissionError", count=1)


def _denied(path: Path):
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


LITTLE_SPREAD = {
    "beside 1": (0.9999999999999998, 1.0),
    "counters": (1700000000000000001, 1700000000000000002, 1700000000000000003),
    "counters as floats": (1.7e18, 1.7e18 + 512),
    "subnormal": (0.0, 5e-324, 1e-310),
    "all numbers": (-1e308, 1e308),
    "one large value": (1e300, 1e300),
    "narrow": (1.0, 1.0000000000001, 1.0000000000002),
    "largest": (1.7976931348623155e308, 1.7976931348623157e308),
}


@pytest.mark.parametrize("kind", LITTLE_SPREAD)
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_every_finite_table_is_measured_and_its_order_kept(kind, ending, capsys):
    distinct, is_member = LITTLE_SPREAD[kind], np.arange(1200) % 2
    rng = np.random.default_rng(0)
    at = np.minimum(rng.integers(0, len(distinct), 1200) + is_member * rng.integers(0, 2, 1200), len(distinct) - 1)
    for name, values in (("odd", [distinct[i] for i in at]), ("ranks", at)):
        table = pa.table({"score": values, "is_member": is_member})
        file = f"{name}{ending}"
        csv.write_csv(table, file) if ending == ".csv" else pq.write_table(table, file)
        assert main(["measure", "--scores", file, "--out", name, "--quiet"]) == 0
        assert capsys.readouterr().err == ""
    odd, ranks = (flat(json.loads(Path(name, "result.json").read_text())) for name in ("odd", "ranks"))
    if len(set(distinct)) > 1:  # scores of one value are withdrawn
        assert odd["estimates"] == ranks["estimates"]
        assert odd["verdict"]["p_auc"] == ranks["verdict"]["p_auc"]
    assert "<svg" in Path("odd", "report.html").read_text("utf-8")


SPELT = ["0 1", "0.0 1.0", "false true", "FALSE True", "no Yes", "nonmember member", "Non-Member MEMBER"]


@pytest.mark.parametrize("bits", SPELT)
def test_membership_in_every_spelling(bits, capsys, monkeypatch):
    monkeypatch.setattr(page, "report", lambda folder: folder / "report.html")
    assert measure(table(160, bits=tuple(bits.split())), "--json") == 0
    assert json.loads(capsys.readouterr().out)["verdict"]["status"] == "shown"


def gates_of(run: str = "runs/t") -> dict[str, str]:
    return {gate["id"]: gate["status"] for gate in flat(json.loads(Path(run, "result.json").read_text()))["gates"]}


def test_a_reversed_sign_is_withdrawn_and_never_turned(capsys):
    assert measure(table(400, shift=-1.0)) == 0
    assert gates_of()["P16"] == "fail"
    assert flat(json.loads(Path("runs/t/result.json").read_text()))["verdict"]["status"] == "withdrawn"
    (auc,) = [
        row for row in flat(json.loads(Path("runs/t/result.json").read_text()))["estimates"] if row["metric"] == "auc"
    ]
    assert auc["high"] < 0.5
    assert "The sign is not turned" in page_of(Path("runs/t")).text


def test_scores_that_tell_nothing_are_withdrawn_and_odd_ones_warned_of(capsys):
    equal = "\n".join(["score,is_member", *(f"1,{i % 2}" for i in range(160))])
    assert measure(equal) == 0
    assert gates_of()["P8"] == "fail"
    found = flat(json.loads(Path("runs/t/result.json").read_text()))
    assert [row["value"] for row in found["estimates"] if row["metric"] == "auc"] == [0.5]
    assert found["verdict"]["status"] == "withdrawn"
    assert "detection_limit" not in found
    shutil.rmtree("runs")
    missing = "\n".join(
        ["score,is_member", *(f"{'' if i % 3 == 0 and i % 2 else i * 7 % 31},{i % 2}" for i in range(300))]
    )
    assert measure(missing) == 0
    assert gates_of()["I3"] == "fail"
    shutil.rmtree("runs")
    odd = table().replace("\n0.", "\ninf,1\n-inf,0\n,1\nnan,0\n0.", 1)
    assert measure(odd) == 0
    assert gates_of()["I3"] == "warn"
    shutil.rmtree("runs")
    percent = "\n".join(["score,is_member", *(f"{50 + i % 7},{i % 2}" for i in range(80))])
    assert measure(percent) == 0  # any scale will do, since only the order counts


def test_more_groups_than_get_numbers_are_told(capsys):
    rows = [f"{i * 7 % 31},{i // 2 % 2},g{i % 60}" for i in range(1200)]
    assert measure("\n".join(["score,is_member,group", *rows])) == 0
    found = flat(json.loads(Path("runs/t/result.json").read_text()))
    assert found["not_tested"][0].startswith("Single groups: there are 60, and numbers ")
    assert "Single groups: there are 60" in page_of(Path("runs/t")).text


ARGUMENTS = [
    (["--fpr", "0.5"], "--fpr: must be one of 0.1, 0.01, 0.001, 0.0001, got 0.5"),
    (["--fpr", "1"], "--fpr: must be one of 0.1, 0.01, 0.001, 0.0001, got 1"),
    (["--fpr", "nan"], "--fpr: must be a finite number"),
    (["--fpr", "inf"], "--fpr: must be a finite number"),
    (["--fpr", "x"], "--fpr"),
    (["--seed", "-1"], "--seed"),
    (["--seed", "1.5"], "--seed"),
    (["--noun", ""], "--noun: must be text of at least 1 character"),
    (["--noun", "x" * 41], "--noun: must be text of at most 40 characters"),
    (["--noun", "a\nb"], "--noun: must be text without line breaks"),
    (["--out", "t.csv"], "t.csv: must be a new or empty folder"),
    (["--out", "."], "must be a new or empty folder"),
    (["--out", "/proc/nowhere/x"], "/proc/nowhere/x"),
    (["runs/x"], "--scores with a table"),
]


@pytest.mark.parametrize(("arguments", "message"), ARGUMENTS, ids=[" ".join(case[0])[:30] for case in ARGUMENTS])
def test_wrong_arguments(arguments, message, capsys, folder):
    Path("t.csv").write_text(table())
    before = tree(folder)
    refused(capsys, main(["measure", "--scores", "t.csv", *arguments]), message, count=1)
    assert tree(folder) == before


def test_measure_without_anything(capsys):
    refused(capsys, main(["measure"]), "--scores with a table: give one of them", count=1)


# Folders, checks, the store.


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A measured table, and the folder of a supplied model with its store."""
    here = tmp_path_factory.mktemp("finished")
    (here / "t.csv").write_text(table())
    assert main(["measure", "--scores", str(here / "t.csv"), "--out", str(here / "t"), "--quiet"]) == 0
    model = fit(Data(INPUTS[:40], LABELS[:40]), 0, epochs=1)
    parts = {"members": (INPUTS[:40], LABELS[:40]), "nonmembers": (INPUTS[40:], LABELS[40:])}
    dosimeter.audit(
        model, **parts, out=here / "model", fit=lambda dataset, seed: model, shadows=2, workers=SERIAL, attacks=["loss"]
    )
    return here


@pytest.fixture
def copied(finished, folder):
    shutil.copytree(finished, folder / "f")
    return folder / "f"


def test_the_folder_of_another_audit(copied, capsys):
    before = tree(copied)
    content = (copied / "t" / "result.json").read_bytes()
    for out in ("f/t", "f/model"):
        code = main(["measure", "--scores", "f/t.csv", "--seed", "7", "--out", out])
        assert f"{out}: holds another audit" in refusal(capsys, code)[0]
    Path("audit.toml").write_text(TOML)
    Path("recipe.py").write_text(RECIPE)
    for verb in ("plan", "run"):
        assert "f/t: holds another audit" in refusal(capsys, main([verb, "audit.toml", "--out", "f/t"]))[0]
    assert tree(copied) == before
    assert (copied / "t" / "result.json").read_bytes() == content
    assert main(["measure", "--scores", "f/t.csv", "--out", "f/t", "--quiet"]) == 0  # the same audit again
    assert (copied / "t" / "result.json").read_bytes() == content


def test_a_measured_table_is_not_measured_as_a_run(copied, capsys):
    (line,) = refusal(capsys, main(["measure", "f/t"]))
    assert "was measured from a table of scores" in line
    assert "dosimeter measure --scores" in line


LIMIT = {"metric": "auc", "max": 0.9}
POLICIES = [
    (LIMIT | {"attack": "lira"}, "limit[0].attack: must match what was measured for auc, got 'lira'"),
    (LIMIT | {"metric": "tpr", "fpr": 0.05}, "limit[0].fpr: must match what was measured for tpr, got 0.05"),
    (LIMIT | {"metric": "accuracy"}, "limit[0].metric: must match what was measured for accuracy, got 'accuracy'"),
    (LIMIT | {"group": "a"}, "limit[0].group: must match what was measured for auc, got 'a'"),
    (LIMIT | {"stage": "x"}, "limit[0].stage: must match what was measured for auc, got 'x'"),
    (LIMIT | {"metric": "tpr", "fpr": 0.01, "threshold": "shadow"}, "limit[0].threshold: must match what was measured"),
    (LIMIT | {"metric": "precision", "prior": 0.3}, "limit[0].prior: must match what was measured"),
    (LIMIT | {"metric": "tpr"}, "limit[0].fpr: is required for tpr and missing"),
    (LIMIT | {"max": 90}, "limit[0].max: must be a share from 0 to below 1, got 90: write 0.9 for 90 %"),
    (
        LIMIT | {"metric": "f1"},
        "limit[0].metric: must be one of 'tpr', 'auc', 'precision', 'exposure', 'fpr', 'dose', 'log_mia', ",
    ),
    ({"metric": "auc"}, "limit[0]: must have max, min or both, got neither"),
]


@pytest.mark.parametrize(("limit", "message"), POLICIES, ids=[case[1][:50] for case in POLICIES])
def test_policies_about_what_was_not_measured(limit, message, copied, capsys):
    arguments = ["--policy", str(policy(Path("p.toml"), limit)), "--sarif", "a.sarif", "--junit", "a.xml"]
    lines = refusal(capsys, main(["check", "f/t", *arguments]))
    assert len(lines) == 1
    assert message in lines[0]
    assert not list(Path().glob("a.*"))


def test_checks_of_results_that_are_none(copied, capsys):
    limits = str(policy(Path("p.toml"), LIMIT))
    assert main(["check", "f/t", "--policy", limits, "--quiet"]) == 0
    for content in (
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"schema": 9}',
        (copied / "t/result.json").read_bytes()[:-30],
        b'{"schema": NaN}',
    ):
        (copied / "t/result.json").write_bytes(content)
        for verb in (
            ["check", "f/t", "--policy", limits],
            ["report", "f/t"],
            ["diff", "f/t", "f/model"],
            ["diff", "f/model", "f/t"],
        ):
            assert len(refusal(capsys, main(verb))) == 1
    (copied / "t/result.json").unlink()
    for verb in (["check", "f/t", "--policy", limits], ["report", "f/t"], ["diff", "f/t", "f/model"]):
        assert "result.json: not found" in refusal(capsys, main(verb))[0]
    assert "check: needs limits, got none" in refusal(capsys, main(["check", "f/model"]))[0]
    for where in ("p.toml", "f/model/result.json"):
        arguments = ["--policy", limits, "--sarif", where]
        assert "must be a file of its own" in refusal(capsys, main(["check", "f/model", *arguments]))[0]
    for where in ("f/model", "p.toml/x", "/proc/nowhere/x"):
        assert where in refusal(capsys, main(["check", "f/model", "--policy", limits, "--junit", where]))[0]


def test_the_store_is_cleaned_only_within_limits(copied, capsys):
    before = tree(copied / ".store")
    assert before
    for arguments, message in (
        ([], "--keep-days or --max-size or both"),
        (["--keep-days", "-1"], "--keep-days"),
        (["--keep-days", "nan"], "--keep-days"),
        (["--max-size", "20"], "--max-size: must be a size such as 500MB or 20GB, got '20'"),
        (["--max-size", "-1GB"], "--max-size: must be a size"),
        (["--store", "nowhere", "--keep-days", "1"], "nowhere: must be the folder of a store, got none"),
        (["--store", "f/t.csv", "--keep-days", "1"], "f/t.csv: must be the folder of a store"),
    ):
        where = [] if "--store" in arguments else ["--store", "f/.store"]
        assert message in refusal(capsys, main(["store", "gc", *where, *arguments]))[0]
    assert tree(copied / ".store") == before
    assert main(["store", "gc", "--store", "f/t", "--max-size", "0B"]) == 0  # a folder that is no store loses nothing
    assert (copied / "t/result.json").is_file()


@pytest.mark.parametrize(
    "key", ["seed", "leading_fpr", "noun", "door", "threat.shadows", "data.classes", "attacks", "gates"]
)
@pytest.mark.parametrize("value", ["absent", "x", []])
def test_a_run_that_says_something_else_of_itself(key, value, copied, capsys):
    path = copied / "model" / "run.json"
    summary = json.loads(path.read_text())
    place = summary if key in summary else summary["threats"][0]
    *outer, last = key.split(".")
    for one in outer:
        place = place[one]
    place[last] = value
    if value == "absent":
        del place[last]
    path.write_text(json.dumps(summary))
    if (key, value) in (("noun", "x"), ("attacks", []), ("gates", [])):
        return  # could be true
    (line,) = refusal(capsys, main(["measure", "f/model"]))
    assert re.search("f/model(/threats/membership)?: is damaged [(]", line)


@pytest.mark.parametrize("what", ["store", "out"])
def test_a_place_that_cannot_be_written(what, capsys):
    recipe = RECIPE.replace("ANSWER", "x").replace("FIT", "pass")
    (line,) = refusal(capsys, call("run", f"--{what}", "/proc/nowhere", toml=SHADOWS, recipe=recipe))
    assert "/proc/nowhere" in line
    assert not Path("runs/mine/result.json").exists()


def test_a_full_disk_is_told_and_the_next_run_continues(capsys, monkeypatch):
    recipe, toml = RECIPE.replace("ANSWER", "x").replace("FIT", "pass"), SHADOWS.replace("shadows = 2", "shadows = 4")
    real, saved = safetensors.torch.save_file, []

    def fill_up(tensors, path):
        if len(saved) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        saved.append(path)
        real(tensors, path)

    monkeypatch.setattr(safetensors.torch, "save_file", fill_up)
    (line,) = refusal(capsys, call("run", toml=toml, recipe=recipe))
    assert "the disk is full: free space or choose another place with --out or --store" in line
    monkeypatch.setattr(safetensors.torch, "save_file", real)
    assert call("plan", toml=toml, recipe=recipe) == 0
    assert "4 models: 1 cached, 3 to train" in capsys.readouterr().out
    assert call("run", toml=toml, recipe=recipe) == 0
    assert not list(Path("runs/.store").glob(".draft*"))


@pytest.mark.parametrize("name", ["audit_key", "result.json", "run.json", "provenance.json", "report.html", ".report"])
def test_a_disk_that_fills_up_while_a_table_is_measured(name, capsys, monkeypatch):
    real, text = Path.replace, Path.write_text

    def full(path, *_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", lambda path, to: full(path) if Path(to).name == name else real(path, to))
    monkeypatch.setattr(
        Path,
        "write_text",
        lambda path, *a, **k: full(path) if name == ".report" and "report.html" in path.name else text(path, *a, **k),
    )
    Path("t.csv").write_text(table())
    (line,) = refusal(capsys, main(["measure", "--scores", "t.csv", "--out", "runs/t"]))
    assert "No space left" in line or "the disk is full" in line
    assert not Path("runs/t", name).exists()
    assert not [path.name for path in Path("runs/t").iterdir() if path.name.startswith(".")]
    monkeypatch.setattr(Path, "replace", real)
    monkeypatch.setattr(Path, "write_text", text)
    assert main(["measure", "--scores", "t.csv", "--out", "runs/t", "--quiet"]) == 0
