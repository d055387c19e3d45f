"""The zoo's figures, case by case and in sum, and the page that shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.stats import binomtest

PAGE = Path(__file__).parents[1] / "docs" / "zoo.md"
SLACK = 0.02
"""How far a coverage may lie below its level."""
KINDS = {
    "plain": "normal scores, 300 to 1,200 records",
    "ties": "scores rounded to one decimal, to whole numbers, to two values; 1 and 4 models",
    "constant": "one score for all",
    "tiny": "20 to 200 records",
    "unequal": "5, 15, 80 and 95 % members",
    "groups": "groups of 85, 10 and 5 % of the records",
    "targets": "2, 4, 8, 16 and 32 models",
    "tails": "Student's t of 2 degrees, Cauchy, lognormal; 1 and 4 models",
    "persons": "2, 5 and 10 records of each person",
    "sizes": "persons with unequally many records, up to 200: few carry one class, or both; 1 and 4 models",
    "duplicates": "2, 5 and 10 copies of each record, given as one person",
    "correlated": "records that differ more than models, 4 and 8 models",
    "effects": "models that differ in level and in leakage, 4 and 8 models",
    "shift": "stated members who differ by themselves, with a blind baseline; a leak is what the model adds",
    "noisier labels": "a supplied model that saw neither half, and a fifth of the labels outside drawn anew",
    "copies in a half": "a supplied model that saw neither half, and a third of the records three times",
    "surely known": "a supplied model that knows 8 % of its members surely, and nothing of the others",
    "noise heads": "trained heads, asked about records that no model saw; 8 and 16 shadows",
}


def compact(found):
    """One case: what differs from a plain audit, counts, and the intervals."""
    statuses = [audit["status"] for audit in found["audits"]]
    intervals = {}
    for one in (interval for audit in found["audits"] for interval in audit["intervals"]):
        kept = intervals.setdefault(one["of"], {"level": round(one["level"], 5), "n": 0, "holds": 0, "width": 0.0})
        kept["n"] += 1
        kept["holds"] += one["holds"]
        kept["width"] += one["width"]
    for kept in intervals.values():
        kept["width"] = round(kept["width"] / kept["n"], 4)
    told = {
        "case": found["case"],
        "audits": len(statuses),
        **{name: statuses.count(name) for name in ("shown", "not_resolvable", "withdrawn")},
        "intervals": intervals,
    }
    if "planted" in found:
        told |= {"printed": found["printed"], "planted": len(found["planted"]), "caught": sum(found["planted"])}
    return told


def claims(cases):
    """False claims, and the exact one-sided test that they are more than 5 %."""
    n, shown = sum(one["audits"] for one in cases), sum(one["shown"] for one in cases)
    test = binomtest(shown, n, 0.05, alternative="greater")
    return {"audits": n, "shown": shown, "p": round(float(test.pvalue), 4), "ok": bool(test.pvalue > 0.05)}


def coverage(cases):
    """Per kind of interval: how many hold the truth, and their mean width."""
    found = {}
    for of in ("AUC", "TPR", "FPR", "AUC of a group"):
        rows = [one["intervals"][of] for one in cases if of in one["intervals"]]
        if rows:
            n, level = sum(row["n"] for row in rows), float(np.mean([row["level"] for row in rows]))
            share = sum(row["holds"] for row in rows) / n
            width = sum(row["n"] * row["width"] for row in rows) / n
            found[of] = {"n": n, "coverage": round(share, 4), "level": round(level, 4), "width": round(width, 4)}
            found[of]["ok"] = share >= level - SLACK
    return found


def power(cases):
    """Leaks of the printed limit that are shown, with the exact two-sided 95 % interval."""
    n, caught = sum(one["planted"] for one in cases), sum(one["caught"] for one in cases)
    if not n:
        return None
    low, high = binomtest(caught, n).proportion_ci(0.95, method="exact")
    return {"planted": n, "caught": caught, "low": round(float(low), 4), "high": round(float(high), 4)}


def shown(cases):
    """By strength: leaks that are shown, of the audits large enough to say anything."""
    found = {}
    for one in cases:
        row = found.setdefault(one["case"]["strength"], {"audits": 0, "shown": 0})
        row["audits"] += one["audits"] - one["not_resolvable"]
        row["shown"] += one["shown"]
    return found


def summary(nulls, graded):
    """All that is stored."""
    nulls, graded = [compact(one) for one in nulls], [compact(one) for one in graded]
    kinds = {}
    for kind in dict.fromkeys(one["case"]["kind"] for one in (*nulls, *graded)):
        empty, leaking = ([one for one in cases if one["case"]["kind"] == kind] for cases in (nulls, graded))
        kinds[kind] = told(empty, leaking)
    return {"all": told(nulls, graded), "kinds": kinds, "null": nulls, "graded": graded}


def told(nulls, graded):
    """Figures of some cases."""
    return {
        "null_cases": len(nulls),
        "graded_cases": len(graded),
        "claims": claims(nulls) if nulls else None,
        "coverage": {"null": coverage(nulls), "graded": coverage(graded)},
        "shown": shown(graded),
        "limits": sum(one["printed"] for one in nulls),
        "power": power(nulls),
    }


def _interval(row):
    """Coverage, n and mean width; bold where it is too low."""
    if row is None:
        return ""
    share = f"{100 * row['coverage']:.1f} %"
    return f"{share if row['ok'] else f'**{share}**'} of {row['n']}, {row['width']:.3f}"


def _claims(row):
    """False claims; bold where they are too many."""
    if row is None:
        return ""
    share = f"{row['shown']} of {row['audits']}"
    return f"{share if row['ok'] else f'**{share}**'}, {row['p']:.2g}"


def _power(row):
    """Leaks of a printed limit that were shown."""
    return "none printed" if row is None else f"{row['caught']} of {row['planted']}"


def page(found):
    """The page, from what is stored."""
    every = found["all"]
    lines = [
        "# The leak zoo",
        "",
        "Audits whose truth is known, measured as any audit is: `make zoo`. It writes `benchmarks/results/zoo.json` "
        "and this page; seeds are fixed. Each case is a law of scores (`benchmarks/zoo_cases.py`), drawn anew for "
        "every audit and measured as a table of scores, as a recipe with 8 shadows that rehearse, or as a supplied "
        "model with a blind baseline. Its true AUC and rates are those of a million draws.",
        "",
        "| question | answer |",
        "| --- | --- |",
        f"| Nothing leaks: how often is a leak claimed? | {every['claims']['shown']} of {every['claims']['audits']} "
        f"audits of {every['null_cases']} cases (more than 5 %? p = {every['claims']['p']:.2g}) |",
    ]
    for what, of in (("null", "nothing leaks"), ("graded", "something leaks")):
        for name, row in every["coverage"][what].items():
            lines.append(
                f"| How often does the {100 * row['level']:.4g} % interval of the {name} hold the truth where {of}? | "
                f"{100 * row['coverage']:.1f} % of {row['n']}, mean width {row['width']:.3f} |"
            )
    strengths = ", ".join(f"{name} {row['shown']} of {row['audits']}" for name, row in every["shown"].items())
    lines.append(f"| Something leaks ({every['graded_cases']} cases): how often is it shown? | {strengths} |")
    if every["power"] is None:
        lines.append("| Is a leak of the printed detection limit shown? | no audit printed a limit |")
    else:
        row = every["power"]
        lines.append(
            f"| Is a leak of the printed detection limit shown? | {row['caught']} of {row['planted']} "
            f"({100 * row['caught'] / row['planted']:.1f} %, 95 % interval {100 * row['low']:.1f} to "
            f"{100 * row['high']:.1f} %), {every['limits']} limits |"
        )
    lines += [
        "",
        "## By kind",
        "",
        "False claims with the p-value of the exact one-sided test that they are more than 5 %. Of the headline's "
        f"intervals the share that holds the truth, n, and the mean width. Bold: p at most 0.05, or a coverage more "
        f"than {100 * SLACK:.0f} points below the level.",
        "",
        "| kind | what is hard | cases null, graded | false claims, p | AUC null | AUC graded | TPR null | TPR graded "
        "| shown at the printed limit |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind, row in found["kinds"].items():
        null, graded = row["coverage"]["null"], row["coverage"]["graded"]
        lines.append(
            f"| {kind} | {KINDS[kind]} | {row['null_cases']}, {row['graded_cases']} | {_claims(row['claims'])} | "
            f"{_interval(null.get('AUC'))} | "
            f"{_interval(graded.get('AUC'))} | {_interval(null.get('TPR'))} | {_interval(graded.get('TPR'))} | "
            f"{_power(row['power'])} |"
        )
    return "\n".join([*lines, *_by_targets(found.get("targets"))]) + "\n"


def _by_targets(rows):
    """The section on audits of more and more models; none if none was measured."""
    if not rows:
        return []
    counts = sorted({row["targets"] for row in rows})
    lines = [
        "",
        "## Power by number of targets",
        "",
        "Recipes with 700 records, 8 models that rehearse, and the same leak in each model: how often a leak is shown "
        "of the models that were measured, and in brackets how often of their recipe, so that training again would "
        "leak too. Bold: shown where nothing leaks in more than 5 % of audits (exact one-sided test, p below 0.05).",
        "",
        f"| law | audits each | {' | '.join(f'{n} target' + 's' * (n > 1) for n in counts)} |",
        f"| --- | --- | {' | '.join('---' for _ in counts)} |",
    ]
    for law in dict.fromkeys(row["law"] for row in rows):
        own = {row["targets"]: row for row in rows if row["law"] == law}
        audits = next(iter(own.values()))["audits"]
        lines.append(f"| {law} | {audits} | {' | '.join(_shown(own[n]) for n in counts)} |")
    return lines


def _shown(row):
    """Share of audits that show a leak, and of those that show it of the recipe."""
    share = f"{100 * row['shown'] / row['audits']:.1f} %"
    false = (
        row["strength"] == "null" and binomtest(row["shown"], row["audits"], 0.05, alternative="greater").pvalue < 0.05
    )
    told = f"**{share}**" if false else share
    return told if row["targets"] == 1 else f"{told} ({100 * row['recipe'] / row['audits']:.1f} %)"
