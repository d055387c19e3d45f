import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset

from dosimeter.data import Dataset, Options, load
from dosimeter.data.supplied import read_parts

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(6, 3)).astype(np.float32), np.array([0, 1, 2, 0, 1, 2])


def give(options=None, base=None, **parts):
    return read_parts(parts, seed=0, base=base, options=options or Options())


class Items:
    """A map-style data set without tensors of its own."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


@pytest.mark.parametrize(
    "value",
    [
        (X, Y),
        [X.tolist(), Y.tolist()],
        (torch.from_numpy(X), torch.from_numpy(Y)),
        TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)),
        Subset(TensorDataset(torch.from_numpy(X).flip(0), torch.from_numpy(Y).flip(0)), [5, 4, 3, 2, 1, 0]),
        Items(list(zip(torch.from_numpy(X), Y.tolist(), strict=True))),
        Subset(Items([(x, int(y)) for x, y in zip(X, Y, strict=True)]), range(6)),
        pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "label": Y}),
    ],
    ids=["arrays", "lists", "tensors", "TensorDataset", "Subset", "items", "Subset of items", "DataFrame"],
)
def test_what_may_be_handed_over(value):
    found = give(members=value, nonmembers=(X[:1] + 1, [1]))
    assert found["members"].inputs.tolist() == X.tolist()
    assert found["members"].labels.tolist() == Y.tolist()
    assert found["members"].classes == found["nonmembers"].classes == ("0", "1", "2")
    assert found["nonmembers"].labels.tolist() == [1]
    assert found["members"].name == "members"
    assert found["members"].ids.tolist() == give(members=(X, Y), nonmembers=(X[:1] + 1, [1]))["members"].ids.tolist()


def test_labels_stay_positions_of_the_models_outputs():
    found = give(members=(X, [5, 3, 3, 5, 3, 3]), nonmembers=(X + 1, [1] * 6))
    assert found["members"].classes == tuple("012345")
    assert found["members"].labels.tolist() == [5, 3, 3, 5, 3, 3]
    assert found["nonmembers"].labels.tolist() == [1] * 6
    signs = give(members=(X, [-1, 1] * 3), nonmembers=(X + 1, [1] * 6))
    assert signs["nonmembers"].labels.tolist() == [1] * 6
    texts = give(members=(X, ["b"] * 6), nonmembers=(X + 1, ["a"] * 6))
    assert texts["members"].classes == ("a", "b")
    assert texts["members"].labels.tolist() == [1] * 6
    named = give(Options(classes=("b", "a", "c")), members=(X, ["b"] * 6), nonmembers=(X + 1, ["a"] * 6))
    assert named["nonmembers"].labels.tolist() == [1] * 6


def test_references_paths_and_data_sets(tmp_path):
    (tmp_path / "in.csv").write_text("x,c,label\n1,u,5\n2,v,5\n")
    (tmp_path / "out.csv").write_text("x,c,label\n3,w,2\n4,u,2\n")
    found = give(base=tmp_path, members="in.csv", nonmembers=tmp_path / "out.csv")
    assert found["members"].columns == found["nonmembers"].columns == ("x", "c=u", "c=v", "c=w")
    assert found["members"].inputs.tolist() == [[1, 1, 0, 0], [2, 0, 1, 0]]
    assert found["nonmembers"].inputs.tolist() == [[3, 0, 0, 1], [4, 1, 0, 0]]
    assert found["nonmembers"].categories == {"c": ("u", "v", "w")}
    assert found["members"].labels.tolist() == [5, 5]
    whole = load("digits")
    found = give(members=whole.take(np.arange(100)), nonmembers=whole.take(np.arange(100, 120)))
    assert found["members"].classes == whole.classes
    assert found["members"].ids.tolist() == whole.ids[:100].tolist()
    assert read_parts({"m": whole}, seed=0, base=None, options=Options(), noun="scan")["m"].noun == "scan"


def test_columns_in_another_order_are_aligned():
    one = pd.DataFrame({"a": [1.0, 2], "b": ["u", "v"], "label": [0, 1]})
    found = give(members=one, nonmembers=one[["b", "label", "a"]].assign(a=[3.0, 4]))
    assert found["nonmembers"].columns == ("a", "b=u", "b=v")
    assert found["nonmembers"].inputs.tolist() == [[3, 1, 0], [4, 0, 1]]


def test_integers_and_normalised_pictures_stay_as_they_are():
    tokens = RNG.integers(0, 9, (6, 4))
    assert give(members=(tokens, Y))["members"].inputs.dtype == np.int64
    pictures = RNG.normal(size=(6, 3, 8, 8)) * 40
    assert give(members=(pictures, Y))["members"].inputs.dtype == np.float32
    raw = RNG.integers(0, 256, (6, 3, 8, 8), dtype=np.uint8)
    assert give(members=(raw, Y))["members"].inputs.dtype == np.uint8
    assert give(members=(RNG.normal(size=(6, 64, 1, 1)), Y))["members"].inputs.shape == (6, 64, 1, 1)


def test_ids_differ_between_the_parts(caplog):
    found = give(members=(X, Y), nonmembers=(np.concatenate([X[:1], X[1:] + 1]), Y))
    assert found["nonmembers"].ids[0] == f"nonmembers/{found['members'].ids[0]}"
    assert not any("/" in record for record in [*found["members"].ids, *found["nonmembers"].ids[1:]])
    assert "1 ids occur in two parts" in caplog.text
    numbered = [pd.DataFrame({"id": [1, 2], "a": [x, x + 0.5], "label": [0, 1]}) for x in (1.0, 2.0)]
    found = give(members=numbered[0], nonmembers=numbered[1])
    assert [*found["members"].ids, *found["nonmembers"].ids] == [f"{p}/{i}" for p in found for i in (1, 2)]


class Stream(IterableDataset):
    def __iter__(self):
        yield 1


class Raises(Items):
    def __getitem__(self, i):
        raise KeyError("row")


FLOATS = np.full((6, 1, 4, 4), 255.0)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (3, "members: must be a Dataset, (inputs, labels)"),
        (None, "got NoneType"),
        ({"x": X}, "got dict"),
        (X, "got ndarray"),
        (Stream(), "got Stream: a stream has no positions"),
        (DataLoader(Items([1])), "got DataLoader: give its .dataset"),
        (Items([(X[0], 1), (X[1], 2, 3)]), "members[1]: must be (x, y), got tuple of 3"),
        (Items([X[0]]), "members[0]: must be (x, y), got ndarray"),
        (Items([(X[0], 1), (X[1, :2], 0)]), "members[1]: all x must have one shape"),
        (Items([(X[0], [1, 2])]), "got a label of shape (2,)"),
        (Items([]), "needs at least one record"),
        (Raises([1]), "members[0]: must be readable, got KeyError"),
        ((X, Y[:5]), "members: inputs and labels must have equal lengths, got 6 and 5"),
        ((X[:, 0], Y), "inputs must have shape (n, features...), got (6,)"),
        (([[1], [1, 2]], [0, 1]), "members: inputs must be an array, got ValueError"),
        ((X, Y + 0.5), "members: labels must be classes, got the number 0.5 in row 0"),
        ((X, Y * 0), "labels must have at least two classes, got only '0'"),
        ((X, Y + 100_000), "must be class numbers below 100000, got 100002"),
        ((np.where(X[0, 0] == X, np.inf, X), Y), "members: inputs must be finite"),
        ((FLOATS, Y), "images are float in [0, 1] or uint8, got up to 255.0: divide by 255"),
        ((np.ones((6, 8, 8, 3)), Y), "move the channels"),
        ("nothing.csv", "members: nothing.csv: no such file"),
        (pd.DataFrame({0: [1.0], "label": [1]}), "column names must be text, got 0"),
        (pd.DataFrame({"a": [1.0, np.inf], "label": [0, 1]}), "column 'a' must be finite numbers, got inf"),
    ],
)
def test_what_is_wrong_is_told(value, said, fails):
    assert said in fails(give, members=value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ((X[:, :2], Y), "nonmembers: inputs must have the shape and type of members, (3,) float32, got (2,) float32"),
        ((X, ["a"] * 6), "nonmembers: labels must be of one kind, got text here and numbers in members"),
        ((RNG.integers(0, 5, (6, 3)), Y), "got (3,) int64"),
        (Dataset(X, Y % 2, ("x", "y"), np.array(list("abcdef"))), "labels must be among the classes x, y, got '2'"),
    ],
)
def test_parts_that_differ_are_told(value, said, fails):
    assert said in fails(give, members=(X, Y), nonmembers=value)


def test_tables_that_differ_are_told(fails):
    one = pd.DataFrame({"a": [1.0, 2], "b": ["u", "v"], "label": [0, 1]})
    assert "nonmembers: must have the columns of members, got also 'c'" in fails(
        give, members=one, nonmembers=one.assign(c=1.0)
    )
    assert "got no 'b'" in fails(give, members=one, nonmembers=one.drop(columns="b"))
    assert "column 'b' must be of one kind" in fails(give, members=one, nonmembers=one.assign(b=[1.0, 2]))


def test_all_parts_are_told_at_once(fails):
    message = fails(give, members=3, nonmembers="nothing.csv")
    assert "members: must be" in message
    assert "nonmembers: nothing.csv" in message
