"""Records that two data sets share, exactly or nearly."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from dosimeter.data.dataset import Dataset
from dosimeter.data.files.columns import blocks
from dosimeter.data.files.texts import words_of
from dosimeter.data.near_rows import Rows
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import quote

Kind = Literal["images", "tokens", "table"]
SIDE = 16
"""Side of the grey thumbnails by which images are compared, pixels."""
CORRELATION = 0.99
"""Least correlation of two thumbnails."""
DIFFERENCE = 0.03
"""Largest mean absolute difference of two images' pixels in [0, 1]."""
DISTANCE = 0.01
"""Largest root mean square difference of the numbers of two rows, in standard deviations."""
JACCARD = 0.9
"""Least share of the distinct tokens of two texts that both have."""
MOST_PAIRS = 100_000
"""Near pairs that are kept; all are counted."""
BLOCK = 2048

Pairs = Int[Array, "k 2"]


@dataclass(frozen=True)
class Overlap:
    """Records that two data sets share.

    Attributes:
        kind: how the records were compared.
        exact: positions in a and in b of records with identical inputs, whatever their labels `[k 2]`. Every record
            that has a copy on the other side stands in at least one pair.
        near: positions of near duplicates that are no exact ones `[l 2]`, at most `MOST_PAIRS` of them.
        near_count: how many near pairs there are.
        within: how many near pairs there are within b.
        exact_within: how many records of b repeat an earlier one of b.
        expected: near pairs between a and b if records of a and b were as alike as records of b among themselves.
        a: the first data set.
        b: the second.
    """

    kind: Kind
    exact: Pairs
    near: Pairs
    near_count: int
    within: int
    exact_within: int
    expected: float
    a: Dataset
    b: Dataset

    @property
    def remarkable(self) -> bool:
        """Returns whether there are clearly more near pairs than expected from b alone (four standard deviations)."""
        return self.near_count > self.expected + 4 * max(self.expected, 1.0) ** 0.5 or (
            self.within == 0 and self.near_count > 0
        )

    def lines(self, limit: int = 3) -> list[str]:
        """Findings in words, with the ids of the first pairs; empty if there are none."""
        said = []
        names = f"{self.a.name} and {self.b.name}"
        if len(self.exact):
            said.append(f"{names}: {_records(self.exact)} are identical: {self._first_ids(self.exact, limit)}")
        if self.near_count:
            said.append(
                f"{names}: {self.near_count} pairs are near duplicates, where {self.expected:.1f} would be if both "
                f"were alike ({self.within} within {self.b.name}): {self._first_ids(self.near, limit)}"
            )
        return said

    def _first_ids(self, pairs: Array, limit: int) -> str:
        """The first pairs by their ids."""
        listed = [f"{quote(str(self.a.ids[i]))} = {quote(str(self.b.ids[j]))}" for i, j in pairs[:limit].tolist()]
        return ", ".join(listed) + (" ..." if len(pairs) > limit else "")


def _records(pairs: Array) -> str:
    return f"{len(np.unique(pairs[:, 0]))} and {len(np.unique(pairs[:, 1]))} records"


def overlap(a: Dataset, b: Dataset, *, near: bool = True) -> Overlap:
    """Finds the records that stand in both data sets, and those that nearly do.

    Near duplicates are, of images (four axes): grey thumbnails of at most 16 x 16 correlate by 0.99 and the pixels
    differ by less than 0.03 in the mean, so noise and recompression are found, a shifted or cut copy is not; of tables:
    all columns but one are equal, or all text is equal and the numbers differ by less than 0.01 standard deviations in
    the root mean square; of tokens: the sets of tokens agree in 0.9 of their union; of texts of a language model those
    of `words_of`. A one-hot column counts as one. In a table with few distinct values such pairs are natural: compare
    `near_count` with `expected`, or ask `remarkable`.

    Args:
        a: one data set, such as the members.
        b: another; what is natural is counted within it.
        near: look for near duplicates too.

    Returns:
        The pairs and counts. Memory: blocks of 2,048 records against all of b.

    Raises:
        DataError: the two hold records of different shapes.
    """
    if a.inputs.shape[1:] != b.inputs.shape[1:]:
        raise DataError(
            f"{a.name} and {b.name}: must have inputs of one shape, got {a.inputs.shape[1:]} and {b.inputs.shape[1:]}: "
            "compare data of one kind"
        )
    kind = _kind(a, b)
    rows_a, rows_b = _alike(a.inputs, b.inputs)
    exact, codes_a, codes_b = _exact(_whole(a, rows_a), _whole(b, rows_b))
    exact_within = len(codes_b) - len(np.unique(codes_b))
    pairs, count, within = np.zeros((0, 2), np.int64), 0, 0
    if near:
        if a.vocabulary is not None and b.vocabulary is not None:
            rows_a, rows_b = _words(a, b)
        search = {"images": _near_images, "tokens": _near_tokens, "table": _near_rows}[kind]
        pairs, count, within = search(a, b, rows_a, rows_b, codes_a, codes_b)
    possible = len(b) * (len(b) - 1) / 2
    expected = within / possible * len(a) * len(b) if possible else 0.0
    return Overlap(kind, exact, pairs, count, within, exact_within, expected, a, b)


