"""Every defense in three settings under the same audit with adaptive shadows: accuracy against leak.

Two audits on pictures of digits: heads on the frozen features of a perceptron that was pretrained on other digits, and
perceptrons trained from scratch. Each is one run of dosimeter with a `[[defense]]` row for every setting of every
defense's ladder.
The strongest attack is chosen for each variant in its own rehearsal. `python benchmarks/defenses.py [CASE ...]` writes
`results/defenses.json`; cases that are not named stay as they are. Defenses that have their rows keep them, if the
undefended model still has the same accuracy and leak, whatever their intervals; `--again` measures all anew.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from machine import hardware

from dosimeter.config import audit as config
from dosimeter.defenses import DEFENSES
from dosimeter.families.registry import FAMILIES
from dosimeter.foundation.errors import ConfigError
from dosimeter.pipeline import verbs
from dosimeter.results.figures import find
from dosimeter.results.reading import read_result
from dosimeter.results.views import views

PATH = Path(__file__).parent / "results" / "defenses.json"
ATTACKS = [
    {"name": "gap"},
    {"name": "loss"},
    {"name": "lira", "mode": "online"},
    {"name": "rmia", "mode": "online"},
    {"name": "constant"},
]
SPIKE = {"kinds": ("mislabelled",), "count": 60, "copies": (1,)}
"""Worst cases beside the averages."""
CASES = {
    "heads": {
        "stage": [
            {
                "name": "pretrain", "data": "mnist-5k", "rows": "3000:5000", "model": "mlp", "options": {"width": 128},
                "epochs": 10, "lr": 0.05,
            },
            {
                "name": "finetune", "data": "mnist-5k", "rows": "0:1000", "test": "mnist-5k", "test_rows": "1300:3000",
                "transfer": "head", "epochs": 60, "lr": 0.1,
            },
        ],
        "threat": {"population": 200, "shadows": 16, "targets": 8},
        "spike": SPIKE,
    },
    "perceptrons": {
        "stage": [
            {
                "name": "train", "data": "mnist-5k", "rows": "0:1300", "test": "mnist-5k", "test_rows": "1300:3000",
                "model": "mlp", "options": {"width": 32}, "epochs": 30, "lr": 0.05,
            },
        ],
        "threat": {"population": 200, "shadows": 16, "targets": 8},
        "spike": SPIKE,
    },
}  # fmt: skip


def settings(name, rows):
    """The audit of a case with a variant for each of some defenses."""
    return {"name": name, **CASES[name], "attack": ATTACKS, "defense": rows}


def rows_of(name, known):
    """Rows for every setting of every ladder that is not known, and entries of those that the case refuses."""
    rows, refused = [], []
    for defense, kind in DEFENSES.items():
        for one in kind.ladder if defense not in known else ():
            row = {"name": defense, **one}
            try:
                config.parse(settings(name, [row]), base=Path(__file__).parent)
            except ConfigError as error:
                refused.append({"defense": defense, "settings": one, "status": "refused", "reason": error.problems[0]})
            else:
                rows.append(row)
    return rows, refused


def row(view, variant, entry):
    """Accuracy and leak of one variant."""
    split = "test" if any(one.conditions["split"] == "test" for one in view["utility"]) else "nonmember"
    fits = [one for one in view["utility"] if one.variant == variant and one.conditions["split"] == split]
    fits = {one.metric: one.ends for one in fits}
    own = [one for one in view["estimates"] if one.variant == variant and one.attack == entry["attack"]]
    own = [one for one in own if one.group is None and one.threshold != "oracle"]
    ((tpr,), (fpr,)) = ([one for one in own if one.metric == name and one.rate == 0.01] for name in ("tpr", "fpr"))
    (auc,) = [one for one in own if one.metric == "auc"]
    return {
        "id": variant,
        "defense": entry.get("defense", "none"),
        "settings": entry.get("settings", {}),
        "attack": entry["attack"],
        "verdict": entry.get("verdict", view["verdict"]["status"]),
        "accuracy": list(fits["accuracy"]),
        "accuracy_change": list(fits.get("accuracy_change", ())) or None,
        "tpr_at_1_percent": list(tpr.ends),
        "fpr_reached": fpr.value,
        "auc": list(auc.ends),
        "canaries": entry.get("canaries") or [],
    }


def measured(name, folder, known):
    """All rows of a case that are not known, the undefended model first."""
    start = time.perf_counter()
    rows, refused = rows_of(name, known)
    audit = config.parse(settings(name, rows), base=Path(__file__).parent)
    verbs.run(audit, folder / name)
    (view,) = views(read_result(folder / name, families=FAMILIES))
    none = {"attack": view["verdict"]["attack"], "canaries": view["details"].get("canaries")}
    found = [row(view, "none", none)]
    failed = [one for one in view["variants"] if one["status"] != "ok"]
    found += [row(view, one["id"], one) for one in view["variants"] if one["status"] == "ok"]
    auc = find(view, none["attack"], "auc")
    return {
        **hardware(),
        "seconds": round(time.perf_counter() - start, 1),
        "shadows": view["adversary"]["shadows"],
        "targets": view["adversary"]["targets"],
        "members_per_target": view["data"]["members_per_target"],
        "member_decisions": auc.n["members"],
        "distinct_nonmembers": auc.n["nonmembers"],
        "level_of_tpr": 0.975,
        "level_of_others": 0.95,
        "failed": failed + refused,
        "variants": found,
    }


def values(one):
    """The estimates of a row without their intervals."""
    found = [one[name][0] for name in ("accuracy", "tpr_at_1_percent", "auc")]
    return [*found, *(canary["tpr"] for canary in one["canaries"])]


def merged(old, new):
    """What was known of a case with what was measured now, in the order of the registry.

    Raises:
        SystemExit: the undefended model is not the one that was measured before.
    """
    if old is None:
        return new
    before, now = (values(one["variants"][0]) for one in (old, new))
    if before != now:
        sys.exit(f"the undefended model must have the figures of before, {before}, got {now}: use --again")
    order = ["none", *DEFENSES]
    variants = sorted(old["variants"] + new["variants"][1:], key=lambda one: order.index(one["defense"]))
    return {**old, "variants": variants, "failed": old["failed"] + new["failed"]}


def percent(ends, digits=1):
    """A share with its interval."""
    value, low, high = (f"{100 * end:.{digits}f}" for end in ends)
    return f"{value} ({low} to {high})"


def page(found):
    """The rows of a case as a table of the page `docs/defenses.md`."""
    lines = [
        "| variant | accuracy, % | change, points | strongest attack | TPR at 1 % FPR, % | AUC | canaries' TPR, % |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in found["variants"]:
        change = percent(one["accuracy_change"]) if one["accuracy_change"] else ""
        auc = "{:.3f} ({:.3f} to {:.3f})".format(*one["auc"])
        cells = [f"`{one['id']}`", percent(one["accuracy"]), change, f"`{one['attack']}`"]
        (canary,) = one["canaries"]
        of_canaries = percent([canary[end] for end in ("tpr", "low", "high")])
        lines.append("| " + " | ".join([*cells, percent(one["tpr_at_1_percent"]), auc, of_canaries]) + " |")
    return "\n".join(lines)


def matched(found, lost):
    """At matched utility: of each defense the setting that loses so many points at most and hides canaries best."""
    undefended, *others = found["variants"]
    first = f"at most {lost} {'point' if lost == 1 else 'points'} of accuracy lost"
    lines = [
        f"| defense, {first} | change, points | TPR at 1 % FPR, % | AUC | canaries' TPR, % |",
        "| --- | --- | --- | --- | --- |",
    ]
    best = {one["defense"]: None for one in others}
    for one in others:
        known, affordable = best[one["defense"]], 100 * one["accuracy_change"][0] >= -lost
        if affordable and (known is None or one["canaries"][0]["tpr"] < known["canaries"][0]["tpr"]):
            best[one["defense"]] = one
    ranked = sorted(filter(None, best.values()), key=lambda one: one["canaries"][0]["tpr"])
    for one in [*ranked, undefended]:
        auc, (canary,) = "{:.3f} ({:.3f} to {:.3f})".format(*one["auc"]), one["canaries"]
        change = percent(one["accuracy_change"]) if one["accuracy_change"] else ""
        ends = percent([canary[end] for end in ("tpr", "low", "high")])
        lines.append("| " + " | ".join([f"`{one['id']}`", change, percent(one["tpr_at_1_percent"]), auc, ends]) + " |")
    lines += [f"| `{name}`: every setting costs more | | | | |" for name, one in best.items() if one is None]
    return "\n".join(lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        for case in [one for one in sys.argv[1:] if one != "--again"] or CASES:
            known = json.loads(PATH.read_text()) if PATH.is_file() else {}
            old = None if "--again" in sys.argv else known.get(case)
            names = set() if old is None else {one["defense"] for one in old["variants"] + old["failed"]}
            found = merged(old, measured(case, Path(temporary), names))
            PATH.write_text(json.dumps({**known, case: found}, indent=1, sort_keys=True) + "\n")
