import io
import os
import pickle
import struct

import numpy as np
import pytest
from PIL import Image

from dosimeter.data import load
from dosimeter.data.named.cifar10 import BATCHES, CLASSES

SIZES = (4, 3, 3, 3, 3, 10)


@pytest.fixture(scope="module")
def batches():
    """Six small batches of pixels `[n 3072]` and labels, all classes in each part."""
    rng = np.random.default_rng(0)
    data = [rng.integers(0, 256, (n, 3072), dtype=np.uint8) for n in SIZES]
    labels = np.split(np.concatenate([np.arange(16) % 10, np.arange(10)]), np.cumsum(SIZES)[:-1])
    return list(zip(data, labels, strict=True))


def python2_pickle(data, labels):
    """What cPickle of Python 2 wrote (protocol 2): byte strings, dtype with align=0, numpy.core."""

    def short(text):
        return b"U" + bytes([len(text)]) + text

    number = b"K\x01"
    dtype = b"cnumpy\ndtype\n" + short(b"u1") + b"K\x00K\x01\x87R(K\x03" + short(b"|") + b"NNNJ\xff\xff\xff\xff"
    dtype += b"J\xff\xff\xff\xffK\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + short(b"b") + b"\x87R"
    raw = data.tobytes()
    shape = b"".join(b"J" + struct.pack("<i", n) for n in data.shape) + b"\x86"
    array += b"(" + number + shape + dtype + b"\x89" + b"T" + struct.pack("<i", len(raw)) + raw + b"tb"
    listed = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    items = short(b"data") + array + short(b"labels") + listed + short(b"batch_label") + short(b"batch 1 of 5")
    return b"\x80\x02}(" + items + b"u."


def python3_pickle(data, labels):
    return pickle.dumps({b"data": data, b"labels": labels.tolist()}, protocol=4)


def protocol2_pickle(data, labels):
    return pickle.dumps({"data": data, "labels": labels.tolist()}, protocol=2)


@pytest.fixture(params=[python2_pickle, python3_pickle, protocol2_pickle, "binary"])
def copy(request, batches, tmp_path):
    for name, (data, labels) in zip(BATCHES, batches, strict=True):
        if request.param == "binary":
            content = np.concatenate([labels[:, None].astype(np.uint8), data], 1).tobytes()
            (tmp_path / f"{name}.bin").write_bytes(content)
        else:
            (tmp_path / name).write_bytes(request.param(data, labels))
    return tmp_path


def test_batches(copy, batches):
    data = load(f"cifar10:{copy}")
    assert data.inputs.shape == (26, 3, 32, 32)
    assert data.inputs.dtype == np.uint8
    assert (data.inputs.reshape(26, -1) == np.concatenate([pixels for pixels, _ in batches])).all()
    assert data.labels.tolist() == np.concatenate([labels for _, labels in batches]).tolist()
    assert data.classes == CLASSES
    assert data.ids[[0, 15, 16, 25]].tolist() == ["train/00000", "train/00015", "test/00000", "test/00009"]


@pytest.mark.parametrize("rows", ["0:3", "2:9", "14:18", "25:", "20:26", ":5"])
def test_rows_of_batches(copy, rows):
    whole = load(f"cifar10:{copy}")
    start, stop = (int(v) if v else None for v in rows.split(":"))
    if rows == "25:":
        rows, start = "24:", 24
    part = load(f"cifar10:{copy}", rows=rows)
    assert part.ids.tolist() == whole.ids[start:stop].tolist()
    assert (part.inputs == whole.inputs[start:stop]).all()


def test_reading_stops_behind_the_last_row(copy):
    for name in (BATCHES[2], f"{BATCHES[2]}.bin"):
        if (copy / name).exists():
            (copy / name).write_bytes(b"damaged")
    assert len(load(f"cifar10:{copy}", rows="0:7")) == 7


def test_bad_rows_and_missing_batches(copy, fails):
    assert "rows must lie in 0:26, got 0:27" in fails(load, f"cifar10:{copy}", rows="0:27")
    assert "rows must lie in 0:26, got 26:" in fails(load, f"cifar10:{copy}", rows="26:")
    for file in copy.glob("test_batch*"):
        file.unlink()
    assert "test_batch" in fails(load, f"cifar10:{copy}")
    for file in copy.glob("data_batch_1*"):
        file.write_bytes(file.read_bytes()[:100])
        assert "data_batch_1" in fails(load, f"cifar10:{copy}")


