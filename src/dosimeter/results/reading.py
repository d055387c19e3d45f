"""Reads result.json; `report`, `check` and `diff` share this reader."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dosimeter.foundation.errors import StoreError
from dosimeter.foundation.wording import one_line
from dosimeter.results import schema, upgrade
from dosimeter.results.metrics import Families

NAME = "result.json"


def read_result(
    path: Path, *, families: Families, name: str = "", absent: str = "give a run's folder or its result.json"
) -> dict[str, Any]:
    """The content of a valid result.json, in the current form whichever version wrote it.

    Args:
        path: a run's folder, or the file itself.
        families: families of attack that are installed, by name.
        name: name of the file in messages; its path unless given.
        absent: what to do if there is none.

    Raises:
        StoreError: no file, not JSON, NaN or infinity, another version, a family that is not installed, or a break of
            the published schema.
    """
    file = path / NAME if path.is_dir() else path
    shown = name or one_line(file)
    return checked(read_json(file, absent, name=shown), families, name=shown)


def checked(result: Any, families: Families, *, name: str) -> dict[str, Any]:
    """A result in the current form, if it is valid.

    Args:
        result: what `json.loads` made of a result.json, of any version.
        families: families of attack that are installed, by name.
        name: name of the file in messages.

    Raises:
        StoreError: as `read_result`.
    """
    broken: list[str] = []
    if isinstance(result, Mapping) and result.get("schema") in upgrade.OLD_VERSIONS:
        result = upgrade.with_door(result)
        broken = schema.old_problems(result)
        result = result if broken else upgrade.upgrade(result)
    broken = broken or schema.problems(result, families)
    if broken:
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        raise StoreError(f"{name}: {one_line(broken[0])}{more}")
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
