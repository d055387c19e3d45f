"""The slow tests, and the figures that they record, in one JSON; `make verify`."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

from machine import cores, hardware

ROOT = Path(__file__).resolve().parents[1]


def outcomes(junit):
    """One row per test: name, outcome, seconds."""
    rows = []
    for test in ElementTree.parse(junit).iter("testcase"):
        bad = next((child.tag for child in test if child.tag in ("failure", "error", "skipped")), "passed")
        name = f"{test.get('classname')}::{test.get('name')}"
        rows.append({"test": name, "outcome": bad, "seconds": float(test.get("time", "nan"))})
    return sorted(rows, key=lambda row: row["test"])


def name_of(test):
    """A test as both lists can name it: its module's name, and its own with what it was called with."""
    path, _, own = test.partition("::")
    return path.removesuffix(".py").replace("/", ".").rpartition(".")[2], own


def joined(kept, new, again):
    """Rows of tests, those that were run again replaced."""
    return sorted([*(row for row in kept if name_of(row["test"]) not in again), *new], key=lambda row: row["test"])


def collected():
    """Names of all slow tests that there are."""
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-o", "addopts=--strict-markers", "-m", "slow"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return {name_of(line) for line in listed if "::" in line}


def main():
    """Run pytest on what is marked slow and collect."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", metavar="EXPR", help="pytest's -k; of the other tests what the file has is kept")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "verify.json")
    asked = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        junit, figures = Path(name) / "junit.xml", Path(name) / "figures.jsonl"
        figures.touch()
        command = [sys.executable, "-m", "pytest", "-q", "-n", str(cores()), f"--junitxml={junit}"]
        command += ["--dist", "loadgroup"]  # tests of one `xdist_group` share what they train
        command += ["-o", "addopts=--strict-markers", "-m", "slow"]  # shapes are checked by the default tests
        command += ["-k", asked.only] if asked.only else []
        code = subprocess.run(command, cwd=ROOT, env={**os.environ, "DOSIMETER_FIGURES": str(figures)}).returncode
        tests = outcomes(junit) if junit.exists() else []
        figures = list(map(json.loads, figures.read_text().splitlines()))
        kept = {"tests": [], "figures": []}
        if asked.only and asked.out.exists():
            known, there = json.loads(asked.out.read_text(encoding="utf-8")), collected()
            kept = {key: [row for row in known[key] if name_of(row["test"]) in there] for key in kept}
        again = {name_of(row["test"]) for row in tests}
        found = {
            "machine": hardware() | {"threads": int(os.environ.get("OMP_NUM_THREADS", 1))},
            "only": asked.only,
            "seconds": time.perf_counter() - start,
            "passed": code == 0 and not any(row["outcome"] in ("failure", "error") for row in kept["tests"]),
            "tests": joined(kept["tests"], tests, again),
            "figures": joined(kept["figures"], figures, again),
        }
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    sys.exit(code)


if __name__ == "__main__":
    main()
