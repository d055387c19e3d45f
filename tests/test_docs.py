"""What the pages say is there: links, commands, keys, checks, and the attack that CONTRIBUTING shows."""

import dataclasses
import inspect
import json
import re
import shlex
import sys
import tomllib
import types
from pathlib import Path

import numpy as np
import pytest
import typer
from flat import flat
from oracles import auc
from pydantic import BaseModel
from synthetic import fleet

import dosimeter
from dosimeter.cli.app import app
from dosimeter.config import audit as config
from dosimeter.config import named_parts, tables, topology
from dosimeter.config.tables import Report, Stage, Target, Variant
from dosimeter.data import DATASETS, Options
from dosimeter.families.exchange.threat import ExchangeThreat
from dosimeter.families.inversion.threat import InversionThreat
from dosimeter.families.membership.table import columns
from dosimeter.families.membership.threat import Spike, Threat
from dosimeter.families.registry import FAMILIES
from dosimeter.families.split.threat import SplitThreat
from dosimeter.jobs import runners
from dosimeter.models.names import ARCHITECTURES
from dosimeter.results import schema

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md")),
    *sorted(ROOT.glob("docs/*.md")),
]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
REGISTRIES = ("pypi", "pythonhosted", "anaconda", "conda-forge", "devpi", "download.pytorch")
PLACES = ("/tmp", "/work", "/root", "/home", "/mnt", "localhost")


def prose(text):
    """A page without its code blocks."""
    return FENCE.sub("", text)


def anchors(text):
    """What headings are called in links."""
    titles = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def table(text, heading):
    """Rows of the tables below a heading: first cell without backticks to the other cells."""
    part = re.split(rf"^#+ {re.escape(heading)}\n", text, maxsplit=1, flags=re.MULTILINE)[1]
    part = re.split(r"^#+ ", part, maxsplit=1, flags=re.MULTILINE)[0]
    rows = [[cell.strip() for cell in line.strip("|\n ").split(" | ")] for line in part.splitlines() if "|" in line]
    return {name: row[1:] for row in rows for name in re.findall(r"`([^`]+)`", row[0])}


def commands(text):
    """Every `dosimeter ...` on a page, in code blocks and in running text."""
    blocks = [line for kind, block in FENCE.findall(text) if kind == "bash" for line in block.splitlines()]
    spans = re.findall(r"`([^`\n]+)`", prose(text))
    for line in [*blocks, *spans]:
        words = shlex.split(line, comments=True)
        if words and words[0].split("/")[-1] == "dosimeter" and len(words) > 1:
            yield words[1:]


def options(command):
    """The options of a command of the command line."""
    return {name for parameter in command.params for name in parameter.opts if name.startswith("--")} | {"--help", "-q"}


@every_page
def test_links_resolve(page):
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name}: {target}"
        assert there.is_relative_to(ROOT)
        if anchor:
            assert anchor in anchors(there.read_text("utf-8")), f"{page.name}: {target}"


def test_every_page_is_on_the_map():
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    assert all(f"]({page.name})" in index for page in ROOT.glob("docs/*.md") if page.name != "index.md")


@every_page
def test_commands_name_verbs_and_options_that_exist(page):
    verbs = typer.main.get_command(app).commands
    for verb, *rest in commands(page.read_text("utf-8")):
        assert verb in verbs, f"{page.name}: dosimeter {verb}"
        command = verbs[verb]
        if hasattr(command, "commands") and rest:
            assert rest[0] in command.commands, f"{page.name}: dosimeter {verb} {rest[0]}"
            command, rest = command.commands[rest[0]], rest[1:]
        assert {word for word in rest if word.startswith("-")} <= options(command), f"{page.name}: {verb} {rest}"


@every_page
def test_make_targets_exist(page):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"(?:^|`)make (\w+)", page.read_text("utf-8"), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page.name}: make {target}"


def test_every_verb_is_in_the_readme():
    table_of_verbs = (ROOT / "README.md").read_text("utf-8")
    verbs = typer.main.get_command(app).commands
    assert all(f"| `dosimeter {verb}` |" in table_of_verbs for verb in verbs)
    rows = table(table_of_verbs, "Verbs")
    for verb, command in verbs.items():
        inner = getattr(command, "commands", {})
        assert all(f"`{name}`" in rows[f"dosimeter {verb}"][0] for name in inner)


