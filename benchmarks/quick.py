"""What a user waits for at every turn: imports, help, a plan, a refusal, a large table, an interval of many decisions.

Processor seconds, which other programs on the machine stretch less than the clock. `python benchmarks/quick.py` prints
JSON; with `--starts` it runs what only starts and stores it. The tests run the same work and assert no time.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import case, hardware

PATH = Path(__file__).parent / "results" / "starts.json"
STARTS = {"--help": ["--help"], "list": ["list"], "store list": ["store", "list", "--store", "."]}
"""What needs no model: at most a third of the time in which PyTorch is loaded."""

sys.path.append(str(Path(__file__).parents[1] / "tests"))


def fresh(code):
    """Processor seconds of a statement in an interpreter of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def starts(repeats=3):
    """Words that need no model beside the loading of PyTorch, in turn; the least of some runs."""
    codes = {word: f"from dosimeter.cli.app import main; main({words})" for word, words in STARTS.items()}
    codes["torch"] = "import torch"
    seconds = {word: min(times) for word, times in _in_turn(codes, repeats).items()}
    torch = seconds.pop("torch")
    return {
        f"start {word}": case(
            {"cpu_seconds": own, "torch_seconds": torch, "ratio": own / torch}, {"ratio": ("<=", 1 / 3)}
        )
        for word, own in seconds.items()
    }


def _in_turn(codes, repeats):
    """Processor seconds of each statement, once a turn."""
    turns = [{word: fresh(code) for word, code in codes.items()} for _ in range(repeats)]
    return {word: [turn[word] for turn in turns] for word in codes}


def here(call):
    """Processor seconds of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def plan(folder):
    """A plan of 2,002 models of 100,000 epochs, of which nothing is trained."""
    from audits import BASE, table

    from dosimeter.config.audit import parse
    from dosimeter.pipeline import verbs

    raw = table(shadows=2000) | {"attack": [{"name": "loss"}]}
    raw["stage"][0] |= {"epochs": 100_000}
    return here(lambda: verbs.plan(parse(raw, base=BASE), store=folder))


def refusal(folder):
    """An audit file of 10 MB, which is refused by its size."""
    from dosimeter.config.audit import load
    from dosimeter.foundation.errors import ConfigError

    path = folder / "audit.toml"
    path.write_text("x = '" + "a" * 10_000_000 + "'", encoding="utf-8")

    def refused():
        try:
            load(path)
        except ConfigError:
            return
        raise AssertionError("a huge file was read")

    return here(refused)


def encoded(folder):
    """50,000 rows with ten columns of text, which become one-hot."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from dosimeter.data import load

    rng, n, path = np.random.default_rng(0), 50_000, folder / "t.parquet"
    columns = {f"c{i}": pa.array(np.array(list("abcdefgh"))[rng.integers(0, 8, n)]) for i in range(10)}
    pq.write_table(pa.table({**columns, "x": rng.normal(size=n), "label": rng.integers(0, 2, n)}), path)
    return here(lambda: load(str(path)))


def interval():
    """The interval of an AUC of a million decisions."""
    from dosimeter.statistics.intervals.crossed import auc_interval

    rng = np.random.default_rng(0)
    values, is_member = rng.normal(size=(10, 100_000)), rng.random((10, 100_000)) < 0.5
    return here(lambda: auc_interval(values, is_member, record=np.arange(100_000), rng=rng))


def cases():
    """All cases."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {
            "import": (fresh("import dosimeter"), 1),
            "help": (fresh("from dosimeter.cli.app import main; main(['run', '--help'])"), 1),
            "plan_2k_models": (plan(folder), 15),
            "refusal_10_mb": (refusal(folder), 2),
            "table_50k_rows": (encoded(folder), 4),
            "interval_1m_decisions": (interval(), 15),
        }
    return {
        name: case({"cpu_seconds": seconds}, {"cpu_seconds": ("<=", bar)}) for name, (seconds, bar) in found.items()
    } | starts()


if __name__ == "__main__":
    if "--starts" in sys.argv:
        PATH.write_text(json.dumps({"machine": hardware(), "cases": starts()}, indent=2) + "\n", encoding="utf-8")
    else:
        print(json.dumps(cases(), indent=2))
