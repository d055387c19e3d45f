"""The tables on characters of `docs/inversion.md`, from the stored figures; writes them between their markers.

python benchmarks/inversion_page.py
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
PAGE, RESULTS = ROOT / "docs" / "inversion.md", ROOT / "benchmarks" / "results"
DRAWS = 10_000
"""Bootstrap samples of the classes."""
ATTACKS = ("ppa", "ppa views", "gmi checkpoint", "brep_mi")
"""Attacks that search; the strongest of them counts. Only the longer searches have the third."""
CLOSE = 0.01
"""Accuracy by which a model may lie outside those of the undefended ones, to be put beside them."""
DEPTHS = {"vgg": ("none", "last-6", "last-4", "last-2"), "main": ("none", "last-3", "last-2", "last-1")}
"""From no frozen block to three quarters of them, by step."""
FURTHER = {"main": "settings"}
"""Steps that have more rows of another's table."""


def hits(variant: dict[str, Any], attack: str, kind: str = "recognised") -> np.ndarray:
    """Whether each class is hit `[n]`."""
    return np.array([letter == "1" for letter in variant["attacks"][attack][kind]], float)


def accuracy(variant: dict[str, Any]) -> float:
    """Share of held-out drawings that a model names right."""
    return float(variant["utility"]["accuracy"][0])


def strongest(variant: dict[str, Any], kind: str = "recognised") -> np.ndarray:
    """Hits of the attack by which most are recognised."""
    best = max((one for one in ATTACKS if one in variant["attacks"]), key=lambda one: hits(variant, one).mean())
    return hits(variant, best, kind)


def plain(variants: dict[str, Any]) -> list[dict[str, Any]]:
    """The undefended models of one run, the least accurate first: those that stopped early, and the whole one."""
    names = [name for name in variants if name == "none" or name.startswith("stopped")]
    return sorted((variants[name] for name in names), key=accuracy)


def beside(variants: dict[str, Any], wanted: float) -> np.ndarray | None:
    """Hits of the strongest attack on an undefended model of this accuracy, between the two that are nearest `[n]`.

    None where no undefended model is so accurate or so poor.
    """
    models = plain(variants)
    levels = [accuracy(one) for one in models]
    if not levels[0] - CLOSE <= wanted <= levels[-1] + CLOSE:
        return None
    wanted = min(max(wanted, levels[0]), levels[-1])
    above = next(index for index, level in enumerate(levels) if level >= wanted)
    if not above or levels[above] == levels[above - 1]:
        return strongest(models[above])
    part = (wanted - levels[above - 1]) / (levels[above] - levels[above - 1])
    return part * strongest(models[above]) + (1 - part) * strongest(models[above - 1])


def ends(values: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """Mean over classes of a number of each, over seeds `[s n]`, with its bootstrap interval over classes."""
    each = values.mean(0)
    rows = np.random.default_rng(seed).integers(len(each), size=(DRAWS, len(each)))
    low, high = np.quantile(each[rows].mean(1), (0.025, 0.975))
    return float(each.mean()), float(low), float(high)


def share(found: tuple[float, float, float]) -> str:
    """A share with its interval."""
    return "{:.0f} % ({:.0f} to {:.0f})".format(*(100 * one for one in found))


def points(found: tuple[float, float, float]) -> str:
    """A difference of shares with its interval."""
    return "{:+.0f} ({:+.0f} to {:+.0f})".format(*(100 * one for one in found))


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """A table of Markdown."""
    return ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]


def runs(content: dict[str, Any], name: str, main: str) -> list[dict[str, Any]]:
    """Variants of each run that has one of this name: of a step by seed, else of that with its further rows."""
    for step in (main, FURTHER.get(main, "")):
        found = [run["variants"] for run in content.get(step, {}).values() if name in run["variants"]]
        if found:
            base = content[main]
            return [
                {**(base[seed]["variants"] if step != main and seed in base else {}), **run["variants"]}
                for seed, run in content[step].items()
                if name in run["variants"]
            ]
    return []


def names(content: dict[str, Any], main: str) -> list[str]:
    """All variants of a table in the order in which they are told."""
    from inversion_characters import ROWS

    listed = ["none", *(row["id"] for step in (main, FURTHER.get(main)) if step for row in ROWS[step])]
    return [name for name in listed if runs(content, name, main)]


