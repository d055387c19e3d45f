"""Hostile names in every place that takes a name: refused in one line, or shown as text in every output."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import example
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from flat import check, parse_policy
from nasty import NAMES, Page, joined, lines_are_plain, outputs_are_sound, page_of, policy, refusal, seen, tree
from supplied_models import SERIAL, records

import dosimeter
from dosimeter.cli.app import main
from dosimeter.config.audit import draft
from dosimeter.families.membership.table.table import read_scores
from dosimeter.foundation.errors import AuditError, ConfigError
from dosimeter.pipeline import page, verbs
from dosimeter.pipeline.recipe.data import load_audit

TEXTS = [name for name in NAMES if "\x00" not in name and "\ud800" not in name and len(name) < 80]
SHORT = tuple(name for name in NAMES if len(name) <= 80)
LIMITS = ({"metric": "auc", "max": 0.9}, {"metric": "tpr", "fpr": 0.1, "max": 0.5, "undecided": "warn"})


def rows_of(n: int = 60, **more) -> list[dict[str, object]]:
    """Rows of a table of scores in which members score higher."""
    rng = np.random.default_rng(0)
    bits = np.arange(n) % 2
    values = rng.normal(size=n) + bits
    return [
        {"score": round(float(values[i]), 4), "is_member": int(bits[i])} | {key: f(i) for key, f in more.items()}
        for i in range(n)
    ]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="", errors="surrogatepass") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_the_list_would_be_seen():
    for text in ("<p onclick=x>", "<a href=//x>", "<!-- x -->"):
        with pytest.raises(AssertionError):
            Page(text)
    assert not seen("cat\u202egpj")
    assert seen("写真 cat\n")


# Tables of scores.


def accepted(path: Path) -> bool:
    """Whether a table is read; if not, it is refused in one line."""
    try:
        read_scores(path, seed=0)
    except AuditError as error:
        (line,) = error.problems
        assert line.isprintable()
        assert len(line) < 2000
        assert ": " in line
        return False
    return True


@pytest.mark.parametrize("column", ["attack", "target", "group", "person", "id", "split", "is_member", "other"])
def test_cells_and_column_names_of_a_table(column, tmp_path):
    for index, name in enumerate(NAMES):
        more = {
            column: lambda i, name=name: f"{name}{i}" if column == "id" else name if i % 3 or column != "group" else "a"
        }
        if column == "other":
            more = {name: lambda i: i}
        taken = accepted(write(tmp_path / f"{index}.csv", rows_of(24, **more)))
        if column == "is_member" or (column == "split" and name):
            assert not taken


def test_names_in_parquet_that_are_no_text(tmp_path):
    for index, cell in enumerate((b"\xff\xfe", b"a\x00", b"<script>")):
        columns = {"score": np.arange(24.0), "is_member": np.arange(24) % 2, "attack": pa.array([cell] * 24)}
        pq.write_table(pa.table(columns), tmp_path / f"{index}.parquet")
        accepted(tmp_path / f"{index}.parquet")


def test_every_name_that_a_table_may_hold_is_text_in_every_output(folder, capsys):
    names = [n for n in SHORT if accepted(write(folder / "probe.csv", rows_of(24, attack=lambda _, n=n: n)))]
    assert len(names) > 15
    names = joined(names)
    (folder / "probe.csv").unlink()
    rows = [
        row
        | {
            "attack": name,
            "group": names[i // 2 % 3],
            "person": f"{TEXTS[i % 20]}{i // 4}",
            "id": f"{TEXTS[i % 20]}{i}",
        }
        for name in names
        for i, row in enumerate(rows_of(80))
    ]
    file = write(folder / "<b>&amp;{{7*7}}'\".csv", rows)
    limits = policy(
        folder / "p.toml", *LIMITS, *({"metric": "auc", "max": 0.99, "attack": one, "name": one} for one in names)
    )
    before = tree(folder)
    assert main(["measure", "--scores", str(file), "--out", "out", "--noun", "<i>{{7*7}}</i>"]) == 0
    assert {Path(one).parts[0] for one in tree(folder) - before} == {"out"}
    page = outputs_are_sound(Path("out"), capsys, limits)
    plain = write(folder / "plain.csv", [row | {"attack": f"a{names.index(row['attack'])}"} for row in rows])
    assert main(["measure", "--scores", str(plain), "--out", "plain", "--quiet"]) == 0
    assert page.elements == page_of(Path("plain")).elements
    assert all(name in page.text for name in names)


# Names of files and folders.


FILES = [
    *joined((one.replace("/", "|").replace("\ud800", "\udcff") for one in SHORT if "\x00" not in one), 60),
    " ",
    "-1",
    "CON",
]


@pytest.mark.parametrize("name", FILES, ids=range(len(FILES)))
def test_names_of_tables_and_folders(name, folder, capsys, monkeypatch):
    write(Path(f"{name}.csv"), rows_of(24))
    before = tree(folder)
    for out in ([], ["--out", f"./{name}.out"]):
        with monkeypatch.context() as patched:
            patched.setattr(page, "report", lambda where: where / "report.html")
            code = main(["measure", "--scores", f"./{name}.csv", *out])
        if "\udcff" in name and code:  # not every reader opens a name that is no UTF-8
            refusal(capsys, code)
            continue
        assert code == 0
        lines_are_plain("".join(capsys.readouterr()))
    assert "\udcff" in name or {Path(one).parts[0] for one in tree(folder) - before} == {"runs", f"{name}.out"}
    refusal(capsys, main(["measure", "--scores", f"./{name}.no"]))
    refusal(capsys, main(["measure", f"./{name}.csv"]))
    refusal(capsys, main(["measure", "--scores", f"./{name}.csv", "--seed", "1", "--out", f"./{name}.out"]))
    for verb in (["report"], ["check"], ["plan"], ["run"], ["diff", "x"], ["init"]):
        refusal(capsys, main([*verb, f"./{name}.csv"]))
    refusal(capsys, main(["store", "list", "--store", f"./{name}.csv"]))


@pytest.mark.parametrize("name", ["x" * 300 + ".csv", "x" * 100_000 + ".csv", "a/" * 3000 + ".csv"], ids=len)
def test_names_that_are_too_long(name, folder, capsys):
    write(Path("t.csv"), rows_of(24))
    for arguments in (
        ["measure", "--scores", name], ["measure", name], ["report", name], ["check", name, "--policy", "p"],
        ["plan", name], ["run", name], ["diff", name, name], ["init", name], ["check", "t.csv", "--policy", name],
        ["measure", "--scores", "t.csv", "--out", name], ["store", "list", "--store", name],
        ["store", "gc", "--store", name, "--keep-days", "1"],
        ["measure", "--scores", "t.csv", "--noun", name],
    ):  # fmt: skip
        refusal(capsys, main(arguments))
    assert not accepted(Path(name))
    assert tree(folder) == {"t.csv"}


@pytest.mark.parametrize(
    "noun", [n for n in NAMES if not n.isprintable() or len(n) > 40] + [""], ids=lambda n: ascii(n[:20])
)
def test_a_noun_that_hides_something_is_refused(noun, folder, capsys):
    write(Path("t.csv"), rows_of(24))
    (line,) = refusal(capsys, main(["measure", "--scores", "t.csv", "--noun", noun]))
    assert "noun" in line
    assert tree(folder) == {"t.csv"}


# Audit files.

PLACES = (
    "name = {}", "[[stage]]\nname = {}", "[report]\nnoun = {}", "[[attack]]\nname = {}",
    "[[attack]]\nname = 'loss'\nid = {}", "[threat]\nat_risk = {}", "[threat]\nviews = [{}]", "[target]\nmodel = {}",
    "[target]\nfit = {}", "[target]\nmembers = {}",
    "[target]\noptions = {{ {} = 1 }}", "[target]\ndata_options = {{ noun = {} }}", "{} = 1", "[{}]",
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_names_in_an_audit_file(place, folder, capsys):
    for name in NAMES:
        Path("a.toml").write_text(place.format(json.dumps(name)), encoding="utf-8")
        with pytest.raises(AuditError) as caught:
            load_audit(Path("a.toml"))
        assert all(line.isprintable() and 10 < len(line) < 2000 for line in caught.value.problems)
    refusal(capsys, main(["plan", "a.toml"]))
    assert tree(folder) == {"a.toml"}


def test_a_recipe_with_names_that_are_allowed(folder, capsys):
    names = joined(name for name in SHORT if name.isprintable())[:2]
    audit = {
        "name": "evil",
        "stage": [{"name": "CON", "data": "<b>&{{7*7}}.csv", "model": "linear", "epochs": 1}],
        "threat": {"shadows": 4, "population": 10},
        "report": {"noun": "<i>{{7*7}}</i>"},
        "attack": [{"name": "loss", "id": name} for name in names],
    }
    found = draft(audit, base=folder)
    assert found.problems == ()
    rng = np.random.default_rng(0)
    rows = [
        {"a": round(float(rng.normal()), 3), names[0]: TEXTS[i % 5], "label": TEXTS[5 + i % 2], "group": names[i % 2]}
        for i in range(120)
    ]
    write(Path("<b>&{{7*7}}.csv"), rows)
    before = tree(folder)
    place = folder / "<img src=x> {{7*7}}"
    verbs.run(found.audit, place, workers=1)
    assert {Path(one).parts[0] for one in tree(folder) - before} == {place.name, ".store"}
    page = outputs_are_sound(place, capsys, policy(folder / "p.toml", *LIMITS))
    assert "{{7*7}}" in page.text
    assert main(["store", "list", "--store", ".store"]) == 0
    lines_are_plain("".join(capsys.readouterr()))


# Supplied models.


def evil_parts(n: int = 60):
    """Members and non-members whose classes, persons, groups and ids are the nasty names."""
    inputs, labels = records(2 * n)
    rows = np.arange(2 * n)

    def column(offset):
        return np.array([f"{NAMES[(i + offset) % (len(NAMES) - 1)]}" for i in rows], object)

    def part(rows):
        ids = np.array([f"{NAMES[i % (len(NAMES) - 1)]}{i}" for i in rows], object)
        return dosimeter.Dataset(
            inputs[rows], labels[rows].astype(np.int64), NAMES[:5], ids, column(0)[rows], column(3)[rows],
            noun="\u202e<b>noun\x1b[31m", name=NAMES[0],
        )  # fmt: skip

    return part(rows[:n]), part(rows[n:])


def evil_model(inputs):
    return inputs[:, :5]


def evil_fit(dataset, seed):
    return evil_model


def test_a_brought_model_whose_every_name_is_hostile(folder, capsys, monkeypatch):
    members, nonmembers = evil_parts()
    for function, name in ((evil_model, NAMES[1] + "\n\u202e"), (evil_fit, NAMES[0] + "\x1b[31m\ud800")):
        monkeypatch.setattr(function, "__qualname__", name)
        monkeypatch.setattr(function, "__name__", name)
    place = folder / "{{7*7}}<b>\u202e.."
    before = tree(folder)
    result = dosimeter.audit(
        evil_model, members=members, nonmembers=nonmembers, fit=evil_fit, shadows=4, out=place, workers=SERIAL,
        attacks=[{"name": "loss", "id": name} for name in joined(name for name in SHORT if name.isprintable())[:2]],
    )  # fmt: skip
    assert {Path(one).parts[0] for one in tree(folder) - before} == {place.name, ".store"}
    lines_are_plain(str(result))
    outputs_are_sound(place, capsys, policy(folder / "p.toml", *LIMITS))


ARGUMENTS = ("noun", "output", "duplicates", "device", "members", "attacks", "id")


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_arguments_of_the_one_call(argument, folder):
    inputs, labels = records(40)
    parts = {"members": (inputs[:20], labels[:20]), "nonmembers": (inputs[20:], labels[20:]), "attacks": ["loss"]}
    for name in NAMES:
        value = {"attacks": [name], "id": [{"name": "loss", "id": name}]}.get(argument, name)
        change = {"attacks" if argument == "id" else argument: value}
        if argument in ("noun", "id") and name.isprintable() and len(name) <= (40 if argument == "noun" else 80):
            continue
        with pytest.raises(AuditError) as caught:
            dosimeter.audit(evil_model, **{**parts, **change}, out=folder / "out", workers=SERIAL)
        assert all(line.isprintable() and 10 < len(line) < 2000 for line in caught.value.problems), ascii(
            str(caught.value)
        )
    assert tree(folder) == set()


# Results of somebody else, and policies.


def evil_result():
    """A result.json in which every text that is free is every nasty name."""
    text = json.dumps(example.shown())
    whole = "|".join(name for name in NAMES if len(name) <= 80)
    for old in ("rmia", "finetune", "flower-photos", "photo", "flowers", "linear head"):
        text = text.replace(json.dumps(old), json.dumps(old + whole))
    result = json.loads(text)
    result["attacks"][0]["settings"] = {whole: whole, "x": [whole, {whole: None}]}
    for row in [*result["estimates"], *result["attacks"], *result["utility"]]:
        row["reason"] = whole
        if row.get("variant") == "none" and row.get("metric") == "accuracy":
            row["variant"] = whole
    for gate in result["gates"]:
        gate |= {"id": whole + gate["id"], "name": whole, "message": whole}
    result["not_tested"] = result["verdict"]["sentences"] = [whole, whole]
    result["audit_key"] = whole
    return result


def test_a_hostile_result_is_text_in_every_output(folder, capsys):
    run = Path("run")
    run.mkdir()
    (run / "result.json").write_text(json.dumps(evil_result()))
    (run / "provenance.json").write_text(
        json.dumps({name: {name: name} for name in NAMES} | {"definitions": {n: n for n in NAMES}})
    )
    assert main(["report", "run"]) == 0
    page = outputs_are_sound(run, capsys, policy(folder / "p.toml", *LIMITS))
    assert all(name in page.text for name in SHORT if name.isprintable())
    (folder / "other.json").write_text(json.dumps(example.shown()))
    assert main(["diff", "other.json", "run"]) == 0
    main(["check", "run", "--policy", "p.toml", "--accepted", "run"])
    main(["check", "run", "--accepted", "other.json"])
    lines_are_plain("".join(capsys.readouterr()))


@pytest.mark.parametrize("key", ["name", "not_applicable", "attack", "stage", "group", "variant"])
def test_texts_of_a_policy(key):
    result = example.shown()
    for name in NAMES:
        limit = {"metric": "auc", "max": 0.9, key: name}
        try:
            lines = check(result, parse_policy({"limit": [limit]})).lines()
        except ConfigError as error:
            lines = error.problems
        assert all(line.isprintable() and 10 < len(line) < 1000 for line in lines)
