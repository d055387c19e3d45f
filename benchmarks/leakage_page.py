"""The measured tables and the figure of `docs/leakage-per-minute.md`, from the stored figures.

python benchmarks/leakage_page.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE, FIGURE = ROOT / "docs" / "leakage-per-minute.md", ROOT / "docs" / "img" / "leakage-per-minute.png"
STORED = ROOT / "benchmarks" / "results" / "leakage_per_minute.json"
NAMES = {"faces": "Photos of 40 people, linear heads", "cifar10": "CIFAR-10, small convolutional nets"}
LEAST = 1e-4
"""Seconds at the left end of the figure; what takes less stands there."""


def _span(value, digits=3):
    """A mean with the half width of its interval."""
    return f"{value[0]:.{digits}f} ± {value[1]:.{digits}f}"


def between(value):
    """A figure with the ends of its interval."""
    return "{:.2f} ({:.2f} to {:.2f})".format(*value).replace("-", "−")


def in_seconds(value):
    """Seconds, with two digits that count."""
    return "< 0.01" if value < 0.01 else f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def _series(row):
    """The line of the figure that a row stands in: attacks that differ in shots or references only share one."""
    return row["attack"].removesuffix(" one reference").partition(" shot")[0].rstrip(" 0123456789")


def table(fleet):
    """Every attack with every number of shadows, cheapest first."""
    head = [
        "attack",
        "shadows",
        "labelled records",
        "seconds",
        "of these training",
        "TPR at 1 % FPR",
        "AUC",
        "dose, bits",
        "L*",
        "",
    ]
    lines, whole = [head, ["---"] * len(head)], fleet["targets"]
    for row in fleet["attacks"]:
        kind, *mode = row["attack"].split(" ")
        seconds = row["seconds"]
        lines.append(
            [
                " ".join([f"`{kind}`", *mode]),
                str(row["shadows"] or "none"),
                str(row["labelled"]),
                in_seconds(sum(seconds.values())),
                in_seconds(seconds["train"]) if seconds["train"] else "0",
                _span(row["tpr"]),
                _span(row["auc"]),
                between(row["dose"]),
                between(row["log_mia_corrected"]["A"]) if row["targets"] == whole else f"{row['targets']} targets",
                "**frontier**" if row["frontier"] else "",
            ]
        )
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def filled(page, found):
    """The page with every table as the figures have it; each stands after a line `<!-- table: NAME -->`."""
    for name, fleet in found["fleets"].items():
        place = re.compile(rf"(<!-- table: {name} -->\n\n)(?:\|.*\n)*")
        if not place.search(page):
            raise SystemExit(f"{PAGE}: has no line '<!-- table: {name} -->' with an empty line after it")
        lines = table(fleet)
        page = place.sub(lambda match, lines=lines: match[1] + "\n".join(lines) + "\n", page)
    return page


def draw(found):
    """The figure: what is found against the seconds that it takes, one panel for each fleet."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    kinds = list(dict.fromkeys(_series(row) for fleet in found["fleets"].values() for row in fleet["attacks"]))
    colours = dict(zip(kinds, [*pyplot.get_cmap("tab10").colors, "black", "goldenrod"], strict=False))
    markers = dict(zip(kinds, "osD^vPX<>*hd", strict=False))
    figure, panels = pyplot.subplots(len(found["fleets"]), 1, figsize=(7, 4.2 * len(found["fleets"])), squeeze=False)
    for panel, (name, fleet) in zip(panels[:, 0], found["fleets"].items(), strict=True):
        for kind in kinds:
            rows = [row for row in fleet["attacks"] if _series(row) == kind]
            if not rows:
                continue
            x = [max(LEAST, sum(row["seconds"].values())) for row in rows]
            y, width = ([row["tpr"][end] for row in rows] for end in (0, 1))
            style = {"color": colours[kind], "marker": markers[kind], "capsize": 2, "linewidth": 1, "markersize": 5}
            panel.errorbar(x, y, width, label=kind, **style)
        best = [row for row in fleet["attacks"] if row["frontier"]]
        x = [max(LEAST, sum(row["seconds"].values())) for row in best]
        panel.plot(
            x, [row["tpr"][0] for row in best], "o", markersize=13, fillstyle="none", color="black", label="frontier"
        )
        panel.set(xscale="log", xlabel="seconds on one core, training of shadows included", ylabel="TPR at 1 % FPR")
        panel.set_title(NAMES[name], loc="left", fontsize=11)
        panel.axhline(0.01, color="grey", linewidth=0.8, linestyle=":")
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
    panels[0, 0].legend(fontsize=8, loc="upper left")
    figure.tight_layout()
    FIGURE.parent.mkdir(exist_ok=True)
    figure.savefig(FIGURE, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    draw(stored)
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), stored), encoding="utf-8")