def _words(a: Dataset, b: Dataset) -> tuple[Array, Array]:
    """Words of the texts of a and of b as numbers from 1 on, 0 after the end of a text."""
    words = [words_of(one.inputs, one.vocabulary or 0) for one in (a, b)]
    _, numbers = np.unique(np.concatenate([[0], *(one.ravel() for one in words)]), return_inverse=True)
    ends = np.split(numbers.reshape(-1)[1:], [words[0].size])
    return ends[0].reshape(words[0].shape), ends[1].reshape(words[1].shape)


def _kind(a: Dataset, b: Dataset) -> Kind:
    """The method of comparison."""
    if a.tokens and b.tokens:
        return "tokens"
    return "images" if a.inputs.ndim == 4 else "table"


def _alike(a: Array, b: Array) -> tuple[Array, Array]:
    """Inputs of one type, so that equal records have equal bytes: next to floats, bytes become fractions."""
    if a.dtype == b.dtype and a.dtype.kind in "iub":
        return a, b

    def plain(values: Array) -> Array:
        floats = values.astype(np.float32)
        return floats / np.float32(255) if values.dtype == np.uint8 else floats + 0.0  # minus zero becomes zero

    return plain(a), plain(b)


def _whole(dataset: Dataset, rows: Array) -> Array:
    """Bytes of each record: its inputs, and what the user's own form holds beyond them."""
    own = np.ascontiguousarray(rows).reshape(len(rows), -1).view(np.uint8)
    return own if dataset.cells is None else np.concatenate([own, dataset.cells.content()], 1)


def contents(*inputs: Array) -> Int[Array, " n"]:
    """A number for the content of each record, 0 to k - 1 in order of appearance; equal records have equal numbers."""
    digests = [hashlib.blake2b(row, digest_size=16).digest() for rows in inputs for row in np.ascontiguousarray(rows)]
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(one, len(numbers)) for one in digests], np.int64)


def _exact(a: Array, b: Array) -> tuple[Pairs, Array, Array]:
    """Pairs of identical records, and a number for the content of each record of a and of b."""
    codes = contents(a, b)
    codes_a, codes_b = codes[: len(a)], codes[len(a) :]
    first_a, first_b = np.full(len(codes), -1), np.full(len(codes), -1)
    first_a[codes_a[::-1]] = np.arange(len(a))[::-1]
    first_b[codes_b[::-1]] = np.arange(len(b))[::-1]
    from_a = np.stack([np.arange(len(a)), first_b[codes_a]], 1)
    from_b = np.stack([first_a[codes_b], np.arange(len(b))], 1)
    both = np.concatenate([from_a, from_b])
    return np.unique(both[(both >= 0).all(1)], axis=0).reshape(-1, 2), codes_a, codes_b


def _both_ways(find: Callable[[bool], Iterator[Array]], codes_a: Array, codes_b: Array) -> tuple[Pairs, int, int]:
    """Collects the pairs between a and b, and counts those within b; exact copies are no near ones.

    Args:
        find: gives blocks of pairs, between a and b, or (True) within b.
        codes_a: content of a's records.
        codes_b: content of b's records.
    """
    kept, count, within = [np.zeros((0, 2), np.int64)], 0, 0
    for pairs in find(False):
        pairs = pairs[codes_a[pairs[:, 0]] != codes_b[pairs[:, 1]]]
        kept.append(pairs[: max(0, MOST_PAIRS - count)])
        count += len(pairs)
    for pairs in find(True):
        within += int(((pairs[:, 0] < pairs[:, 1]) & (codes_b[pairs[:, 0]] != codes_b[pairs[:, 1]])).sum())
    return np.concatenate(kept), count, within


def _similar(a: Array, b: Array, least: float) -> Iterator[Array]:
    """Blocks of pairs whose inner product is at least `least`."""
    for start in range(0, len(a), BLOCK):
        products = a[start : start + BLOCK] @ b.T
        rows, columns = np.divmod(np.flatnonzero(products >= least), len(b))
        yield np.stack([rows + start, columns], 1)


def _near_images(
    a: Dataset, b: Dataset, rows_a: Array, rows_b: Array, codes_a: Array, codes_b: Array
) -> tuple[Pairs, int, int]:
    """Pairs of images that are close by thumbnails and then by pixels."""
    small_a, small_b = _thumbnails(rows_a), _thumbnails(rows_b)
    scale = 255.0 if rows_a.dtype == np.uint8 else 1.0

    def find(within: bool) -> Iterator[Array]:
        rows, small = (rows_b, small_b) if within else (rows_a, small_a)
        for pairs in _similar(small, small_b, CORRELATION):
            yield _by_pixels(pairs, rows, rows_b, scale)

    return _both_ways(find, codes_a, codes_b)


