"""Records as a few columns of numbers, by a fixed rule that reads no membership bit.

The blind baseline and the attacks that read records share it. Axes: `n` records, `d` columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from dosimeter.foundation.arrays import Array

Sparse = Any
"""A SciPy matrix, which has no type annotations."""
MOST_RECORDS = 10_000
"""Most records from which components are learned, evenly spaced."""
COMPONENTS = 50
"""Number of principal components of pixels, of texts, and of tables that are wider than `WIDE`."""
WIDE = 200
BUCKETS = 2**13
"""Number of buckets for hashed tokens."""
LONGEST = 2_000
"""Most tokens of a record that are read."""
MOST_LABELS = 100
"""Most classes that have a column of their own, the most frequent first."""
SIDE = 16
"""Height and width to which images are averaged before their components are computed, pixels."""
_BATCH = 1_000


def few_columns(inputs: Array, seed: int, *, tokens: bool = False) -> Float[Array, "n d"]:
    """Records as an attack reads them: at most `WIDE` columns, in which similar records are close.

    Narrow tables keep their columns, with mean 0 and spread 1. Of wide ones, of pictures, which are averaged down
    first, and of hashed tokens the first components are kept. All records enter, whoever was trained on them.

    Args:
        inputs: pictures `[n c h w]`, tables or frozen features `[n d]`, or tokens `[n length]`, which are columns if
            there are at most `COMPONENTS`; anything else is laid flat.
        seed: seed of the components.
        tokens: the inputs are tokens.

    Returns:
        Finite columns, float64.
    """
    if inputs.ndim == 4:
        parts = [average_down(as_fractions(inputs[at : at + _BATCH])) for at in range(0, len(inputs), _BATCH)]
        return components(np.concatenate(parts), seed).astype(np.float64)
    if tokens and inputs.shape[1] > COMPONENTS:
        from sklearn.decomposition import TruncatedSVD

        bag = bag_of_tokens(inputs)
        count = min(COMPONENTS, len(inputs) - 1)
        found: Array = TruncatedSVD(count, random_state=seed).fit_transform(bag).astype(np.float64)
        return found
    flat = inputs.reshape(len(inputs), -1)
    return standard(flat) if flat.shape[1] <= WIDE else components(flat, seed).astype(np.float64)


def as_fractions(images: Array) -> Float[Array, "n c h w"]:
    """Images in float32, with bytes divided by 255."""
    fractions: Array = images.astype(np.float32) / (255 if images.dtype == np.uint8 else 1)
    return fractions


def average_down(x: Float[Array, "n c h w"]) -> Float[Array, "n d"]:
    """Images averaged to `SIDE` by `SIDE`, as flat rows."""
    for axis in (2, 3):
        starts = np.unique(np.linspace(0, x.shape[axis], SIDE + 1).astype(int)[:-1])
        sizes = np.diff([*starts, x.shape[axis]]).astype(np.float32)
        x = np.add.reduceat(x, starts, axis=axis) / sizes.reshape((-1, 1) if axis == 2 else (-1,))
    return x.reshape(len(x), -1)


def components(flat: Array, seed: int) -> Float[Array, "n d"]:
    """Principal components of standardised columns, learned on at most `MOST_RECORDS` records, float32."""
    from sklearn.decomposition import PCA

    sample = flat[:: -(-len(flat) // MOST_RECORDS)]
    count = min(COMPONENTS, len(sample) - 1, flat.shape[1])
    model = PCA(count, svd_solver="randomized", random_state=seed)
    found: Array = model.fit_transform(standard(sample).astype(np.float32))
    if len(sample) < len(flat):
        parts = [
            standard(flat[at : at + MOST_RECORDS], sample).astype(np.float32)
            for at in range(0, len(flat), MOST_RECORDS)
        ]
        found = np.concatenate([model.transform(part) for part in parts])
    return found


def standard(columns: Array, sample: Array | None = None) -> Float[Array, "n d"]:
    """Columns with mean 0 and spread 1 over a sample, with outliers clipped; constant columns become 0."""
    with np.errstate(all="ignore"):
        values = columns.astype(np.float64)
        known = values if sample is None else sample.astype(np.float64)
        spread = known.std(0)
        scaled = (values - known.mean(0)) / np.where(spread > 0, spread, 1)
    found: Array = np.clip(np.nan_to_num(scaled), -10, 10)
    return found


def one_hot(labels: Int[Array, " n"]) -> Float[Array, "n d"]:
    """One column for each of the most frequent classes."""
    names, counts = np.unique(labels, return_counts=True)
    kept = names[np.argsort(-counts, kind="stable")[:MOST_LABELS]]
    found: Array = (labels[:, None] == kept).astype(np.float64)
    return found


def bag_of_tokens(tokens: Int[Array, "n length"]) -> Sparse:
    """Tokens of each record, hashed and weighted by tf-idf; what is not above 0 is no token."""
    from sklearn.feature_extraction.text import TfidfTransformer

    row, place = np.nonzero(tokens[:, :LONGEST] > 0)
    hashed = (tokens[row, place].astype(np.uint64) * np.uint64(2654435761) % np.uint64(2**32)) >> np.uint64(19)
    counts = sparse.csr_matrix((np.ones(len(row)), (row, hashed.astype(np.int64))), shape=(len(tokens), BUCKETS))
    counts.sum_duplicates()
    return TfidfTransformer(sublinear_tf=True).fit_transform(counts)
