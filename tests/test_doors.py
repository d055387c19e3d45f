"""The package's doors: exported names, import direction, sizes, help texts, and quick imports."""

from __future__ import annotations

import ast
import builtins
import dis
import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

import dosimeter
from dosimeter.cli.app import main
from dosimeter.families.membership.attacks import ATTACKS
from dosimeter.families.registry import FAMILIES
from dosimeter.foundation.keys.own_code import walk_code

ROOT = Path(dosimeter.__file__).parent
PAGE = Path(__file__).parent.parent / "docs" / "design" / "0007-rooms.md"
FILES = sorted(path for path in ROOT.rglob("*.py") if not {"demos", "template"} & set(path.parts))
VERBS = ["demo", "init", "plan", "run", "measure", "report", "check", "diff", "list"]
ROOMS = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.M)
TOP = {"__init__", "__main__", "attacks", "errors", "games"}
"""What stands in no room: lazy names, and doors that name what users import."""
LARGE = {
    # options of a command line, and of the Python call that has a parameter for each thing that a user may bring
    ("cli.app", "demo: 10 parameters"),
    ("cli.app", "plan: 11 parameters"),
    ("cli.app", "run: 12 parameters"),
    ("cli.app", "measure: 8 parameters"),
    ("pipeline.call", "audit: 27 parameters"),
    ("pipeline.verbs", "run: 8 parameters"),
    # makes jobs, which have as many parts
    ("training.features", "feature_jobs: 9 parameters"),
    # a data set has as many
    ("data.named.corpora", "_corpus: 8 parameters"),
}
"""Functions beyond the limits, with the reason."""

SHARED = {
    "families.registry",
    *(f"families.{name}" for name in ("family", "attack", "play", "threat", "resources", "pictures", "directions")),
    *(f"families.{name}" for name in ("topology", "sights", "rules", "joint_risks", "risks", "derived")),
}
"""What all families have in common; the first is the registry, `FAMILIES`."""
OF_ONE_FAMILY = {
    # doors that name what users import
    ("__init__", "families.membership.game"),
    ("attacks", "families.membership.attacks"),
    ("games", "families.membership.game"),
    ("games", "families.inversion.game"),
    ("games", "families.membership.known"),
    ("games", "families.split.game"),
    ("games", "families.exchange.game"),
    ("games", "families.membership.weights"),
    # a table of scores and membership bits has no model and no audit file, and so no case of a family
    ("pipeline.table", "families.membership.family"),
    ("pipeline.table", "families.membership.measure"),
    ("pipeline.table", "families.membership.measures.material"),
    ("pipeline.table", "families.membership.table.gates"),
    ("pipeline.table", "families.membership.table.summary"),
    ("pipeline.table", "families.membership.table.table"),
}
"""Files outside the families that read one family's code, with the reason."""


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def tree(path: Path) -> ast.Module:
    """A file, parsed once for all tests."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> frozenset[str]:
    """Our modules that a file imports anywhere in it."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dosimeter":
            inner = str(node.module).partition(".")[2]
            for alias in node.names:
                whole = f"{inner}.{alias.name}".strip(".")
                file = ROOT / whole.replace(".", "/")
                found.add(whole if file.is_dir() or file.with_suffix(".py").is_file() else inner)
        elif isinstance(node, ast.Import):
            found |= {a.name.partition(".")[2] for a in node.names if a.name.startswith("dosimeter.")}
    return frozenset(found - {""})


def by_room(*without):
    """One test for each room, on all its files; hundreds of tests would cost more than what they look at."""
    parts = {room: [path for path in FILES if module_of(path).split(".")[0] == room] for room in ROOMS}
    parts["top"] = [path for path in FILES if module_of(path) in TOP]
    assert sum(map(len, parts.values())) == len(FILES)
    taken = [one for one in parts if one not in without]
    return pytest.mark.parametrize("paths", [parts[one] for one in taken], ids=taken)


