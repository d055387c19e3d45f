"""The page of all figures of speed, from what the benchmarks stored; `python benchmarks/speed_page.py` writes it."""

from __future__ import annotations

import json
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
PEERS = {
    "rmia_20k_10k": ("RMIA, 20,000 records, 10,000 of the population, 4 shadows", "all ratios in one matrix, in NumPy"),
    "lira_10k_64": ("LiRA online, 10,000 records, 64 shadows", "one record after the other, in SciPy"),
    "gradient_norm_2k": ("gradient norms of 2,000 records", "automatic differentiation, record by record"),
    "heads_against_loader": (
        "128 linear heads, 2,000 records each, with the start of processes",
        "a `DataLoader` loop",
    ),
    "heads_against_gathers": ("the same", "a loop that picks rows from one tensor"),
    "convnets": ("8 convolutional nets, 3,000 records, 18 epochs", "one net after the other, in the faster way"),
    "inversion_40_classes_5_restarts": ("inversion of a linear model, 40 classes, 5 restarts", "one latent at a time"),
    "inversion_40_classes_5_restarts_convnet": ("inversion of a convolutional net", "one latent at a time"),
}
"""Cases that stand beside a peer: what is computed, and how peers write it."""
TABLES = {
    "scores_1_attacks_csv": "10,000,000 rows of one attack, CSV",
    "scores_1_attacks_parquet": "10,000,000 rows of one attack, Parquet",
    "scores_5_attacks_parquet": "10,000,000 rows of five attacks, Parquet",
}
FOLDERS = {"whole audit, 80,000 x 16": 173}
"""Most megabytes that a run's folder may have: a third of what it had."""
TOOLS = {"privacyguard": "PrivacyGuard", "opake": "Opake", "auditml": "AuditML"}


def stored(name):
    """A file of figures."""
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def figures():
    """All files that the page is made of."""
    names = ("bench", "batched_inversion", "arithmetic", "whole_audit", "peers", "tmi_cifar10", "starts")
    return {name: stored(f"{name}.json") for name in names if (RESULTS / f"{name}.json").exists()}


def _seconds(value):
    """A time with three digits that count."""
    if value < 1:
        return f"{1000 * value:.3g} ms"
    return f"{value:.0f} s" if value >= 100 else f"{value:.3g} s"