def rejected(variants: list[dict[str, Any]]) -> str:
    """Share of the classifier's successes that the lineup does not accept, over seeds and classes."""
    named = np.concatenate([strongest(one, "classified") for one in variants])
    taken = np.concatenate([strongest(one, "accepted") for one in variants])
    return "–" if not named.sum() else f"{100 * (1 - (named * taken).sum() / named.sum()):.0f} % of {named.sum():.0f}"


def label(name: str) -> str:
    """What a row is called."""
    return "all layers" if name == "none" else f"`{name}`"


def main_table(content: dict[str, Any], step: str) -> list[str]:
    """Every model: accuracy, the strongest attack, and what is recognised beside an undefended model as accurate."""
    rows = []
    tried = [one for one in ATTACKS if one in content[step]["0"]["variants"]["none"]["attacks"]]
    for name in names(content, step):
        whole = runs(content, name, step)
        own = [one[name] for one in whole]
        held = float(np.mean([one["utility"]["perturbed_accuracy"][0] for one in own]))
        pairs = [(one[name], beside(one, accuracy(one[name]))) for one in whole]
        fit = [strongest(one) - other for one, other in pairs if other is not None]
        undefended = name == "none" or name.startswith("stopped")
        shares = [share(ends(np.stack([hits(one, attack) for one in own]))) for attack in (*tried, "prior_best")]
        level = float(np.mean([accuracy(one) for one in own]))
        least = "" if undefended else "none as accurate" if len(fit) < len(own) else points(ends(np.stack(fit)))
        found = [label(name), str(len(own)), f"{100 * level:.1f} %", f"{100 * held:.1f} %", *shares]
        rows.append([*found, named(own), least, rejected(own)])
    columns = {"ppa": "`ppa`", "ppa views": "`ppa` over views", "gmi checkpoint": "`gmi` with checkpoint"}
    head = [
        "trained", "seeds", "accuracy", "under small changes", *(columns.get(one, f"`{one}`") for one in tried),
        "`prior_best`", "named by the classifier", "strongest, beside an undefended model as accurate",
        "rejected by the lineup",
    ]  # fmt: skip
    return table(head, rows)


def named(variants: list[dict[str, Any]]) -> str:
    """Share that the classifier names right of what the strongest attack made, over seeds and classes."""
    return share(ends(np.stack([strongest(one, "classified") for one in variants])))


def nets_table(content: dict[str, Any]) -> list[str]:
    """Other nets, one seed each."""
    rows = []
    for step, words in {"resnet": "residual, 4 blocks", "vit": "transformer, 5 blocks"}.items():
        for run in content.get(step, {}).values():
            for name, own in run["variants"].items():
                other = None if name == "none" or name.startswith("stopped") else beside(run["variants"], accuracy(own))
                change = "" if other is None else points(ends((strongest(own) - other)[None]))
                found = [share(ends(strongest(own, kind)[None])) for kind in ("recognised", "classified")]
                best = share(ends(hits(own, "prior_best")[None]))
                rows.append([words, label(name), f"{100 * accuracy(own):.1f} %", *found, best, change])
    head = [
        "net", "trained", "accuracy", "recognised", "named by the classifier", "`prior_best`",
        "strongest, beside an undefended model as accurate",
    ]  # fmt: skip
    return table(head, rows)


def slopes(content: dict[str, Any], step: str) -> tuple[float, float, float]:
    """Change of the strongest attack for each further frozen block at matched accuracy, over seeds and classes."""
    found = []
    for run in content[step].values():
        variants = run["variants"]
        pairs = [
            (depth, strongest(variants[name]) - other)
            for depth, name in enumerate(DEPTHS[step])
            if name in variants and (other := beside(variants, accuracy(variants[name]))) is not None
        ]
        if len(pairs) > 1:
            depth = np.array([one[0] for one in pairs], float)
            depth -= depth.mean()
            found.append((depth[:, None] * np.stack([one[1] for one in pairs])).sum(0) / (depth**2).sum())
    return ends(np.stack(found))


