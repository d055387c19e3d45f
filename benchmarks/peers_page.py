"""The page of `peers.py` from its stored figures."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "peers.md"
NAMES = {"own": "dosimeter", "privacyguard": "PrivacyGuard", "opake": "Opake", "auditml": "AuditML"}
LIMITS = (
    "PrivacyGuard takes our signals as data frames; they are made as its own helpers make them. Its RMIA runs with its "
    "default (half of the shadows) and with all of them, its LiRA with the settings of its tutorial and with its "
    "defaults. Its calibration model is the shadows' mean.",
    "Opake has one attack, the loss of one model, and takes no shadows. Its scores come from its own function with the "
    "identity as the model. Its audit wants coins that it flips itself; the known ones are given to its class.",
    "AuditML wants models: the identity over given logits stands for the target and the shadows. Its one-call audit "
    "trains shadows of its own; its class takes given ones, and gets 4, its default. It imports torchvision for its "
    "own data sets only; where that is not installed a stand-in takes its place.",
    "Only PrivacyGuard computes LiRA, RMIA and a calibrated attack. None of the three judges several models together "
    "or sets thresholds on other models, so no rate of theirs is held against ours there.",
)


def _pair(value):
    """Mean and standard error."""
    return f"{value[0]:.3f} ± {value[1]:.3f}"


def _power(rows):
    """Table of all attacks on all fleets."""
    lines = [
        "| victims | tool: its attack | ours | AUC theirs | AUC ours | difference | TPR theirs | TPR ours | difference "
        "| our headline's TPR less theirs |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [f"{row['fleet']} ({row['targets']})", f"{NAMES[row['peer']]}: {row['attack']}", row["same"]]
        for metric in ("auc", "tpr"):
            one = row["compared"][metric]
            cells += [_pair(one["peer"]), _pair(one["own"]), _pair(one["gain"]) + ("" if one["ok"] else " **worse**")]
        lead = row["to_headline"]["tpr"]
        cells.append(f"{row['headline']}: {_pair(lead['gain'])}" + ("" if lead["ok"] else " **worse**"))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _claims(nulls):
    """Table of claims where nothing leaks."""
    lines = ["| tool | it says | of fleets that leak nothing | exact 95 % interval |", "| --- | --- | --- | --- |"]
    for tool, claims in nulls.items():
        if "failed" in claims:
            lines.append(f"| {NAMES[tool]} | did not run: {claims['failed']} | | |")
            continue
        lines += [
            f"| {NAMES[tool]} | {claim} | {row['claims']} of {row['fleets']} | {100 * row['low']:.1f} to "
            f"{100 * row['high']:.1f} % |"
            for claim, row in claims.items()
        ]
    return lines


def _times(times):
    """Table of seconds."""
    lines = [
        "| tool | its audit | its processor seconds | ours, same attack | ratio | ours, all default attacks | without "
        "imports: theirs, ours (clock) | ratio |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for tool, row in times["peers"].items():
        if "failed" in row:
            lines.append(f"| {NAMES[tool]} | did not run: {row['failed']} | | | | | | |")
            continue
        seconds = [row[side]["cpu_seconds"] for side in ("peer", "own", "own_default")]
        works = [row[side]["work_seconds"] for side in ("peer", "own")]
        ratios = [row["ratio"][key] for key in ("cpu_seconds", "work_seconds")]
        lines.append(
            f"| {NAMES[tool]} | {row['attack']} | {seconds[0]:.1f} | {seconds[1]:.1f} | {ratios[0]:.1f} | "
            f"{seconds[2]:.1f} | {works[0]:.1f}, {works[1]:.1f} | {ratios[1]:.1f} |"
        )
    return lines


def page(found):
    """The page."""
    versions = ", ".join(
        f"{one['package']} {one['version']} (PyTorch {one['torch']})" for one in found["versions"].values()
    )
    machine, times, rows = found["machine"], found["times"], found["power"]
    compared = [row["compared"][metric] for row in rows for metric in ("auc", "tpr")]
    worse = sum(not one["ok"] for one in compared)
    better = sum(one["gain"][0] > 2 * one["gain"][1] for one in compared)
    fleets = next(iter(next(iter(found["nulls"].values())).values()))["fleets"]
    repetitions = next((row["repetitions"] for row in times["peers"].values() if "repetitions" in row), 0)
    failures = [f"- {row['fleet']}: {NAMES[row['peer']]} did not run: {row['reason']}" for row in found["failures"]]
    return "\n".join(
        [
            "# Beside other tools",
            "",
            f"What `benchmarks/peers.py` measured on the same signals: {versions}. Each tool ran in an environment of "
            f"its own, with one thread ({machine['cpu']}, {machine['date']}). The page is written from "
            "`benchmarks/results/peers.json`.",
            "",
            "## Power",
            "",
            "Mean and standard error over targets (their number in brackets); TPR at 1 % FPR, by one function for all "
            "scores. The difference is ours less theirs on the same targets; **worse** marks one below zero by more "
            f"than two standard errors. Of {len(compared)} comparisons with the same attack {better} are better by as "
            f"much, and {worse} are worse. The headline is the attack that our rehearsals choose without a look at the "
            "targets.",
            "",
            *_power(rows),
            "",
            "## Claims where nothing leaks",
            "",
            f"{fleets} fleets of heads that were trained on noise and asked about 300 records that none of them saw; "
            "each record a member by a fair coin, 16 shadows. What each tool says by default of the first model "
            "(PrivacyGuard: LiRA online as in its tutorial; Opake and AuditML: loss).",
            "",
            *_claims(found["nulls"]),
            "",
            "PrivacyGuard's epsilon is the upper end of an interval and its accuracy the best over all thresholds, so "
            "both are above chance by construction; Opake chooses the threshold on the scores that it then tests; "
            "AuditML compares an AUC with 0.55 at any number of records.",
            "",
            "## Time",
            "",
            f"A whole process, from signals of {times['targets']} targets on {times['candidates']} records (digits, 16 "
            f"shadows) to metrics; ours to `result.json` and the report, rehearsals and null audit included. Medians "
            f"of {repetitions} runs.",
            "",
            *_times(times),
            "",
            "## What could not be compared",
            "",
            *(f"- {one}" for one in LIMITS),
            *failures,
            "",
        ]
    )
