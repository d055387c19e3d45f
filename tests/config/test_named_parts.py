"""`[data.NAME]` in an audit file: what it may hold, how stages use it, and what is refused in one line."""

import tomllib

import numpy as np
import pytest

from dosimeter.config.audit import parse
from dosimeter.foundation.errors import AuditError, ConfigError
from dosimeter.jobs.store import Store
from dosimeter.pipeline.recipe.data import load_audit
from dosimeter.pipeline.recipe.prepare import prepare

GOOD = """
name = "parts"
[data.private]
data = "omniglot:o.npz"
where = { group = ["Greek", "Latin"] }
disjoint = ["public"]
[data.public]
data = "omniglot:o.npz"
not = { group = ["Greek", "Latin"] }
[[stage]]
name = "train"
data = "private"
rows = "0:24"
test = "private"
test_rows = "24:"
model = "linear"
epochs = 1
[threat]
shadows = 2
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with 48 packed drawings: two characters of three alphabets, drawn by eight."""
    rng = np.random.default_rng(0)
    names = [f"{alphabet}/character0{i}" for alphabet in ("Greek", "Latin", "Runes") for i in (1, 2)]
    np.savez(
        tmp_path / "o.npz",
        bits=rng.integers(0, 256, (48, 1379)).astype(np.uint8),
        character=np.repeat(np.arange(6), 8),
        drawer=np.tile(np.arange(8), 6),
        names=np.array(names),
    )
    return tmp_path


def audit(text, folder):
    return parse(tomllib.loads(text), base=folder)


def read(text, folder):
    return prepare(audit(text, folder), store=Store(folder / "store"))


def refused(text, folder):
    """All lines about an audit file."""
    with pytest.raises(AuditError) as caught:
        read(text, folder)
    assert all(line.isprintable() and ": " in line for line in caught.value.problems)
    return caught.value.problems


def test_a_stage_takes_the_records_and_classes_of_a_part(folder):
    found = read(GOOD, folder).system
    data, test = found.data[0], found.test
    assert data.classes == test.classes == tuple(f"{a}/character0{i}" for a in ("Greek", "Latin") for i in (1, 2))
    assert (len(data), len(test), data.name) == (24, 8, "private")
    assert found.links[0].classes == 4
    assert not set(data.ids) & set(test.ids)
    assert len(found.parts["public"]) == 16
    assert set(found.parts["public"].groups) == {"Runes"}


def test_settings_hold_parts_only_where_there_are_some(folder):
    settings = audit(GOOD, folder).settings()
    assert settings["data"]["public"]["not"] == {"group": ["Greek", "Latin"]}
    cut = GOOD[: GOOD.index("[data.private]")] + GOOD[GOOD.index("[[stage]]") :]
    assert "data" not in audit(cut.replace('"private"', '"digits"'), folder).settings()


def test_the_key_of_data_is_that_of_its_content(folder):
    without = read(GOOD, folder).system.data[0].fingerprint
    renamed = read(GOOD.replace("private", "hospital"), folder).system.data[0].fingerprint
    assert without == renamed
    other = read(GOOD.replace('["Greek", "Latin"] }\ndis', '["Greek", "Runes"] }\ndis').replace("dis", "#"), folder)
    assert other.system.data[0].fingerprint != without


def test_a_test_part_may_lack_classes_of_the_stage(folder):
    text = GOOD.replace('test = "private"\ntest_rows = "24:"', 'test = "greek"')
    text += '[data.greek]\ndata = "omniglot:o.npz"\nrows = "24:"\nwhere = { label = ["Greek/character02"] }\n'
    found = read(text, folder).system
    assert found.test.classes == found.data[0].classes
    assert set(found.test.labels.tolist()) == {1}


