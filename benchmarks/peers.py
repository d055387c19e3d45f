"""dosimeter beside other tools on the same signals; writes `benchmarks/results/peers.json` and `docs/peers.md`.

    python benchmarks/peers.py --python privacyguard=PYTHON --python opake=PYTHON --python auditml=PYTHON

Each tool has an environment of its own, whose interpreter is named; those not named are left out. `--page` only writes
the page again from the stored figures. Takes half an hour on an idle core.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from machine import hardware
from peers_page import PAGE, page
from scipy import stats

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "peers.json"
PEERS = {"privacyguard": "privacyguard-platform", "opake": "opake-auditing", "auditml": "auditml"}
SAME = {
    "privacyguard": {
        "loss": "loss",
        "calibrated": "difficulty",
        "lira online, fixed variance": "lira online",
        "lira online, per record": "lira online",
        "lira offline, fixed variance": "lira offline",
        "rmia online, default": "rmia online",
        "rmia online, all shadows": "rmia online",
        "rmia offline, default": "rmia offline",
        "rmia offline, tuned": "rmia offline",
    },
    "opake": {"loss": "loss"},
    "auditml": {"loss": "loss", "shadow": "shokri"},
}
"""What each attack of a peer is called here."""
TIMED = {"privacyguard": "lira online", "opake": "loss", "auditml": "loss"}
"""The attack of the peer's timed audit, for ours with the same."""
SHADOWS = (16, 64)
TIMED_TARGETS, TIMED_CANDIDATES = 2, 800
LONGEST = 3600
MOST_SHADOWS = {"auditml": 16}
"""Of a tool that takes more than an hour for more."""


def run(python, runner, *arguments):
    """One runner in a fresh interpreter with one thread: what it prints, with its seconds of processor and of clock.

    Returns the last line of its error as `failed` if it failed.
    """
    command = [python, str(HERE / "peers_runners" / f"run_{runner}.py"), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": ""}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return {"failed": f"did not end within {LONGEST} seconds"}
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout) | {"cpu_seconds": used, "seconds": time.perf_counter() - start}


