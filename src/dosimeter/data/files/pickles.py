"""Reads pickles of plain arrays without running their instructions."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from dosimeter.data.options import as_data_error
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import quote


def _encode(text: str, encoding: str) -> bytes:
    """Bytes that Python 3 wrote with protocol 2 or lower."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes encoded as {quote(encoding)}")
    return text.encode("latin1")


_RECONSTRUCT: Any = np.empty(0).__reduce__()[0]
ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,  # before NumPy 2
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("_codecs", "encode"): _encode,
}
"""The only globals that a pickle of arrays needs; all others are refused before they are imported."""


class _ArrayUnpickler(pickle.Unpickler):
    def __init__(self, file: Any, place: str) -> None:
        super().__init__(file, encoding="bytes")
        self.place = place

    def find_class(self, module: str, name: str) -> Any:
        """The admitted global; refuses any other."""
        if (module, name) in ADMITTED:
            return ADMITTED[module, name]
        raise DataError(
            f"{self.place}: a pickle may hold plain arrays only, got {quote(f'{module}.{name}')}, "
            "which was not loaded: get the file from its makers"
        )

    def persistent_load(self, pid: Any) -> NoReturn:
        """Refuses persistent ids, which pickles of arrays do not have."""
        raise pickle.UnpicklingError("a persistent id")


def load_arrays(path: Path, place: str) -> dict[str, Any]:
    """The dictionary in a pickle of Python 2 or 3 that holds arrays, lists, numbers and text.

    Args:
        path: the file.
        place: name in messages.

    Returns:
        The dictionary, its keys as text.

    Raises:
        DataError: damaged, no dictionary, or it needs any class or function beyond NumPy's arrays.
    """
    with as_data_error(place, "copy the file again"), path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy 2.4 warns of how older NumPy wrote dtypes
        content = _ArrayUnpickler(file, place).load()
    if not isinstance(content, dict):
        raise DataError(f"{place}: must hold a dictionary of arrays, got {type(content).__name__}: check the file")
    return {key.decode("latin1") if isinstance(key, bytes) else str(key): value for key, value in content.items()}