def membership_table(content: dict[str, Any]) -> list[str]:
    """Membership and inversion of the same chain under each frozen depth."""
    rows = []
    for run in content["membership"].values():
        for name in DEPTHS["main"]:
            own, variant = run["membership"][name], run["variants"][name]
            cells = ["{:.3f} ({:.3f} to {:.3f})".format(*own[attack]["auc"]) for attack in ("lira online", "loss")]
            cells.insert(1, "{:.1f} % ({:.1f} to {:.1f})".format(*(100 * one for one in own["lira online"]["tpr"])))
            found = share(ends(hits(variant, "ppa")[None]))
            rows.append([label(name), f"{100 * accuracy(variant):.1f} %", *cells, found])
    head = ["trained", "accuracy", "`lira`, AUC", "`lira`, TPR at 1 % FPR", "`loss`, AUC", "`ppa`, recognised"]
    return table(head, rows)


def distance_table(content: dict[str, Any]) -> list[str]:
    """Nets that were pretrained on other records: all layers finetuned, and the last two blocks."""
    sets = {"near": "another alphabet", "digits": "digits", "main": "grey photos", "textures": "gratings"}
    rows = []
    for step, words in sets.items():
        for run in list(content.get(step, {}).values())[:1]:
            pair = [run["variants"].get(name) for name in ("none", "last-2")]
            cells = [
                cell
                for one in pair
                if one
                for cell in (f"{100 * accuracy(one):.1f} %", share(ends(strongest(one)[None])))
            ]
            change = points(ends((strongest(pair[1]) - strongest(pair[0]))[None])) if all(pair) else "–"
            rows.append([words, *cells, change])
    head = ["pretrained on", "accuracy, all layers", "recognised", "accuracy, `last-2`", "recognised", "change"]
    return table(head, rows)


def layers_table(content: dict[str, Any]) -> list[str]:
    """Where the information of the attack's loss and of the task's lies; layers count from 1."""

    def band(one: dict[str, float], shift: float = 0) -> str:
        return "{:.2f} ({:.2f} to {:.2f})".format(*(one[end] + shift for end in ("value", "low", "high")))

    rows = []
    for seed, run in content["fisher"].items():
        curves = {one["of"]: one for one in run["fisher"]["curves"]}
        slopes = {one["beside"]: one["slope"] for one in run["fisher"]["ratios"]}
        centres = [
            band(curves[kind][how]["centre"], 1) for how in ("mean", "sum") for kind in ("made", "held_out", "noise")
        ]
        told = [band(slopes[kind]) for kind in ("train", "held_out", "prior", "noise")]
        rows.append([str(int(seed) + 1), *centres, *told])
    head = [
        "seed", *(f"centre by {how}: {what}" for how in ("means", "sums") for what in ("attack", "task", "noise")),
        *(f"slope beside {what}" for what in ("training drawings", "held-out ones", "random ones", "noise")),
    ]  # fmt: skip
    return table(head, rows)


TABLES: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "characters": lambda content: main_table(content, "main"), "vgg": lambda content: main_table(content, "vgg"),
    "nets": nets_table, "layers": layers_table, "membership": membership_table, "distance": distance_table,
}  # fmt: skip


def filled(page: str) -> str:
    """The page with every table as the figures have it; each stands after a line `<!-- table: NAME -->`."""
    content = json.loads((RESULTS / "inversion_characters.json").read_text(encoding="utf-8"))
    for name, make in TABLES.items():
        place = re.compile(rf"(<!-- table: {name} -->\n\n)(?:\|.*\n)*")
        if place.search(page):
            lines = make(content)
            page = place.sub(lambda found, lines=lines: found[1] + "\n".join(lines) + "\n", page)
    return page


def told(content: dict[str, Any]) -> Iterator[str]:
    """Numbers that the text beside the tables quotes."""
    for step in DEPTHS:
        yield f"{step}: slope from depth to depth at matched accuracy: {points(slopes(content, step))} points"
    for step, own in content.items():
        for seed, run in own.items() if step != "hardware" else ():
            yield f"{step} {seed}: {run['verdict']}, judges {run['judges']}, null {run['null_audit']}, {run['failed']}"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print("\n".join(told(json.loads((RESULTS / "inversion_characters.json").read_text(encoding="utf-8")))))
