"""Few-shot attacks beside the loss attack, LiRA, RMIA and BASE on the miniature; `python benchmarks/few_shot.py`.

Three fleets of `tests/families/membership/attacks/miniature.py`, 8 targets each, which are 4 complementary pairs. 100
of the 2,000 candidates are known to the adversary and judged by nobody. Every attack judges the other 1,900 of each
target, and no target plays shadow. The figures of one attack on one fleet are a portion: they are written as soon as
they are there, and a run that was stopped goes on with those that are missing. `--quick` leaves out transductive
tuning.

The table has AUC and TPR at 1 % FPR, the gain over another attack as a paired difference (mean and 95 % interval of
Student's t over the 12 pairs of targets), and processor seconds for one target: of the attack, and of training its
shadows, which serve any number of targets. "Equal seconds" is LiRA, or RMIA, with as many of 4, 8, 16, 32 or 64 shadows
as could be trained in the seconds that the attack and its shadows take for one target; below 4 it is the loss attack.
`--page` writes the tables into `docs/few-shot.md`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from machine import hardware
from scipy import stats

from dosimeter.families.membership.attacks import (
    BASE,
    RMIA,
    LaplacianShot,
    LiRA,
    Loss,
    SimpleShot,
    TransductiveTuning,
)

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "few_shot.json"
PAGE = ROOT / "docs" / "few-shot.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
FLEETS, KNOWN, SHOTS, FPR = 3, 100, (1, 5, 10), 0.01
TUNED = 1
"""Fleets on which transductive tuning runs: each takes about half an hour."""
LADDER = (4, 8, 16, 32, 64)


def attacks():
    """Name to the attack and its number of shadows."""
    found = {"loss": (Loss(), 0)}
    for shadows in LADDER:
        found[f"lira, {shadows} shadows"] = (LiRA(), shadows)
    for shadows in LADDER:
        found[f"rmia, {shadows} shadows"] = (RMIA(), shadows)
    found["base, 4 shadows"] = (BASE(), 4)
    for shots in SHOTS:
        told = "1 shot" if shots == 1 else f"{shots} shots"
        for kind, name in ((SimpleShot, "simple_shot"), (LaplacianShot, "laplacian_shot")):
            found[f"{name}, as released, {told}"] = (kind(shots, "as_released"), 0)
            found[f"{name}, {told}"] = (kind(shots), 0)
            found[f"{name}, base-relative, {told}, 4 shadows"] = (kind(shots, features="base-relative"), 4)
        found[f"simple_shot, meta, {told}, 4 shadows"] = (
            SimpleShot(shots, meta=True, features="base-relative"),
            4,
        )
        for mode, text in (("as_released", ", as released"), ("mended", "")):
            found[f"transductive_tuning{text}, {told}"] = (TransductiveTuning(shots, mode), 0)
    return found


def rates(scores, member):
    """AUC, and TPR at 1 % FPR with a strict threshold."""
    outside = np.sort(scores[~member])[::-1]
    auc = stats.mannwhitneyu(scores[member], outside).statistic / (member.sum() * len(outside))
    return float(auc), float((scores[member] > outside[int(FPR * len(outside))]).mean())


def portion(game, member, attack):
    """AUC and TPR of each target, and processor seconds for one target."""
    start = time.process_time()
    values = attack.run(game, np.random.default_rng(1)).values
    seconds = (time.process_time() - start) / len(member)
    each = [rates(row, bits) for row, bits in zip(values, member, strict=True)]
    return {"auc": [one for one, _ in each], "tpr": [one for _, one in each], "seconds": seconds}


def measure(content, *, quick):
    """Fills in the portions that are missing, and writes after each."""
    sys.path.insert(0, str(ROOT / "tests"))
    from families.membership.attacks import miniature

    for number in range(FLEETS):
        own = content["portions"].setdefault(str(number), {})
        todo = {
            name: row
            for name, row in attacks().items()
            if name not in own and not (isinstance(row[0], TransductiveTuning) and (quick or number >= TUNED))
        }
        if not todo:
            continue
        start = time.process_time()
        game, member, accuracies = miniature.fleet(number, KNOWN)
        content["accuracies"][str(number)] = {name: float(value) for name, value in accuracies.items()}
        content["training"][str(number)] = (time.process_time() - start) / miniature.MODELS
        for name, (attack, shadows) in todo.items():
            own[name] = portion(game(shadows or 2), member, attack)
            write(content)
            print(number, name, round(float(np.mean(own[name]["auc"])), 3), flush=True)


def joined(content, name):
    """One attack's AUC and TPR `[targets]` on all fleets that have it, and the fleets."""
    fleets = [number for number, own in content["portions"].items() if name in own]
    both = [np.concatenate([content["portions"][one][name][key] for one in fleets]) for key in ("auc", "tpr")]
    return *both, fleets


