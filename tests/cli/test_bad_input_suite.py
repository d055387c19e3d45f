"""What a user can get wrong with variants, canaries, persons and lists of attacks: one line each, exit code 2."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from nasty import refusal
from supplied_models import records

import dosimeter
from dosimeter.cli.app import main
from dosimeter.config.audit import load
from dosimeter.foundation.errors import ConfigError
from dosimeter.pipeline import verbs

TOML = """
name = "people"
[[stage]]
name = "train"
data = "people.csv"
model = "linear"
epochs = 2
[threat]
shadows = 4
population = 20
[[attack]]
name = "loss"
"""
PERSON = TOML.replace("population = 20", 'population = 20\nunit = "person"')
TARGET = """
[target]
model = "recipe:model"
members = "members.npz"
nonmembers = "nonmembers.npz"
"""


@pytest.fixture(autouse=True)
def people(folder):
    """121 records of 41 persons, the last of whom has one."""
    write([f"p{i // 3}" for i in range(121)])


def write(persons: list[str]) -> None:
    """A table with these persons."""
    rng = np.random.default_rng(0)
    rows = [f"{one},{i % 2},{rng.normal():.4f},{rng.normal() + i % 2:.4f}" for i, one in enumerate(persons)]
    Path("people.csv").write_text("\n".join(["person,label,a,b", *rows]), encoding="utf-8")


def plan(toml: str) -> int:
    """Write the file and plan."""
    Path("audit.toml").write_text(toml, encoding="utf-8")
    return main(["plan", "audit.toml"])


DEFENSES = [
    ('name = "l3"', "defense[0].name: unknown defense 'l3', use one of: adversarial, bido, compress, "),
    ('name = "l2"\nweight = 1', "defense[0].weight: unknown key, did you mean 'weight_decay'?"),
    ('name = "l2"\nweight_decay = nan', "defense[0].weight_decay: must be a finite number, got nan"),
    ('name = "l2"\nweight_decay = "0.1"', "defense[0].weight_decay: must be a number, got '0.1'"),
    ('name = "early_stopping"\nshare = 0', "defense[0]: share must be in (0, 1), got 0"),
    ('name = "selena"\nsubmodels = 4\nout = 4', "defense[0]: out must be in [1, 3], got 4"),
    ('name = "top_k"\nk = 1.5', "defense[0].k: must be a whole number, got 1.5"),
    ('name = "l2"\nid = "../../x"', "defense[0].id: must be 1 to 64 letters, digits"),
    ('name = "l2"\nid = "a\\u001bb"', "defense[0].id: must be text without line breaks and control characters"),
    ('name = "l2"\n[[defense]]\nname = "l2"', "defense: ids must be distinct, got 'l2' 2 times"),
    ('name = "l2"\nid = "A"\n[[defense]]\nname = "dropout"\nid = "a"', "defense: ids must be distinct, got 'a' 2"),
    ('name = "collections:OrderedDict"', "defense[0].name: must name a frozen dataclass with a method"),
]


@pytest.mark.parametrize(("row", "message"), DEFENSES, ids=range(len(DEFENSES)))
def test_wrong_defenses_are_one_line(row, message, capsys):
    (line,) = refusal(capsys, plan(f"{TOML}[[defense]]\n{row}\n"))
    assert message in line


SPIKES = [
    ("count = -4", "spike.count: must be at least 2, got -4: raise it"),
    ("count = 0.5", "spike.count: must be a whole number, got 0.5"),
    ("share = -0.5", "spike.share: unknown key, use one of: copies, count, kinds"),
    ("copies = [0]", "spike.copies[0]: must be at least 1, got 0: raise it"),
    ("copies = []", "spike.copies: must be a list of at least 1, got []: add one"),
    ('kinds = ["nois"]', "spike.kinds[0]: must be one of 'plain', 'mislabelled', 'noise', got 'nois': did you mean"),
    ("count = 10", "canaries are made of 40 records outside every model, got 21 of them: set threat.population to 40"),
]


@pytest.mark.parametrize(("keys", "message"), SPIKES, ids=range(len(SPIKES)))
def test_wrong_canaries_are_one_line(keys, message, capsys):
    (line,) = refusal(capsys, plan(f"{TOML}[spike]\n{keys}\n"))
    assert message in line


@pytest.mark.parametrize("text", ["nan", "NaN", "<NA>", "NaT"])
def test_persons_that_are_missing_are_not_one_person(text, capsys):
    write([text if i % 7 == 3 else f"p{i // 3}" for i in range(120)])
    (line,) = refusal(capsys, plan(PERSON))
    assert f"people.csv: persons must not be empty, got '{text}' in row 3 (17 such records): fill them in" in line


def test_one_person_cannot_be_halved(capsys):
    write(["anna"] * 120)
    (line,) = refusal(capsys, plan(PERSON))
    assert "threat.population: must leave at least 4 records to train on, got 0 of 120" in line
    write(["anna"] * 100 + ["ben"] * 20 + ["cora"])
    (line,) = refusal(capsys, plan(PERSON.replace("population = 20", "population = 0")))
    assert "threat.unit: whole persons must fill halves of equal size, got 3 persons with up to 100 of 121" in line


def test_the_population_is_of_whole_persons_and_not_by_class(capsys):
    (line,) = refusal(capsys, plan(PERSON.replace("population = 20", "population = 20\nstratify = true")))
    assert "threat.stratify: draws single records, got unit = 'person'" in line


def test_a_table_in_utf_16_is_told(capsys):
    Path("people.csv").write_bytes(Path("people.csv").read_text().encode("utf-16"))
    (line,) = refusal(capsys, plan(TOML))
    assert "people.csv: must be UTF-8 text, got UTF-16: save it as CSV in UTF-8" in line


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        ('[threat]\nunit = "person"', "threat.unit: belongs to a recipe, got 'person' beside [target]: remove it"),
        ("[spike]", "spike: a supplied model is trained already"),
        ('[[defense]]\nname = "top_k"', "defense: a supplied model is not trained here"),
        ('[[attack]]\nname = "boundary"\nqueries = "250"', "got '250': write 250 without quotes"),
        ('[[attack]]\nname = "xyz"', "transductive_tuning, universal_ratio, wbc, zlib (or write package.module:Class)"),
    ],
)
def test_what_a_brought_model_cannot_have_is_one_line(tail, message, capsys):
    (line,) = refusal(capsys, plan(f"{TARGET}{tail}\n"))
    assert message in line


@pytest.mark.parametrize("attacks", ["loss", {"name": "loss"}, 3])
def test_attacks_that_are_no_list(attacks, tmp_path):
    inputs, labels = records(80)
    parts = {"members": (inputs[:40], labels[:40]), "nonmembers": (inputs[40:], labels[40:])}
    with pytest.raises(ConfigError, match=r"^attacks: must be a list, got .*: write \[") as caught:
        dosimeter.audit(lambda x: x[:, :5], **parts, attacks=attacks, out=tmp_path / "run")
    assert len(caught.value.problems) == 1


def test_a_checkpoint_of_another_pickle_protocol_is_one_line(capsys):
    Path("w.pt").write_bytes(pickle.dumps({"code": Path}, protocol=4))
    given = '[[stage]]\nname = "before"\nmodel = "mlp"\nclasses = 2\nweights = "w.pt"\n'
    train = TOML[TOML.index("[[stage]]") :].replace('model = "linear"', 'transfer = "head"')
    (line,) = refusal(capsys, plan(given + train))
    assert "w.pt must hold tensors and nothing else, got a file that is not so (UnpicklingError; no code" in line


def test_a_run_that_was_interrupted_between_variants_goes_on_to_the_same_bytes(folder):
    rows = '[[defense]]\nname = "early_stopping"\n[[defense]]\nname = "top_k"\n'
    Path("audit.toml").write_text(TOML + rows, encoding="utf-8")
    audit = load(Path("audit.toml"))

    def stop(phase: str, done: int, total: int) -> None:
        if phase == "top_k: attacks":
            raise KeyboardInterrupt

    verbs.run(audit, out=folder / "a" / "people", workers=1)
    with pytest.raises(KeyboardInterrupt):
        verbs.run(audit, out=folder / "b" / "people", workers=1, progress=stop)
    assert sorted(hashes(folder / "b")) == ["people/variants/early_stopping/result.json"]
    verbs.run(audit, out=folder / "b" / "people", workers=1)
    assert hashes(folder / "b") == hashes(folder / "a")
    assert len(hashes(folder / "b")) == 3


def hashes(run: Path) -> dict[str, str]:
    """Every result below a folder."""
    found = run.rglob("result.json")
    return {file.relative_to(run).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in found}


@pytest.mark.parametrize(("count", "warned"), [(2, False), (12, True)])
def test_many_canaries_are_told_before_training(count, warned, capsys):
    assert plan(f'{TOML}[spike]\nkinds = ["noise"]\ncopies = [1]\ncount = {count}\n') == 0
    told = f"spike: {count // 2} of a model's {50 + count // 2} training records are canaries: plant fewer?"
    assert (told in capsys.readouterr().out) is warned
