"""The leak zoo: audits of known truth, measured as any audit is; `make zoo` writes `benchmarks/results/zoo.json`.

Counts false claims where nothing leaks, intervals that hold the truth, leaks that are shown, and leaks of the printed
detection limit that are shown; `docs/zoo.md` is the table. Some minutes on two cores; seeds are fixed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from unittest.mock import patch

import numpy as np
from zoo_cases import by_targets, draw, graded, nulls
from zoo_page import PAGE, page, summary

from dosimeter.families.membership import measure
from dosimeter.families.membership.gates.all_gates import find
from dosimeter.families.membership.measures.detection_limit import Detection
from dosimeter.families.membership.measures.material import Measured, choose_headline
from dosimeter.statistics.evidence import Scores
from dosimeter.statistics.intervals.cells import by_cell
from dosimeter.statistics.rates import auc, tpr_at_threshold

RESULTS = Path(__file__).parent / "results" / "zoo.json"
REPEATS = {"null": 10, "limits": 2, "planted": 4, "graded": 4, "targets": 200}
"""Audits of a null case; of these, those that print their limit; audits with a leak as large; of a graded case; and of
a number of targets, of which there are twice as many where nothing leaks."""


def audited(drawn, *, limit=False):
    """The findings.

    The detection limit takes nearly all the time of an audit that shows nothing and never moves a verdict, so most
    audits leave it out.
    """
    if limit:
        found = measure.measure(drawn.material)
    else:
        with patch.object(measure, "detect", lambda material, *_: Detection(material.leading, None, None, 0, "none")):
            found = measure.measure(drawn.material)
    return found


def intervals(drawn, found):
    """Of the headline: per kind of interval its level, whether it holds the truth, and its width.

    The law of a choice of other halves is known only where nothing leaks, so that its AUC is one half; instead of its
    rates, and of its AUC where something leaks, stand those of the first attack.
    """
    material, headline = choose_headline(drawn.material)
    single = "first" if headline in material.choice else headline
    ranked = headline if drawn.auc() == 0.5 else single
    lead = found.verdict["fpr"] or 0.1
    rates = _rates(material, drawn.law, single, lead)
    told = []
    for row in found.estimates:
        if row.low is None or row.group is not None:
            continue
        if row.metric == "auc" and row.attack == ranked:
            told.append(("AUC", row.level, row.low, row.high, drawn.auc()))
        leads = row.metric == "tpr" and row.threshold != "oracle" and row.rate == lead
        if rates and leads and row.attack == single:
            told.append(("TPR", row.level, row.low, row.high, rates[0]))
            wanted = dataclasses.replace(row.key, metric="fpr")
            told += [("FPR", fpr.level, fpr.low, fpr.high, rates[1]) for fpr in found.estimates if fpr.key == wanted]
    of_headline = [row for row in found.estimates if row.group is not None and row.metric == "auc"]
    groups = of_headline if ranked == headline else []
    told += [("AUC of a group", row.level, row.low, row.high, drawn.auc()) for row in groups]
    return [
        {"of": of, "level": level, "holds": bool(low - 1e-9 <= true <= high + 1e-9), "width": high - low}
        for of, level, low, high, true in told
        if low is not None
    ]


def _rates(material, law, headline, lead):
    """True rates at the thresholds, over members and over non-members; None where no law is known."""
    if law is None:
        return None
    bits = material.truth.is_member
    cells = np.broadcast_to(by_cell(material.thresholds(headline, lead)), bits.shape)
    return [float(rate[who].mean()) for rate, who in zip(law.rates(cells), (bits, ~bits), strict=True)]


def told(drawn, *, limit=False):
    """Verdict and intervals of one audit."""
    found = audited(drawn, limit=limit)
    limit = found.details.get("detection_limit")
    return {"status": found.verdict["status"], "intervals": intervals(drawn, found)}, limit


def null_case(case, index):
    """All audits of a case without a leak, and those with a leak as large as it printed."""
    rows, planted, printed = [], [], 0
    for repeat in range(REPEATS["null"]):
        seed = 1000 * index + repeat
        with_limit = repeat < REPEATS["limits"]
        drawn = draw(case, seed)
        row, limit = told(drawn, limit=with_limit)
        rows.append(row)
        if not with_limit or limit is None:
            continue
        printed += limit["tpr"] is not None
        if limit["tpr"] is not None and drawn.law is not None:
            planted += shown_at(case, limit, seed)
    return {"case": dataclasses.asdict(case), "audits": rows, "printed": printed, "planted": planted}


def _called(drawn, fpr):
    """True rate of calls without a leak at this audit's thresholds."""
    headline = next(iter(drawn.material.scores))  # all attacks have one law
    return float(np.mean(drawn.law.rates(drawn.material.thresholds(headline, fpr))[1]))


