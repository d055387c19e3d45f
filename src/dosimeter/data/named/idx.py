"""MNIST and Fashion-MNIST: four IDX files in a folder or an archive."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np

from dosimeter.data.dataset import Dataset
from dosimeter.data.named.own_copies import files_of, find_own_copy
from dosimeter.data.options import Request
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError

DIGITS = tuple("0123456789")
CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""Folder in which the Debian package dataset-fashion-mnist puts its files."""
WANTED = re.compile(r"/(train|t10k)-(images|labels)[-.]idx([13])-ubyte(\.gz)?$")
FORMS = "a folder or .tgz with train-images-idx3-ubyte, train-labels-idx1-ubyte, and the same of t10k, perhaps .gz"


def load_mnist(request: Request, path: Path | None = None) -> Dataset:
    """MNIST, 60,000 training then 10,000 test images `[n 1 28 28]`, uint8, in the files' order.

    Ids are `train/00001`: part and position in the files, from 0.

    Args:
        request: rows and `noun`.
        path: the copy; None takes the environment variable DOSIMETER_MNIST.

    Raises:
        DataError: no copy, or a damaged one.
    """
    return _load(request, find_own_copy(request, path, "mnist", FORMS), DIGITS, "digit")


def load_fashion_mnist(request: Request, path: Path | None = None) -> Dataset:
    """Fashion-MNIST, 60,000 training then 10,000 test images `[n 1 28 28]`, uint8, in the files' order.

    Ids are `train/00001`: part and position in the files, from 0.

    Args:
        request: rows and `noun`.
        path: the copy; None takes the environment variable DOSIMETER_FASHION_MNIST, else the Debian package's folder.

    Raises:
        DataError: no copy, or a damaged one.
    """
    return _load(request, find_own_copy(request, path, "fashion-mnist", FORMS, DEBIAN), CLOTHES, "image")


def _load(request: Request, copy: Path, classes: tuple[str, ...], noun: str) -> Dataset:
    """A data set from the four files."""
    request.only("noun")
    found: dict[tuple[str, str], Array] = {}
    for place, content in files_of(copy, WANTED, request, FORMS):
        match = WANTED.search(f"/{place}")
        assert match is not None  # files_of gives only what matches
        found[match[1], match[2]] = _array(content, int(match[3]), f"{request.name}: {place}")
    images, labels, ids = [], [], []
    for part, called in (("train", "train"), ("t10k", "test")):
        for kind in ("images", "labels"):
            if (part, kind) not in found:
                raise DataError(f"{request.name}: all four files are needed, got no {part}-{kind}: copy it too")
        pixels, numbers = found[part, "images"], found[part, "labels"]
        if len(pixels) != len(numbers) or pixels.shape[1:] != (28, 28) or (numbers > 9).any():
            raise DataError(
                f"{request.name}: {part} must have n images 28 x 28 and n labels in 0..9, got images {pixels.shape} "
                f"and {len(numbers)} labels up to {numbers.max(initial=0)}: copy the files again"
            )
        images.append(pixels[:, None])
        labels.append(numbers.astype(np.int64))
        ids += [f"{called}/{i:05d}" for i in range(len(numbers))]
    whole = Dataset(
        inputs=np.concatenate(images),
        labels=np.concatenate(labels),
        classes=classes,
        ids=np.array(ids),
        noun=request.options.noun or noun,
        name=request.name,
        part=request.part,
    )
    return request.select(whole)


def _array(content: bytes, axes: int, place: str) -> Array:
    """Array from the bytes of one IDX file: 0, 0, type 8, number of axes, sides as big-endian words, values."""
    head = 4 + 4 * axes
    if content[:4] != bytes([0, 0, 8, axes]) or len(content) < head:
        raise DataError(f"{place}: must be an IDX file of bytes with {axes} axes, got other content: copy it again")
    sides = struct.unpack(f">{axes}I", content[4:head])
    values = np.frombuffer(content, np.uint8, offset=head)
    if values.size != int(np.prod(sides, dtype=np.int64)):
        raise DataError(f"{place}: must hold {' x '.join(map(str, sides))} bytes, got {values.size}: copy it again")
    return values.reshape(sides)