def test_the_model_of_the_readme_is_audited_in_20_lines(tmp_path, monkeypatch, capsys):
    blocks = [block for kind, block in FENCE.findall((ROOT / "README.md").read_text("utf-8")) if kind == "python"]
    (block,) = blocks
    assert len(block.splitlines()) <= 20
    for word in ("members=", "nonmembers=", "population=", "fit=", "shadows=", "out="):
        assert word in block
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runners, "workers_for", lambda workers, device: 1)  # and so one process beside this one
    module = types.ModuleType("own_model")
    monkeypatch.setitem(sys.modules, "own_model", module)
    exec(compile(block, "README.md", "exec"), module.__dict__)
    shown = dosimeter.load("runs/mine")
    assert str(shown) in capsys.readouterr().out
    assert shown.status == "shown"
    ran = {row["id"] for row in flat(shown.content)["attacks"] if row["status"] == "ok"}
    assert ran >= {"loss", "lira online", "lira offline", "base online", "base offline"}
    assert (tmp_path / "runs" / "mine" / "report.html").is_file()


@every_page
def test_no_place_or_host_of_one_machine(page):
    text = page.read_text("utf-8").lower()
    assert not [word for word in (*REGISTRIES, *PLACES) if word in text]


def as_toml(value):
    """A default as an audit file would have it."""
    return json.dumps(list(value) if isinstance(value, tuple) else value)


TABLES = [
    (Stage, "`[[stage]]`"),
    (Target, "`[target]`"),
    (Threat, "`[threat]`"),
    (InversionThreat, "Inversion"),
    (SplitThreat, "Split"),
    (ExchangeThreat, "Exchange"),
    (Report, "`[report]`"),
    (Spike, "`[spike]`"),
]


@pytest.mark.parametrize(("model", "heading"), TABLES)
def test_every_key_is_documented_with_its_default(model, heading):
    rows = table((ROOT / "docs" / "audit-file.md").read_text("utf-8"), heading)
    assert set(rows) == set(model.model_fields)
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            default = {}  # a table whose keys have their own page
        if field.is_required():
            assert rows[name][1] == "required"
        elif default is None:
            assert rows[name][1][0] != "`", f"{heading} {name}: the default is none"
        else:
            assert rows[name][1] == f"`{as_toml(default)}`", f"{heading} {name}"


def test_keys_of_variants_are_documented():
    rows = table((ROOT / "docs" / "audit-file.md").read_text("utf-8"), "`[[variant]]`")
    assert set(rows) == set(Variant.model_fields)


def test_keys_of_parts_of_data_are_documented():
    rows = table((ROOT / "docs" / "audit-file.md").read_text("utf-8"), "`[data.NAME]`")
    assert set(rows) == set(named_parts.KEYS)


def test_keys_of_the_topology_are_documented():
    page = (ROOT / "docs" / "audit-file.md").read_text("utf-8")
    section = page[page.index("## `[topology]`") : page.index("## `[target]`")]
    keys = {key for row in topology.ROWS.values() for key in topology.keys_of(row)}
    assert {key for key in (*topology.ROWS, *keys) if f"`{key}`" not in section} == set()


def test_keys_outside_tables_are_documented():
    page = (ROOT / "docs" / "audit-file.md").read_text("utf-8")
    rows = table(page, "Keys outside tables")
    assert set(rows) == set(tables.Top.model_fields) - {
        "stage",
        "target",
        "threat",
        "attack",
        "defense",
        "variant",
        "report",
        "spike",
    }
    assert rows["seed"][1] == f"`{tables.Top.model_fields['seed'].default}`"


@pytest.mark.parametrize("family", list(FAMILIES))
def test_every_attack_and_setting_is_documented_with_its_default(family):
    page = (ROOT / "docs" / "audit-file.md").read_text("utf-8")
    for name, kind in FAMILIES[family].attacks().items():
        assert f"`{name}`" in page
        assert f"\n## `{name}`" in (ROOT / "docs" / "attacks.md").read_text("utf-8") or kind.control
        fields = [field for field in dataclasses.fields(kind) if field.init]
        rows = table(page, f"`{name}`") if fields else {}
        assert set(rows) == {field.name for field in fields}
        for field in fields:
            if field.default is not None:
                assert rows[field.name][1] == f"`{as_toml(field.default)}`"


