"""Writes the table of `docs/language-models.md` from `results/language.json`: `python benchmarks/language_page.py`."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE, STORED = ROOT / "docs" / "language-models.md", ROOT / "benchmarks" / "results" / "language.json"
START, END = "<!-- figures: benchmarks/language_page.py -->\n", "<!-- end of figures -->\n"


def ends(found, sign=""):
    """A mean with its interval; that of a rate ends at 0 and 1, which one of a difference, with a sign, need not."""
    low, high = (found["low"], found["high"]) if sign else (max(found["low"], 0.0), min(found["high"], 1.0))
    return f"{found['mean']:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def figures(stored):
    """The table and what stands below it."""
    rows = ["| attack | AUC | TPR at 1 % FPR | AUC less `base_reference` |", "| --- | --- | --- | --- |"]
    for name, row in stored["attacks"].items():
        first, _, rest = name.partition(", ")
        shown = f"`{first}`" + (f", {rest}" if rest else "")
        rows.append(
            f"| {shown} | {ends(row['auc'])} | {ends(row['tpr'])} | {ends(row['less base_reference']['auc'], '+')} |"
        )
    for name, row in stored["controls"].items():
        rows.append(f"| *{name}*, asks no finetuned model | {ends(row['auc'])} | {ends(row['tpr'])} | |")
    passages, seconds = stored["passages"], stored["seconds"]
    targets = len(passages["members"])
    loss, slower = stored["loss"], seconds["one by one over shared"]
    words = (
        f"Loss of a token: {stored['base loss']:.2f} nats under the base, {loss['members']:.2f} for members and "
        f"{loss['non-members']:.2f} for non-members.\n"
        f"Word for word: {sum(passages['members'])} of {targets * passages['of']:,} used texts, and "
        f"{sum(passages['never seen'])} of as many that the target never saw.\n"
        f"The passes with all statistics, and all {len(seconds['attacks by name'])} attacks that ask no further, take "
        f"{seconds['ratio']:.2f} times as long as plain passes of target and base over {seconds['texts']} texts; each "
        f"attack with passes of its own takes {slower:.1f} times as long as the shared ones.\n"
    )
    return "\n".join(rows) + "\n\n" + words


def page(text, stored):
    """The page with these figures."""
    head, rest = text.split(START)
    return head + START + "\n" + figures(stored) + "\n" + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8"), json.loads(STORED.read_text("utf-8"))), encoding="utf-8")
