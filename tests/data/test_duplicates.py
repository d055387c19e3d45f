import numpy as np
import pytest

from dosimeter.data import Dataset
from dosimeter.data.duplicates import overlap


def make(inputs, name="a", **more):
    n = len(inputs)
    ids = np.array([f"{name}{i}" for i in range(n)])
    return Dataset(inputs, np.zeros(n, np.int64), ("x", "y"), ids, name=name, part=True, **more)


def pairs(found):
    return {tuple(pair) for pair in found.tolist()}


def pictures(rng, n):
    """Smooth pictures `[n 3 32 32]` in [0, 1]."""
    small = rng.random((n, 3, 5, 5))
    return np.repeat(np.repeat(small, 7, 2), 7, 3)[:, :, :32, :32].astype(np.float32) * 0.9


@pytest.mark.parametrize("kind", [np.float32, np.uint8])
def test_planted_pictures(kind):
    rng = np.random.default_rng(0)
    one, two = pictures(rng, 300), pictures(rng, 200)
    two[5], two[6] = one[7], one[7]
    two[8] = one[9] + rng.normal(0, 0.01, (3, 32, 32))
    if kind is np.uint8:
        one, two = ((x.clip(0, 1) * 255).round().astype(np.uint8) for x in (one, two))
    found = overlap(make(one), make(two, "b"))
    assert found.kind == "images"
    assert pairs(found.exact) == {(7, 5), (7, 6)}
    assert pairs(found.near) == {(9, 8)}
    assert (found.near_count, found.within, found.exact_within) == (1, 0, 1)
    assert found.remarkable
    first, second = found.lines()
    assert first == "a and b: 1 and 2 records are identical: 'a7' = 'b5', 'a7' = 'b6'"
    assert "1 pairs are near duplicates" in second
    assert not len(overlap(make(one), make(two, "b"), near=False).near)


def test_bytes_and_floats_of_one_picture_are_identical():
    bytes_ = np.random.default_rng(0).integers(0, 256, (4, 1, 8, 8), dtype=np.uint8)
    found = overlap(make(bytes_), make(bytes_[::-1].astype(np.float32) / 255, "b"))
    assert pairs(found.exact) == {(0, 3), (1, 2), (2, 1), (3, 0)}


@pytest.mark.parametrize("d", [1, 3, 40])
def test_planted_rows(d):
    rng = np.random.default_rng(d)
    one, two = (rng.normal(size=(n, d)).astype(np.float32) for n in (400, 300))
    two[3] = one[4]
    two[5] = one[6] + np.float32(1e-4)
    two[7] = one[8]
    two[7, 0] += 1
    found = overlap(make(one), make(two, "b"))
    assert pairs(found.exact) == {(4, 3)}
    if d == 40:
        assert pairs(found.near) == {(6, 5), (8, 7)}
        assert (found.within, found.remarkable) == (0, True)
    if d == 3:
        assert {(6, 5), (8, 7)} <= pairs(found.near)
    assert len(pairs(found.near)) == found.near_count


def test_rows_as_a_slow_twin_finds_them():
    rng = np.random.default_rng(0)
    categories = {"c": ("p", "q", "r")}

    def rows(n):
        chosen = rng.integers(0, 3, n)
        numbers = rng.integers(0, 12, (n, 2)) + 0.001 * rng.integers(0, 3, (n, 2))
        return np.concatenate([numbers, np.eye(3)[chosen]], 1).astype(np.float32)

    columns = ("u", "v", "c=p", "c=q", "c=r")
    one, two = (make(rows(n), name, columns=columns, categories=categories) for n, name in ((150, "a"), (120, "b")))
    found = overlap(one, two)
    both = np.concatenate([one.inputs, two.inputs]).astype(np.float64)
    deviation = both[:, :2].std(0)

    def near(x, y):
        parts = [x[0] != y[0], x[1] != y[1], (x[2:] != y[2:]).any()]
        close = not parts[2] and (((x[:2] - y[:2]) / deviation) ** 2).mean() ** 0.5 <= 0.01
        return any(parts) and (sum(parts) == 1 or close)

    expected = {(i, j) for i, x in enumerate(one.inputs) for j, y in enumerate(two.inputs) if near(x, y)}
    assert pairs(found.near) == expected
    assert found.near_count == len(expected)
    assert found.within == sum(near(x, y) for i, x in enumerate(two.inputs) for y in two.inputs[:i])
    assert not found.remarkable
    assert found.expected == pytest.approx(found.within / (120 * 119 / 2) * 150 * 120)


def test_tokens_as_a_slow_twin_finds_them():
    rng = np.random.default_rng(0)
    one, two = (rng.integers(0, 400, (n, 40)) for n in (200, 150))
    two[:30] = one[:30]
    for i in range(30):
        two[i, : i // 3] = rng.integers(0, 400, i // 3)
    two[40] = one[41][::-1]
    two[50] = 0
    found = overlap(make(one, tokens=True), make(two, "b", tokens=True))
    assert found.kind == "tokens"

    def jaccard(x, y):
        x, y = set(x.tolist()) - {0}, set(y.tolist()) - {0}
        return len(x & y) / max(len(x | y), 1)

    expected = {
        (i, j)
        for i, x in enumerate(one)
        for j, y in enumerate(two)
        if jaccard(x, y) >= 0.9 and not np.array_equal(x, y)
    }
    assert (41, 40) in expected
    assert len(expected) > 5
    assert pairs(found.near) == expected


def test_no_overlap_has_no_lines_and_other_shapes_are_told(fails):
    rng = np.random.default_rng(0)
    one, two = make(rng.normal(size=(50, 4))), make(rng.normal(size=(1, 4)), "b")
    found = overlap(one, two)
    assert found.lines() == []
    assert (found.near_count, found.expected, found.remarkable) == (0, 0.0, False)
    assert "must have inputs of one shape, got (4,) and (5,)" in fails(overlap, one, make(np.ones((2, 5)), "b"))
