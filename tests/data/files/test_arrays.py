import io
import zipfile

import numpy as np
import pytest

from dosimeter.data import Options, load

X = np.arange(12, dtype=np.float64).reshape(6, 2)
Y = np.array([1, 2, 3, 1, 2, 3])


@pytest.fixture
def saved(tmp_path):
    def save(name="a.npz", /, **arrays):
        np.savez(tmp_path / name, **arrays)
        return str(tmp_path / name)

    return save


@pytest.mark.parametrize(
    ("inputs", "labels"), [("inputs", "labels"), ("x", "y"), ("images", "labels"), ("x", "labels")]
)
def test_array_names(saved, inputs, labels):
    data = load(saved(**{inputs: X, labels: Y}))
    assert data.inputs.dtype == np.float32
    assert data.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert data.classes == ("1", "2", "3")
    assert len(set(data.ids)) == 6


def test_ids_and_classes_do_not_depend_on_rows(saved):
    path = saved(inputs=np.ones((6, 2)), labels=Y)
    data, part = load(path), load(path, rows="3:5")
    assert part.ids.tolist() == data.ids[3:5].tolist()
    assert part.classes == data.classes
    assert part.name == path + "[3:5]"


def test_other_columns(saved):
    data = load(saved(inputs=X, labels=Y, ids=np.arange(6), persons=list("aabbcc"), groups=list("xxxyyy")))
    assert data.ids.tolist() == list("012345")
    assert data.persons[1] == "a"
    assert data.groups[5] == "y"


@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        ((6, 3, 5, 4), np.uint8, (6, 3, 5, 4)),
        ((6, 5, 4), np.uint8, (6, 1, 5, 4)),
        ((6, 4), np.uint8, (6, 4)),
        ((6, 4), bool, (6, 4)),
        ((6, 1, 5, 4), np.float64, (6, 1, 5, 4)),
    ],
)
def test_shapes_and_types(saved, shape, dtype, expected):
    data = load(saved(inputs=np.ones(shape, dtype), labels=Y))
    assert data.inputs.shape == expected
    assert data.inputs.dtype == (np.uint8 if dtype == np.uint8 and len(shape) > 2 else np.float32)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (dict(inputs=X), "needs an array 'labels', got inputs"),
        (dict(inputs=X, x=X, labels=Y), "one array of inputs, got inputs and x"),
        (dict(inputs=X, labels=Y, person=Y), "'person' has no use here: did you mean 'persons'?"),
        (dict(inputs=X, labels=Y[:5]), "equal lengths, got 6 inputs, 5 labels"),
        (dict(inputs=np.array([[1], [{}]], dtype=object), labels=Y), "got Python objects, which are not unpickled"),
        (dict(inputs=X, labels=np.array([None] * 6)), "'labels' must hold numbers or text, got Python objects"),
        (dict(inputs=np.where(X == 5, np.nan, X), labels=Y), "got NaN or infinity in 1 records, the first is row 2"),
        (dict(inputs=X * 1e40, labels=Y), "must fit float32, got 1e+40 in row 0"),
        (dict(inputs=X[:0], labels=Y[:0]), "at least one record"),
        (dict(inputs=X, labels=Y * 0), "at least two classes, got only '0'"),
        (dict(inputs=X, labels=Y, ids=Y), "ids must be distinct, got '1' 2 times"),
        (dict(inputs=X, labels=Y, ids=["a", "b", "", "d", "e", "f"]), "ids must not be empty, got none in row 2"),
        (dict(inputs=X, labels=Y, persons=[1.0, np.nan, 1, 1, 1, 1]), "persons must not be empty, got none in row 1"),
        (dict(inputs=X, labels=Y, groups=X), "groups must have shape (n,), got (6, 2)"),
        (dict(inputs=np.ones((6, 8, 8, 3), np.uint8), labels=Y), "move the channels with .transpose(0, 3, 1, 2)"),
        (dict(inputs=Y, labels=Y), "shape (n, features...), got (6,)"),
        (dict(inputs=np.ones((6, 0)), labels=Y), "at least one feature"),
        (dict(inputs=np.float64(3), labels=Y), "shape (n, features...), got ()"),
        (dict(inputs=X, labels=np.int64(3)), "labels must have shape (n,), got ()"),
        (dict(inputs=X.astype(str), labels=Y), "inputs must be numbers, got <U"),
        (dict(inputs=X + 1j, labels=Y), "inputs must be numbers, got complex128"),
        (dict(blob=X, off=Y, label=Y), "packed as JPEG"),
        ({}, "needs an array 'inputs', got no array"),
    ],
)
def test_bad_arrays_are_told(saved, arrays, said, fails):
    assert said in fails(load, saved(**arrays))


def test_hostile_array_names_stay_in_one_line(saved, fails):
    assert "'a\\nb\\x1b[1m' has no use" in fails(load, saved(**{"inputs": X, "labels": Y, "a\nb\x1b[1m": Y}))


def test_damaged_files_are_told(tmp_path, fails):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, inputs=np.random.default_rng(0).normal(size=(6, 50)), labels=Y)
    good, path = buffer.getvalue(), tmp_path / "a.npz"
    rng = np.random.default_rng(1)
    wrong = [b"", b"PK", b"no archive", good[: len(good) // 2], good[:-30], b"\x80\x04N."]
    for _ in range(60):
        flipped = bytearray(good)
        flipped[rng.integers(len(good))] ^= 1 << rng.integers(8)
        wrong.append(bytes(flipped))
    refused = 0
    for content in wrong:
        path.write_bytes(content)
        try:
            load(str(path))
        except Exception:
            assert str(path) in fails(load, str(path))
            refused += 1
    assert refused > 30


def test_a_single_array_is_told(tmp_path, fails):
    with (tmp_path / "a.npz").open("wb") as file:
        np.save(file, X)
    assert "must hold named arrays" in fails(load, str(tmp_path / "a.npz"))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("inputs", "hello")
        archive.writestr("labels.npy", "hello")
    assert str(tmp_path / "a.npz") in fails(load, str(tmp_path / "a.npz"))


def test_given_classes(saved, fails):
    data = load(saved(inputs=X, labels=Y), options=Options(classes=("a", "b", "c", "d")))
    assert data.labels.tolist() == Y.tolist()
    assert "labels must be in 0..1" in fails(load, saved(inputs=X, labels=Y), options=Options(classes=("a", "b")))
