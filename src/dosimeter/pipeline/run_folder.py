"""A run's folder: right to write into it, its arrays, and the data of a finished run for measuring."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dosimeter.config.defense_rows import FOLDER
from dosimeter.families.family import CaseFolder, Family
from dosimeter.families.registry import FAMILIES
from dosimeter.foundation.errors import StoreError
from dosimeter.foundation.package import __version__
from dosimeter.foundation.wording import one_line, quote
from dosimeter.jobs.arrays import undamaged
from dosimeter.results.rounding import round_numbers
from dosimeter.results.views import chain_of

CHANGES = 3
"""Most settings that a message names if the folder holds another audit."""
MOST_TRIED = 1000
"""Most names that are tried to find a free folder; if a parent cannot be read, all look taken."""
FORMAT = 3
"""Version of `run.json` and of its arrays; version 1 held recipes only, version 2 one threat of membership."""
COMMON = ("audit_key", "door", "name", "noun", "chain", "seed", "leading_fpr")
"""Keys of `run.json` that say something of the whole run."""
OF_THREAT = ("threat", "data", "attacks", "gates")
"""Keys of a threat's entry of `run.json`, which version 2 had at its top."""


@dataclass(frozen=True)
class RunFolder:
    """A finished run.

    Attributes:
        summary: `run.json`, in the current form.
        cases: what it left of each threat, by id.
        families: family of each threat, by id.
    """

    summary: Mapping[str, Any]
    cases: Mapping[str, CaseFolder]
    families: Mapping[str, Family]


def case_folder(run: Path, threat: str) -> Path:
    """The folder of a threat's arrays."""
    return run / "threats" / threat


def check_folder(out: Path, key: str, settings: Mapping[str, Any] | None = None) -> None:
    """Refuses a folder that holds another audit or anything else, and names one that is free.

    Args:
        out: the folder.
        key: key of the audit.
        settings: settings of the audit, as in `audit.json`; the message names those that differ from the folder's.

    Raises:
        StoreError: it does, or it cannot be read.
    """
    try:
        found = _key_in(out)
        held = [path for path in out.iterdir() if not path.name.startswith(".")] if out.is_dir() else [out]
        other = found is None and out.exists() and bool(held)  # drafts of an interrupted run begin with a dot
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{out}: must be a folder that can be read, got {type(error).__name__}: choose another --out"
        ) from error
    if found not in (None, key):
        raise StoreError(f"{out}: holds another audit ({_changes(out, settings)}): {_offer(out, key)}")
    if other:
        raise StoreError(f"{out}: must be a new or empty folder or an earlier run of this audit: {_offer(out, key)}")


def _key_in(folder: Path) -> str | None:
    """Key of the audit in a folder; None without one."""
    marker = folder / "audit_key"
    return marker.read_text(encoding="utf-8").strip() if marker.is_file() else None


def _offer(out: Path, key: str) -> str:
    """Remedy for a folder that is taken: an option that names a free folder, or one with this very audit."""
    taken = out if out.name not in ("", "..") else out / "audit"
    stem, number = taken.name, 2
    if found := re.fullmatch(r"(.+)-(\d{1,6})", stem):
        stem, number = found[1], int(found[2]) + 1
    for new in (taken.with_name(f"{stem}-{one}") for one in range(number, number + MOST_TRIED)):
        if _takes(new, key):
            command = f"--out {shlex.quote(str(new))}"
            return f"add {command} to the command (in Python out={str(new)!r}), which leaves this folder as it is"
    return "choose another --out"


def _takes(folder: Path, key: str) -> bool:
    """Returns whether a folder is new, or was begun by this very audit."""
    try:
        return not folder.exists() or _key_in(folder) == key
    except (OSError, ValueError):
        return False


