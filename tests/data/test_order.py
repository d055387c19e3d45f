"""Ids of records without ids of their own are made of content: the same record keeps its id wherever it stands."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dosimeter.data import load

X = np.random.default_rng(0).normal(size=(8, 3))
Y = np.array(list("abababab"))
ORDER = np.random.default_rng(1).permutation(8)


def npz(path, x, y):
    np.savez(path / "t.npz", inputs=x, labels=y)
    return "t.npz"


def csv(path, x, y):
    lines = [",".join([*map(str, row), label]) for row, label in zip(x.tolist(), y, strict=True)]
    (path / "t.csv").write_text("\n".join(["u,v,w,label", *lines]) + "\n")
    return "t.csv"


def parquet(path, x, y):
    pq.write_table(pa.table({"u": x[:, 0], "kind": [f"{v:.0f}k" for v in x[:, 1]], "label": y}), path / "t.parquet")
    return "t.parquet"


def function(path, x, y):
    (path / "ordered.py").write_text(
        f"import numpy as np\ndef f(seed): return np.array({x.tolist()}), {list(map(str, y))}"
    )
    return "ordered:f"


@pytest.mark.parametrize("door", [npz, csv, parquet, function])
def test_reordering_keeps_ids(door, tmp_path, monkeypatch):
    import sys

    monkeypatch.syspath_prepend(tmp_path)
    first = load(door(tmp_path, X, Y), base=tmp_path)
    sys.modules.pop("ordered", None)
    __import__("importlib").invalidate_caches()
    for cached in tmp_path.rglob("*.pyc"):
        cached.unlink()
    second = load(door(tmp_path, X[ORDER], Y[ORDER]), base=tmp_path)
    sys.modules.pop("ordered", None)
    assert second.ids.tolist() == first.ids[ORDER].tolist()
    assert (second.inputs == first.inputs[ORDER]).all()


def test_class_folders_name_records_by_path(folder):
    root = folder()
    first = load(str(root))
    (root / "cat" / "000.png").rename(root / "cat" / "zzz.png")
    second = load(str(root))
    picture = {one: pixels.tobytes() for one, pixels in zip(second.ids, second.inputs, strict=True)}
    for one, pixels in zip(first.ids, first.inputs, strict=True):
        assert picture["cat/zzz.png" if one == "cat/000.png" else one] == pixels.tobytes()