def measured(scores, member):
    """Of each target: AUC, and TPR at the highest threshold that no more than 1 % of non-members exceed."""
    found = {"auc": [], "tpr": []}
    for row, bits in zip(scores, member, strict=True):
        outside = np.sort(row[~bits])[::-1]
        found["auc"].append(stats.mannwhitneyu(row[bits], outside).statistic / (bits.sum() * len(outside)))
        found["tpr"].append((row[bits] > outside[len(outside) // 100]).mean())
    return {name: np.array(values) for name, values in found.items()}


def mean(values):
    """Mean and its standard error."""
    return [float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))]


def compared(peer, own):
    """Mean and standard error of theirs, ours, and ours minus theirs; whether ours is no worse by two errors."""
    rows = {}
    for metric in ("auc", "tpr"):
        gain = mean(own[metric] - peer[metric])
        rows[metric] = {"peer": mean(peer[metric]), "own": mean(own[metric]), "gain": gain}
        rows[metric]["ok"] = gain[0] >= -2 * gain[1]
    return rows


def power(pythons, fleets, folder):
    """All attacks of all tools on all fleets: rows and failures, again after each fleet."""
    rows, failures = [], []
    for name, path in fleets.items():
        file = np.load(path)
        member = file["member"][: int(file["targets"])]
        told = run(sys.executable, "own", "scores", path, folder / "own.npz")
        if "failed" in told:
            sys.exit(f"own on {name}: {told['failed']}")
        own = {attack: measured(values, member) for attack, values in np.load(folder / "own.npz").items()}
        shadows = len(file["member"]) - 2
        for peer, python in pythons.items():
            if shadows > MOST_SHADOWS.get(peer, shadows):
                reason = f"takes more than an hour with {shadows} shadows"
                failures.append({"fleet": name, "peer": peer, "reason": reason})
                continue
            theirs = run(python, peer, "scores", path, folder / f"{peer}.npz")
            if "failed" in theirs:
                failures.append({"fleet": name, "peer": peer, "reason": theirs["failed"]})
                continue
            for attack, values in np.load(folder / f"{peer}.npz").items():
                found, same = measured(values, member), SAME[peer][attack]
                rows.append(
                    {
                        "fleet": name, "peer": peer, "attack": attack, "same": same, "targets": len(member),
                        "members": int(member[0].sum()), "compared": compared(found, own[same]),
                        "headline": told["headline"], "to_headline": compared(found, own["headline"]),
                    }
                )  # fmt: skip
        yield {"power": rows, "failures": failures}


def false_claims(pythons, folder, count):
    """How many of the fleets without a leak each statistic of each tool calls one, with the exact 95 % interval."""
    tools = {"own": sys.executable, **pythons}
    with ThreadPoolExecutor() as pool:
        runs = dict(zip(tools, pool.map(lambda tool: run(tools[tool], tool, "nulls", folder, "-"), tools), strict=True))
    found = {}
    for tool, told in runs.items():
        if "failed" in told:
            found[tool] = {"failed": told["failed"]}
            continue
        found[tool] = {}
        for claim in told["said"][0]:
            times = sum(one[claim] for one in told["said"])
            interval = stats.binomtest(times, count).proportion_ci(0.95, method="exact")
            found[tool][claim] = {"claims": times, "fleets": count, "low": interval.low, "high": interval.high}
    return found


def times(pythons, path, folder, repetitions):
    """Whole processes, from signals to metrics: medians over repetitions, and the peer's time over ours."""
    found = {}
    for peer, python in pythons.items():
        runs = {"peer": [], "own": [], "own_default": []}
        for i in range(repetitions):
            out = folder / f"audit {peer} {i}"
            runs["peer"].append(run(python, peer, "audit", path, out))
            runs["own"].append(run(sys.executable, "own", "audit", path, f"{out} own", TIMED[peer]))
            runs["own_default"].append(run(sys.executable, "own", "audit", path, f"{out} default"))
        failed = [one["failed"] for side in runs.values() for one in side if "failed" in one]
        if failed:
            found[peer] = {"failed": failed[0]}
            continue
        seconds = ("cpu_seconds", "seconds", "work_seconds", "import_seconds")
        middle = {side: {key: float(np.median([one[key] for one in all_])) for key in seconds}
                  for side, all_ in runs.items()}  # fmt: skip
        found[peer] = {"attack": TIMED[peer], "repetitions": repetitions, **middle}
        found[peer]["ratio"] = {
            key: middle["peer"][key] / middle["own"][key] for key in ("cpu_seconds", "seconds", "work_seconds")
        }
        print(peer, "times done", file=sys.stderr)
    return found


def part(path, out):
    """A fleet with fewer targets and candidates: the longest of the timed audits takes more than linear time."""
    file = dict(np.load(path))
    n = file["member"].shape[1]
    kept = np.r_[:TIMED_CANDIDATES, n : len(file["labels"])]
    for name in ("phi", "phi2", "logits"):
        file[name] = file[name][:, kept]
    file |= {"labels": file["labels"][kept], "member": file["member"][:, :TIMED_CANDIDATES], "targets": TIMED_TARGETS}
    np.savez(out, **file)


def versions(pythons):
    """Of each peer as installed, and of PyTorch beside it."""
    code = "import sys, importlib.metadata as m; print(*(m.version(one) for one in sys.argv[1:]))"
    found = {}
    for peer, python in pythons.items():
        command = [python, "-c", code, PEERS[peer], "torch"]
        own, torch = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        found[peer] = {"package": PEERS[peer], "version": own, "torch": torch}
    return found


def everything(pythons, nulls, repetitions):
    """All figures, again with every part that is done."""
    import peers_victims  # loads PyTorch

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        empty = folder / "nulls"
        empty.mkdir()
        for seed in range(nulls):
            peers_victims.noise(empty / f"{seed:04}.npz", seed)
        found = {"machine": hardware(), "versions": versions(pythons)}
        found["nulls"] = false_claims(pythons, empty, nulls)
        yield found
        peers_victims.digits(folder, {f"heads on digits, {count} shadows": count for count in SHADOWS})
        timed = folder / "nulls" / "timed.npz"
        part(folder / "heads on digits, 16 shadows.npz", timed)
        audits = {"targets": TIMED_TARGETS, "candidates": TIMED_CANDIDATES}
        found["times"] = audits | {"peers": times(pythons, timed, folder, repetitions)}
        yield found
        peers_victims.perceptrons(folder, {f"perceptrons, {count} shadows": count for count in SHADOWS})
        fleets = {path.stem: path for path in sorted(folder.glob("*.npz"))}
        for rows in power(pythons, fleets, folder):
            yield found | rows


def main():
    """Compare, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", action="append", default=[], metavar="NAME=PATH", help=f"one of {', '.join(PEERS)}")
    parser.add_argument("--nulls", type=int, default=50, help="fleets that leak nothing")
    parser.add_argument("--repetitions", type=int, default=3, help="of each timed audit")
    parser.add_argument("--page", action="store_true", help="only write the page from the stored figures")
    asked = parser.parse_args()
    if not asked.page:
        pythons = dict(one.split("=", 1) for one in asked.python)
        if not pythons or set(pythons) - set(PEERS):
            parser.error(f"--python: needs NAME=PATH with NAME one of {', '.join(PEERS)}, got {asked.python}")
        for found in everything(pythons, asked.nulls, asked.repetitions):
            RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
            print(*found, file=sys.stderr)
    PAGE.write_text(page(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
