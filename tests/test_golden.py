"""One tiny audit end to end against a stored result; a change of the golden file needs a line in the changelog.

`DOSIMETER_GOLDEN=write pytest tests/test_golden.py` writes it anew.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from audits import BASE, table
from flat import flat

from dosimeter.config.audit import parse
from dosimeter.pipeline import verbs

GOLDEN = Path(__file__).parent / "golden" / "linear.json"
TOLERANCE = 0.02
"""Processors round differently, so that a score may cross a threshold; 0.02 is four of 180 records."""
OF_TREES = 0.04
"""The same for attacks by trees, which take other splits after a rounding."""
BY_TREES = ("learned_ratio",)


def differences(found: Any, stored: Any, path: str = "", allowed: float = TOLERANCE) -> list[str]:
    """Where two results differ: structure and words exactly, numbers within tolerances, those in messages not."""
    if isinstance(stored, dict) and isinstance(found, dict):
        if found.keys() != stored.keys():
            return [f"{path}: keys {sorted(found.keys() ^ stored.keys())}"]
        own = OF_TREES if stored.get("attack") in BY_TREES else allowed
        return [line for key in stored for line in differences(found[key], stored[key], f"{path}.{key}", own)]
    if isinstance(stored, list) and isinstance(found, list):
        if len(found) != len(stored):
            return [f"{path}: {len(found)} entries instead of {len(stored)}"]
        pairs = enumerate(zip(found, stored, strict=True))
        return [line for i, (one, other) in pairs for line in differences(one, other, f"{path}[{i}]", allowed)]
    if isinstance(stored, float) and isinstance(found, float):
        return [] if found == pytest.approx(stored, abs=allowed) else [f"{path}: {found} instead of {stored}"]
    if path.endswith((".message", ".answer")):
        found, stored = (re.sub(r"[-+]?\d[\d.]*", "#", text) for text in (found, stored))
    return [] if found == stored else [f"{path}: {found!r} instead of {stored!r}"]


def test_a_tiny_audit_gives_the_stored_result(tmp_path):
    verbs.run(parse(table(), base=BASE), tmp_path / "run", workers=1)
    whole = json.loads((tmp_path / "run" / "result.json").read_text())
    doses = [row for row in whole["threats"][0]["estimates"] if row["metric"] == "dose"]
    found = {**flat(whole), "dose": {"headline": whole["dose"], "estimates": doses}}
    for key in ("audit_key", "curves", "histograms"):  # keys name the PyTorch release; curves follow from the rest
        del found[key]
    for key in ("records", "first"):  # shares of a few trainings, which one score across a threshold moves far
        del found["exposure"][key]
    for one in found["verdict"]["answers"]:
        if one["id"] in ("worst", "version"):  # what they say hangs on such shares and on the key
            del one["answer"]
    if os.environ.get("DOSIMETER_GOLDEN") == "write":
        GOLDEN.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    assert differences(found, json.loads(GOLDEN.read_text())) == []
