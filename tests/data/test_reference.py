import numpy as np
import pytest

from dosimeter.data import DATASETS, load
from dosimeter.data.options import Rows, parse_rows


def test_registry_is_documented():
    for name, spec in DATASETS.items():
        assert name == name.lower()
        assert spec.load.__doc__
        assert len(spec.about) < 100
        assert spec.records > 0


@pytest.mark.parametrize(
    ("text", "rows"), [(None, Rows()), ("0:5", Rows(0, 5)), (" 3 : ", Rows(3)), (":7", Rows(0, 7)), (":", Rows())]
)
def test_rows(text, rows):
    assert parse_rows(text, "data") == rows


@pytest.mark.parametrize("text", ["", "5", "-5:", "5:5", "7:3", "a:b", "0:5:2", "1.5:3", "\u0661:\u0663", "0:9\x1b"])
def test_bad_rows_are_told(text, fails):
    assert "rows must be a range 'a:b'" in fails(load, "digits", rows=text)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("digts", "did you mean 'digits'?"),
        ("MNIST", "unknown data set, and no folder"),
        ("", "must be a name, a path or package.module:function, got ''"),
        ("a\0b", "got 'a\\x00b'"),
        ("missing.npz", "no such file or folder"),
        ("sub/missing.csv", "paths start from the audit file's folder"),
        ("notes.txt", "a file of data must end in .npz, .csv, .parquet, got '.txt'"),
        ("weights.pkl", "got '.pkl'"),
        ("a\nb", "no such file or folder"),
        ("my-module:f", "a function is written package.module:function"),
        ("x" * 5000, "x: "),
    ],
)
def test_references_that_name_nothing_are_told(reference, said, fails, tmp_path):
    for file in ("notes.txt", "weights.pkl"):
        (tmp_path / file).write_text("x")
    assert said in fails(load, reference, base=tmp_path)


def test_a_path_starts_from_the_audit_files_folder(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    np.savez(tmp_path / "sub" / "digits.npz", inputs=np.eye(2), labels=[0, 1])
    assert len(load("sub/digits.npz", base=tmp_path)) == 2
    assert load("sub/digits.npz", base=tmp_path).name == "sub/digits.npz"
    monkeypatch.chdir(tmp_path)
    assert len(load("sub/digits.npz")) == 2
    assert len(load(str(tmp_path / "sub" / "digits.npz"), base=tmp_path / "elsewhere")) == 2


def test_rows_of_one_class_are_told(tmp_path, fails):
    np.savez(tmp_path / "a.npz", inputs=np.eye(4), labels=[0, 0, 1, 1])
    message = fails(load, "a.npz", base=tmp_path, rows="0:2")
    assert "a.npz[0:2]: labels must have at least two classes, got only '0'" in message
