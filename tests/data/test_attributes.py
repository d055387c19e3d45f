"""Private attributes of records: read from columns, kept beside the inputs, and refused where they cannot be."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from dosimeter.data import Dataset, Options, load
from dosimeter.data.files.attributes import attribute_values
from dosimeter.data.supplied import read_parts

TEXT = "age,sex,city,level,rich,label\n30, f,Rome,01,true,a\n40,m,Oslo,1,false,b\n30,f,Rome,2,true,b\n"


@pytest.fixture
def csv(tmp_path):
    def write(text=TEXT):
        (tmp_path / "t.csv").write_text(text)
        return str(tmp_path / "t.csv")

    return write


def small(**more):
    return Dataset(np.zeros((3, 1), np.float32), np.array([0, 1, 0]), ("a", "b"), np.array(["x", "y", "z"]), **more)


def test_a_column_leaves_the_inputs_and_becomes_an_attribute(csv):
    plain = load(csv())
    data = load(csv(), options=Options(attributes=("sex", "age", "level", "rich")), rows="0:2")
    assert data.columns == ("city=Oslo", "city=Rome")
    assert data.inputs.tolist() == [[0, 1], [1, 0]]
    assert data.attributes["sex"].tolist() == ["f", "m"]
    assert data.attributes["age"].tolist() == [30, 40]
    assert data.attributes["level"].tolist() == ["01", "1"]  # text, since the file has 01 too
    assert data.attributes["rich"].tolist() == ["true", "false"]
    assert plain.attributes == {}
    assert len(plain.columns) == 7


def test_attributes_are_read_from_parquet_in_their_type(tmp_path):
    table = pd.DataFrame(
        {"a": [1.0, 2], "sex": pd.Categorical(["f", "m"]), "w": [0.5, 1], "n": [7, 8], "label": [0, 1]}
    )
    table.to_parquet(tmp_path / "t.parquet")
    data = load(str(tmp_path / "t.parquet"), options=Options(attributes=("sex", "w", "n")))
    assert [values.dtype.kind for values in data.attributes.values()] == ["U", "f", "i"]
    assert data.columns == ("a",)


def test_take_keeps_attributes_and_records_that_differ_in_them_have_ids_of_their_own(csv):
    options = Options(attributes=("sex", "age", "level", "rich"))
    data = load(csv(), options=options)
    assert data.take(np.array([2, 0])).attributes["sex"].tolist() == ["f", "f"]
    twins = "a,sex,label\n1,f,x\n1,m,x\n2,f,y\n"
    first = load(csv(twins), options=Options(attributes=("sex",)))
    second = load(csv("a,sex,label\n1,m,x\n1,f,x\n2,f,y\n"), options=Options(attributes=("sex",)))
    assert dict(zip(first.ids, first.attributes["sex"], strict=True)) == dict(
        zip(second.ids, second.attributes["sex"], strict=True)
    )


def test_the_fingerprint_changes_only_with_attributes():
    before = "fff3e59e124c50ed"
    plain = small().fingerprint
    assert small(attributes={}).fingerprint == plain
    found = {
        small(attributes={"sex": np.array(values)}).fingerprint
        for values in (["f", "m", "f"], ["f", "m", "m"], [1, 2, 1], ["1", "2", "1"])
    }
    assert len(found | {plain}) == 5
    wide = small(attributes={"sex": np.array(["f", "m", "f"], dtype="U9")})
    assert wide.fingerprint in found
    assert plain[:16] == before, "keys of data without attributes must stay what they were"


def test_supplied_parts_keep_attributes(csv, tmp_path):
    frame = pd.read_csv(csv())
    own = small(attributes={"sex": np.array(["f", "m", "f"])})
    parts = {"members": own, "nonmembers": dataclasses.replace(own, inputs=own.inputs + 1)}
    found = read_parts(parts, seed=0, base=None, options=Options())
    assert [one.attributes["sex"].tolist() for one in found.values()] == [["f", "m", "f"]] * 2
    parts = {"members": frame, "nonmembers": csv()}
    found = read_parts(parts, seed=0, base=tmp_path, options=Options(attributes=("sex", "level")))
    assert [one.attributes["sex"].tolist() for one in found.values()] == [["f", "m", "f"]] * 2
    assert all("sex=f" not in one.columns for one in found.values())
    assert "sex" not in found["members"].cells.features


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Options(attributes=("sxe",)), "attributes must name columns, got 'sxe': did you mean 'sex'?"),
        (Options(attributes=("label",)), "cannot serve twice, got 'label' as attribute and as label"),
        (Options(attributes=("city",), group="city"), "got 'city' as attribute and as group: name another"),
        (Options(attributes=("city",), person="city"), "got 'city' as attribute and as person"),
        (Options(attributes=("level",), categorical=("level",)), "got 'level' as attribute and as one of categorical"),
        (Options(attributes=("city",), text="city"), "got 'city' as attribute and as text"),
        (Options(attributes=("sex", "sex")), "attributes must be distinct, got 'sex' twice: name it once"),
        (Options(attributes=("age", "sex", "city", "level", "rich")), "needs at least one column of features beside"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_columns_that_are_no_attributes_are_refused(options, said, csv, fails):
    assert said in fails(load, csv(), options=options)


@pytest.mark.parametrize(("cells", "row"), [(",f", 0), ("f,", 1), ("1,", 1)])
def test_an_attribute_that_is_missing_is_refused(cells, row, csv, fails):
    first, second = cells.split(",")
    path = csv(f"a,sex,label\n1,{first},x\n2,{second},y\n")
    said = fails(load, path, options=Options(attributes=("sex",)))
    assert f"column 'sex' is an attribute and must not be empty, got a missing value in row {row} (1 such rows)" in said


def test_an_attribute_of_bytes_or_lists_is_refused(fails):
    pa = pytest.importorskip("pyarrow")
    assert "must be text or numbers, got list" in fails(attribute_values, pa.array([[1], [2]]), "t: column 'v'")
    assert "must be text or numbers, got binary" in fails(attribute_values, pa.array([b"\xff"]), "t: column 'v'")


def test_sources_without_columns_refuse_the_option(fails, tmp_path, folder):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 1)), y=np.array([0, 1]))
    for reference in ("digits", str(tmp_path / "a.npz"), str(folder())):
        said = fails(load, reference, options=Options(attributes=("sex",)))
        assert "this source has no option 'attributes'" in said


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"sex": np.array(["f", "m"])}, "attribute 'sex' must have one entry for each of 3 inputs, got shape (2,)"),
        ({"sex": np.array(["f", " ", "m"])}, "attribute 'sex' must not be missing, got ' ' in row 1 (1 such records)"),
        ({"w": np.array([0.5, np.nan, 1])}, "attribute 'w' must not be missing, got nan in row 1"),
        ({"sex": np.array([None, "f", "m"])}, "attribute 'sex' must be text or numbers, got object: use .astype(str)"),
        ({"sex": ["f", "m", "f"]}, "attribute 'sex' must be a NumPy array, got list: use numpy.asarray"),
        ({1: np.arange(3)}, "attribute 1: must have a name of text, got int"),
        (np.arange(3), "attributes must be a table of arrays by name, got ndarray"),
    ],
)
def test_wrong_attributes_of_an_own_data_set_are_refused(attributes, said, fails):
    data = small()
    object.__setattr__(data, "attributes", attributes)  # the tests' own checks of types would tell first
    assert said in fails(data.__post_init__)