def _changes(out: Path, settings: Mapping[str, Any] | None) -> str:
    """Settings in which the audit in a folder differs, in words."""
    try:
        there = _flat(json.loads((out / "audit.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        there = {}
    here = _flat(json.loads(json.dumps(round_numbers(settings)))) if settings is not None else {}
    if not there or not here or "" in there:
        return "its settings, data, models or code are not the same"
    keys = sorted(key for key in there.keys() | here.keys() if there.get(key) != here.get(key))
    if not keys:
        return "the settings are the same; data, models or code are not"
    told = [f"{key} is {_short(there.get(key))} there and {_short(here.get(key))} here" for key in keys[:CHANGES]]
    return one_line("; ".join(told) + (f"; {len(keys) - CHANGES} more" if len(keys) > CHANGES else ""), limit=600)


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Nested tables and lists as one table, with keys as messages write places, such as `stage[0].epochs`."""
    if isinstance(value, Mapping) and value:
        pairs = [(f"{path}.{name}" if path else str(name), item) for name, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        pairs = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    else:
        return {path: value}
    return {key: leaf for name, item in pairs for key, leaf in _flat(item, name).items()}


def _short(value: Any) -> str:
    """A setting, shortened."""
    return "absent" if value is None else quote(value, 40)


def read_run(folder: Path) -> RunFolder:
    """Reads what a finished run says of itself; its arrays are read when they are measured.

    Raises:
        StoreError: the run is not finished, was made from a table, is of a newer format, or is damaged.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise StoreError(f"{folder}: holds no finished run (no run.json): `dosimeter run` makes or finishes one")
    with undamaged(folder):
        summary, old = _upgraded(json.loads(path.read_text(encoding="utf-8")), folder)
        cases, families = {}, {}
        _check_names([one["id"] for one in (*summary["threats"], *(summary.get("variants") or ()))])
        common = {key: value for key, value in summary.items() if key != "threats"}
        for entry in summary["threats"]:
            name, family = str(entry["id"]), str(entry["family"])
            if family not in FAMILIES:
                raise StoreError(
                    f"{folder}: has a threat of family {quote(family)}, which dosimeter {__version__} does not have: "
                    "use the version that made it"
                )
            own = {**common, **entry, "chain": chain_of(common["chain"], entry["threat"]["at_risk"])}
            cases[name] = CaseFolder(folder if old else case_folder(folder, name), own)
            families[name] = FAMILIES[family]
            _check_summary(own)
    return RunFolder(summary, cases, families)


def _check_names(ids: Sequence[Any]) -> None:
    """Refuses ids of threats and variants that lead out of the run's folder, since each names a folder in it.

    Raises:
        ValueError: the id.
    """
    for one in ids:
        if not isinstance(one, str) or not FOLDER.fullmatch(one):
            raise ValueError(f"id must be a name without slashes, got {quote(one)}")


def _check_summary(summary: Mapping[str, Any]) -> None:
    """Refuses a summary without what every family's measuring and reporting need.

    Raises:
        ValueError: what is wrong.
    """
    for key in (*COMMON, *OF_THREAT):
        if key not in summary:
            raise ValueError(f"{key}: is missing")
    if type(summary["seed"]) is not int or not 0 < float(summary["leading_fpr"]) < 1:
        raise ValueError("seed and leading_fpr must be numbers")


def _upgraded(summary: Any, folder: Path) -> tuple[dict[str, Any], bool]:
    """A summary in the current format, and whether its arrays lie as those of older ones.

    Raises:
        StoreError: it is newer than this version, or it is of a table.
    """
    written = summary["schema"]
    if written not in (1, 2, FORMAT):
        by = summary.get("dosimeter", "another version")
        raise StoreError(
            f"{folder}: must be of format 1 to {FORMAT}, which dosimeter {__version__} reads, got {written!r}, written "
            f"by dosimeter {by}: use that version, or run the audit again"
        )
    if summary.get("door") == "scores":
        raise StoreError(
            f"{folder}: was measured from a table of scores, got no evidence beside it: run `dosimeter measure "
            "--scores` on the table again"
        )
    if written == FORMAT:
        return dict(summary), False
    if written == 1:
        summary = {**summary, "door": "recipe", "gates": [summary["saturation"]]}
    entry = {"id": "membership", "family": "membership", **{key: summary[key] for key in OF_THREAT}}
    common = {key: value for key, value in summary.items() if key not in OF_THREAT}
    return {**common, "schema": FORMAT, "threats": [entry]}, True
