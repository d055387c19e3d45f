"""How tables are spelt: numbers as people in many countries write them, and names that only look like numbers."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dosimeter.data import Options, load
from dosimeter.data.files.spelling import USUAL, number_like, separator
from dosimeter.data.supplied import read_parts
from dosimeter.foundation.errors import DataError

# What makes 40 numbers into texts of one spelling.
VALUES = np.random.default_rng(0).normal(0, 5_000, 40).round(2)


def grouped(value, mark, point="."):
    return f"{value:,.2f}".replace(".", "p").replace(",", mark).replace("p", point)


def in_digits(value, zero):
    return "".join(chr(ord(zero) + int(c)) if c.isdigit() else c for c in f"{value:.2f}")


ODD = {
    "decimal comma": lambda v: f"{v:.2f}".replace(".", ","),
    "one decimal behind a comma": lambda v: f"{v:.1f}".replace(".", ","),
    "commas of thousands": lambda v: grouped(v, ","),
    "commas of thousands alone": lambda v: f"{int(v * 1000):,}",
    "points of thousands": lambda v: grouped(v, ".", ","),
    "millions with points": lambda v: f"{int(v * 10**6) + 10**7:,}".replace(",", "."),
    "spaces of thousands": lambda v: grouped(v, " ", ","),
    "thin spaces": lambda v: grouped(v, "\u2009"),
    "narrow spaces": lambda v: grouped(v, "\u202f", ","),
    "hard spaces": lambda v: grouped(v, "\u00a0", ","),
    "apostrophes": lambda v: grouped(v, "'"),
    "curly apostrophes": lambda v: grouped(v, "\u2019"),
    "underscores": lambda v: grouped(v, "_"),
    "Indian groups": lambda v: f"12,34,{abs(int(v)) % 1000:03d}",
    "percent": lambda v: f"{v:.1f}%",
    "percent and space": lambda v: f"{v:.0f} %",
    "dollar before": lambda v: f"${v:.2f}",
    "minus before dollar": lambda v: f"-${abs(v):,.2f}",
    "euro behind": lambda v: f"{v:.2f} \u20ac",
    "code before": lambda v: f"USD {v:.2f}",
    "code behind": lambda v: f"{v:,.0f} CHF",
    "pounds": lambda v: f"\u00a3{v:.0f}",
    "rupees": lambda v: f"\u20b9{v:.0f}",
    "reais": lambda v: grouped(v, ".", ",").join(["R$ ", ""]),
    "Unicode minus": lambda v: f"\u2212{abs(v):.2f}",
    "full width": lambda v: in_digits(v, "\uff10"),
    "Arabic": lambda v: in_digits(v, "\u0660").replace(".", "\u066b"),
    "Devanagari": lambda v: in_digits(v, "\u0966"),
    "accounting": lambda v: f"({abs(v):,.2f})",
    "minus behind": lambda v: f"{abs(v):.2f}-",
    "exponent": lambda v: f"{v:.3e}".replace(".", ","),
    "Fortran": lambda v: f"{v:.3e}".replace("e", "D"),
    "times ten": lambda v: f"{v:.2f}\u00d710^3",
    "hidden": lambda v: f"\u200b{v:.2f}",
    "kept as text": lambda v: f"'{v:.2f}",
    "formula": lambda v: f'="{v:.2f}"',
    "kilograms": lambda v: f"{v:.1f} kg",
    "whole metres": lambda v: f"{v:.0f} m",
    "thousands": lambda v: f"{v:.1f}K",
    "millions of pounds": lambda v: f"\u00a3{v:.1f}m",
    "billions behind": lambda v: f"{v:.1f} bn \u20ac",
    "accounting in dollars": lambda v: f"$({abs(v):,.2f})",
    "percent in words": lambda v: f"{v:.1f} percent",
    "words for money": lambda v: f"{v:.2f} Euro",
    "degrees": lambda v: f"{v:.1f} \u00b0C",
    "speed": lambda v: f"{v:.1f} km/h",
}


def table_of(texts):
    labels = ["x", "y"] * (len(texts) // 2) + ["x"] * (len(texts) % 2)
    return pa.table({"a": range(len(texts)), "price": pa.array(texts, pa.string()), "label": labels})


def doors(texts, folder):
    """A function for each door that loads the table."""
    table = table_of(texts)
    pq.write_table(table, folder / "t.parquet")
    frame = table.to_pandas()
    frame.to_csv(folder / "t.csv", index=False)

    def handed_over(options):
        return read_parts({"members": frame, "nonmembers": frame}, seed=0, base=None, options=options)["members"]

    return {
        "csv": lambda options: load(str(folder / "t.csv"), options=options),
        "parquet": lambda options: load(str(folder / "t.parquet"), options=options),
        "pandas": handed_over,
    }


@pytest.mark.parametrize("kind", ODD)
def test_numbers_in_another_spelling_are_refused_unless_named_as_categories(kind, tmp_path, fails):
    texts = [ODD[kind](value) for value in VALUES]
    row = next(i for i, text in enumerate(texts) if not text.isascii() or not USUAL.fullmatch(text))
    for read in doors([*texts, None], tmp_path).values():
        message = fails(read, Options())
        assert "column 'price' must hold numbers written as in 1234.5, and not as text, got " in message
        assert f"in row {row}: write them so, without marks and units, or name the column in categorical" in message
        data = read(Options(categorical=("price",)))
        assert set(data.categories["price"]) == {*(text.strip() for text in texts), "?"}


# Names that are made of digits, ten and more of each.
NAMES = {
    "codes": lambda i: f"A-{i}",
    "pairs": lambda i: f"{i % 6}-{i % 5}",
    "age ranges": lambda i: f"{10 * (i % 9)}-{10 * (i % 9) + 9}",
    "ranges with a dash": lambda i: f"{10 * (i % 9)}\u2013{10 * (i % 9) + 9}",
    "incomes": lambda i: ("<=50K", ">50K")[i % 2],
    "bounds": lambda i: f">{i}",
    "open ranges": lambda i: f"{i}+",
    "fractions": lambda i: f"{i}/12",
    "times": lambda i: f"{i % 24}h30",
    "dates with points": lambda i: f"{i % 28 + 1:02d}.02.2020",
    "dates with slashes": lambda i: f"{i % 28 + 1}/2/2020",
    "versions": lambda i: f"1.{i % 7}.2",
    "addresses": lambda i: f"10.0.{i % 7}.1",
    "rooms": lambda i: f"{i}{'AB'[i % 2]}",
    "seats": lambda i: f"{i}A",
    "terms": lambda i: f"{(36, 60)[i % 2]} months",
    "grades": lambda i: f"{i + 4}th",
    "words before": lambda i: f"Room {i}",
    "numbers of houses": lambda i: f"No. {i}",
    "engines": lambda i: f"{1 + i % 3}.6 {('TDI', 'HDI', 'TSI')[i % 3]}",
    "answers": lambda i: ("1,2,3", "2,4,5,6", "none")[i % 3],
    "sizes": lambda i: ("S", "M", "L", "2XL", "3XL")[i % 5],
    "phones": lambda i: f"+49 30 {i}-12",
    "formulae": lambda i: f"H{i}O",
    "words": lambda i: f"word {i % 9}",
    "percents of another": lambda i: ("low (5 %)", "high (10 %)")[i % 2],
}


@pytest.mark.parametrize("kind", NAMES)
def test_names_made_of_digits_stay_categories(kind, tmp_path):
    texts = [NAMES[kind](i) for i in range(40)]
    for read in doors(texts, tmp_path).values():
        assert set(read(Options()).categories["price"]) == set(texts)


def test_text_of_whole_numbers_stays_text_and_decimals_do_not(tmp_path, fails):
    for text in ("00501", "10115", "-7", "0"):
        pq.write_table(table_of([text, "12345"] * 3), tmp_path / "t.parquet")
        assert set(load(str(tmp_path / "t.parquet")).categories["price"]) == {text, "12345"}
    for text in ("0.5", "1e3", "+7", "5."):
        pq.write_table(table_of(["3", text] * 3), tmp_path / "t.parquet")
        assert f"not as text, got '{text}' in row 1" in fails(load, str(tmp_path / "t.parquet"))


def test_one_odd_cell_is_named_and_not_the_column(tmp_path, fails):
    rows = "".join(f"{i},{i / 7:.2f},{i % 2}\n" for i in range(600))
    (tmp_path / "t.csv").write_text("a,price,label\n" + rows + '600,"1,234.50",1\n')
    assert "got '1,234.50' in row 600" in fails(load, str(tmp_path / "t.csv"))


def test_more_different_numbers_than_categories_may_be_are_told_as_numbers(tmp_path, fails):
    for read in doors([f"{i},5" for i in range(3000)], tmp_path).values():
        assert "must hold numbers written as in 1234.5" in fails(read, Options())


def test_dates_may_be_named_as_categories(tmp_path, fails):
    (tmp_path / "t.csv").write_text("day,a,label\n2020-01-01,1,x\n2020-01-02,2,y\n")
    assert "name it in categorical if it holds dates" in fails(load, str(tmp_path / "t.csv"))
    data = load(str(tmp_path / "t.csv"), options=Options(categorical=("day",)))
    assert data.categories == {"day": ("2020-01-01", "2020-01-02")}


@pytest.mark.parametrize(("mark", "told"), [(";", "';'"), ("\t", "tabs"), ("|", "'|'"), (" ", "spaces")])
@pytest.mark.parametrize(
    "header", [["a", "b", "label"], ['"a"', '"b"', '"label"'], ["a, net", "b", "label"], ["label", "a"]]
)
def test_other_separators_are_named(mark, told, header, tmp_path, fails):
    if mark == " " and "a, net" in header:
        return
    rows = [["1,5", "2,5", "x"], ["2,5", "3,5", "y"]]
    text = "\n".join(mark.join(row[: len(header)]) for row in (header, *rows)) + "\n"
    for bom in ("", "\ufeff", "\r\n"):
        (tmp_path / "t.csv").write_text(bom + text, "utf-8")
        message = fails(load, str(tmp_path / "t.csv"))
        assert (
            f"columns must be separated by ',', got {told}: separate the columns by commas, and write numbers"
            in message
        )


def test_a_header_with_other_marks_in_names_is_read(tmp_path):
    (tmp_path / "t.csv").write_text('"a;b","c|d e",label\n1,2,x\n3,4,y\n')
    assert load(str(tmp_path / "t.csv")).columns == ("a;b", "c|d e")
    assert separator("x", ["label"]) is separator("a b,c", ["label"]) is separator("", ["label"]) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "%",
        "$",
        "-",
        "()",
        "1-2",
        "1:2",
        "\u00bd",
        "\u2460",
        "0x1F",
        "1,2,3",
        "1,2345,678",
        "4x100",
        "1'2",
        "9" * 41,
    ],
)
def test_what_is_no_number(text):
    assert not number_like(text)


def test_hugging_face_tables_too(tmp_path, fails):
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict(table_of([f"{i},5" for i in range(40)]).to_pydict()).save_to_disk(
        str(tmp_path / "saved")
    )
    assert "must hold numbers written as in 1234.5" in fails(load, f"hf:{tmp_path / 'saved'}")


def test_categories_of_pandas_are_text(fails):
    frame = pd.DataFrame({"price": pd.Categorical(["1,5", "2,5"] * 3), "label": [0, 1] * 3})
    with pytest.raises(DataError, match="must hold numbers written as in 1234.5"):
        read_parts({"members": frame, "nonmembers": frame}, seed=0, base=None, options=Options())
