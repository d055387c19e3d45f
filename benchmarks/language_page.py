"""Writes the table of `docs/language-models.md` from stored figures: `python benchmarks/language_page.py`."""

from __future__ import annotations

import json
from pathlib import Path

from leakage_page import between, in_seconds

ROOT = Path(__file__).parents[1]
PAGE, STORED = ROOT / "docs" / "language-models.md", ROOT / "benchmarks" / "results" / "language.json"
START, END = "<!-- figures: benchmarks/language_page.py -->\n", "<!-- end of figures -->\n"
FEW_START, FEW_END = "<!-- few texts: benchmarks/language_page.py -->\n", "<!-- end of few texts -->\n"
LARGE = ROOT / "benchmarks" / "results" / "smollm2.json"
LARGE_START, LARGE_END = "<!-- SmolLM2: benchmarks/language_page.py -->\n", "<!-- end of SmolLM2 -->\n"
SPLIT_START, SPLIT_END = "<!-- by document: benchmarks/language_page.py -->\n", "<!-- end of by document -->\n"
MEASURES = ["AUC", "TPR at 1 % FPR", "dose, bits", "L*"]
OFTEN_START, OFTEN_END = "<!-- repeated texts: benchmarks/language_page.py -->\n", "<!-- end of repeated texts -->\n"


def ends(found, sign=""):
    """A mean with its interval; that of a rate ends at 0 and 1, which one of a difference, with a sign, need not."""
    low, high = (found["low"], found["high"]) if sign else (max(found["low"], 0.0), min(found["high"], 1.0))
    return f"{found['mean']:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def measures(row):
    """AUC, TPR, dose and L* of a row."""
    shown = (between(one).replace("−0.00", "0.00") for one in (row["dose"], row["log_mia_corrected"]["A"]))
    return [ends(row["auc"]), ends(row["tpr"]), *shown]


def costs(row):
    """Seconds of a row, and whether it is on the frontier."""
    return [in_seconds(sum(row["seconds"].values())), "**frontier**" if row["frontier"] else ""]


def table(rows):
    """Lines of a table, of which the first is the head."""
    lines = ["| " + " | ".join(cells) + " |" for cells in rows]
    return [lines[0], "| " + " | ".join("---" for _ in rows[0]) + " |", *lines[1:]]


def figures(stored):
    """The table and what stands below it."""
    rows = [["attack", *MEASURES, "seconds", "", "AUC less `base_reference`"]]
    for name, row in stored["attacks"].items():
        first, _, rest = name.partition(", ")
        shown = f"`{first}`" + (f", {rest}" if rest else "")
        rows.append([shown, *measures(row), *costs(row), ends(row["less base_reference"]["auc"], "+")])
    for name, row in stored["controls"].items():
        rows.append([f"*{name}*, asks no finetuned model", *measures(row), "", "", ""])
    passages, seconds = stored["passages"], stored["seconds"]
    targets = len(passages["members"])
    trained, asked, base = (seconds[name] for name in ("one shadow trained", "one shadow asked", "base asked"))
    loss, slower = stored["loss"], seconds["one by one over shared"]
    words = (
        f"Loss of a token: {stored['base loss']:.2f} nats under the base, {loss['members']:.2f} for members and "
        f"{loss['non-members']:.2f} for non-members.\n"
        f"Word for word: {sum(passages['members'])} of {targets * passages['of']:,} used texts, and "
        f"{sum(passages['never seen'])} of as many that the target never saw.\n"
        f"The passes with all statistics, and all {len(seconds['attacks by name'])} attacks that ask no further, take "
        f"{seconds['ratio']:.2f} times as long as plain passes of target and base over {seconds['texts']} texts; each "
        f"attack with passes of its own takes {slower:.1f} times as long as the shared ones.\n"
        f"Seconds: {in_seconds(trained)} to train a shadow and {in_seconds(asked)} to ask it, {in_seconds(base)} to "
        "ask the base.\n"
    )
    return "\n".join(table(rows)) + "\n\n" + words


