from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as drawn
from hypothesis import strategies as st

from dosimeter.data import Options, load
from dosimeter.data.supplied import read_parts
from dosimeter.foundation.errors import DataError

NO_OPTIONS = {"seed": 0, "base": None, "options": Options()}


@pytest.fixture
def csv(tmp_path):
    def write(text):
        (tmp_path / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(tmp_path / "t.csv")

    return write


def test_a_table(csv):
    data = load(csv("id,age,label,rich,person,group\n007,30,yes,true,p,x\n7,41.5,no,false,p,y\n8,1e2,yes,true,q,y\n"))
    assert data.inputs.tolist() == [[30, 1], [41.5, 0], [100, 1]]
    assert data.inputs.dtype == np.float32
    assert data.ids.tolist() == ["007", "7", "8"]
    assert data.persons.tolist() == ["p", "p", "q"]
    assert data.groups.tolist() == ["x", "y", "y"]
    assert data.classes == ("no", "yes")
    assert data.labels.tolist() == [1, 0, 1]


def test_columns_by_other_names(csv, fails):
    path = csv("a,income,who\n1,10,u\n2,20,v\n3,10,v\n")
    data = load(path, rows="1:", options=Options(label="income", person="who", noun="person"))
    assert data.persons.tolist() == ["v", "v"]
    assert data.classes == ("10", "20")
    assert data.noun == "person"
    assert "needs a column 'label' for the label, got none" in fails(load, path)
    assert "did you mean 'who'?" in fails(load, path, options=Options(label="income", person="whom"))
    assert "cannot serve twice" in fails(load, path, options=Options(label="income", id="income"))


def test_ids_come_from_content_and_survive_sorting(csv):
    rows = ["1,2,a", "3,4,b", "1,2,a", "5,6,b"]
    first = load(csv("x,y,label\n" + "\n".join(rows) + "\n")).ids
    second = load(csv("x,y,label\n" + "\n".join(rows[::-1]) + "\n")).ids
    assert sorted(first) == sorted(second)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Empty CSV file"),
        ("\n\n", "Empty CSV file"),
        ("a,label\n", "got a header and no rows"),
        ("a,a,label\n1,2,3\n", "column names must be distinct, got 'a' twice"),
        (",a,label\n0,2,3\n", "looks like a pandas index"),
        ("Unnamed: 0,a,label\n0,2,3\n", "looks like a pandas index"),
        ("a,b\n1,2\n", "needs a column 'label' for the label, got none: use one of: a, b"),
        ("a;label\n1;2\n", "separate the columns by commas"),
        (
            "Dear sir,\nthis is a letter, and, no table\n",
            "every row must have 2 cells like the header, got 3 in line 2",
        ),
        ("a,label\n1,x\n2\n", "every row must have 2 cells like the header, got 1 in line 3"),
        ("a,label\n1,x\nabc,y\n", "column 'a' must be numbers or text, got both, 'abc' in row 1 (1 such rows)"),
        ("a,label\n2020-01-01,x\n2021-01-01,y\n", "column 'a' must be numbers or text, got datetime.date(2020, 1, 1)"),
        ("a,label\n1,x\n,y\n", "column 'a' must be finite numbers, got a missing value in row 1"),
        ("a,label\n1,x\ninf,y\n", "got inf in row 1"),
        ("a,b,label\n,1,x\n,2,y\n", "column 'a' must be finite numbers, got a missing value in row 0 (2 such rows)"),
        ("a,label\n1,1\n2,\n", "column 'label' must not be empty, got a missing value in row 1"),
        ("a,label\n1,x\n2,\n", "every record needs a label, got none in row 1"),
        ("a,label\n1,0.5\n2,1.5\n", "must be classes, got the number 0.5"),
        ("a,label\n1,x\n2,x\n", "at least two classes, got only 'x'"),
        ("id,label\n1,x\n2,y\n", "at least one column of features"),
        ("id,a,label\nu,1,x\nu,2,y\n", "ids must be distinct, got 'u' 2 times"),
        ("id,a,label\nu,1,x\n,2,y\n", "ids must not be empty, got none in row 1"),
        (b"a,label\n1,\xff\n2,y\n", "column 'label' must be UTF-8"),
        (b"\xffa,label\n1,x\n", "write the header as UTF-8"),
        ("a,label\n1e39,x\n2,y\n", "must fit float32"),
        ("a,label\n\x1b[1mred\x1b[0m,x\n2,y\n", "got both, '\\x1b[1mred"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "t.csv"),
    ],
)
def test_bad_tables_are_told(csv, text, said, fails):
    message = fails(load, csv(text))
    assert said in message
    assert "t.csv" in message


