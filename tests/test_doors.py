"""The package's doors: exported names, import direction, sizes, help texts, and quick imports."""

from __future__ import annotations

import ast
import builtins
import dis
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dosimeter
from dosimeter._own_code import nested
from dosimeter.cli import main

ROOT = Path(dosimeter.__file__).parent
LAYERS = Path(__file__).parent.parent / "docs" / "design" / "0001-spine.md"
FILES = sorted(path for path in ROOT.rglob("*.py") if "demos" not in path.parts)
VERBS = ["demo", "init", "plan", "run", "measure", "report", "check", "diff", "list"]


def layers() -> dict[str, int]:
    """Module, or package, to the number of its layer, as the design page lists them."""
    part = LAYERS.read_text().split("## Layers")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", part, re.M)
    return {name: int(number) for number, names in rows for name in re.findall(r"`([\w.]+)`", names)}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def layer_of(module: str, table: dict[str, int]) -> int:
    """The layer of a module, or of the nearest package above it."""
    name = module
    while name not in table:
        assert "." in name, f"{module} stands in no layer of {LAYERS}"
        name = name.rpartition(".")[0]
    return table[name]


def imports(path: Path) -> set[str]:
    """Our modules that a file imports anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dosimeter":
            inner = str(node.module).partition(".")[2]
            for alias in node.names:
                whole = f"{inner}.{alias.name}".strip(".")
                file = ROOT / whole.replace(".", "/")
                found.add(whole if file.is_dir() or file.with_suffix(".py").is_file() else inner)
        elif isinstance(node, ast.Import):
            found |= {a.name.partition(".")[2] for a in node.names if a.name.startswith("dosimeter.")}
    return found - {""}


@pytest.mark.parametrize("path", [p for p in FILES if module_of(p) != "__init__"], ids=module_of)
def test_a_module_imports_from_lower_or_its_own_layer(path):
    table = layers()
    own = layer_of(module_of(path), table)
    wrong = [one for one in imports(path) if layer_of(one, table) > own]
    assert not wrong, f"{module_of(path)} (layer {own}) imports {wrong}"


def test_every_layer_names_modules_that_exist():
    known = {module_of(path) for path in FILES}
    assert set(layers()) <= known


def test_within_a_layer_no_two_modules_import_each_other():
    graph = {module_of(path): imports(path) for path in FILES if module_of(path) != "__init__"}
    both = [(a, b) for a, found in graph.items() for b in found if a < b and a in graph.get(b, set())]
    assert both in ([], [("data", "data.reference")])  # the reference reads the table of names when it is called


def test_only_the_ray_runner_imports_ray():
    for path in FILES:
        roots = {
            name.split(".")[0]
            for node in ast.walk(ast.parse(path.read_text()))
            for name in (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        assert "ray" not in roots or path.name == "ray_runner.py", path


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_files_and_functions_are_short_or_say_why(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= 400 or any("longer than 400 lines" in line for line in lines)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            assert length <= 50 or "long because" in "\n".join(lines[node.lineno - 3 : body[0].lineno]), node.name


def test_exported_names_are_there():
    for name in dosimeter.__all__:
        assert getattr(dosimeter, name) is not None
        assert name in dir(dosimeter)
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = dosimeter.nope


@pytest.mark.parametrize("arguments", [["--help"], *[[verb, "--help"] for verb in VERBS]], ids=lambda a: a[0])
def test_every_help_has_an_example(arguments, capsys):
    assert main(arguments) == 0
    assert "Example: dosimeter " in capsys.readouterr().out


def load_nothing_heavy(code: str) -> None:
    """Run a statement in a fresh interpreter; that it is quick, `benchmarks/quick.py` measures."""
    heavy = ("torch", "ray", "transformers", "torchvision", "numpy", "matplotlib", "sklearn")
    check = f"import sys; code = [{code}]; sys.exit(sum(name in sys.modules for name in {heavy}))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr


def test_importing_is_light():
    load_nothing_heavy("__import__('dosimeter')")


def test_help_is_light():
    load_nothing_heavy("__import__('dosimeter.cli').cli.main(['--help'])")
    load_nothing_heavy("__import__('dosimeter.cli').cli.main(['run', '--help'])")


def test_every_global_name_that_code_reads_exists():
    """Names of axes in annotations keep linters from looking for names that are read and nowhere defined."""
    absent = []
    for path in FILES:
        module = importlib.import_module(f"dosimeter.{module_of(path)}".removesuffix(".__init__"))
        code = compile(path.read_text(encoding="utf-8"), str(path), "exec")
        known = {*vars(module), *vars(builtins)}
        steps = [step for inner in nested(code) for step in dis.get_instructions(inner)]
        names = {str(step.argval) for step in steps if step.opname == "LOAD_GLOBAL"}
        absent += [f"{module_of(path)}: {name}" for name in names - known]
    assert absent == []