def shown_at(case, limit, seed):
    """Whether leaks of the printed size are shown: sure calls of a share of persons, in fresh audits.

    The share gives the printed rate on average over audits of this design, whose thresholds differ.
    """
    called = np.mean([_called(draw(case, 20_000_000 + 10 * seed + i), limit["fpr"]) for i in range(8)])
    share = max((limit["tpr"] - called) / (1 - called), 0.0)
    again = (draw(case, 10_000_000 + 10 * seed + i, planted=share) for i in range(REPEATS["planted"]))
    return [audited(one).verdict["status"] == "shown" for one in again]


def graded_case(case, index):
    """All audits of a case with a leak."""
    rows = [told(draw(case, 5_000_000 + 1000 * index + repeat))[0] for repeat in range(REPEATS["graded"])]
    true = draw(case, 0)
    return {"case": dataclasses.asdict(case), "audits": rows, "auc": true.auc()}


def targets_case(case, index):
    """How often a leak is shown, and how often of the recipe, by the verdict's rule alone."""
    repeats = REPEATS["targets"] * (2 if case.strength == "null" else 1)
    scopes = [scope(draw(case, 30_000_000 + 1000 * index + repeat).material) for repeat in range(repeats)]
    counts = {"shown": repeats - scopes.count(None), "recipe": scopes.count("recipe")}
    return {"law": case.kind, "strength": case.strength, "targets": case.targets, "audits": repeats, **counts}


def scope(material):
    """Of whom the headline shows a leak; only what the verdict reads is measured."""
    (material, headline), lead, truth = choose_headline(material), material.leading, material.truth
    scores, cuts, rng = Scores(truth.ids, material.scores[headline]), material.thresholds(headline, lead), material.rng
    pair = tpr_at_threshold(scores, truth, thresholds=cuts, fpr=lead, rng=rng(f"{headline} tpr {lead}"), level=0.975)
    own = Measured({"auc": auc(scores, truth, rng=rng(f"{headline} auc"))}, {lead: pair}, {}, {})
    return find(material, {headline: own}, headline).scope


def run(job):
    """One case, in a process of its own."""
    what, case, index = job
    return {"null": null_case, "graded": graded_case, "targets": targets_case}[what](case, index)


def measured(jobs, processes):
    """All cases, in order."""
    if processes == 1:
        return [run(job) for job in jobs]
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(run, jobs))


def main():
    """Run the zoo and write both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", action="store_true", help="only write the page from the stored figures")
    parser.add_argument("--targets", action="store_true", help="only the power by number of targets; keeps the rest")
    parser.add_argument("--kind", help="only cases of this kind; prints a summary and writes nothing")
    asked = parser.parse_args()
    if asked.page:
        PAGE.write_text(page(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")
        return
    parts = {"null": nulls(), "graded": graded(), "targets": by_targets()}
    jobs = [(what, case, i) for what, cases in parts.items() for i, case in enumerate(cases)]
    if asked.targets:
        jobs = [job for job in jobs if job[0] == "targets"]
    if asked.kind:
        jobs = [job for job in jobs if job[1].kind == asked.kind]
    start = time.perf_counter()
    found = measured(jobs, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    print(f"{len(jobs)} cases in {time.perf_counter() - start:.0f} s", file=sys.stderr)
    rows = [one for one in found if "law" in one]
    if asked.targets:
        stored = json.loads(RESULTS.read_text(encoding="utf-8")) | {"targets": rows}
    else:
        nulled, leaking = ([one for one in found if one.keys() >= {"case", key}] for key in ("planted", "auc"))
        stored = summary(nulled, leaking) | {"targets": rows}
    if asked.kind:
        print(page(stored))
        return
    RESULTS.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(stored), encoding="utf-8")


if __name__ == "__main__":
    main()
