"""Omniglot: handwritten characters of many alphabets, each drawn by twenty people."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from dosimeter.data.dataset import Dataset
from dosimeter.data.labels import spread_classes
from dosimeter.data.named.in_packages import resized
from dosimeter.data.named.own_copies import files_of, find_own_copy
from dosimeter.data.options import Request, as_data_error
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError

SIDE = 105
DRAWING = re.compile(r"/([^/]+)/(character\d+)/\d+_(\d+)\.png$")
FORMS = "a folder of alphabet/character01/0001_01.png, or the packed .npz (bits, alphabet, character, drawer, names)"


def load_omniglot(request: Request, path: Path | None = None) -> Dataset:
    """Omniglot drawings `[n 1 105 105]` uint8, ink 255; classes are characters, persons drawers, groups alphabets.

    With the option `size` they have another height and width.

    Drawers are numbered within an alphabet, so a person is `Greek/07`. Ids are `Greek/character01/07`. Rows are spread
    over the classes.

    Args:
        request: rows, `noun` and `size`.
        path: the copy; None takes the environment variable DOSIMETER_OMNIGLOT.

    Raises:
        DataError: no copy, or a damaged one.
    """
    request.only("noun", "size")
    copy = find_own_copy(request, path, "omniglot", FORMS)
    packed = copy.is_file() and copy.suffix.lower() == ".npz"
    pixels, names, drawers = _read_packed(copy, request) if packed else _folders(copy, request)
    classes, labels = np.unique(names, return_inverse=True)
    order = spread_classes(labels.reshape(-1))
    rows = order[np.array(request.rows.within(len(names), request.name))]
    alphabets = np.array([name.partition("/")[0] for name in names])
    drawings = np.unpackbits(pixels[rows], axis=1, count=SIDE * SIDE).reshape(-1, SIDE, SIDE) * np.uint8(255)
    return Dataset(
        inputs=resized(drawings, request)[:, None],
        labels=labels.reshape(-1)[rows].astype(np.int64),
        classes=tuple(str(name) for name in classes),
        ids=np.array([f"{names[row]}/{drawers[row]:02d}" for row in rows]),
        persons=np.array([f"{alphabets[row]}/{drawers[row]:02d}" for row in rows]),
        groups=alphabets[rows],
        noun=request.options.noun or "drawing",
        name=request.name,
        part=request.part,
    )


def _read_packed(file: Path, request: Request) -> tuple[Array, Array, Array]:
    """Drawings of an `.npz`: packed pixels `[n 1379]`, the character's name `[n]` and the drawer `[n]`."""
    with as_data_error(request.name, "copy the file again"), np.load(file, allow_pickle=False) as archive:
        missing = sorted({"bits", "character", "drawer", "names"} - set(archive.files))
        if missing:
            raise DataError(f"{request.name}: needs arrays of packed drawings, got no {missing[0]}: give {FORMS}")
        bits, character, drawer, names = (archive[key] for key in ("bits", "character", "drawer", "names"))
        found = names[character]
    if bits.dtype != np.uint8 or bits.shape != (len(character), -(-SIDE * SIDE // 8)) or len(drawer) != len(character):
        raise DataError(f"{request.name}: bits must have shape (n, 1379), got {bits.shape}: copy the file again")
    return bits, found, drawer


def _folders(copy: Path, request: Request) -> tuple[Array, Array, Array]:
    """Drawings of PNG files; a folder or archive may hold several sets, and equal drawings count once."""
    found: dict[tuple[str, int], Array] = {}
    for place, content in files_of(copy, DRAWING, request, FORMS):
        match = DRAWING.search(f"/{place}")
        assert match is not None  # files_of gives only what matches
        remedy = "copy the file again"
        with (
            as_data_error(f"{request.name}: {place}", remedy),
            Image.open(io.BytesIO(content), formats=("PNG",)) as image,
        ):
            pixels = np.asarray(image.convert("L"))
        if pixels.shape != (SIDE, SIDE):
            raise DataError(f"{request.name}: {place}: must be {SIDE} x {SIDE}, got {pixels.shape}: copy it again")
        found.setdefault((f"{match[1]}/{match[2]}", int(match[3])), np.packbits(pixels.ravel() < 128))
    keys = sorted(found)
    return np.stack([found[key] for key in keys]), np.array([name for name, _ in keys]), np.array([d for _, d in keys])
