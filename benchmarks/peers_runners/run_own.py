"""dosimeter on given signals: `python run_own.py scores|audit|nulls IN OUT [ATTACK ...]`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

START = time.perf_counter()
import numpy as np  # noqa: E402  the seconds of all imports are told
import torch  # noqa: E402

sys.path.append(str(Path(__file__).parents[2] / "tests"))
import audits  # noqa: E402

from dosimeter.families.membership.attacks import RMIA, Difficulty, LiRA, Loss, Shokri  # noqa: E402
from dosimeter.families.membership.design.design import Design  # noqa: E402
from dosimeter.families.membership.family import MEMBERSHIP  # noqa: E402
from dosimeter.families.membership.measure import measure  # noqa: E402
from dosimeter.families.membership.measures.material import choose_headline  # noqa: E402
from dosimeter.families.membership.observe.observations import Observations  # noqa: E402
from dosimeter.families.membership.observe.signals import SIGNALS  # noqa: E402
from dosimeter.pipeline.page import write_report  # noqa: E402
from dosimeter.pipeline.whole_result import one_threat  # noqa: E402
from dosimeter.results.rounding import round_numbers  # noqa: E402
from dosimeter.results.whole.compose import compose  # noqa: E402

DEFAULTS = ("loss", "lira online", "lira offline", "rmia online", "rmia offline", "constant", "count")
LADDER = {
    "loss": Loss(),
    "difficulty": Difficulty(),
    "shokri": Shokri(),
    "lira online": LiRA(),
    "lira offline": LiRA("offline"),
    "rmia online": RMIA(),
    "rmia offline": RMIA("offline"),
}


def fleet(path, *, logits=False):
    """Design and signals of a file; `logits` for attacks that read more than confidences."""
    file = np.load(path)
    member, labels = file["member"], file["labels"]
    n = member.shape[1]
    signals = {"logit_confidence": file["phi"], "logit_confidence_t2": file["phi2"]}
    if logits:
        given, true = torch.from_numpy(file["logits"]), torch.from_numpy(labels)
        for name in ("correctness", "top1", "top2", "top3"):
            signals[name] = np.stack([SIGNALS[name].compute(one, true).double().numpy() for one in given])
    design = Design(
        np.arange(n), labels[:n], int(labels.max()) + 1, member, int(file["targets"]), 8, np.arange(n),
        np.arange(n, len(labels)), labels[n:],
    )  # fmt: skip
    return design, Observations({name: one[:, None] for name, one in signals.items()}, file["phi"] > 0, None)


def material(path, names, seed=0):
    """What a run of these attacks would leave."""
    rows = tuple(row for row in audits.attacks() if row.id in names)
    return audits.material(*fleet(path), seed=seed, rows=rows)


def scores(path, out):
    """Every attack's scores `[t n]`, and those of the attack that the rehearsals choose."""
    design, observed = fleet(path, logits=True)
    rng = np.random.default_rng(0)  # none of these draws
    found = {}
    for name, attack in LADDER.items():
        signals = {signal: observed.signals[signal] for signal in attack.signals}
        games = [design.game(fold, signals) for fold in range(len(design.folds))]
        found[name] = np.concatenate([attack.run(game, rng).values for game in games])
    whole = material(path, DEFAULTS)
    whole, headline = choose_headline(whole)
    np.savez(out, **found, headline=whole.scores[headline])
    return {"headline": headline}


def audit(path, out, names):
    """One audit of all targets, from signals to result and report."""
    made = material(path, names or DEFAULTS)
    threat = one_threat(MEMBERSHIP.name, MEMBERSHIP, measure(made), made.summary)
    found = round_numbers(compose(made.summary, [threat]))
    out.mkdir()
    (out / "result.json").write_text(json.dumps(found, sort_keys=True), encoding="utf-8")
    measured = time.perf_counter()
    write_report(out)
    return {"report_seconds": time.perf_counter() - measured}


def nulls(folder, out):
    """What is said of each fleet that leaks nothing."""
    said = []
    for seed, path in enumerate(sorted(folder.glob("*.npz"))):
        found = measure(material(path, DEFAULTS, seed))
        verdict = found.verdict
        row = next(r for r in found.estimates if (r.attack, r.metric) == (verdict["attack"], "auc"))
        said.append({"verdict shown": verdict["status"] == "shown", "AUC interval above 0.5": row.low > 0.5})
    return {"said": said}


if __name__ == "__main__":
    torch.set_num_threads(1)
    mode, given, target, *names = sys.argv[1:]
    loaded = time.perf_counter()
    more = (names,) if mode == "audit" else ()
    told = {"scores": scores, "audit": audit, "nulls": nulls}[mode](Path(given), Path(target), *more)
    told |= {"import_seconds": loaded - START, "work_seconds": time.perf_counter() - loaded}
    print(json.dumps(told))