def test_the_audit_files_of_the_pages_are_valid(tmp_path):
    pages = [(ROOT / "docs" / name).read_text("utf-8") for name in ("audit-file.md", "supplied-models.md")]
    blocks = [block for page in pages for kind, block in FENCE.findall(page) if kind == "toml"]
    beside = [block for block in blocks if re.search(r"^\[(data\.|topology)", block, re.M)]
    for block in beside:
        assert config.parse(tomllib.loads(block), base=tmp_path).parts
    (several,) = [block for block in blocks if "[[threat]]" in block]
    recipe, target, variants, *targets = [block for block in blocks if block not in (*beside, several)]
    audit = config.parse(tomllib.loads(recipe), base=tmp_path)
    assert [row.id for row in audit.attacks] == ["lira online", "count", "constant"]
    table = {**tomllib.loads(recipe), **tomllib.loads(several)}
    ids = [row.id for row in config.parse(table, base=tmp_path).threats]
    assert ids == ["pretraining", "finetuning", "labels-only"]
    table = tomllib.loads(recipe + variants)
    table["threat"] = {"at_risk": "pretrain", "shadows": 16}
    table["attack"] = [{"name": "tmi"}]
    first, second = config.parse(table, base=tmp_path).variants
    assert first.audit.stages[1].transfer == "lora"
    assert second.audit.threats[0].threat.knows == ("finetuning-data",)
    assert len(targets) == 1
    for block in (target, *targets):
        assert isinstance(config.parse(tomllib.loads(block), base=tmp_path), config.SuppliedAudit)


def test_the_audit_files_about_language_models_are_valid(tmp_path):
    block, of_target, references, of_base = [
        block
        for kind, block in FENCE.findall((ROOT / "docs" / "language-models.md").read_text("utf-8"))
        if kind == "toml"
    ]
    audit = config.parse(tomllib.loads(block), base=tmp_path)
    assert {stage.task for stage in audit.stages} == {"language"}
    assert len(audit.attacks) == 6  # with one control beside them
    supplied = config.parse(tomllib.loads(of_target), base=tmp_path)
    assert (supplied.target.task, supplied.target.base) == ("language", "base")
    judged = config.parse({**tomllib.loads(block), **tomllib.loads(of_base)}, base=tmp_path)
    assert judged.threats[0].threat.at_risk == judged.stages[0].name
    both = tomllib.loads(f"{of_target}\n{references}")
    assert tables.finetuning_of(config.parse(both, base=tmp_path).target.fit, "fit").hyperparameters.epochs == 3


def test_the_audit_file_about_pretraining_data_is_valid(tmp_path):
    page = (ROOT / "docs" / "pretraining.md").read_text("utf-8")
    (block,) = [block for kind, block in FENCE.findall(page) if kind == "toml"]
    audit = config.parse(tomllib.loads(block), base=tmp_path)
    assert [row.id for row in audit.variants] == ["private-pretraining", "known-records", "private-finetuning"]
    assert {row.name for row in audit.attacks} >= {"tmi", "adapted_lira", "discriminant", "direct"}


def test_options_beside_the_file_are_documented():
    rows = table((ROOT / "docs" / "audit-file.md").read_text("utf-8"), "What is not in the file")
    verbs = typer.main.get_command(app).commands
    assert set(rows) == options(verbs["run"]) - {"--json", "--quiet", "--help", "-q"}
    rows = table((ROOT / "docs" / "store.md").read_text("utf-8"), "Making room")
    assert set(rows) == options(verbs["store"].commands["gc"]) - {"--json", "--help", "-q"}


def test_the_call_is_documented_with_its_defaults():
    page = (ROOT / "docs" / "supplied-models.md").read_text("utf-8")
    rows, parts = table(page, "In Python"), table(page, "Your own model")
    taken = inspect.signature(dosimeter.audit).parameters
    assert set(rows) | set(parts) == set(taken)
    for name, row in rows.items():
        default = taken[name].default
        if default is inspect.Parameter.empty:
            assert row[0] == "required"
        elif isinstance(default, str | int):
            assert row[0] == f"`{as_toml(default)}`"


def test_tables_of_scores_are_documented(tmp_path):
    page = (ROOT / "docs" / "scores.md").read_text("utf-8")
    assert set(table(page, "Columns")) == {*columns.REQUIRED, *columns.OPTIONAL}
    verb = typer.main.get_command(app).commands["measure"]
    rows = table(page, "Your own scores")
    assert set(rows) == options(verb) - {"--scores", "--json", "--quiet", "--help", "-q"}
    for option, row in rows.items():
        (default,) = [one.default for one in verb.params if option in one.opts]
        assert default is None or row[0] == f"`{default}`"
    blocks = [block for kind, block in FENCE.findall(page) if not kind]
    assert len(blocks) == 2
    readme = (ROOT / "README.md").read_text("utf-8")
    for block in [*blocks, *[block for kind, block in FENCE.findall(readme) if not kind]]:
        (tmp_path / "scores.csv").write_text(block, encoding="utf-8")
        found = columns.read_columns(tmp_path / "scores.csv")
        assert not found.ignored


