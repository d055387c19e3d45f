"""Closes a run's folder: origin of the numbers, and the report."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dosimeter.families.registry import FAMILIES
from dosimeter.foundation.errors import StoreError
from dosimeter.foundation.provenance import provenance
from dosimeter.jobs.store import write_text
from dosimeter.results import reading
from dosimeter.results.views import own_rows, views


def close_run(
    folder: Path,
    *,
    base: Path = Path(),
    device: str | None,
    started: float,
    seconds: Mapping[str, float],
    more: Mapping[str, Any],
) -> Path:
    """Writes the origin of a run's numbers (provenance), and its report; arguments as of `provenance`.

    Returns:
        The path of the report.
    """
    content = provenance(base=base, device=device, started=started, seconds=seconds, more=more)
    write_text(folder / "provenance.json", json.dumps(content, indent=1, sort_keys=True))
    return report(folder)


def report(folder: Path) -> Path:
    """Writes `report.html` again from `result.json`; computes nothing."""
    try:
        return write_report(folder)
    except StoreError as error:
        raise StoreError(*[f"{folder}: {problem}" for problem in error.problems]) from error


def write_report(folder: Path) -> Path:
    """Renders a run folder's result.json, with its provenance.json if there is one, to report.html.

    Args:
        folder: run folder; the file is replaced in one step, so that a reader never meets half a report.

    Returns:
        The path of report.html.

    Raises:
        StoreError: result.json is missing, of an unknown version or broken; or a file cannot be read or written.
    """
    result = reading.read_result(
        folder / "result.json", families=FAMILIES, name="result.json", absent="run `dosimeter measure` first"
    )
    page = render_folder(folder, result)
    report, partial = folder / "report.html", folder / f".report.html.{os.getpid()}"
    try:
        partial.write_text(page, encoding="utf-8", newline="\n")
        partial.replace(report)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StoreError(f"report.html: could not be written: {error.strerror}") from error
    return report


def render_folder(folder: Path, result: Mapping[str, Any]) -> str:
    """The page of a run's result, with its provenance.json if there is one.

    Raises:
        StoreError: provenance.json is broken.
    """
    path = folder / "provenance.json"
    provenance = reading.read_json(path, "remove the file") if path.exists() else {}
    if not isinstance(provenance, Mapping):
        raise StoreError("provenance.json: must be object, got something else: remove the file or run again")
    return render(result, provenance)


def render(result: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
    """The report as one HTML page, the same bytes for the same input.

    Args:
        result: the content of a valid result.json.
        provenance: the content of provenance.json; every key is optional.
    """
    from dosimeter.results.page.render import render_page  # templates are for pages; `list` and `store` show none

    sections = [FAMILIES[view["family"]].section(own_rows(view), provenance) for view in views(result)]
    return render_page(result, provenance, sections)
