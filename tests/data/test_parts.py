"""Parts of data: what a filter keeps, which classes remain, and what two parts share against their promise."""

from dataclasses import replace

import numpy as np
import pytest

from dosimeter.data import Dataset, load
from dosimeter.data.options import Rows
from dosimeter.data.parts.apart import shared, with_classes_of
from dosimeter.data.parts.choose import Filter, choose

NAMES = ("Greek/1", "Greek/2", "Latin/1", "Runes/1")


def drawings(**more):
    """16 drawings of four characters of three alphabets, the classes in turn, by two drawers of each alphabet."""
    labels = np.tile(np.arange(4), 4)
    groups = np.array([NAMES[label].partition("/")[0] for label in labels])
    persons = np.array([f"{group}/{i // 8}" for i, group in enumerate(groups)])
    return Dataset(
        inputs=np.arange(16, dtype=np.float32)[:, None],
        labels=labels,
        classes=NAMES,
        ids=np.array([f"r{i:02d}" for i in range(16)]),
        persons=persons,
        groups=groups,
        attributes={"hand": np.array(["left", "right"] * 8), "age": np.arange(16) % 3},
        **more,
    )


def kept(rows=None, **conditions):
    wanted = Filter(conditions.get("where", {}), conditions.get("without", {}))
    return choose(drawings(), wanted, rows or Rows(), "data.p")


def test_a_filter_on_groups_keeps_only_their_classes():
    part = kept(where={"group": ("Greek", "Runes")})
    assert part.classes == ("Greek/1", "Greek/2", "Runes/1")
    assert part.labels.tolist() == [0, 1, 2] * 4
    assert part.ids.tolist() == [one for i, one in enumerate(drawings().ids) if i % 4 != 2]
    assert part.attributes["age"].tolist() == [i % 3 for i in range(16) if i % 4 != 2]


def test_classes_depend_on_the_filter_and_not_on_the_rows():
    whole = kept(where={"group": ("Greek",)})
    part = kept(Rows(4, 5), where={"group": ("Greek",)})
    assert part.classes == whole.classes == ("Greek/1", "Greek/2")
    assert part.ids.tolist() == ["r04"]
    everyone = kept(where={"hand": ("left",)})
    assert everyone.classes == ("Greek/1", "Latin/1")
    assert kept(Rows(0, 3)).classes == NAMES


def test_every_condition_must_hold_and_not_is_the_complement():
    assert kept(where={"group": ("Greek",), "hand": ("left",), "age": (0, 2)}).ids.tolist() == ["r00", "r08", "r12"]
    one, other = kept(where={"person": ("Greek/0",)}), kept(without={"person": ("Greek/0",)})
    assert sorted([*one.ids, *other.ids]) == drawings().ids.tolist()
    assert not set(kept(without={"group": ("Greek",), "label": ("Latin/1",)}).ids) - {
        f"r{i:02d}" for i in range(3, 16, 4)
    }
    both = kept(where={"group": ("Greek",)}, without={"label": ("Greek/2",)})
    assert both.classes == ("Greek/1",)


def test_a_filter_that_keeps_all_changes_no_fingerprint():
    assert kept(where={"group": ("Greek", "Latin", "Runes")}).fingerprint == drawings().fingerprint
    assert kept().fingerprint == drawings().fingerprint


@pytest.mark.parametrize(
    ("conditions", "rows", "said"),
    [
        ({"group": ("Grek",)}, None, "data.p.where.group: no record has it, got 'Grek', did you mean 'Greek'?"),
        ({"grup": ("Greek",)}, None, "data.p.where.grup: unknown key, did you mean 'group'?"),
        ({"person": ("Greek/9",)}, None, "data.p.where.person: no record has it, got 'Greek/9', did you mean 'Greek/"),
        ({"hand": (1,)}, None, 'data.p.where.hand: must be text in quotes here, got 1: write "1"'),
        ({"age": ("1",)}, None, "data.p.where.age: must be a number here, got '1': write it without quotes"),
        ({"age": (7,)}, None, "data.p.where.age: no record has it, got 7, use one of: 0, 1, 2"),
        ({"group": ("Greek",), "label": ("Latin/1",)}, None, "data.p: the filter must keep a record, got none of 16"),
        ({"group": ("Runes",)}, Rows(0, 3), "got none of 3 (4 meet it outside the rows)"),
        ({"group": ("Greek",)}, Rows(0, 17), "data.p: rows must lie in 0:16, got 0:17"),
    ],
)
def test_filters_that_cannot_be_meant_are_refused(conditions, rows, said, fails):
    assert said in fails(choose, drawings(), Filter(conditions), rows or Rows(), "data.p")