def _by_pixels(pairs: Array, a: Array, b: Array, scale: float) -> Array:
    """Pairs whose pixels differ little."""
    kept = [np.zeros((0, 2), np.int64)]
    for start in range(0, len(pairs), 4096):
        some = pairs[start : start + 4096]
        difference = np.abs(a[some[:, 0]].astype(np.float32) - b[some[:, 1]].astype(np.float32))
        kept.append(some[difference.reshape(len(some), -1).mean(1) < DIFFERENCE * scale])
    return np.concatenate(kept)


def _thumbnails(images: Array) -> Array:
    """Grey images of at most 16 x 16, centred and of norm one `[n d]` float32; zeros for a uniform image."""
    import torch

    found = []
    for start in range(0, len(images), BLOCK):
        grey = torch.from_numpy(np.ascontiguousarray(images[start : start + BLOCK])).float().mean(1, keepdim=True)
        size = (min(SIDE, grey.shape[-2]), min(SIDE, grey.shape[-1]))
        flat = torch.nn.functional.adaptive_avg_pool2d(grey, size).flatten(1).numpy()
        flat = flat - flat.mean(1, keepdims=True)
        length = np.linalg.norm(flat, axis=1, keepdims=True)
        found.append(np.where(length > 1e-6, flat / np.maximum(length, 1e-6), 0).astype(np.float32))
    return np.concatenate(found)


def _near_tokens(
    a: Dataset, b: Dataset, rows_a: Array, rows_b: Array, codes_a: Array, codes_b: Array
) -> tuple[Pairs, int, int]:
    """Pairs of texts whose sets of tokens agree.

    If |x ∩ y| >= t |x ∪ y|, the rarest |x| - ceil(t |x|) + 1 tokens of x and those of y have one in common (Bayardo et
    al. 2007), so only texts that share a rare token are compared.
    """
    from scipy import sparse

    width = int(max(rows_a.max(), rows_b.max())) + 1
    sets_a, sets_b = _sets(rows_a, width), _sets(rows_b, width)
    frequency = np.asarray(sets_a.sum(0)).ravel() + np.asarray(sets_b.sum(0)).ravel()
    rank = np.argsort(np.argsort(frequency, kind="stable"), kind="stable")
    rare_a, rare_b = (_rarest(one, rank) for one in (sets_a, sets_b))
    sizes_a, sizes_b = (np.diff(one.indptr) for one in (sets_a, sets_b))

    def find(within: bool) -> Iterator[Array]:
        rare, sets, sizes = (rare_b, sets_b, sizes_b) if within else (rare_a, sets_a, sizes_a)
        for start in range(0, rare.shape[0], BLOCK):
            shared = sparse.coo_matrix(rare[start : start + BLOCK] @ rare_b.T)
            pairs = np.stack([shared.row.astype(np.int64) + start, shared.col.astype(np.int64)], 1)
            low, high = np.sort(np.stack([sizes[pairs[:, 0]], sizes_b[pairs[:, 1]]]), 0)
            pairs = pairs[low >= JACCARD * high]
            for first in range(0, len(pairs), 50_000):
                some = pairs[first : first + 50_000]
                both = np.asarray(sets[some[:, 0]].multiply(sets_b[some[:, 1]]).sum(1)).ravel()
                yield some[both >= JACCARD * (sizes[some[:, 0]] + sizes_b[some[:, 1]] - both)]

    return _both_ways(find, codes_a, codes_b)


def _sets(rows: Array, width: int) -> Any:
    """The distinct tokens of each record as a sparse matrix of ones."""
    from scipy import sparse

    place, column = np.nonzero(rows > 0)
    pairs = np.unique(place * np.int64(width) + rows[place, column])
    ones = np.ones(len(pairs), np.int32)
    return sparse.csr_matrix((ones, (pairs // width, pairs % width)), shape=(len(rows), width))


def _rarest(sets: Any, rank: Array) -> Any:
    """The sparse matrix with only the rarest tokens of each record."""
    from scipy import sparse

    sizes = np.diff(sets.indptr)
    record = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((rank[sets.indices], record))
    place = np.arange(len(order)) - np.repeat(sets.indptr[:-1], sizes)
    kept = place < (sizes - np.ceil(JACCARD * sizes - 1e-9) + 1)[record]
    chosen = sets.indices[order][kept]
    return sparse.csr_matrix((np.ones(len(chosen), np.int32), (record[kept], chosen)), shape=sets.shape)


def _near_rows(
    a: Dataset, b: Dataset, rows_a: Array, rows_b: Array, codes_a: Array, codes_b: Array
) -> tuple[Pairs, int, int]:
    """Pairs of table rows that differ in one column, or only slightly in numbers."""
    n = len(rows_a)
    flat = np.concatenate([rows_a.reshape(n, -1), rows_b.reshape(len(rows_b), -1)])
    columns = a.columns or tuple(str(i) for i in range(flat.shape[1]))
    rows = Rows.of(flat, blocks(columns, a.categories))

    def find(within: bool) -> Iterator[Array]:
        return rows.near(slice(n, None) if within else slice(0, n), slice(n, None), DISTANCE)

    return _both_ways(find, codes_a, codes_b)
