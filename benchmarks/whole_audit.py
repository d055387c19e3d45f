"""What a whole audit takes beside the training of its models; `python benchmarks/whole_audit.py` writes JSON.

Linear models on tables of 128 numbers, 16 shadows and 8 targets, the default attacks, through the command line. Seconds
of the processor, of all processes together; those of training are what `provenance.json` says of the jobs that train.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from machine import case, hardware

PATH = Path(__file__).parent / "results" / "whole_audit.json"
FEATURES, CLASSES, SEPARATION = 128, 10, 0.25
AUDIT = """\
name = "whole"
[[stage]]
name = "train"
data = "table.npz"
rows = "0:{rows}"
model = "linear"
epochs = 20
lr = 0.1
[threat]
shadows = {shadows}
targets = 8
population = {population}
"""
SIZES = {"20,000 x 16": (20_000, 16, 3.0), "80,000 x 16": (80_000, 16, 2.5)}
"""Records, shadows, and the most that the whole may take, in units of its training."""


def table(folder, records):
    """A table of classes that overlap."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, records)
    centres = rng.normal(size=(CLASSES, FEATURES))
    inputs = SEPARATION * centres[labels] + rng.normal(size=(records, FEATURES))
    np.savez(folder / "table.npz", x=inputs.astype(np.float32), y=labels)


def audited(folder, records, shadows):
    """Figures of one audit from an empty store."""
    folder.mkdir()
    table(folder, records)
    population = records // 20
    (folder / "audit.toml").write_text(AUDIT.format(rows=records, shadows=shadows, population=population), "utf-8")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "dosimeter", "run", "audit.toml", "--out", "run"]
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    provenance = json.loads((folder / "run" / "provenance.json").read_text("utf-8"))
    work = next(iter(provenance["work"].values()))
    size = sum(path.stat().st_size for path in (folder / "run").rglob("*") if path.is_file())
    return {
        "n": [records, shadows],
        "machine": hardware(),
        "seconds": {"training": work["training"], "whole": round(whole, 2), "clock": provenance["seconds"]},
        "attacks": work["attacks"],
        "peak_gb": round(after.ru_maxrss / 2**20, 2),
        "folder_mb": round(size / 1e6, 1),
        "ratio": round(whole / work["training"], 2),
    }


def cases(only=None):
    """Both sizes, each in a folder of its own."""
    found = {}
    with tempfile.TemporaryDirectory() as place:
        for index, (name, (records, shadows, most)) in enumerate(SIZES.items()):
            if only in (None, name):
                figures = audited(Path(place) / str(index), records, shadows)
                found[f"whole audit, {name}"] = case(figures, {"ratio": ("<=", most)})
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=SIZES, help="run one size; the other keeps its figures")
    kept = json.loads(PATH.read_text("utf-8")) if PATH.exists() else {}
    text = json.dumps(kept | cases(parser.parse_args().only), indent=1)
    print(text)
    PATH.write_text(text + "\n", encoding="utf-8")
