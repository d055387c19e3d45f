"""Ten million scores: reading the table, and everything from the table to `result.json` and the report.

Each case runs in a process of its own, so that the peak of its memory is its own. One attack on one target with 10 M
records, from CSV and from Parquet, and five attacks on 2 M records with ids. Scores are normal, members' by 0.2 up.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import case

ROWS = 10_000_000
BARS = {"peak_mb": ("<=", 2000), "seconds": ("<=", 120)}


def table(attacks):
    """Columns of a table of so many attacks."""
    import pyarrow as pa

    rng, n = np.random.default_rng(0), ROWS // attacks
    is_member = np.tile(rng.random(n) < 0.5, attacks)
    columns = {"score": rng.normal(size=ROWS) + 0.2 * is_member, "is_member": is_member.astype(np.int8)}
    if attacks > 1:
        names = pa.array([f"attack {i}" for i in range(attacks)])
        codes = pa.array(np.repeat(np.arange(attacks, dtype=np.int32), n))
        columns |= {"attack": pa.DictionaryArray.from_arrays(codes, names), "id": np.tile(np.arange(n), attacks)}
    return pa.table(columns)


def measure(path, out):
    """Read, then measure; prints the seconds of both and the peak of memory in MB. Runs in its own process."""
    from dosimeter.families.membership.table.table import read_scores
    from dosimeter.pipeline.table import measure_scores

    start = time.perf_counter()
    read_scores(Path(path), seed=0)
    read = time.perf_counter() - start
    measure_scores(Path(path), Path(out))
    print(json.dumps({"read_seconds": read, "seconds": time.perf_counter() - start - read, "peak_mb": peak_mb()}))


def peak_mb():
    """The most memory that this process held; on Linux without what its parent held when it was started."""
    import resource

    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2  # of macOS, in bytes


def cases():
    """All cases."""
    import pyarrow.csv
    import pyarrow.parquet

    found = {}
    with tempfile.TemporaryDirectory() as name:
        for attacks, ending in ((1, ".csv"), (1, ".parquet"), (5, ".parquet")):
            path = Path(name) / f"scores{ending}"
            write = pyarrow.csv.write_csv if ending == ".csv" else pyarrow.parquet.write_table
            write(table(attacks), path)
            command = [sys.executable, __file__, str(path), str(Path(name) / f"run{attacks}{ending}")]
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            figures = {"rows": ROWS, "attacks": attacks, "file_mb": path.stat().st_size / 1e6, **json.loads(told)}
            found[f"scores_{attacks}_attacks_{ending[1:]}"] = case(figures, BARS)
            path.unlink()
    return found


if __name__ == "__main__":
    if sys.argv[1:]:
        measure(*sys.argv[1:])
    else:
        print(json.dumps(cases(), indent=2))
