"""Speed and memory beside the way peers write it, as ratios within one run; `make bench`.

Prints one JSON: the machine, and each case with seconds, n, ratio, bar and whether it is met. Ends with 1 if a bar that
applies to this machine is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import attacks
import batched_inversion
import convnets
import growth
import heads
import quick
import scores
import whole_audit
from machine import hardware

BENCHMARKS = {
    "attacks": attacks.cases,
    "growth": growth.cases,
    "heads": heads.cases,
    "convnets": convnets.cases,
    "scores": scores.cases,
    "inversion": batched_inversion.cases,
    "quick": quick.cases,
    "whole": whole_audit.cases,
}


def main():
    """Run the benchmarks that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=BENCHMARKS, help="run one benchmark; of the others what FILE has is kept")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    asked = parser.parse_args()
    found, start = {"machine": hardware(), "cases": {}}, time.perf_counter()
    before = 0.0
    if asked.only and asked.out and asked.out.exists():
        kept = json.loads(asked.out.read_text(encoding="utf-8"))
        found["cases"], before = kept["cases"], kept["seconds"]
    for name, run in BENCHMARKS.items():
        if asked.only in (None, name):
            found["cases"] |= run()
    found["seconds"] = before + time.perf_counter() - start
    text = json.dumps(found, indent=2)
    print(text)
    if asked.out:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(text + "\n", encoding="utf-8")
    missed = [name for name, case in found["cases"].items() if case["ok"] is False]
    if missed:
        sys.exit(f"missed: {', '.join(missed)}")  # prints to stderr and ends with 1


if __name__ == "__main__":
    main()