def test_a_ragged_row_is_not_quoted_in_the_message(csv, fails):
    assert "secret" not in fails(load, csv("a,label\n1,x\nsecret name,1,2\n"))


def test_parquet_equals_csv(csv, tmp_path):
    table = pa.table({"a": [1.5, 2.5, 3.5], "flag": [True, False, True], "label": ["u", "v", "u"]})
    pq.write_table(table, tmp_path / "t.parquet")
    one = load(str(tmp_path / "t.parquet"))
    two = load(csv("a,flag,label\n1.5,true,u\n2.5,false,v\n3.5,true,u\n"))
    assert one.fingerprint == two.fingerprint
    encoded = table.set_column(2, "label", table.column("label").dictionary_encode())
    pq.write_table(encoded, tmp_path / "t.parquet")
    assert load(str(tmp_path / "t.parquet")).fingerprint == one.fingerprint


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"a": [[1], [2]], "label": [0, 1]}, "column 'a' must be numbers or text, got [1] (type list"),
        ({"a": [1.0, float("nan")], "label": [0, 1]}, "got a missing value in row 1"),
        ({"a": [1.0, 2.0], "label": [0, None]}, "column 'label' must not be empty, got a missing value in row 1"),
        ({"a": [1.0, 2.0], "label": ["x", "y"], "__index_level_0__": [4, 5]}, "looks like a pandas index"),
        ({"a": ["1", None], "label": [0, 1]}, "got both, a missing value in row 1"),
        ({"a": [b"1", b"2"], "label": [0, 1]}, "must be numbers or text, got b'1' (type binary)"),
    ],
)
def test_bad_parquet_is_told(tmp_path, columns, said, fails):
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert said in fails(load, str(tmp_path / "t.parquet"))


def test_damaged_parquet_is_told(tmp_path, fails):
    pq.write_table(pa.table({"a": list(range(100)), "label": [0, 1] * 50}), tmp_path / "t.parquet")
    good = (tmp_path / "t.parquet").read_bytes()
    for content in (b"", b"PAR1", good[:-20], good[:40]):
        (tmp_path / "t.parquet").write_bytes(content)
        assert "write it again as Parquet" in fails(load, str(tmp_path / "t.parquet"))


def test_parquet_with_columns_of_different_lengths_is_told(tmp_path, monkeypatch, fails):
    """As the footer of a damaged file may say; pyarrow finds it where it is asked, and makes no such table itself."""

    def validate(full):
        raise pa.ArrowInvalid("Column 1 named label expected length 2 but got length 1")

    pq.write_table(pa.table({"a": [0, 1], "label": [0, 1]}), tmp_path / "t.parquet")
    monkeypatch.setattr(pq.ParquetFile, "read", lambda _: SimpleNamespace(validate=validate))
    assert "expected length 2 but got length 1" in fails(load, str(tmp_path / "t.parquet"))


PEOPLE = "age,work,label\n30,b,x\n40, a ,y\n50,?,x\n60,,y\n70,b,x\n"


def test_text_becomes_one_hot(csv):
    data = load(csv(PEOPLE))
    assert data.columns == ("age", "work=?", "work=a", "work=b")
    assert data.categories == {"work": ("?", "a", "b")}
    assert data.inputs.tolist() == [[30, 0, 0, 1], [40, 0, 1, 0], [50, 1, 0, 0], [60, 1, 0, 0], [70, 0, 0, 1]]
    part = load(csv(PEOPLE), rows="0:2")
    assert part.columns == data.columns
    assert part.ids.tolist() == data.ids[:2].tolist()


def test_a_second_table_is_encoded_like_the_first(csv, caplog):
    first = load(csv(PEOPLE))
    second = load(csv("age,work,label\n1,new,y\n2,a,x\n"), options=Options().like(first))
    assert second.inputs.tolist() == [[1, 0, 0, 0], [2, 0, 1, 0]]
    assert second.columns == first.columns
    assert "column 'work': 1 records have a category that is not among those given" in caplog.text


def test_ids_do_not_depend_on_other_records_or_their_order(csv):
    lines = PEOPLE.splitlines()
    whole = load(csv(PEOPLE))
    turned = load(csv("\n".join([lines[0], *lines[:0:-1]]) + "\n"))
    assert turned.ids.tolist() == whole.ids[::-1].tolist()
    fewer = load(csv("\n".join(lines[:3]) + "\n"))
    assert fewer.ids.tolist() == whole.ids[:2].tolist()


