"""CIFAR-10 from the user's own copy, in any of the forms in which it is distributed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dosimeter.data.dataset import Dataset
from dosimeter.data.files.images import class_files, decode
from dosimeter.data.files.pickles import load_arrays
from dosimeter.data.labels import spread_classes
from dosimeter.data.named.own_copies import find_own_copy
from dosimeter.data.options import Request, Rows, as_data_error, show_path
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
SHAPE = (3, 32, 32)
FORMS = (
    "a folder with data_batch_1.bin ... test_batch.bin or with data_batch_1 ... test_batch, "
    "a folder with train/airplane ... test/truck, or the packed .npz (blob, off, label, n_train)"
)


@dataclass(frozen=True)
class _Chunk:
    """Consecutive records of one part; pixels are read on demand.

    Attributes:
        part: "train" or "test".
        numbers: the number of each record within its part `[n]`.
        labels: `[n]`.
        pixels: from positions in this chunk `[k]` to images `[k 3 32 32]` uint8.
    """

    part: str
    numbers: Array
    labels: Array
    pixels: Callable[[Array], Array]


def load_cifar10(request: Request, path: Path | None = None) -> Dataset:
    """CIFAR-10, the training part first, then the test part; only the rows asked for are decoded.

    Copies that are sorted by class (class folders, packed JPEG) are spread over the classes within each part, so that a
    range of rows is a sample. Ids are `train/00001`: part and position in the copy, from 0.

    Args:
        request: rows and `noun`.
        path: the copy; None takes the environment variable DOSIMETER_CIFAR10.

    Returns:
        Images `[n 3 32 32]`, uint8; 50,000 and 10,000 in a complete copy.

    Raises:
        DataError: no copy, none of the known forms, or a damaged file.
    """
    request.only("noun")
    copy = find_own_copy(request, path, "cifar10", FORMS)
    chunks, total = _select(_chunks(copy, request), request.rows)
    if request.rows.stop is None or request.rows.stop > total or not chunks:
        request.rows.within(total, request.name)
    labels = np.concatenate([chunk.labels for chunk in chunks]).astype(np.int64)
    if (labels < 0).any() or (labels > 9).any():
        raise DataError(f"{request.name}: labels must be in 0..9, got {labels.min()}..{labels.max()}: copy it again")
    return Dataset(
        inputs=np.concatenate([chunk.pixels(np.arange(len(chunk.labels))) for chunk in chunks]),
        labels=labels,
        classes=CLASSES,
        ids=np.array([f"{chunk.part}/{i:05d}" for chunk in chunks for i in chunk.numbers]),
        noun=request.options.noun or "image",
        name=request.name,
        part=request.part,
    )


def _select(chunks: Iterator[_Chunk], rows: Rows) -> tuple[list[_Chunk], int]:
    """The requested part of each chunk, and the number of records seen; reading stops after the last row."""
    kept, seen = [], 0
    for chunk in chunks:
        n = len(chunk.labels)
        stop = n if rows.stop is None else min(n, rows.stop - seen)
        inside = np.arange(max(rows.start - seen, 0), stop)
        if len(inside):
            kept.append(_part_of(chunk, inside))
        seen += n
        if rows.stop is not None and seen >= rows.stop:
            break
    return kept, seen


def _part_of(chunk: _Chunk, inside: Array) -> _Chunk:
    """Some records of a chunk, in the given order, still unread."""
    return _Chunk(
        chunk.part, chunk.numbers[inside], chunk.labels[inside], lambda positions: chunk.pixels(inside[positions])
    )


def _chunks(path: Path, request: Request) -> Iterator[_Chunk]:
    """The chunks of a copy, by its form."""
    for inner in ("cifar-10-batches-bin", "cifar-10-batches-py"):
        if (path / inner).is_dir():
            path = path / inner
    if path.is_file() and path.suffix.lower() == ".npz":
        return _read_packed(path, request.name)
    if (path / "data_batch_1.bin").is_file():
        return _binary(path, request.name)
    if (path / "data_batch_1").is_file():
        return _read_pickles(path, request.name)
    if (path / "train").is_dir():
        return _folders(path, request.name)
    remedy = "unpack the archive" if path.name.endswith((".gz", ".tgz", ".tar", ".zip")) else f"give {FORMS}"
    raise DataError(f"{request.name}: must be a known form of CIFAR-10, got {show_path(path)}: {remedy}")


def _batch_files(files: list[Path], name: str) -> Iterator[tuple[Path, str, str]]:
    """Batch files with the place for messages and the part; refuses missing ones."""
    for file in files:
        place = f"{name}: {file.name}"
        if not file.is_file():
            raise DataError(f"{place}: all six batches are needed, got no such file: copy it beside the others")
        yield file, place, "test" if file.name.startswith("test") else "train"


def _binary(folder: Path, name: str) -> Iterator[_Chunk]:
    """The binary version: records of one byte label and 3,072 bytes pixels."""
    before = {"train": 0, "test": 0}
    for file, place, part in _batch_files([folder / f"{batch}.bin" for batch in BATCHES], name):
        size = file.stat().st_size
        if size == 0 or size % 3073:
            raise DataError(f"{place}: size must be a multiple of 3073 bytes, got {size}: copy the file again")
        with as_data_error(place, "copy the file again"):
            records = np.fromfile(file, np.uint8).reshape(-1, 3073)
        numbers = before[part] + np.arange(len(records))
        before[part] += len(records)
        yield _plain(part, numbers, records[:, 0], records[:, 1:])


def _read_pickles(folder: Path, name: str) -> Iterator[_Chunk]:
    """The Python version: dictionaries with `data` `[n 3072]` and a list `labels`."""
    before = {"train": 0, "test": 0}
    for file, place, part in _batch_files([folder / batch for batch in BATCHES], name):
        content = load_arrays(file, place)
        with as_data_error(place, "copy the file again"):
            data, labels = np.asarray(content["data"]), np.asarray(content["labels"])
        if data.dtype != np.uint8 or data.shape != (len(labels), 3072) or labels.dtype.kind not in "iu":
            raise DataError(
                f"{place}: must hold uint8 data (n, 3072) and n whole labels, got {data.dtype} {data.shape} and "
                f"{labels.dtype} {labels.shape}: copy the file again"
            )
        numbers = before[part] + np.arange(len(labels))
        before[part] += len(labels)
        yield _plain(part, numbers, labels, data)


def _plain(part: str, numbers: Array, labels: Array, data: Array) -> _Chunk:
    """A chunk whose pixels `[n 3072]` are in memory."""
    return _Chunk(part, numbers, labels, lambda rows: data[rows].reshape(-1, *SHAPE))


def _folders(folder: Path, name: str) -> Iterator[_Chunk]:
    """Class folders below train/ and test/."""
    for part in ("train", "test"):
        place = f"{name}: {part}"
        if not (folder / part).is_dir():
            raise DataError(f"{place}: both parts are needed, got no such folder: copy it beside the other")
        files = class_files(folder / part, place)
        strange = sorted({c for c, _ in files} - set(CLASSES))
        if strange:
            raise DataError(f"{place}: folders must be named {', '.join(CLASSES)}, got {strange[0]!r}: rename it")
        labels = np.array([CLASSES.index(c) for c, _ in files])
        paths = [path for _, path in files]
        yield _decode_later(part, place, labels, lambda i, paths=paths: paths[i])  # type: ignore[misc]


def _read_packed(file: Path, name: str) -> Iterator[_Chunk]:
    """JPEG files end to end: `blob` uint8, `off` `[n + 1]`, `label` `[n]`, `n_train`."""
    with (
        as_data_error(name, "copy the file again"),
        file.open("rb") as opened,
        np.load(opened, allow_pickle=False) as archive,
    ):
        missing = sorted({"blob", "off", "label", "n_train"} - set(archive.files))
        if missing:
            raise DataError(f"{name}: needs the arrays blob, off, label and n_train, got no {missing[0]}: give {FORMS}")
        blob, off, label, count = (archive[key] for key in ("blob", "off", "label", "n_train"))
        n_train, rising = int(count), bool((np.diff(off) > 0).all())
    if off.shape != (len(label) + 1,) or not rising or off[0] < 0 or off[-1] > len(blob) or n_train > len(label):
        raise DataError(f"{name}: off must hold {len(label) + 1} rising positions within blob: copy the file again")
    for part, start, stop in (("train", 0, n_train), ("test", n_train, len(label))):

        def content(i: int, start: int = start) -> bytes:
            return blob[off[start + i] : off[start + i + 1]].tobytes()  # type: ignore[no-any-return]

        yield _decode_later(part, f"{name}: {part}", label[start:stop], content)


def _decode_later(part: str, place: str, labels: Array, content: Callable[[int], Path | bytes]) -> _Chunk:
    """A chunk sorted by class, spread over the classes, whose images are decoded on demand."""
    order = spread_classes(labels)

    def pixels(rows: Array) -> Array:
        images = np.empty((len(rows), *SHAPE), np.uint8)
        for i, row in enumerate(order[rows].tolist()):
            image = decode(content(row), f"{place}/{row:05d}", 3)
            if image.shape != SHAPE:
                raise DataError(f"{place}/{row:05d}: images must be 32 x 32, got {image.shape[1:]}: replace the file")
            images[i] = image
        return images

    return _Chunk(part, order, labels[order], pixels)