def test_all_problems_of_a_filter_are_told_at_once(fails):
    said = fails(choose, drawings(), Filter({"group": ("Grek", "Latn")}, {"hnd": ("left",)}), Rows(), "data.p")
    assert [line.split(":")[0] for line in said.splitlines()] == ["data.p.where.group"] * 2 + ["data.p.not.hnd"]


def test_data_without_groups_or_with_an_attribute_called_group(fails):
    plain = replace(drawings(), groups=None)
    assert "where.group: the data have no group, use one of: age, hand, label" in fails(
        choose, plain, Filter({"group": ("Greek",)}), Rows(), "data.p"
    )
    doubled = replace(drawings(), attributes={"group": np.array(["x"] * 16)})
    assert "group: stands for two things" in fails(choose, doubled, Filter({"group": ("x",)}), Rows(), "data.p")


def test_what_two_parts_share():
    whole = replace(drawings(), name="whole")
    greek, latin = kept(where={"group": ("Greek",)}), kept(where={"group": ("Latin",)})
    assert shared(greek, latin, groups=True) is None
    assert shared(greek, whole, groups=True).startswith(
        "must share nothing with 'whole', got in both 8 records (such as 'r00'), 2 persons (such as 'Greek/0'), 1 "
        "group (such as 'Greek'): change the filter"
    )
    assert "group" not in shared(greek, whole, groups=False)
    first, second = kept(Rows(0, 8)), kept(Rows(8, 16))
    assert shared(first, second, groups=False) is None
    assert "4 groups" not in shared(kept(Rows(0, 9)), second, groups=False)
    one = shared(kept(Rows(0, 9)), replace(second, persons=None), groups=False)
    assert "got in both 1 record (such as 'r08'): " in one


def test_records_are_compared_by_content_in_any_type():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (4, 1, 3, 3)).astype(np.uint8)
    labels, classes = np.array([0, 1, 0, 1]), ("a", "b")
    raw = Dataset(pixels, labels, classes, np.array(list("wxyz")))
    floats = Dataset(pixels[2:].astype(np.float32) / 255, labels[2:], classes, np.array(["p", "q"]), name="f")
    assert "2 records (such as 'y')" in shared(raw, floats, groups=False)
    flat = Dataset(np.zeros((2, 9), np.float32), labels[:2], classes, np.array(["p", "q"]))
    assert shared(raw, flat, groups=False) is None
    zero = Dataset(np.array([[-0.0], [1]], np.float32), labels[:2], classes, np.array(["p", "q"]))
    assert "1 record " in shared(zero, replace(zero, inputs=np.array([[0.0], [2]], np.float32)), groups=False)


def test_tables_with_other_categories_are_compared_by_column(tmp_path):
    (tmp_path / "a.csv").write_text("c,x,label\nred,1,u\ngreen,2,v\n")
    (tmp_path / "b.csv").write_text("c,x,label\nblue,1,u\nred,1,v\n")
    (tmp_path / "c.csv").write_text("d,x,label\nred,1,u\ngreen,2,v\n")
    a, b, c = (load(f"{name}.csv", base=tmp_path) for name in "abc")
    assert a.inputs.shape == b.inputs.shape
    assert "1 record " in shared(a, b, groups=False)
    assert shared(a, c, groups=False) is None


def test_a_part_takes_the_classes_of_another_if_it_has_only_such():
    greek, one = kept(where={"group": ("Greek",)}), kept(where={"label": ("Greek/2",)})
    assert with_classes_of(one, greek).classes == greek.classes
    assert set(with_classes_of(one, greek).labels.tolist()) == {1}
    assert with_classes_of(greek, one) is greek
