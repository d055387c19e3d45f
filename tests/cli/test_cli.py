"""The verbs as a user types them: init, plan, run, list, progress without a terminal, and the user's own fit."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from dosimeter.cli import app, screen
from dosimeter.cli.app import main
from dosimeter.config import audit as config
from dosimeter.config.tables import Stage
from dosimeter.families.membership.attacks import default_rows
from dosimeter.families.membership.family import MEMBERSHIP
from dosimeter.families.registry import FAMILIES
from dosimeter.pipeline import progress as _progress
from dosimeter.pipeline.result import check_lines

SMALL = (("epochs = 40", "epochs = 1"), ("shadows = 16", "shadows = 4"), ("targets = 8", "targets = 2"),
         ('rows = "0:1200"', 'rows = "0:120"'), ("population = 200", "population = 20"))  # fmt: skip
FITTED = """
[[stage]]
name = "pretrain"
data = "digits"
rows = "200:400"
model = "{model}"
epochs = 1
[[stage]]
name = "finetune"
data = "digits"
rows = "0:120"
transfer = "{transfer}"
fit = "recipe:fit"
[threat]
shadows = 4
targets = 2
population = 20
[[attack]]
name = "loss"
"""


def shrink(path: Path) -> None:
    """Make the audit that `init` writes run in a second."""
    text = path.read_text()
    for old, new in SMALL:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def test_init_writes_files_that_plan_and_run_take(folder, capsys):
    (folder / "here already").write_text("x")
    assert main(["init"]) == 0
    assert main(["plan", "audit.toml"]) == 0
    assert "18 models: 0 cached, 18 to train" in capsys.readouterr().out
    assert not Path("runs").exists()
    shrink(Path("audit.toml"))
    assert main(["run", "audit.toml", "--workers", "1"]) == 0
    out, err = capsys.readouterr()
    assert "Report: runs/first-audit/report.html" in out
    told = out.splitlines()
    lines = check_lines(json.loads(Path("runs/first-audit/result.json").read_text()))
    assert len(lines) > 1
    assert told[-len(lines) - 1 : -1] == lines
    assert "models: 6/6 done" in err
    assert main(["plan", "audit.toml"]) == 0
    assert "6 models: 6 cached, 0 to train" in capsys.readouterr().out
    Path("audit.toml").write_text(Path("audit.toml").read_text().replace("lr = 0.05", "lr = 0.04"))
    assert main(["plan", "audit.toml", "--out", "runs/b"]) == 0
    out = capsys.readouterr().out
    assert "stage.hyperparameters.lr: 0.05 there, 0.04 here" in out
    Path("recipe.py").write_text(Path("recipe.py").read_text() + "\n# a change\n")
    assert main(["plan", "audit.toml", "--out", "runs/b"]) == 0
    assert "stage.sources.recipe:model" in capsys.readouterr().out


@pytest.mark.slow
def test_init_files_run_as_they_are(folder, capsys):
    assert main(["init"]) == 0
    assert main(["run", "audit.toml"]) == 0


def test_init_again_or_elsewhere(folder, capsys):
    assert main(["init", "my audit"]) == 0
    assert "Next: dosimeter plan 'my audit/audit.toml'" in capsys.readouterr().out
    assert main(["init", "my audit"]) == 2
    assert "my audit/audit.toml, my audit/recipe.py: exists already: choose another" in capsys.readouterr().err
    Path("file").write_text("x")
    for where in ("file", "file/x", "/proc/nowhere"):
        assert main(["init", where]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_init_writes_what_the_family_gives(folder, capsys, monkeypatch):
    class Other(type(MEMBERSHIP)):
        def template(self):
            return {"audit.toml": "# other\n"}

    assert main(["init", "a", "--family", "membership"]) == 0
    assert main(["init", "b"]) == 0
    assert all(Path("a", name).read_bytes() == Path("b", name).read_bytes() for name in ("audit.toml", "recipe.py"))
    monkeypatch.setitem(FAMILIES, "other", Other(name="other"))
    capsys.readouterr()
    assert main(["init", "c", "--family", "other"]) == 0
    assert capsys.readouterr().out == "Wrote c/audit.toml. Next: dosimeter plan c/audit.toml\n"
    assert Path("c/audit.toml").read_text() == "# other\n"
    assert main(["init", "d", "--family", "membrship"]) == 2
    assert capsys.readouterr().err == (
        "error: --family: must be a family of attack, got 'membrship': did you mean 'membership'?\n"
    )
    assert not Path("d").exists()


def test_init_writes_an_audit_of_a_language_model(folder, capsys):
    assert main(["init", "a", "--task", "language"]) == 0
    audit = config.load(Path("a/audit.toml"))
    assert [stage.task for stage in audit.stages] == ["language", "language"]
    assert main(["plan", "a/audit.toml", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert [one["refused"] for one in plan["attacks"] if one["refused"]] == []
    assert [one["id"] for one in plan["attacks"]] == [row.id for row in audit.attacks]
    assert main(["init", "b", "--task", "langauge"]) == 2
    assert "--task: must be classes or language, got 'langauge': did you mean" in capsys.readouterr().err
    assert main(["init", "b", "--family", "split", "--task", "language"]) == 2
    assert "--task: family 'split' asks of models with classes" in capsys.readouterr().err
    assert not Path("b").exists()


@pytest.mark.slow
def test_the_audit_of_a_language_model_that_init_writes_runs(folder):
    assert main(["init", "a", "--task", "language"]) == 0
    assert main(["run", "a/audit.toml", "--out", "run", "--quiet"]) == 0
    (threat,) = json.loads(Path("run/result.json").read_text())["threats"]
    found = {one["attack"]: one for one in threat["estimates"] if one["metric"] == "auc" and one["group"] is None}
    assert found["base online"]["low"] > 0.5
    assert found["count"]["low"] <= 0.5 <= found["count"]["high"]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_the_template_of_every_family_is_an_audit_of_it(family, tmp_path):
    for name, text in family.template().items():
        (tmp_path / name).write_text(text)
    assert [row.family for row in config.load(tmp_path / "audit.toml").threats] == [family]


def test_the_commented_lines_of_init_work_too(folder, capsys):
    main(["init"])
    text = Path("audit.toml").read_text()
    for old, new in (
        ("# fit =", "fit ="),
        ('data = "digits"', 'data = "recipe:data"'),
        ("# candidates", "candidates"),
        ('# [[attack]]\n# name = "lira"\n# mode = "online"', '[[attack]]\nname = "lira"\nmode = "online"'),
    ):
        assert old in text
        text = text.replace(old, new)
    Path("audit.toml").write_text(text)
    assert main(["plan", "audit.toml"]) == 0
    out = capsys.readouterr().out
    assert "Note: time: not estimated, since a user's `fit` decides it" in out
    assert "Hashed into the key: recipe:model " in out
    assert "recipe:fit " in out


def test_json_for_machines(folder, capsys):
    main(["init"])
    shrink(Path("audit.toml"))
    capsys.readouterr()
    assert main(["plan", "audit.toml", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [stage["models"] for stage in plan["stages"]] == [6]
    assert {"seconds", "memory", "disk", "free", "attacks", "key"} <= plan.keys()
    assert main(["run", "audit.toml", "--json", "--workers", "1"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["audit_key"] == plan["key"]
    assert err == ""
    assert main(["measure", "runs/first-audit", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == "runs/first-audit/result.json"
    assert main(["report", "runs/first-audit", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_list_marks_what_is_used_unless_the_audit_names_others(capsys):
    assert main(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    marked, families = found.pop("defaults"), found.pop("families")
    assert {"attacks", "data", "defenses", "models", "transfer", "views"} == found.keys() == marked.keys()
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "[default]: used where the audit names none of its kind",
        "[default of a chain]: used instead where stages follow the one at risk",
        "attacks of membership: Was this record used to train the model?",
    ]
    headings = {"views": "views of membership"}
    of_families = {f"attacks of {name}: {one['question']}": one for name, one in families.items()}
    listed = {kind: (entries, marked[kind]) for kind, entries in found.items() if kind != "attacks"}
    listed |= {heading: (one["attacks"], one["defaults"]) for heading, one in of_families.items()}
    for kind, (entries, marks) in listed.items():
        if kind in of_families:
            headings[kind] = kind
        heading = headings.get(kind, kind if marks else f"{kind} (none by default)")
        below = lines[lines.index(heading) + 1 :]
        for line, (name, text) in zip(below, entries.items(), strict=False):
            assert line == f"  {name}" + (f" [{marks[name]}]" if name in marks else "") + (f": {text}" if text else "")
    own = families["membership"]
    assert families.keys() == FAMILIES.keys()
    assert found["attacks"] == {name: text for one in families.values() for name, text in one["attacks"].items()}
    assert marked["attacks"] == {name: text for one in families.values() for name, text in one["defaults"].items()}
    assert own["metrics"]["tpr"] == {"unit": "share", "bad": "high", "limited": True}
    assert own["threat"]["shadows"] == {"required": False, "default": 16}


def test_list_has_a_heading_for_every_family(capsys, monkeypatch):
    other = dataclasses.replace(MEMBERSHIP, name="belonging", question="Did {noun} belong?")
    monkeypatch.setitem(FAMILIES, "belonging", other)
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith(("attacks of", "views of"))] == [
        "attacks of membership: Was this record used to train the model?",
        f"attacks of inversion: {FAMILIES['inversion'].question.replace('{noun}', 'record')}",
        f"attacks of split: {FAMILIES['split'].question.replace('{noun}', 'record')}",
        f"attacks of exchange: {FAMILIES['exchange'].question.replace('{noun}', 'record')}",
        "attacks of belonging: Did record belong?",
        "views of membership",
        "views of belonging",
    ]
    assert main(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["families"].keys() == {"membership", "inversion", "split", "exchange", "belonging"}
    together = {**found["families"]["belonging"]["attacks"], **found["families"]["inversion"]["attacks"]}
    together |= found["families"]["split"]["attacks"] | found["families"]["exchange"]["attacks"]
    assert found["attacks"] == together


@pytest.mark.parametrize("transferred", [False, True])
def test_what_list_marks_is_what_an_audit_without_attacks_runs(transferred):
    mark = screen.CHAIN if transferred else "default"
    marked = [name for name, said in screen.defaults()["attacks"].items() if mark in said.split("; ")]
    rows = [one.default_attacks(one.settings(), transferred=transferred) for one in FAMILIES.values()]
    assert set(marked) == {row["name"] for own in rows for row in own}
    assert {row["name"] for row in rows[0]} == {row["name"] for row in default_rows(transferred=transferred)}
    assert Stage(name="a").transfer in screen.defaults()["transfer"]


def test_what_list_marks_for_texts_is_what_an_audit_of_texts_runs():
    marked = {name for name, said in screen.defaults()["attacks"].items() if screen.TEXTS in said.split("; ")}
    assert marked == {row["name"] for row in MEMBERSHIP.text_attacks(MEMBERSHIP.settings(), transferred=False)}


def test_checks_are_counted_and_those_that_did_not_pass_are_told():
    def gate(status, number):
        return {"id": f"P{number}", "name": "Name", "status": status, "value": None, "message": "Said \x1b[31m.\u202e"}

    passed = [gate("pass", number) for number in range(3)]
    assert check_lines({"gates": passed, "threats": []}) == ["3 checks passed, no warnings"]
    assert check_lines({"gates": [], "threats": []}) == ["0 checks passed, no warnings"]
    gates = [gate("warn", 7), *passed[:1], gate("fail", 8), gate("warn", 9)]
    assert check_lines({"gates": [], "threats": [{"id": "a", "gates": gates}]}) == [
        "1 check passed, 1 failed, 2 warnings:",
        "  failed P8 (Name): Said [U+001B][31m.[U+202E]",
        "  warning P7 (Name): Said [U+001B][31m.[U+202E]",
        "  warning P9 (Name): Said [U+001B][31m.[U+202E]",
    ]


def test_every_threat_is_told_with_its_first_sentence_and_its_warnings():
    def threat(name, status):
        warning = {"id": "P2", "name": "Enough", "status": "warn", "value": None, "message": f"{name} is small."}
        return {"id": name, "verdict": {"status": status, "sentences": [f"{name} first.", "More."]}, "gates": [warning]}

    threats = [threat("a", "not_shown"), threat("b", "shown")]
    whole = {"status": "shown", "threat": "b", "sentences": ["2 threats.", "b first.", "More."]}
    several = {"verdict": whole, "threats": threats, "gates": [], "audit_key": "0"}
    assert screen.verdict_lines(several, Path("report.html")) == [
        "2 threats.",
        "b first.",
        "More.",
        "Threat a: a first.",
        "0 checks passed, 2 warnings:",
        "  warning P2 (Enough), threat a: a is small.",
        "  warning P2 (Enough), threat b: b is small.",
        "Report: report.html",
    ]
    single = {**several, "threats": threats[1:], "verdict": {**whole, "sentences": ["b first.", "More."]}}
    assert screen.verdict_lines(single, Path("result.json")) == [
        "b first.",
        "More.",
        "0 checks passed, 1 warning:",
        "  warning P2 (Enough): b is small.",
        "Result: result.json",
    ]


def test_version_and_no_arguments(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("dosimeter ")
    assert main([]) == 2
    assert main(["nope"]) == 2
    assert "No such command 'nope': see `dosimeter --help`" in capsys.readouterr().err


def test_a_closed_pipe_is_no_traceback(monkeypatch, capsys):
    def closed(**_):
        raise BrokenPipeError

    monkeypatch.setattr(app, "_parser", lambda: closed)
    monkeypatch.setattr(app.sys, "stdout", app.sys.stdout)  # to be put back
    assert main(["list"]) == 141
    assert capsys.readouterr().err == ""


def test_an_interruption_says_how_to_go_on(monkeypatch, capsys):
    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "_parser", lambda: interrupted)
    assert main(["list"]) == 130
    assert capsys.readouterr().err == "interrupted: to continue, run the same command again\n"


def test_progress_without_a_terminal_is_plain_lines(capsys, monkeypatch):
    clock = iter(range(0, 1000, 3))
    monkeypatch.setattr(_progress.time, "monotonic", lambda: float(next(clock)))
    with _progress.showing(quiet=False) as progress:
        for done in range(5):
            progress("models", done, 4)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "models: 0/4"
    assert lines[-1] == "models: 4/4 done"
    assert any("about " in line and " s left" in line for line in lines)
    assert not any("\x1b" in line or "\r" in line for line in lines)
    with _progress.showing(quiet=True) as progress:
        progress("models", 0, 4)
    assert capsys.readouterr() == ("", "")


def test_progress_on_a_terminal_is_bars(capsys, monkeypatch):
    monkeypatch.setattr(_progress.sys.stderr, "isatty", lambda: True)
    with _progress.showing(quiet=False) as progress:
        progress("models", 0, 4)
        progress("models", 4, 4)
    assert "4/4" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["mlp", "recipe:model"])
@pytest.mark.parametrize("transfer", ["head", "last-k", "full"])
def test_a_users_fit_gets_a_copy_of_the_parent(model, transfer, folder, capsys):
    main(["init"])
    Path("recipe.py").write_text(Path("recipe.py").read_text().replace("range(30)", "range(1)"))
    Path("audit.toml").write_text(FITTED.format(model=model, transfer=transfer))
    assert main(["run", "audit.toml", "--workers", "1", "--quiet"]) == 0, capsys.readouterr().err


@pytest.mark.slow
def test_a_users_fit_gives_the_same_in_two_processes(folder, capsys):
    main(["init"])
    Path("recipe.py").write_text(Path("recipe.py").read_text().replace("range(30)", "range(1)"))
    Path("audit.toml").write_text(FITTED.format(model="recipe:model", transfer="full"))
    results = []
    for workers in ("1", "2"):
        out = f"runs{workers}/audit"
        assert main(["run", "audit.toml", "--workers", workers, "--quiet", "--out", out]) == 0, capsys.readouterr().err
        results.append(Path(out, "result.json").read_bytes())
    assert results[0] == results[1]