def test_numbers_as_categories(csv, tmp_path, fails):
    path = csv("code,label\n10,x\n9,y\n10,x\n,y\n")
    data = load(path, options=Options(categorical=("code",)))
    assert data.columns == ("code=9", "code=10", "code=?")
    pq.write_table(pa.table({"code": [10, 9, 10, None], "label": ["x", "y", "x", "y"]}), tmp_path / "t.parquet")
    same = load(str(tmp_path / "t.parquet"), options=Options(categorical=("code",)))
    assert same.fingerprint == data.fingerprint
    assert "categorical must name features, got 'cod'" in fails(load, path, options=Options(categorical=("cod",)))
    wrong = Options(categories={"code": ("9", "9")})
    assert "categories of 'code' must be distinct" in fails(load, path, options=wrong)
    halves = csv("code,label\n0.5,x\n1,y\n")
    assert "column 'code': must be readable" in fails(load, halves, options=Options(categorical=("code",)))


def test_columns_that_look_like_ids_are_told(csv, fails):
    path = csv("name,label\n" + "".join(f"n{i},{i % 2}\n" for i in range(1001)))
    assert "must have at most 1000 categories, got 1001 distinct texts" in fails(load, path)
    given = Options(categories={"name": ("n0", "n1")})
    assert load(path, options=given).inputs.sum() == 2


def test_text_becomes_tokens(csv, fails):
    path = csv('words,age,label\n"One, two",3,x\n007,4,y\n,5,x\n')
    data = load(path, options=Options(text="words", length=3))
    assert data.inputs.dtype == np.int64
    assert data.inputs[0].tolist() == [12786, 6375, 0]
    assert data.inputs[1, 0] > 0
    assert data.inputs[2].tolist() == [0, 0, 0]
    assert data.columns is None
    assert load(path, options=Options(text="words", length=1)).ids.tolist() == data.ids.tolist()
    assert load(path, options=Options(text="words", vocabulary=2)).inputs.max() == 2
    assert "for the text, got none: did you mean 'words'?" in fails(load, path, options=Options(text="word"))
    assert "text is the only input" in fails(load, path, options=Options(text="words", categorical=("age",)))
    assert "length must be in" in fails(load, path, options=Options(text="words", length=0))
    assert "tokenizer must be a folder" in fails(load, path, options=Options(text="words", tokenizer="nowhere"))
    parquet = str(csv("x")).replace(".csv", ".parquet")
    pq.write_table(pa.table({"t": [1, 2], "label": [0, 1]}), parquet)
    assert "column 't' must be UTF-8 text, got int64" in fails(load, parquet, options=Options(text="t"))


def test_many_rows_are_encoded(tmp_path):
    rng = np.random.default_rng(0)
    columns = {f"c{i}": pa.array(np.array(list("abcdefgh"))[rng.integers(0, 8, 50_000)]) for i in range(10)}
    pq.write_table(
        pa.table({**columns, "x": rng.normal(size=50_000), "label": rng.integers(0, 2, 50_000)}), tmp_path / "t.parquet"
    )
    assert load(str(tmp_path / "t.parquet")).inputs.shape == (50_000, 81)


KEYS = {
    "whole": (["7", "12", "7", "3"], [pa.int64(), pa.int8(), pa.uint64(), pa.float64(), pa.float32(), pa.string()]),
    "padded": (["7", "007", "7", "3"], [pa.string(), pa.large_string()]),
    "huge": ([str(2**63 + 7), str(2**64 - 1), str(2**63 + 7), "3"], [pa.uint64(), pa.string()]),
}


@pytest.mark.parametrize("kind", KEYS)
def test_persons_are_the_same_in_every_format(csv, tmp_path, kind):
    texts, types = KEYS[kind]
    expected = load(csv("a,person,group,label\n" + "".join(f"{i},{t},{t},{i % 2}\n" for i, t in enumerate(texts))))
    assert expected.persons.tolist() == expected.groups.tolist() == texts
    for type_ in types:
        keys = pa.array(
            texts if pa.types.is_string(type_) or "large" in str(type_) else [int(t) for t in texts],
            None if kind == "whole" else type_,
        )
        for own in (keys.cast(type_), keys.cast(type_).dictionary_encode()):
            table = pa.table({"a": range(4), "person": own, "group": own, "label": [0, 1, 0, 1]})
            pq.write_table(table, tmp_path / "t.parquet")
            assert load(str(tmp_path / "t.parquet")).fingerprint == expected.fingerprint
            both = read_parts({"members": table.to_pandas(), "nonmembers": table.to_pandas()}, **NO_OPTIONS)
            assert both["members"].persons.tolist() == texts