def few_shot(found):
    """The table of attacks that know the membership of a few texts, and of those beside them."""
    head = ["attack on the others", *MEASURES, "seconds", "", "AUC less `loss`", "less `base_reference`"]
    rows = [[*head, "less `ez_mia`"]]
    for name, row in found["attacks"].items():
        first, _, other = name.partition(", ")
        kind = "laplacian_shot" if other else "simple_shot"
        shown = f"`{name}`" if name in ("loss", "base_reference", "ez_mia") else f'`{kind}`, `features = "{first}"`'
        less = [ends(row[f"less {one}"]["auc"], "+") for one in ("loss", "base_reference", "ez_mia")]
        rows.append([shown, *measures(row), *costs(row), *less])
    return "\n".join(table(rows)) + "\n"


def repeated(found):
    """The table of texts that were used more than once."""
    rows = [
        "| times in an epoch | found by `base_reference` | given word for word | of like texts never seen |",
        "| --- | --- | --- | --- |",
    ]
    for row in found:
        counts = [f"{row[name]} of {row['n']}" for name in ("base_reference", "exact")]
        never = f"{row['never seen']} found, {row['exact never seen']} word for word"
        rows.append(f"| {row['copies']} | {' | '.join(counts)} | {never} |")
    return "\n".join(rows) + "\n"


def smollm2(found):
    """The table of one target made of SmolLM2, with intervals over its texts."""
    rows = [
        "| attack | AUC | TPR at 10 % FPR | AUC less `base_reference` | AUC of the first 31 and 15 tokens |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, row in found["attacks"].items():
        first, _, rest = name.partition(", ")
        shorter = " and ".join(f"{one:.3f}" for one in row["shorter"].values())
        rows.append(
            f"| `{first}`{f', {rest}' if rest else ''} | {ends(row['auc'])} | {ends(row['tpr10'])} | "
            f"{ends(row['less base_reference'], '+')} | {shorter} |"
        )
    for name, row in found["controls"].items():
        rows.append(f"| *{name}*, asks no finetuned model | {ends(row['auc'])} | {ends(row['tpr10'])} | | |")
    loss = found["loss"]
    told = (
        f"Loss of a token: {loss['base']:.2f} nats under the base, {loss['members']:.2f} for members and "
        f"{loss['non-members']:.2f} for non-members.\n"
    )
    return "\n".join(rows) + "\n\n" + told


def documents(found):
    """What the blind classifier finds if whole addresses are members."""
    said = {}
    for name, draws in found["blind"].items():
        areas = [one[0] for one in draws]
        said[name] = f"{sum(areas) / len(areas):.3f} ({min(areas):.3f} to {max(areas):.3f})"
    return (
        f"AUC of the blind classifier over {len(areas)} draws of half of {found['addresses']} addresses, mean and "
        f"range: {said['paragraphs']} if paragraphs stand for themselves, {said['addresses']} if those of one address "
        "stand in one fold.\n"
    )


def page(text, stored, large=None):
    """The page with these figures."""
    parts = (
        (START, END, figures(stored)),
        (FEW_START, FEW_END, few_shot(stored["few shot"])),
        (OFTEN_START, OFTEN_END, repeated(stored["canaries"])),
        (SPLIT_START, SPLIT_END, documents(stored["by document"])),
        *(() if large is None else ((LARGE_START, LARGE_END, smollm2(large)),)),
    )
    for start, end, told in parts:
        head, rest = text.split(start)
        text = head + start + "\n" + told + "\n" + end + rest.split(end)[1]
    return text


if __name__ == "__main__":
    large = json.loads(LARGE.read_text("utf-8")) if LARGE.exists() else None
    PAGE.write_text(page(PAGE.read_text("utf-8"), json.loads(STORED.read_text("utf-8")), large), encoding="utf-8")
