"""Registries: names are known without an import, and everything that a name stands for is found under it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import dosimeter.attacks
from dosimeter import defenses
from dosimeter.defenses import DEFENSES
from dosimeter.families.membership.attacks import (
    ATTACKS,
    DEFAULT,
    DEFAULT_TEXTS,
    DEFAULT_TEXTS_TRANSFERRED,
    default_rows,
    text_rows,
)
from dosimeter.families.registry import FAMILIES
from dosimeter.foundation.registry import Registry
from dosimeter.models.names import ARCHITECTURES

REGISTRIES = {"defenses": DEFENSES, "models": ARCHITECTURES} | {
    name: family.attacks() for name, family in FAMILIES.items()
}
own = pytest.mark.parametrize("registry", REGISTRIES.values(), ids=REGISTRIES)


@own
def test_the_line_about_a_name_is_the_first_of_its_docstring(registry):
    lines = {name: kind.__doc__.strip().partition("\n")[0] for name, kind in registry.items()}
    assert registry.about() == lines
    assert all(lines.values())


@own
def test_what_code_calls_it_finds_it_too(registry):
    assert {registry.defined(kind.__name__) for kind in registry.values()} == set(registry.values())
    assert registry.defined("Nobody") is None
    with pytest.raises(AttributeError, match="no 'Nobody' here: take one of"):
        registry.exported("Nobody")


def test_names_are_known_without_an_import():
    code = (
        "import sys; from dosimeter.defenses import DEFENSES; assert 'mid' in DEFENSES and len(list(DEFENSES)) > 9; "
        "DEFENSES.about(); print(*[one for one, module in sys.modules.items() if one.startswith('dosimeter.defenses.') "
        "and not hasattr(module, '__path__')])"  # empty packages are run, to find files
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=600)
    assert (done.stdout.split(), done.stderr) == ([], "")


def test_a_place_that_is_not_there_is_told():
    broken = Registry[type]("dosimeter.foundation", {"a": "registry:Nobody", "b": "nowhere:Nobody"})
    assert list(broken) == ["a", "b"]
    with pytest.raises(AttributeError, match="Nobody"):
        broken["a"]
    with pytest.raises(AttributeError, match=r"dosimeter\.foundation\.registry defines no Nobody"):
        broken.about()
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        broken["b"]
    with pytest.raises(KeyError):
        broken["c"]


def test_doors_export_every_class_of_their_registry():
    for registry, door in ((ATTACKS, dosimeter.attacks), (DEFENSES, defenses)):
        names = {kind.__name__ for kind in registry.values()}
        assert names <= set(dir(door)) | set(getattr(door, "__all__", ()))
        assert all(isinstance(getattr(door, name), type) for name in names)


def test_default_attacks_run_in_every_mode_that_they_have():
    for name, modes in DEFAULT.items():
        has = hasattr(ATTACKS[name], "mode")
        assert modes == (("online", "offline") if has else (None,)), name
    for name, modes in DEFAULT_TEXTS.items():
        assert modes == (("online", "offline") if hasattr(ATTACKS[name], "mode") else (None,)), name
    assert {row["name"] for row in default_rows()} == set(DEFAULT)
    assert {row["name"] for row in text_rows()} == set(DEFAULT_TEXTS)
    rows = text_rows(transferred=True)
    assert {row["name"] for row in rows} == {*DEFAULT_TEXTS_TRANSFERRED, "tmi", "discriminant"}
    assert all(ATTACKS[row.pop("name")](**row) for row in rows)