def _ratio(value):
    """A ratio with three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _where(machine):
    """A machine in words."""
    load = machine["load"][0] if machine.get("load") else 0.0
    busy = f", at a load of {load:.0f}" if load > machine["cores"] + 1 else ""
    cores = "one core" if machine["cores"] == 1 else f"{machine['cores']} cores"
    return f"{machine['cpu']}, {cores}, {machine['date']}{busy}"


def _table(head, rows):
    """A table of Markdown."""
    return [f"| {' | '.join(head)} |", "|" + " --- |" * len(head), *(f"| {' | '.join(row)} |" for row in rows)]


def _beside_peers(cases):
    """Each case beside the way peers write it."""
    rows = []
    for name, (what, how) in PEERS.items():
        one = cases[name]
        bar = one["bar"].get("ratio")
        verdict = {True: "", False: " **missed**", None: ", not asked of this machine"}[one["ok"]]
        rows.append(
            [
                what,
                how,
                _seconds(one["seconds"]),
                _seconds(one["peer_seconds"]),
                _ratio(one["ratio"]),
                bar + verdict if bar else "none",
            ]
        )
    return _table(["what", "as peers write it", "ours", "theirs", "ratio", "bar"], rows)


def _growth(cases):
    """How times grow with the number of records."""
    rows = []
    for name, one in cases.items():
        if name.startswith("growth "):
            what = name.removeprefix("growth ").replace("of signal", "the signal")
            times = [_seconds(value) for value in one["seconds"]]
            size = f"{one['n'][0]:,} to {one['n'][1]:,}"
            rows.append([what, size, *times, f"{one['growth']:.1f}" + ("" if one["ok"] else " **missed**")])
    return _table(["attack", "records", "first", "second", "growth"], rows)


def _arithmetic(found):
    """The share of bare work."""
    sizes = ("n", "shadows", "population", "targets", "draws", "steps")
    return _table(
        ["what", "size", "seconds", "work that nobody can leave out", "its seconds", "share"],
        [
            [
                name,
                ", ".join(f"{size} {one[size]:,}" for size in sizes if size in one),
                _seconds(one["seconds"]),
                one["bare"],
                _seconds(one["bare_seconds"]),
                f"{100 * one['share']:.0f} %",
            ]
            for name, one in found["cases"].items()
        ],
    )


def _whole(found):
    """Whole audits."""
    rows = []
    for name, one in found.items():
        attacks = sum(one["attacks"].values())
        training, whole = one["seconds"]["training"], one["seconds"]["whole"]
        rest = whole - training - attacks
        missed = "" if one["ok"] else " **missed**"
        rows.append(
            [
                name.removeprefix("whole audit, ") + " shadows", *map(_seconds, (whole, training, attacks, rest)),
                f"{one['ratio']:.1f}", one["bar"]["ratio"] + missed, f"{one['peak_gb']:.1f} GB",
                _folder(name, one["folder_mb"]), _where(one["machine"]),
            ]
        )  # fmt: skip
    head = ["records", "whole", "training", "attacks", "the rest", "whole over training", "bar", "memory", "folder"]
    return _table([*head, "machine"], rows)


def _folder(name, size):
    """Size of a run's folder, with its bar if there is one."""
    most = FOLDERS.get(name)
    missed = "" if most is None else f" (<= {most})" if size <= most else f" (<= {most} **missed**)"
    return f"{size:.0f} MB{missed}"


def _whole_section(found):
    """Whole audits and their attacks, for the sizes that were measured."""
    if not found:
        return []
    return [
        "## A whole audit beside its training",
        "",
        "Linear models on tables of 128 numbers, 8 targets, the default attacks, from the command to the report; "
        "processor seconds of all processes together. Other programs on the machine make all of these longer, and "
        "training most, so at a load the ratio is smaller than on a machine at rest.",
        "",
        *_whole(found),
        "",
        "The folder keeps each score that measuring reads, so that every number can be computed again without a model. "
        "Of 80,000 records 76,000 are judged. For each attack it has their scores under 8 targets, under 8 targets "
        "with a membership that no model was trained on, and under 10 shadows that rehearse, once for each of 4 folds: "
        "34 MB. Bits and counts are compressed. Scores are not, since their last digits are chance. Of rehearsals the "
        "order would be enough, but the order alone takes 18 bits for each score.",
        "",
        *_slowest(found),
        "",
    ]


def _slowest(found):
    """Seconds of each attack of a whole audit."""
    rows = []
    for name, one in found.items():
        total = sum(one["attacks"].values())
        rows += [
            [name.removeprefix("whole audit, "), attack, _seconds(value), f"{100 * value / total:.0f} %"]
            for attack, value in sorted(one["attacks"].items(), key=lambda item: -item[1])
        ]
    return _table(["records x shadows", "attack", "seconds", "of all attacks"], rows)


def _starts(found):
    """What only starts, beside the loading of PyTorch."""
    rows = []
    for name, one in found["cases"].items():
        missed = "" if one["ok"] else " **missed**"
        times = (_seconds(one["cpu_seconds"]), _seconds(one["torch_seconds"]))
        rows.append([f"`{name.removeprefix('start ')}`", *times, f"{one['ratio']:.2f}", "<= 0.33" + missed])
    return _table(["command", "processor seconds", "`import torch`", "ratio", "bar"], rows)


