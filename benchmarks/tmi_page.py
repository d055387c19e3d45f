"""The measured tables of `docs/pretraining.md`, from the stored figures; writes them between their markers.

python benchmarks/tmi_page.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE, RESULTS = ROOT / "docs" / "pretraining.md", ROOT / "benchmarks" / "results"
NAMES = {
    "tmi": "`tmi`", "tmi top 3": "`tmi`, the three highest", "tmi label": "`tmi`, the label",
    "adapted_lira mean": "`adapted_lira`", "adapted_lira views": "`adapted_lira` with `views`",
    "discriminant": "`discriminant`", "pooled_discriminant": "`pooled_discriminant`",
    "direct": "`direct` (reference)", "constant": "`constant` (control)",
    "count": "`count` (control)",
}  # fmt: skip
WORLD = "test_tmi_world"


def _with_ends(row):
    """A value with the ends of its interval."""
    return "{:.3f} ({:.3f} to {:.3f})".format(*row)


def _table(head, rows):
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def images(found):
    """Both tasks of CIFAR-10, every attack."""
    tasks = found["tasks"]
    head = ["attack", *(f"{one['task']}: {what}" for one in tasks.values() for what in ("AUC", "TPR at 1 % FPR"))]
    rows = []
    for attack in tasks["a"]["attacks"]:
        own = [one["attacks"][attack] for one in tasks.values()]
        rows.append([NAMES[attack], *(_with_ends(row[what]) for row in own for what in ("auc", "tpr"))])
    accuracy = [
        "accuracy on test images",
        *(cell for one in tasks.values() for cell in (_with_ends(one["accuracy"]["test"]), "")),
    ]
    return _table(head, [*rows, accuracy])


def few(found):
    """AUC with fewer chains, mean and standard error over targets."""
    tasks, lines = found["tasks"], []
    numbers = list(tasks["a"]["few"])
    for one in tasks.values():
        for attack in one["few"][numbers[0]]:
            cells = ["{:.3f} ± {:.3f}".format(*one["few"][number][attack]["auc"]) for number in numbers]
            lines.append([one["task"], NAMES.get(attack, f"`{attack}`"), *cells])
    return _table(["task", "attack", *(f"{number} shadows" for number in numbers)], lines)


def ways(found):
    """Ways to transfer, to be private and to know more; of each the attacks and the accuracy."""
    attacks = [name for name in next(iter(found["cells"].values()))["attacks"] if name not in ("count", "direct")]
    rows = []
    for name, cell in found["cells"].items():
        transfer, setting = name.split(", ")
        aucs = [_with_ends(cell["attacks"][one]["auc"]) for one in attacks]
        rows.append([transfer, setting, *aucs, _with_ends(cell["accuracy"]["test"])])
    return _table(["transfer", "setting", *(f"{NAMES[one]}, AUC" for one in attacks), "accuracy"], rows)


def world(found):
    """AUC on the world of points by task, attack and number of shadows."""
    rows = [row for row in found["figures"] if WORLD in row["test"] and row["figure"].endswith(" shadows")]
    values = {tuple(row["figure"].removesuffix(" shadows").split(", ")): row["auc"] for row in rows}
    numbers = sorted({number for _, _, number in values}, key=int)
    kinds = list(dict.fromkeys((task, attack) for task, attack, _ in values))
    lines = [[task, f"`{one}`", *(f"{values[task, one, number]:.3f}" for number in numbers)] for task, one in kinds]
    return _table(["task", "attack", *(f"{number} shadows" for number in numbers)], lines)


TABLES = {
    "images": (images, "tmi_cifar10.json"), "few": (few, "tmi_cifar10.json"), "ways": (ways, "tmi_transfer.json"),
    "text": (ways, "tmi_text.json"), "world": (world, "verify.json"),
}  # fmt: skip


def filled(page):
    """The page with every table as the figures have it; each stands after a line `<!-- table: NAME -->`."""
    for name, (make, file) in TABLES.items():
        lines = make(json.loads((RESULTS / file).read_text(encoding="utf-8")))
        place = re.compile(rf"(<!-- table: {name} -->\n\n)(?:\|.*\n)*")
        if not place.search(page):
            raise SystemExit(f"{PAGE}: has no line '<!-- table: {name} -->' with an empty line after it")
        page = place.sub(lambda found, lines=lines: found[1] + "\n".join(lines) + "\n", page)
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
