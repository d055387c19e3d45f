"""Keys of jobs follow the code that runs, however deep it lies, and not its words or its place."""

import shutil
from pathlib import Path

import pytest

import dosimeter
from dosimeter.defenses import DEFENSES
from dosimeter.families.registry import FAMILIES
from dosimeter.foundation.keys import package_code as _package_code
from dosimeter.foundation.keys.package_code import class_code, package_code


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the package's files, to be changed, and the digest of a module in it."""
    root = tmp_path / "dosimeter"
    shutil.copytree(Path(dosimeter.__file__).parent, root, ignore=shutil.ignore_patterns("__pycache__", "templates"))
    monkeypatch.setattr(_package_code, "ROOT", root)

    def digest(module):
        package_code.cache_clear()
        return package_code(module)

    yield root, digest
    package_code.cache_clear()


def change(path, old, new):
    """Replace a text that stands in a file."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


JOBS = (
    "dosimeter.training.packs",
    "dosimeter.families.membership.observe.observe",
    "dosimeter.families.membership.observe.shadow_job",
)


@pytest.mark.parametrize("module", JOBS)
@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("foundation/seeds.py", "import hashlib", "import hashlib\n\nCHANGED = 1"),
        ("data/views.py", "def apply_view", "CHANGED = 1\n\n\ndef apply_view"),
        ("models/architectures.py", "import torch", "import torch\n\nCHANGED = 1"),
        ("training/loop.py", "import torch", "import torch\n\nCHANGED = 1"),
        ("models/outputs.py", "import numpy", "import math\nimport numpy"),
        ("training/user_fit.py", "import", "import math\nimport"),
    ],
)
def test_a_change_deep_in_what_is_imported_is_another_key(copy, module, file, old, new):
    root, digest = copy
    before = digest(module)
    text = (root / file).read_text(encoding="utf-8")
    assert old in text
    (root / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    assert digest(module) != before


@pytest.mark.parametrize("family", FAMILIES)
def test_keys_of_a_family_do_not_follow_reports_nor_other_families(copy, family):
    root, digest = copy
    module = f"dosimeter.families.{family}.play.job"
    before = digest(module)
    others = [f"families/{other}/family.py" for other in FAMILIES if other != family]
    for file in (*others, f"families/{family}/family.py", f"families/{family}/section/section.py", "results/words.py"):
        with (root / file).open("a", encoding="utf-8") as text:
            text.write("\nCHANGED = 1\n")
    assert digest(module) == before


def test_words_and_positions_are_not_the_key(copy):
    root, digest = copy
    before = {module: digest(module) for module in JOBS}
    for file in ("foundation/seeds.py", "training/loop.py", "training/packs.py"):
        text = (root / file).read_text(encoding="utf-8")
        first = text.index('"""')
        end = text.index('"""', first + 3)
        (root / file).write_text(
            f'"""Other words."""\n\n# A remark.\n\n{text[end + 3 :]}\n# Another.\n', encoding="utf-8"
        )
    assert {module: digest(module) for module in JOBS} == before


def test_a_moved_file_keeps_the_key(copy):
    root, digest = copy
    before = digest("dosimeter.training.packs")
    (root / "rooms").mkdir()
    (root / "rooms" / "__init__.py").write_text("", encoding="utf-8")
    (root / "foundation" / "seeds.py").rename(root / "rooms" / "seeds.py")
    for file in root.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        file.write_text(
            text.replace("from dosimeter.foundation.seeds import", "from dosimeter.rooms.seeds import"),
            encoding="utf-8",
        )
    assert digest("dosimeter.training.packs") == before
    loop = (root / "training" / "loop.py").read_bytes()
    assert "dosimeter.rooms.seeds" in _package_code._read(loop, "dosimeter.training.loop", False)[1]
    (root / "rooms" / "seeds.py").write_text("changed = 1\n", encoding="utf-8")
    assert digest("dosimeter.training.packs") != before


def test_what_only_type_checkers_import_is_left_out(copy):
    root, digest = copy
    before = digest("dosimeter.foundation.seeds")
    change(root / "foundation" / "seeds.py", "import hashlib", "import hashlib\nfrom typing import TYPE_CHECKING")
    with_name = digest("dosimeter.foundation.seeds")
    assert with_name != before
    text = (root / "foundation" / "seeds.py").read_text(encoding="utf-8")
    (root / "foundation" / "seeds.py").write_text(
        text + "\nif TYPE_CHECKING:\n    from dosimeter import config\n", encoding="utf-8"
    )
    assert digest("dosimeter.foundation.seeds") == with_name


def test_another_release_alone_is_no_other_key(copy):
    root, digest = copy
    before = digest("dosimeter.training.packs")
    (root / "foundation" / "version.py").write_text('__version__ = "99"\n', encoding="utf-8")
    assert digest("dosimeter.training.packs") == before


def test_plug_ins_of_this_package_and_of_users_have_digests():
    own = {name: class_code(kind) for name, kind in DEFENSES.items()}
    assert all(len(one) == 24 for one in own.values())

    class Mine:
        """Of a user."""

    assert len(class_code(Mine)) == 64