def _tools(times):
    """Other tools, as whole processes."""
    rows = []
    for tool, one in times["peers"].items():
        if "failed" in one:
            rows.append([TOOLS[tool], f"did not run: {one['failed']}", "", "", ""])
            continue
        theirs, ours = (one[side]["cpu_seconds"] for side in ("peer", "own"))
        ratio = f"{one['ratio']['cpu_seconds']:.1f}"
        rows.append([TOOLS[tool], one["attack"], _seconds(theirs), _seconds(ours), ratio])
    return _table(["tool", "attack", "its processor seconds", "ours", "ratio"], rows)


def page(found):
    """The page."""
    bench, inversion, arithmetic = found["bench"], found["batched_inversion"], found["arithmetic"]
    peers, million, tmi = found["peers"], bench["cases"]["rmia_1m_100k"], found["tmi_cifar10"]
    chain = next(iter(tmi["tasks"].values()))["seconds"]
    tables = [
        [what, f"{one['file_mb']:.0f} MB", *(_seconds(one[key]) for key in ("read_seconds", "seconds")),
         f"{one['peak_mb'] / 1000:.1f} GB"]
        for what, one in ((what, bench["cases"][name]) for name, what in TABLES.items())
    ]  # fmt: skip
    return "\n".join(
        [
            "# Speed",
            "",
            "Every figure of speed that the benchmarks stored, written by `benchmarks/speed_page.py` from "
            "`benchmarks/results`. Ours and theirs ran in one process or one after the other on the same machine, so "
            "ratios count and seconds are those of that day. `make bench` measures again.",
            "",
            "## Beside the way peers write it",
            "",
            f"The least of several runs, clock; {_where(bench['machine'])}. Inversion: processor seconds; "
            f"{_where(inversion['machine'])}. A ratio of 10 means that ours takes a tenth. No bar stands where the "
            "arithmetic of the pictures themselves is the most of the work.",
            "",
            *_beside_peers(bench["cases"] | inversion["cases"]),
            "",
            f"RMIA on 1,000,000 records and 100,000 of the population takes {_seconds(million['seconds'])} and "
            f"{million['peak_bytes'] / 1e9:.2f} GB; as one matrix it would hold 10^11 ratios.",
            "",
            "## Beside other tools",
            "",
            "Whole processes, imports included, from the same signals to metrics; "
            f"{peers['times']['targets']} targets, {peers['times']['candidates']} records; {_where(peers['machine'])}. "
            "Ours plays rehearsals and the null audit too and writes a report; below 1 ours takes longer. More in "
            "[beside other tools](peers.md).",
            "",
            *_tools(peers["times"]),
            "",
            "## The physical limit",
            "",
            "The share of a part's time that is work nobody can leave out: the products, sums, draws or sorting "
            "without which there is no answer, done bare by PyTorch or NumPy on arrays that are ready, in the same "
            "process. "
            f"One thread, processor seconds; {_where(arithmetic['machine'])}. What is left besides is gathering of "
            "rows, further passes over the arrays, and statistics such as clusters and ties.",
            "",
            *_arithmetic(arithmetic),
            "",
            *_whole_section(found.get("whole_audit", {})),
            "## Commands that need no model",
            "",
            "From the start of Python to its end, the least of three runs in turn; "
            f"{_where(found['starts']['machine'])}.",
            "",
            *_starts(found["starts"]),
            "",
            "## Where training is the most",
            "",
            f"TMI on CIFAR-10 trained {tmi['chains']} chains in "
            f"{_seconds(chain['models'])} of {_seconds(chain['total'])} for its first task ({_where(tmi['machine'])}).",
            "",
            "## Growth",
            "",
            "Times at two sizes, the second four times the first; a growth of 4 is in proportion, and at most 8 is "
            f"allowed. {_where(bench['machine'])}.",
            "",
            *_growth(bench["cases"]),
            "",
            "## Large tables of scores",
            "",
            f"`dosimeter measure --scores`, clock; {_where(bench['machine'])}.",
            "",
            *_table(["table", "file", "reading", "whole", "memory"], tables),
            "",
        ]
    )


if __name__ == "__main__":
    PAGE.write_text(page(figures()), encoding="utf-8")
