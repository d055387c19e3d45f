import numpy as np
import pytest

from dosimeter.data.labels import encode_labels, spread_classes


@pytest.mark.parametrize(
    ("values", "numbers", "names"),
    [
        (np.array([0, 2, 1]), [0, 2, 1], ("0", "1", "2")),
        (np.array([10, 1, 2]), [2, 0, 1], ("1", "2", "10")),
        (np.array([-1.0, 1.0, -1.0]), [0, 1, 0], ("-1", "1")),
        (np.array([True, False]), [1, 0], ("False", "True")),
        (np.array(["no", "Yes", "no"]), [1, 0, 1], ("Yes", "no")),
        (np.array([b"b", b"a"]), [1, 0], ("a", "b")),
        (np.array(["a\n<b>", "a"]), [1, 0], ("a", "a\n<b>")),
        (np.array([3, "x"], dtype=object), [0, 1], ("3", "x")),
        (np.array([7, 3], np.uint8), [1, 0], ("3", "7")),
    ],
)
def test_labels_are_numbered_by_value(values, numbers, names):
    got, classes = encode_labels(values, "data")
    assert got.tolist() == numbers
    assert got.dtype == np.int64
    assert classes == names


@pytest.mark.parametrize(
    ("values", "classes", "said"),
    [
        (np.array([0.0, np.nan]), None, "every record needs a label, got none in row 1"),
        (np.array(["a", " "]), None, "got none in row 1"),
        (np.array(["a", None], dtype=object), None, "got none in row 1"),
        (np.array(["a", float("nan")], dtype=object), None, "got none in row 1"),
        (np.array([0.37, 1]), None, "must be classes, got the number 0.37 in row 0, as of a regression"),
        (np.arange(200.0) * 1000, None, "got 200 different numbers of type float for 200 records, as of a regression"),
        (
            np.arange(20, dtype=np.float32) // 1.05,
            None,
            "as of a regression, which cannot be audited: divide the range",
        ),
        (np.array([np.inf, 1]), None, "got the number inf"),
        (np.array([0, 3]), ("a", "b"), "in 0..1, one for each of 2 classes, got 3 in row 1"),
        (np.array([0, -1]), ("a", "b"), "got -1 in row 1"),
        (np.array(["a", "c\n"]), ("a", "b"), "among the classes a, b, got 'c\\n' in row 1"),
        (np.array([0, 1]), ("a", "a"), "classes must be distinct"),
        (np.eye(2), None, "must have shape (n,), got (2, 2)"),
    ],
)
def test_bad_labels_are_told(values, classes, said, fails):
    assert said in fails(encode_labels, values, "data", classes)


@pytest.mark.parametrize("values", [np.arange(200), np.arange(19.0), np.arange(200.0) % 150])
def test_many_classes_are_no_regression(values):
    assert len(encode_labels(values, "data")[1]) == len(np.unique(values))


def test_given_classes_keep_their_order():
    numbers, classes = encode_labels(np.array(["b", "a"]), "data", ("c", "b", "a"))
    assert numbers.tolist() == [1, 2]
    assert classes == ("c", "b", "a")


def test_every_range_of_a_spread_order_is_a_sample():
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    order = spread_classes(labels)
    assert sorted(order) == list(range(1000))
    for start in range(0, 1000, 100):
        counts = np.bincount(labels[order[start : start + 100]], minlength=3)
        assert abs(counts - [60, 30, 10]).max() <= 1