def interval(differences):
    """Mean and 95 % interval over complementary pairs of targets."""
    pairs = np.asarray(differences).reshape(-1, 2).mean(axis=1)
    half = stats.t.ppf(0.975, len(pairs) - 1) * pairs.std(ddof=1) / np.sqrt(len(pairs))
    return [round(float(value), 4) for value in (pairs.mean(), pairs.mean() - half, pairs.mean() + half)]


def gain(content, name, other):
    """Paired gain over another attack on the fleets that have both."""
    auc, tpr, fleets = joined(content, name)
    against = [np.concatenate([content["portions"][one][other][key] for one in fleets]) for key in ("auc", "tpr")]
    return {"auc": interval(auc - against[0]), "tpr": interval(tpr - against[1])}


def table(content):
    """Rows of the page."""
    each = float(np.mean(list(content["training"].values())))
    rows = {}
    for name, (attack, shadows) in attacks().items():
        if not any(name in own for own in content["portions"].values()):
            continue
        auc, tpr, fleets = joined(content, name)
        seconds = float(np.mean([content["portions"][one][name]["seconds"] for one in fleets]))
        row = {
            "targets": len(auc), "labels": getattr(attack, "labels", 0), "shadows": shadows,
            "auc": interval(auc), "tpr": interval(tpr),
            "seconds": round(seconds, 3), "shadow_seconds": round(shadows * each, 2),
        }  # fmt: skip
        if getattr(attack, "labels", 0):
            others = ["loss", *(f"{one}, {shadows} shadows" for one in ("lira", "rmia", "base") if shadows)]
            fitting = [one for one in LADDER if one * each <= seconds + shadows * each]
            row["equal_seconds"] = fitting[-1] if fitting else 0
            others += [f"{one}, {fitting[-1]} shadows" for one in ("lira", "rmia") if fitting]
            known = {one for own in content["portions"].values() for one in own}
            row["over"] = {other: gain(content, name, other) for other in dict.fromkeys(others) if other in known}
        rows[name] = row
    return rows


def signed(value):
    """A difference with its sign, as the pages write numbers."""
    return f"{value:+.3f}".replace("-", "−")


def said(difference):
    """A paired difference in words and numbers."""
    mean, low, high = difference
    numbers = f"{signed(mean)} ({signed(low)} to {signed(high)})"
    return f"adds nothing here: {numbers}" if low <= 0 <= high else numbers


def page(rows):
    """Both tables of the page."""
    lines = ["| attack | labels | AUC | TPR at 1 % FPR | seconds for one target |", "| --- | --- | --- | --- | --- |"]
    for name, row in rows.items():
        auc, tpr = (
            f"{one[0]:.3f} ({one[1]:.3f} to {one[2]:.3f})".replace("-", "−") for one in (row["auc"], row["tpr"])
        )
        seconds = f"{row['seconds']:.2f}" + (f", and {row['shadow_seconds']:.1f} for shadows" if row["shadows"] else "")
        lines.append(f"| {name} | {row['labels'] or ''} | {auc} | {tpr} | {seconds} |")
    lines += ["", "| attack | gain over | AUC | TPR at 1 % FPR |", "| --- | --- | --- | --- |"]
    for name, row in rows.items():
        if "as released" in name:
            continue
        for other, own in row.get("over", {}).items():
            lines.append(f"| {name} | {other} | {said(own['auc'])} | {said(own['tpr'])} |")
    return "\n".join(lines)


def put(text, rows):
    """The page with its tables."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{page(rows)}\n\n{END}{rest.partition(END)[2]}"


def write(content):
    """Writes the file under a temporary name and renames it."""
    content = {**content, "machine": hardware(), "table": table(content)}
    draft = RESULTS.with_suffix(".draft")
    draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    draft.replace(RESULTS)


def main():
    """Does what is missing, and writes all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="leave transductive tuning out")
    parser.add_argument("--page", action="store_true", help="write the stored figures into the page, and no more")
    asked = parser.parse_args()
    if asked.page:
        rows = json.loads(RESULTS.read_text(encoding="utf-8"))["table"]
        PAGE.write_text(put(PAGE.read_text(encoding="utf-8"), rows), encoding="utf-8")
        return
    torch.set_num_threads(1)
    content = {"portions": {}, "accuracies": {}, "training": {}}
    if RESULTS.exists():
        stored = json.loads(RESULTS.read_text(encoding="utf-8"))
        content = {key: stored[key] for key in content}
    measure(content, quick=asked.quick)
    write(content)


if __name__ == "__main__":
    main()