def found_in(paths: list[Path], wrong: Callable[[Path], object]) -> dict[str, object]:
    """What is wrong in which file."""
    found = {module_of(path): wrong(path) for path in paths}
    return {module: one for module, one in found.items() if one}


def test_there_are_twelve_rooms_and_nothing_beside_them():
    assert len(ROOMS) == 12
    assert {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(ROOMS)
    assert {path.stem for path in ROOT.glob("*.py")} == TOP


def from_below(path: Path) -> set[str]:
    """What a file of a room imports from rooms below its own, or from the doors at the top."""
    own = ROOMS.index(module_of(path).split(".")[0])
    rooms = {one: one.split(".")[0] for one in imports(path)}
    below = {one for one, room in rooms.items() if room in ROOMS and ROOMS.index(room) > own}
    return below | {one for one, room in rooms.items() if room in TOP - {"__init__"}}


@by_room("top")
def test_a_file_imports_from_its_own_room_or_those_above(paths):
    assert found_in(paths, from_below) == {}


def test_no_two_modules_import_each_other():
    graph = {module_of(path): imports(path) for path in FILES if module_of(path) != "__init__"}
    both = [(a, b) for a, found in graph.items() for b in found if a < b and a in graph.get(b, set())]
    assert both in ([], [("data", "data.reference")])  # the reference reads the table of names when it is called


def private(path: Path) -> list[str]:
    """Names with `_` that a file takes from another."""
    return [
        alias.name
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dosimeter"
        for alias in node.names
        if re.match(r"_[^_]", alias.name)
    ]


@by_room()
def test_private_names_stay_in_their_file(paths):
    assert found_in(paths, private) == {}


@pytest.mark.parametrize("room", ROOMS)
def test_folders_hold_at_most_15_files(room):
    for folder in {path.parent for path in FILES if module_of(path).split(".")[0] == room}:
        assert len(list(folder.glob("*.py"))) <= 15, folder


def test_only_the_ray_runner_imports_ray():
    for path in FILES:
        roots = {
            name.split(".")[0]
            for node in ast.walk(tree(path))
            for name in (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        assert "ray" not in roots or path.name == "ray_runner.py", path


def too_large(path: Path) -> list[str]:
    """A file of more than 400 lines; functions with more than 40, or with more than 7 parameters beside `self`."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [f"{len(lines)} lines"] if len(lines) > 400 else []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            if length > 40 and "long because" not in "\n".join(lines[node.lineno - 3 : body[0].lineno]):
                found.append(f"{node.name}: {length} lines")
            names = [one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            count = len([name for name in names if name not in ("self", "cls")])
            if count > 7:
                found.append(f"{node.name}: {count} parameters")
    return [one for one in found if (module_of(path), one) not in LARGE]


@by_room()
def test_files_and_functions_are_short_or_say_why(paths):
    assert found_in(paths, too_large) == {}


def attacks_named(path: Path) -> set[str]:
    """Classes of attacks that a file imports, and ids of attacks that it compares something with."""
    classes = {kind.__name__ for kind in ATTACKS.values()}
    taken = [
        node for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom) and "attacks" in (node.module or "")
    ]
    named = {alias.name for node in taken for alias in node.names} & classes
    compared = {
        one.value
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Compare)
        for one in ast.walk(node)
        if isinstance(one, ast.Constant) and isinstance(one.value, str)
    }
    return named | compared & set(ATTACKS)


@by_room("families")
def test_shared_code_names_no_attack(paths):
    """No class of an attack, and no comparison with an attack's id, stands outside the families."""
    assert found_in([path for path in paths if module_of(path) != "attacks"], attacks_named) == {}


def of_one_family(path: Path) -> set[str]:
    """Code of one family that a file imports and may not."""
    inner = {one for one in imports(path) if one.split(".")[0] == "families"}
    return {one for one in inner - SHARED if (module_of(path), one) not in OF_ONE_FAMILY}


@by_room("families")
def test_shared_code_knows_only_the_interface_of_families(paths):
    """No file outside reads the code of one family, but for those that say why."""
    assert found_in(paths, of_one_family) == {}


def test_every_exception_is_one():
    known = {(module_of(path), one) for path in FILES for one in imports(path)}
    assert known >= OF_ONE_FAMILY


def of_other_families(path: Path) -> set[str]:
    """What a file of a family imports of others, and the interface of any; the registry names each family's door."""
    own = ".".join(module_of(path).split(".")[:2])
    shared = SHARED - {"families.registry"}
    wrong = {one for one in imports(path) if f"{one}.".startswith("families.") and one not in shared}
    wrong = {one for one in wrong if own in SHARED or not f"{one}.".startswith(f"{own}.")}
    return wrong ^ {f"families.{name}.family" for name in FAMILIES} if own == "families.registry" else wrong


def test_a_family_imports_no_other():
    """A family's folder reads itself and the interface; the interface reads no family, the registry names them all."""
    inside = [path for path in FILES if module_of(path).split(".")[0] == "families"]
    assert "families.registry" in map(module_of, inside)
    assert found_in(inside, of_other_families) == {}


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
    load_nothing_heavy("__import__('dosimeter.cli.app', fromlist=['main']).main(['--help'])")
    load_nothing_heavy("__import__('dosimeter.cli.app', fromlist=['main']).main(['run', '--help'])")


WITHOUT_MODELS = [
    ["store", "list", "--store", "."],
    ["diff", "RUN", "RUN"],
    ["check", "RUN", "--policy", "policy.toml"],
    ["list"],
    ["list", "--json"],
    ["report", "RUN"],
    ["measure", "--scores", "scores.csv"],
]
"""Verbs that load no torch."""


def test_verbs_that_need_no_model_load_no_torch(tmp_path):
    """They would take seconds longer; what they load beside it, such as matplotlib, they need."""
    run = shutil.copytree(Path(__file__).parent / "golden" / "format2" / "recipe", tmp_path / "run")
    (tmp_path / "policy.toml").write_text('[[limit]]\nmetric = "auc"\nmin = 0.1\n', encoding="utf-8")
    rows = [f"r{one},{one % 7},{one % 2}" for one in range(100)]
    (tmp_path / "scores.csv").write_text("\n".join(["id,score,is_member", *rows]), encoding="utf-8")
    verbs = [[str(run) if word == "RUN" else word for word in words] for words in WITHOUT_MODELS]
    code = f"""import sys
from dosimeter.cli.app import main
for words in {verbs}:
    ended = main(words)
    assert ended in (0, 1), (words, ended)  # a limit that is not kept is an answer too
    assert "torch" not in sys.modules, words
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr


def test_results_and_statistics_import_lightly():
    """Results are read, compared and judged, and settings checked, without PyTorch, SciPy's laws or matplotlib."""
    light = re.compile(
        r"(results|statistics|families\.(membership|inversion|split|exchange)\.(threat$|sentences|section))\b"
    )
    modules = [f"dosimeter.{module_of(path)}" for path in FILES if light.match(module_of(path))]
    assert len(modules) > 40
    heavy = ("torch", "scipy.stats", "sklearn", "matplotlib", "pandas")
    code = f"import importlib, sys; [importlib.import_module(name) for name in {modules}]; "
    code += f"print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=600)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_every_global_name_that_code_reads_exists():
    """Names of axes in annotations keep linters from looking for names that are read and nowhere defined."""
    absent = []
    for path in FILES:
        module = importlib.import_module(f"dosimeter.{module_of(path)}".removesuffix(".__init__"))
        code = compile(path.read_text(encoding="utf-8"), str(path), "exec")
        known = {*vars(module), *vars(builtins)}
        steps = [step for inner in walk_code(code) for step in dis.get_instructions(inner)]
        names = {str(step.argval) for step in steps if step.opname == "LOAD_GLOBAL"}
        absent += [f"{module_of(path)}: {name}" for name in names - known]
    assert absent == []
