"""A folder of class folders with images, decoded by Pillow."""

from __future__ import annotations

import io
import logging
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from dosimeter.data.dataset import Dataset
from dosimeter.data.labels import encode_labels, spread_classes
from dosimeter.data.options import Request, show_path
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import one_line

logger = logging.getLogger(__name__)

SUFFIXES = (".png", ".jpg", ".jpeg", ".pgm", ".ppm", ".bmp", ".webp")
FORMATS = ("PNG", "JPEG", "PPM", "BMP", "WEBP")
"""Decoders that Pillow may use; others stay off (the one for EPS starts a program)."""
GREY = ("1", "L", "LA")
EIGHT_BIT = (*GREY, "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")


def load_images(folder: Path, request: Request) -> Dataset:
    """Images in folders that are named after their classes; only the requested rows are decoded.

    Files are sorted by path and spread over the classes (`labels.spread_classes`), so that a range of rows is a sample.
    Pictures are grey if all files are, else all are RGB; transparency is dropped. Ids are paths below the folder.

    Args:
        folder: the folder of class folders.
        request: rows, `classes`, `noun`, and `size` to resize all pictures.

    Returns:
        Images `[n c h w]`, uint8.

    Raises:
        DataError: no class folders, an empty one, a file that cannot be decoded, sizes that differ.
    """
    request.only("classes", "noun", "size")
    files = class_files(folder, request.name)
    labels, classes = encode_labels(np.array([c for c, _ in files]), request.name, request.options.classes)
    order = spread_classes(labels)
    rows = order[np.array(request.rows.within(len(files), request.name))]
    paths = [path for _, path in files]
    size, channels = _format(paths, folder, request)
    inputs = np.empty((len(rows), channels, *size), np.uint8)
    for i, row in enumerate(rows):
        inputs[i] = decode(paths[row], _place(paths[row], folder, request.name), channels, size)
    ids = np.array([path.relative_to(folder).as_posix() for path in paths])
    noun = request.options.noun or "image"
    return Dataset(inputs, labels[rows], classes, ids[rows], noun=noun, name=request.name, part=request.part)


def class_files(folder: Path, name: str) -> list[tuple[str, Path]]:
    """Class and path of every image below a folder of class folders, sorted; hidden files are passed over.

    Raises:
        DataError: no class folders, an empty class, an image beside the class folders, a name that is not UTF-8.
    """
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    loose = [entry for entry in entries if entry.suffix.lower() in SUFFIXES and entry.is_file()]
    folders = [entry for entry in entries if entry.is_dir()]
    if loose or not folders:
        state = f"the image {show_path(Path(loose[0].name))} beside them" if loose else "no folders"
        raise DataError(f"{name}: images must lie in folders named after their classes, got {state}: sort them so")
    files: list[tuple[str, Path]] = []
    for entry in folders:
        below = sorted(path for path in entry.rglob("*") if path.is_file() and not path.name.startswith("."))
        images = [path for path in below if path.suffix.lower() in SUFFIXES]
        if len(images) < len(below):
            logger.warning("%s: %s files in %r are no images, not read", name, len(below) - len(images), entry.name)
        if not images:
            raise DataError(f"{name}: every class folder needs images, got none in {entry.name!r}: remove the folder")
        files += [(entry.name, path) for path in images]
    for _, path in files:
        if any("\ud800" <= c <= "\udfff" for c in str(path.relative_to(folder))):
            raise DataError(
                f"{name}: file names must be UTF-8, got {show_path(path.relative_to(folder))}: rename the file"
            )
    if {entry.name.lower() for entry in folders} <= {"train", "test", "val", "valid", "validation"} and all(
        path.parent.parent != folder for _, path in files
    ):
        raise DataError(
            f"{name}: folders must be named after classes, got {', '.join(e.name for e in folders)}: "
            f"these are parts of a data set, name one of them, as in {name}/{folders[0].name}"
        )
    return files


def _format(paths: Sequence[Path], folder: Path, request: Request) -> tuple[tuple[int, int], int]:
    """Height, width and number of channels, from the headers of all files."""
    sizes: Counter[tuple[int, int]] = Counter()
    example: dict[tuple[int, int], str] = {}
    channels = 1
    for path in paths:
        place = _place(path, folder, request.name)
        with _open(path, place) as image:
            sizes[image.height, image.width] += 1
            example.setdefault((image.height, image.width), place)
            channels = channels if image.mode in GREY else 3
    if request.options.size is not None:
        height, width = request.options.size
        if not (0 < height <= 4096 and 0 < width <= 4096):
            raise DataError(f"{request.name}: size must be (height, width) in 1..4096, got {request.options.size}")
        return request.options.size, channels
    (usual, _), *others = sizes.most_common()
    if others:
        other = others[0][0]
        raise DataError(
            f"{example[other]}: all images must have one size, got {other[0]} x {other[1]} where {sizes[usual]} of "
            f"{len(paths)} have {usual[0]} x {usual[1]} (height x width): resize them or set size = "
            f"[{usual[0]}, {usual[1]}]"
        )
    return usual, channels


def _place(path: Path, folder: Path, name: str) -> str:
    """Data set and file, as messages name them."""
    return f"{name}: {show_path(path.relative_to(folder))}"


def _open(source: Path | bytes, place: str) -> Image.Image:
    """An image with its header read, of 8 bits per channel."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS)
    except Exception as caught:  # decoders of hostile files raise errors of every kind
        raise _undecodable(place, caught) from None
    if image.mode not in EIGHT_BIT:
        image.close()
        raise DataError(f"{place}: images must have 8 bits a channel, got mode {image.mode}: convert it to 8 bits")
    return image


def _undecodable(place: str, caught: Exception) -> DataError:
    """The error about an image that Pillow cannot read."""
    if isinstance(caught, UnidentifiedImageError):
        return DataError(f"{place}: must be a PNG, JPEG, PGM, BMP or WebP image, got other content: replace the file")
    message = f"{type(caught).__name__}: {one_line(caught)}"
    return DataError(f"{place}: must be an image that decodes, got {message}: replace or remove the file")


def decode(source: Path | bytes, place: str, channels: int, size: tuple[int, int] | None = None) -> Array:
    """One image as uint8 `[c h w]`.

    Args:
        source: the file, or its bytes.
        place: name in messages.
        channels: 1 or 3.
        size: height and width to resize to where it differs (bilinear), or None to keep.

    Raises:
        DataError: the image is truncated or of an unknown kind.
    """
    with _open(source, place) as image:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                plain = image.convert("RGBA") if image.mode in ("P", "PA") and channels == 3 else image
                plain = plain.convert("L" if channels == 1 else "RGB")
                if size is not None and (plain.height, plain.width) != size:
                    plain = plain.resize((size[1], size[0]), Image.Resampling.BILINEAR)
                pixels = np.asarray(plain)
        except Exception as caught:  # decoders of hostile files raise errors of every kind
            raise _undecodable(place, caught) from None
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)