def test_float_ids_must_be_whole_and_exact(tmp_path, fails):
    for values, type_, said in (
        (
            [1.5, 2.0],
            pa.float64(),
            "persons must be text or whole numbers, as floats at most 9007199254740992, got 1.5",
        ),
        ([2.0**24 + 2, 2.0], pa.float32(), "as floats at most 16777216, got 16777218.0 in row 0 (1 such records)"),
    ):
        table = pa.table({"a": [1, 2], "person": pa.array(values, type_), "label": [0, 1]})
        pq.write_table(table, tmp_path / "t.parquet")
        assert said in fails(load, str(tmp_path / "t.parquet"))
        np.savez(
            tmp_path / "t.npz",
            inputs=np.eye(2),
            labels=[0, 1],
            persons=np.array(values, table["person"].type.to_pandas_dtype()),
        )
        assert said in fails(load, str(tmp_path / "t.npz"))
    np.savez(tmp_path / "t.npz", inputs=np.eye(2), labels=[0, 1], persons=[7.0, 12.0], groups=[0.5, 2.0])
    data = load(str(tmp_path / "t.npz"))
    assert (data.persons.tolist(), data.groups.tolist()) == (["7", "12"], ["0.5", "2.0"])


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["1", "2", "10"], ("1", "2", "10")),
        (["1.0", "2.0", "10"], ("1", "2", "10")),
        (["1e0", "2e+00", "1.0e1"], ("1", "2", "10")),
        (["-1", "1", "-1"], ("-1", "1")),
        ([" 1", "1", "2 "], ("1", "2")),
        (["true", "False", "true"], ("False", "True")),
        (["01", "1", "2"], ("01", "1", "2")),
        (["01", "02", "10"], ("01", "02", "10")),
        (["007.0", "7.0", "1.5"], ("007.0", "1.5", "7.0")),
        (["+1", "1", "2"], ("+1", "1", "2")),
        (["0x1F", "31", "2"], ("0x1F", "2", "31")),
        ([str(2**63), str(2**63 + 1), str(2**63)], (str(2**63), str(2**63 + 1))),
    ],
)
def test_labels_of_a_csv_file_are_not_merged(csv, cells, classes):
    data = load(csv("a,label\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells))))
    assert data.classes == classes
    if classes[0] in cells and classes[-1] in cells:
        assert [data.classes[i] for i in data.labels] == cells


def test_labels_of_parts_that_are_spelt_otherwise_are_not_merged(fails):
    def parts(*labels):
        return {name: (np.eye(2), np.array(own)) for name, own in zip(("members", "nonmembers"), labels, strict=True)}

    assert read_parts(parts(["01", "1"], ["1", "01"]), **NO_OPTIONS)["members"].classes == ("01", "1")
    assert read_parts(parts(["0", "1"], ["2", "1"]), **NO_OPTIONS)["members"].classes == ("0", "1", "2")
    assert "labels must be of one kind" in fails(read_parts, parts(["01", "1"], ["1", "2"]), **NO_OPTIONS)


def test_categories_keep_their_leading_zeros(csv):
    path = csv("zip,label\n00501,x\n501,y\n,x\n10115,y\n")
    data = load(path, options=Options(categorical=("zip",)))
    assert data.categories == {"zip": ("00501", "501", "10115", "?")}
    assert data.inputs.sum() == 4


MANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
CELLS = st.one_of(
    st.sampled_from(["", "1", "-2.5", "nan", "label", "id", '"', "\n", "true", "1e400", "é"]), st.text(max_size=4)
)


@settings(MANY, max_examples=80)
@drawn(st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=5), st.booleans())
def test_any_text_loads_or_is_told_in_one_line(tmp_path, rows, headed):
    lines = [",".join(row) for row in rows]
    text = "\n".join(["a,label", *lines] if headed else lines)
    (tmp_path / "t.csv").write_text(text, "utf-8", "surrogatepass", newline="")
    try:
        assert len(load(str(tmp_path / "t.csv"))) >= 2
    except DataError as error:
        unprintable = [problem for problem in error.problems if not problem.isprintable()]
        if unprintable:
            pytest.fail(repr(unprintable))


@settings(MANY, max_examples=30)
@drawn(st.lists(st.tuples(st.floats(width=32, allow_nan=False, allow_infinity=False), st.booleans()), min_size=2))
def test_numbers_come_back(tmp_path, rows):
    rows = [*rows, (0.0, True), (1.0, False)]
    (tmp_path / "t.csv").write_text("a,label\n" + "".join(f"{value!r},{label}\n" for value, label in rows))
    data = load(str(tmp_path / "t.csv"))
    assert data.inputs[:, 0].tolist() == [value for value, _ in rows]
    assert [data.classes[i] for i in data.labels] == [str(label) for _, label in rows]