class _Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/dosimeter-was-here",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (pickle.dumps(_Evil()), "got 'posix.system', which was not loaded"),
        (pickle.dumps(np.float64), "got 'numpy.float64'"),
        (b"cbuiltins\neval\n(Vprint(1)\ntR.", "got 'builtins.eval'"),
        (b"c_codecs\nencode\n(Vabc\nVrot13\ntR.", "UnpicklingError"),
        (b"Pid\n.", "persistent id"),
        (b"", "EOFError"),
        (b"\x80\x04N.", "must hold a dictionary of arrays, got NoneType"),
        (pickle.dumps({"labels": [1]}), "KeyError: 'data'"),
        (pickle.dumps({"data": np.zeros((2, 5), np.uint8), "labels": [1, 2]}), "must hold uint8 data (n, 3072)"),
        (pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1, 12]}), "labels must be in 0..9, got 1..12"),
        (pickle.dumps({"data": np.zeros((2, 3072)), "labels": [1, 2]}), "got float64 (2, 3072)"),
    ],
)
def test_hostile_pickles_are_refused(tmp_path, content, said, fails):
    for name in BATCHES:
        (tmp_path / name).write_bytes(content)
    message = fails(load, f"cifar10:{tmp_path}")
    assert said in message
    assert not os.path.exists("/tmp/dosimeter-was-here")


def jpeg(rng, size=(32, 32)):
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def packed(tmp_path):
    def write(**changes):
        rng = np.random.default_rng(0)
        files = [jpeg(rng) for _ in range(30)]
        arrays = dict(
            blob=np.frombuffer(b"".join(files), np.uint8),
            off=np.cumsum([0, *map(len, files)]),
            label=np.concatenate([np.repeat(np.arange(10), 2), np.arange(10)]).astype(np.uint8),
            n_train=20,
        )
        np.savez(tmp_path / "c.npz", **(arrays | changes))
        return tmp_path / "c.npz", files

    return write


def test_packed(packed):
    path, files = packed()
    data = load(f"cifar10:{path.name}", base=path.parent)
    assert data.name == "cifar10:c.npz"
    assert data.inputs.shape == (30, 3, 32, 32)
    assert data.labels[:10].tolist() == list(range(10))
    row = data.ids.tolist().index("train/00007")
    assert data.labels[row] == 3
    with Image.open(io.BytesIO(files[7])) as image:
        assert (np.asarray(image).transpose(2, 0, 1) == data.inputs[row]).all()
    part = load(f"cifar10:{path}", rows="15:25")
    assert part.ids.tolist() == data.ids[15:25].tolist()
    assert (part.inputs == data.inputs[15:25]).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (dict(off=np.arange(31) * 10**6), "rising positions within blob"),
        (dict(off=np.zeros(31, int)), "rising positions"),
        (dict(blob=np.zeros(10**6, np.uint8)), "c.npz: train/00000: must be a PNG"),
        (dict(label=np.full(30, 11)), "labels must be in 0..9, got 11..11"),
        (dict(n_train=31), "rising positions"),
    ],
)
def test_damaged_packs_are_told(packed, changes, said, fails):
    assert said in fails(load, f"cifar10:{packed(**changes)[0]}")


def test_class_folders_and_the_variable(tmp_path, fails, monkeypatch):
    rng = np.random.default_rng(0)
    for part, n in (("train", 2), ("test", 1)):
        for c in CLASSES:
            (tmp_path / part / c).mkdir(parents=True)
            for i in range(n):
                (tmp_path / part / c / f"{i:04d}.jpg").write_bytes(jpeg(rng))
    monkeypatch.setenv("DOSIMETER_CIFAR10", str(tmp_path))
    data = load("cifar10")
    assert data.inputs.shape == (30, 3, 32, 32)
    assert data.labels.tolist() == list(range(10)) * 3
    assert data.ids[[0, 1, 10]].tolist() == ["train/00000", "train/00002", "train/00001"]
    (tmp_path / "test" / "cat" / "0000.jpg").write_bytes(jpeg(rng, (16, 32)))
    assert len(load("cifar10", rows=":20")) == 20
    assert "test/00003: images must be 32 x 32, got (16, 32)" in fails(load, "cifar10")
    (tmp_path / "test" / "cat").rename(tmp_path / "test" / "lion")
    assert "got 'lion'" in fails(load, "cifar10")
    monkeypatch.delenv("DOSIMETER_CIFAR10")
    assert "set DOSIMETER_CIFAR10" in fails(load, "cifar10")


def test_forms_that_are_none(tmp_path, fails):
    assert "no such file or folder" in fails(load, f"cifar10:{tmp_path / 'none'}")
    assert "must be a known form" in fails(load, f"cifar10:{tmp_path}")
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"x")
    assert "unpack the archive" in fails(load, f"cifar10:{tmp_path / 'cifar-10-python.tar.gz'}")
    np.savez(tmp_path / "a.npz", inputs=[1])
    assert "got no blob" in fails(load, f"cifar10:{tmp_path / 'a.npz'}")


def test_the_developers_copy(cifar_copy):
    data = load(f"cifar10:{cifar_copy}", rows="49500:50500")
    assert data.inputs.shape == (1000, 3, 32, 32)
    assert (np.bincount(data.labels) == 100).all()
    assert sum(i.startswith("train/") for i in data.ids) == 500
    assert 100 < data.inputs.mean() < 140
