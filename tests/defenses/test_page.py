"""The page about defenses says what there is and what was measured."""

import dataclasses
import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

from dosimeter.defenses import DEFENSES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "defenses.md").read_text("utf-8")
FOUND = json.loads((ROOT / "benchmarks" / "results" / "defenses.json").read_text("utf-8"))
AT_CUTS = {name for name, kind in DEFENSES.items() if kind.place == "cut" or hasattr(kind, "charge_cut")}
"""Defenses of what crosses a cut."""
AMONG_PARTIES = {name for name, kind in DEFENSES.items() if kind.place == "joint"}
"""Defenses of joint stages, to which the benchmark's attacks on membership are not put."""


def benchmark(name="defenses"):
    """The module that made the figures."""
    path = ROOT / "benchmarks" / f"{name}.py"
    sys.path.insert(0, str(path.parent))
    try:
        spec = importlib.util.spec_from_file_location(f"benchmark_of_{name}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


def test_every_defense_and_setting_is_documented_with_its_default():
    part = PAGE.split("## Settings")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| `(\w+)`[^|]* \| `([^`]+)` \|", part, re.M)
    wanted = {
        (name, field.name, json.dumps(field.default))
        for name, kind in DEFENSES.items()
        for field in dataclasses.fields(kind)
    }
    assert set(rows) == wanted
    assert all(f"\n### `{name}`\n" in PAGE for name in DEFENSES)


@pytest.mark.parametrize("case", FOUND)
def test_the_table_is_that_of_the_stored_figures(case):
    assert benchmark().page(FOUND[case]) in PAGE


@pytest.mark.parametrize("lost", [1, 5])
@pytest.mark.parametrize("case", FOUND)
def test_the_tables_at_matched_utility_are_those_of_the_stored_figures(case, lost):
    assert benchmark().matched(FOUND[case], lost) in PAGE


@pytest.mark.parametrize("case", FOUND)
def test_every_defense_was_measured_in_three_settings_or_failed_with_a_reason(case):
    rows = [*FOUND[case]["variants"], *FOUND[case]["failed"]]
    for name, kind in DEFENSES.items():
        if name in AT_CUTS | AMONG_PARTIES:
            continue  # measured with the attacks that see what crosses a cut
        assert len([one for one in rows if one["defense"] == name]) == len(kind.ladder) >= 3
    assert all(one["reason"] for one in FOUND[case]["failed"])


def test_the_tables_of_the_cut_are_those_of_the_stored_figures():
    made, told = benchmark("split_defenses"), (ROOT / "docs" / "split.md").read_text("utf-8")
    found = json.loads((ROOT / "benchmarks" / "results" / "split_defenses.json").read_text("utf-8"))
    for table in (made.page(found), made.information(found)):
        assert table in told
    measured = {one["name"] for one in made.DEFENSES}
    assert measured == AT_CUTS