CASES = [
    ("[data.public]", "[data.digits]", "data.digits: a part's name must be its own, got that of a data set that ships"),
    ("[data.public]", "[data.train]", "data.train: a part's name must be its own, got that of a stage: rename it"),
    ("[data.public]", '[data."o.npz"]', "data.o.npz: a part's name must be its own, got that of a file or folder"),
    ("[data.public]", "[data.members]", "data.members: a part's name must be its own, got that of a part of a"),
    ("[data.public]", '[data."a b"]', "data.a b: a part's name must be 1 to 64 letters"),
    ("[data.public]", "[data.publik]", "data.private.disjoint: no such part, got 'public', did you mean 'publik'?"),
    ('disjoint = ["public"]', 'disjoint = ["private"]', "disjoint: must name other parts, got 'private' itself"),
    ('disjoint = ["public"]', 'disjoint = ["public", "public"]', "disjoint: must be distinct, got 'public' twice"),
    ('disjoint = ["public"]', 'disjoint = "public"', "data.private.disjoint: must be a list, got 'public'"),
    ('disjoint = ["public"]', 'disjont = ["public"]', "data.private.disjont: unknown key, did you mean 'disjoint'?"),
    ('disjoint = ["public"]', 'without = { x = ["y"] }', "data.private.without: unknown key"),
    ('disjoint = ["public"]', 'rows = "9:1"', "data.private.rows: must be a range 'a:b'"),
    ('disjoint = ["public"]', "data_options = { lable = 1 }", "data.private.data_options.lable: unknown key, did you"),
    ('["Greek", "Latin"] }\ndis', '"Greek" }\ndis', "data.private.where.group: must be a list, got 'Greek'"),
    ('["Greek", "Latin"] }\ndis', "[] }\ndis", "data.private.where.group: must list a value, got []: add one"),
    ('["Greek", "Latin"] }\ndis', "[true] }\ndis", "data.private.where.group: must list text or numbers, got true"),
    ('["Greek", "Latin"] }\ndis', '["Grek"] }\ndis', "where.group: no record has it, got 'Grek', did you mean"),
    ("where = { group", "where = { grup", "data.private.where.grup: unknown key, did you mean 'group'?"),
    ('[data.public]\ndata = "omniglot:o.npz"', '[data.public]\ndata = "private"', "data.public.data: must be a data"),
    ('[data.public]\ndata = "omniglot:o.npz"', "[data.public]", "data.public.data: is required and missing: add it"),
    ('data = "private"\nrows', 'data = "privat"\nrows', "stage[0].data: no such part, got 'privat', did you mean 'pri"),
    ('rows = "0:24"', 'rows = "0:33"', "stage[0].data: private: rows must lie in 0:32, got 0:33"),
    ('rows = "0:24"', 'data_options = { noun = "x" }', "stage[0].data_options: a part is read with its own"),
    ('not = { group = ["Greek", "Latin"] }', "", "data.private.disjoint: must share nothing with 'public', got in"),
    ('not = { group = ["Greek", "Latin"] }', 'not = { group = ["Greek"] }', "16 records (such as 'Latin/"),
    ('test = "private"\ntest_rows = "24:"', 'test = "public"', "stage[0].test: must have the classes and the input"),
    ('[data.public]\ndata = "omniglot:o.npz"', '[data.public]\ndata = "no.npz"', "data.public: no.npz: no such file"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said"), CASES, ids=[case[2][:60] for case in CASES])
def test_a_wrong_part_is_one_line(old, new, said, folder):
    assert old in GOOD
    problems = refused(GOOD.replace(old, new, 1), folder)
    assert len([line for line in problems if said in line]) == 1, problems
    assert len(problems) <= 2, problems


def test_a_stage_does_not_train_on_one_class(folder):
    text = GOOD.replace('["Greek", "Latin"] }\ndis', '["Greek"], label = ["Greek/character01"] }\ndis')
    problems = refused(text.replace('"0:24"', '"0:6"').replace('"24:"', '"6:"'), folder)
    assert problems[0].startswith("stage[0].data: private: labels must have at least two classes, got only 'Greek/char")


def test_parts_beside_a_supplied_model_are_refused(folder):
    text = '[target]\nmodel = "m:f"\nmembers = "a.npz"\nnonmembers = "b.npz"\n[data.public]\ndata = "digits"\n'
    with pytest.raises(ConfigError, match="data: parts belong to stages"):
        audit(text, folder)


def test_problems_of_the_file_and_of_parts_are_told_together(folder):
    (folder / "audit.toml").write_text(GOOD.replace("epochs", "epoch").replace('["Greek", "Latin"] }\nd', '["G"] }\nd'))
    with pytest.raises(AuditError) as caught:
        load_audit(folder / "audit.toml")
    assert [line.split(":")[0] for line in caught.value.problems] == ["stage[0].epoch", "data.private.where.group"]


def test_test_records_with_columns_in_another_order_are_refused(folder):
    (folder / "a.csv").write_text("x,y,label\n" + "".join(f"{i},{-i},{i % 2}\n" for i in range(20)))
    (folder / "b.csv").write_text("y,x,label\n" + "".join(f"{-i},{i},{i % 2}\n" for i in range(20, 30)))
    text = '[[stage]]\nname = "train"\ndata = "a.csv"\ntest = "b.csv"\nmodel = "linear"\n[threat]\nshadows = 2\n'
    (line,) = refused(text, folder)
    assert line.startswith("stage[0].test: must have the columns of the stage's data in their order, got 'y' elsewhere")