def test_what_a_result_offers_is_documented():
    page = (ROOT / "docs" / "results.md").read_text("utf-8").split("## In Python")[1]
    offered = {name for name in vars(dosimeter.Result) if not name.startswith("_")}
    fields = {field.name for kind in (dosimeter.Result, dosimeter.Reported) for field in dataclasses.fields(kind)}
    named = set(re.findall(r"`(\w+)", page))
    assert {"estimate"} | named >= offered | fields


def test_data_and_models_are_documented():
    data, audit_file = ((ROOT / "docs" / name).read_text("utf-8") for name in ("data.md", "audit-file.md"))
    assert [name for name in DATASETS if f"`{name}`" not in data] == []
    assert [field.name for field in dataclasses.fields(Options) if f"`{field.name}`" not in data] == []
    assert [name for name in ARCHITECTURES if f"`{name}`" not in audit_file] == []


def test_every_field_of_the_result_is_documented():
    page = (ROOT / "docs" / "results.md").read_text("utf-8")
    published = schema.result_schema()
    keys = set(published["properties"])
    for node in published["$defs"].values():
        keys |= set(node.get("properties", {}))
    assert {key for key in keys if f"`{key}`" not in page} == set()
    assert (ROOT / re.search(r"`(src/\S+schema.json)`", page)[1]).is_file()


def test_every_check_is_documented():
    page = (ROOT / "docs" / "pitfalls.md").read_text("utf-8")
    files = list((ROOT / "src" / "dosimeter").rglob("*.py"))
    ids = {one for path in files for one in re.findall(r'Gate\(\s*"([PNI]\d+)"', path.read_text("utf-8"))}
    rows = set(re.findall(r"^\| ([PNI]\d+) \|", page, re.MULTILINE))
    checks = set(re.findall(r"^\| (\w\d+) \|", page.split("## The checks in the report")[1], re.MULTILINE))
    assert ids <= rows
    assert ids == checks
    inversion = (ROOT / "docs" / "inversion.md").read_text("utf-8")
    own = {one for path in files for one in re.findall(r'Gate\(\s*"(V\d+)"', path.read_text("utf-8"))}
    assert {*own, "N1", "N2"} == set(re.findall(r"^\| (\w\d+) \|", inversion, re.MULTILINE))
    assert {f"P{number}" for number in range(1, 19)} <= rows
    assert all(f"**{one}.**" in page for one in ids)


def test_pictures_are_small():
    for picture in ROOT.glob("docs/img/*"):
        assert picture.stat().st_size < 300_000


def test_files_that_contributing_names_exist():
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    for name in re.findall(r"`([\w./]+\.(?:py|json|md))`", page):
        if "NAME" in name or name.endswith("surplus.py") or name == "result.json":
            continue
        name = name.replace("/F/", "/membership/")  # any family
        assert (ROOT / name).is_file() or (ROOT / "src" / "dosimeter" / name).is_file(), name


def test_the_attack_of_contributing_works(monkeypatch):
    (block,) = [
        block for kind, block in FENCE.findall((ROOT / "CONTRIBUTING.md").read_text("utf-8")) if kind == "python"
    ]
    module = types.ModuleType("surplus")
    monkeypatch.setitem(sys.modules, "surplus", module)
    exec(compile(block, "CONTRIBUTING.md", "exec"), module.__dict__)
    row = {"name": "surplus:Surplus"}
    stage = {"name": "train", "data": "digits", "model": "linear"}
    audit = config.parse({"stage": [stage], "attack": [row]}, base=ROOT)
    attack = audit.attacks[0].attack
    for leakage in (0.0, 2.0):
        game, truth = fleet(0, leakage=leakage, n_records=1000, n_views=2)
        scores = attack.run(game, np.random.default_rng(0))
        assert scores.values.shape == (2, 1000)
        for values, is_member in zip(scores.values, truth.is_member, strict=True):
            found = auc(values, is_member)
            assert found > 0.6 if leakage else abs(found - 0.5) < 0.09


def test_the_figures_of_the_readme_are_those_of_the_zoo_and_the_peers_page():
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
    claimed, audits = re.search(r"(\d+) of (\d+) audits of", (ROOT / "docs" / "zoo.md").read_text("utf-8")).groups()
    assert f"of {int(audits):,} audits in which nothing leaks, it claimed a leak in {claimed} (" in readme
    found = re.search(
        r"Of (\d+) comparisons with the same attack (\d+) are better by as much, and (\d+) are worse",
        (ROOT / "docs" / "peers.md").read_text("utf-8"),
    )
    compared, better, worse = found.groups()
    told = f"in {compared} comparisons with the same attack, dosimeter is better in {better} and worse in {worse}"
    assert told in readme
