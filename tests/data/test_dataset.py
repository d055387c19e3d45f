import numpy as np
import pytest

from dosimeter.data import Dataset, content_ids
from dosimeter.foundation.errors import DataError


def make(**changes):
    columns = dict(
        inputs=np.arange(8, dtype=np.float32).reshape(4, 2),
        labels=np.array([0, 1, 0, 1]),
        classes=("a", "b"),
        ids=np.array(list("wxyz")),
    )
    return Dataset(**(columns | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (dict(inputs=np.zeros((0, 2), np.float32)), "at least one record, got none"),
        (
            dict(inputs=np.array([[0, 1], [2, np.nan], [4, 5], [6, np.inf]], np.float32)),
            "2 records, the first is row 1",
        ),
        (dict(labels=np.array([0, 1, 2, 1])), "labels must be in 0..1, got 2 in row 2"),
        (dict(labels=np.array([0, -1, 0, 1])), "got -1 in row 1"),
        (dict(labels=np.array([1, 1, 1, 1])), "at least two classes, got only 'b'"),
        (dict(labels=np.array([0, 1, 0])), "labels must have one entry for each of 4 inputs, got shape (3,)"),
        (dict(ids=np.array(list("wxyw"))), "ids must be distinct, got 'w' 2 times"),
        (dict(persons=np.array(["p"])), "persons must have one entry"),
        (dict(inputs=np.array([["a"], ["b"], ["c"], ["d"]])), "inputs must be numbers, got <U1"),
    ],
)
def test_broken_rules_are_told(changes, said, fails):
    assert said in fails(make, **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (dict(labels=np.array([0.0, 1.0, 0.0, 1.0])), "labels must be class numbers, got float64"),
        (dict(inputs=[[1.0]] * 4), "inputs must be a NumPy array, got list"),
        (dict(ids=None), "ids must be a NumPy array, got NoneType"),
        (dict(labels=np.int64(3)), "labels must be a NumPy array, got int64"),
    ],
)
def test_wrong_types_are_told_where_nothing_checks_annotations(changes, said):
    unchecked = object.__new__(Dataset)
    unchecked.__dict__.update(vars(make()) | changes)
    assert said in unchecked._problems()[0]


def test_problems_are_collected():
    with pytest.raises(DataError) as caught:
        make(labels=np.array([0, 5, 0, 1]), ids=np.array(list("wwyz")))
    assert len(caught.value.problems) == 2


def test_take_keeps_columns_together():
    part = make(persons=np.array(list("pqrs")), groups=np.array(list("ggHH"))).take(np.array([3, 0]))
    assert part.ids.tolist() == ["z", "w"]
    assert part.persons.tolist() == ["s", "p"]
    assert part.groups.tolist() == ["H", "g"]
    assert part.inputs.tolist() == [[6, 7], [0, 1]]


@pytest.mark.parametrize(
    "changes",
    [
        dict(inputs=np.ones((4, 2), np.float32)),
        dict(labels=np.array([0, 1, 1, 1])),
        dict(ids=np.array(list("abcd"))),
        dict(classes=("a", "c")),
        dict(persons=np.array(list("pqrs"))),
        dict(groups=np.array(list("pqrs"))),
        dict(ids=np.array(["wx", "", "y", "z"])),
    ],
)
def test_fingerprint_tells_contents_apart(changes):
    assert make().fingerprint == make().fingerprint
    assert make(**changes).fingerprint != make().fingerprint


def test_content_ids_survive_reordering():
    inputs = np.array([[1.0, 2], [3, 4], [1, 2], [5, 6]], np.float32)
    labels = np.array(["a", "b", "a", "a"])
    ids = content_ids(inputs, labels)
    assert len(set(ids)) == 4
    assert ids[2] == ids[0] + "-1"
    order = np.array([3, 1, 0, 2])
    assert content_ids(inputs[order], labels[order]).tolist() == ids[order].tolist()
