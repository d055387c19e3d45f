"""Reads result.json; `report`, `check` and `diff` share this reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dosimeter.foundation.errors import StoreError
from dosimeter.foundation.wording import one_line
from dosimeter.results import schema

NAME = "result.json"


def read_result(
    path: Path, *, name: str = "", absent: str = "give a run's folder or its result.json"
) -> dict[str, Any]:
    """The content of a valid result.json.

    Args:
        path: a run's folder, or the file itself.
        name: name of the file in messages; its path unless given.
        absent: what to do if there is none.

    Raises:
        StoreError: no file, not JSON, NaN or infinity, another version, or a break of the published schema.
    """
    file = path / NAME if path.is_dir() else path
    shown = name or one_line(file)
    result: Any = schema.upgrade(read_json(file, absent, name=shown))
    broken = schema.problems(result)
    if broken:
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        raise StoreError(f"{shown}: {one_line(broken[0])}{more}")
    return dict(result)


def read_json(path: Path, remedy: str, *, name: str = "") -> Any:
    """JSON from a file; refuses NaN and infinity, which JSON does not have.

    Args:
        path: path of the file.
        remedy: what to do if it is missing or broken.
        name: name of the file in messages; the last part of its path unless given.

    Raises:
        StoreError: one line.
    """
    shown = name or path.name

    def refuse(constant: str) -> None:
        raise ValueError(f"holds {constant}")

    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    except FileNotFoundError as error:
        where = "" if shown == str(path) else " in the run folder"
        raise StoreError(f"{shown}: not found{where}: {remedy}") from error
    except OSError as error:
        raise StoreError(f"{shown}: could not be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        what = "nested too deep" if isinstance(error, RecursionError) else one_line(error)
        raise StoreError(f"{shown}: is not valid JSON ({what}): {remedy}") from error
