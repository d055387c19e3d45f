"""What a finetuned model tells of its pretraining images: CIFAR-10, heads for two tasks; prints and stores the table.

    python benchmarks/tmi_cifar10.py cifar10_jpeg.npz [--out JSON] [--chains 34]

34 chains, each pretrained on half of 6,000 images of 16 x 16 pixels (convnet 32-64-128-128, 18 epochs, flips) and
finetuned by a new head on 85 % of 8,000 others, for the same ten classes (a) and for five groups of two (b). 1,000 of
the 6,000 are judged under two views. At 32 x 32 pixels training takes four times as long, and tells no more. Everything
runs through the public pipeline; what is timed beside it says how.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from few_shadow_power import measured, with_error
from machine import case, flags, hardware
from torch import nn

from dosimeter import data
from dosimeter.config.audit import parse
from dosimeter.families.membership.attacks import TMI, AdaptedLiRA, Discriminant, PooledDiscriminant
from dosimeter.families.membership.attacks.reading import auc
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.results.views import views

ROOT = Path(__file__).resolve().parents[1]
GROUPS = (("airplane", "ship"), ("automobile", "truck"), ("bird", "frog"), ("cat", "dog"), ("deer", "horse"))
TASKS = {"a": "the same ten classes", "b": "five groups of two classes"}
ATTACKS = (
    {"name": "tmi"},
    {"name": "tmi", "id": "tmi top 3", "outputs": "top"},
    {"name": "tmi", "id": "tmi label", "outputs": "label"},
    {"name": "adapted_lira", "mode": "mean"},
    {"name": "adapted_lira", "mode": "views"},
    {"name": "discriminant"},
    {"name": "pooled_discriminant"},
    {"name": "direct"},
    {"name": "constant"},
    {"name": "count"},
)
FIRST, LAST, POOL, CANDIDATES, SIDE = 10_000, 18_000, 6_000, 1_000, 16
BARS = {"a": {"auc": 0.82, "tpr": 0.20}, "b": {"auc": 0.73, "tpr": 0.13}}


def smaller(place, rows, into, groups):
    """A copy of some pictures with the means of 2 x 2 pixels, as a table; with groups of their classes if asked."""
    found = data.load(f"cifar10:{place}", rows=rows)
    count, channels = found.inputs.shape[:2]
    inputs = found.inputs.reshape(count, channels, SIDE, 2, SIDE, 2).mean((3, 5)).round().astype(np.uint8)
    words = [" or ".join(next(one for one in GROUPS if name in one)) if groups else name for name in found.classes]
    np.savez(into, inputs=inputs, labels=np.array(words)[found.labels])
    return str(into)


def audit(place, task, chains, folder):
    """The settings of one task."""
    tables = {"pretraining": smaller(place, f"0:{POOL}", folder / "pretraining.npz", False)}
    for name, rows in (("data", f"{FIRST}:{LAST}"), ("test", "50000:52000")):
        tables[name] = smaller(place, rows, folder / f"{name}-{task}.npz", task == "b")
    quick = {"avx512_bf16", "amx_bf16"} & set(flags())
    return {
        "name": f"tmi-cifar10-{task}",
        "stage": [
            {
                "name": "pretrain", "data": tables["pretraining"], "model": "convnet",
                "epochs": 18, "batch_size": 64, "lr": 0.1, "weight_decay": 5e-4, "schedule": "one-cycle",
                "augment": ["flip"], "precision": "bfloat16" if quick else "float32",
            },
            {
                "name": "finetune", "data": tables["data"], "test": tables["test"], "transfer": "head", "epochs": 20,
                "batch_size": 128, "lr": 0.05, "momentum": 0.9, "schedule": "one-cycle",
            },
        ],
        "threat": {
            "at_risk": "pretrain", "access": "probs", "shadows": chains - 6, "targets": (chains - 4) // 6 * 6,
            "fold_pairs": 3, "rehearsals": 2, "candidates": CANDIDATES,
        },
        "attack": list(ATTACKS),
        "report": {"noun": "image"},
    }  # fmt: skip


def rows_of(result):
    """AUC and TPR at 1 % FPR of each attack with intervals, and accuracies."""
    found, (view,) = {}, views(result)
    for one in view["estimates"]:
        wanted = one.metric == "auc" or (one.metric == "tpr" and one.rate == 0.01 and one.threshold == "oracle")
        if wanted and one.group is None and one.variant == "none":
            found.setdefault(one.attack, {})[one.metric] = [one.value, one.low, one.high]
    accuracy = {
        one.conditions["split"]: [one.value, one.low, one.high] for one in view["utility"] if one.variant == "none"
    }
    verdict = view["verdict"]
    nulls = {one["attack"]: [one["value"], one["low"], one["high"]] for one in view["null_audit"]}
    return {
        "attacks": found,
        "accuracy": accuracy,
        "headline": verdict["attack"],
        "verdict": verdict["status"],
        "null": nulls,
    }


def few(prepared, shadows):
    """AUC and TPR at 1 % FPR with some of the shadows: 8 targets, a pair at a time, mean and error over targets."""
    observations, design, found = prepared.case.jobs.answers().load(), prepared.case.design, {}
    attacks = {
        "tmi": TMI(), "adapted_lira mean": AdaptedLiRA(), "discriminant": Discriminant(),
        "pooled_discriminant": PooledDiscriminant(),
    }  # fmt: skip
    for name, attack in attacks.items():
        signals = {one: observations.signals[one] for one in attack.signals}
        rows = []
        for pair in range(4):
            own = np.arange(2 * pair, 2 * pair + 2)
            others = np.delete(np.arange(len(design.member)), own)[:shadows]
            scores = attack.run(design.before(own, others, signals), np.random.default_rng(0)).values
            rows.append(measured(scores, design.member[own]))
        rows = np.concatenate(rows)
        found[name] = {"targets": len(rows), "tpr": with_error(rows[:, 0]), "auc": with_error(rows[:, 1])}
    return found


def one_by_one(known, member, asked, updates):
    """The classifier of one record as a module with PyTorch's optimiser, as the public code trains it."""
    net = nn.Sequential(nn.Linear(known.shape[1], 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 2))
    optimiser = torch.optim.Adam(net.parameters(), lr=0.005, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, 56, 0.9)
    done = 0
    while done < updates:
        for rows in torch.randperm(len(known)).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(known[rows]), member[rows]).backward()
            optimiser.step()
            schedule.step()
            done += 1
    with torch.inference_mode():
        return torch.softmax(net.eval()(asked), 1)[:, 1].mean(dim=0)


def speed(prepared, records=100):
    """All classifiers of a fold as one program, beside one after the other for each record and target."""
    design, attack = prepared.case.design, TMI()
    signals = {one: prepared.case.jobs.answers().load().signals[one] for one in attack.signals}
    own = np.arange(2)
    game = design.before(own, np.arange(2, len(design.member)), signals)
    torch.set_num_threads(1)
    start = time.perf_counter()
    fast = attack.run(game, np.random.default_rng(0)).values
    seconds = time.perf_counter() - start
    (name,) = attack.signals
    known, asked = attack._rows(game.shadow_outputs[name]), attack._rows(game.outputs[name][:1])
    bits = torch.from_numpy(np.repeat(game.shadow_in.T, game.outputs[name].shape[1], axis=1)).long()
    start = time.perf_counter()
    slow = [float(one_by_one(known[i], bits[i], asked[i], attack.updates)) for i in range(records)]
    each = (time.perf_counter() - start) / records
    member, targets = design.member[0, :records], len(design.member)
    whole = {"batched": seconds * targets / 2, "one by one": each * len(game.ids) * targets}
    aucs = [auc(np.array(one)[None], member[None]) for one in (fast[0, :records], slow)]
    figures = {
        "records": len(game.ids), "targets": targets, "seconds": whole["batched"], "peer_seconds": whole["one by one"],
        "timed": f"one pair of targets; {records} classifiers of one target, one by one",
        "ratio": whole["one by one"] / whole["batched"], "auc": aucs, "auc_difference": abs(aucs[0] - aucs[1]),
    }  # fmt: skip
    return case(figures, {"ratio": (">=", 30)})


def main():
    """Both tasks, the curves, and the speed of the classifiers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path, help="a file that the data set cifar10 reads")
    parser.add_argument("--chains", type=int, default=34)
    parser.add_argument("--store", type=Path, help="where models are kept; else nothing is")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "tmi_cifar10.json")
    asked = parser.parse_args()
    place = asked.pictures.resolve()
    found = {"machine": hardware(), "chains": asked.chains, "pool": POOL, "candidates": CANDIDATES, "tasks": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = asked.store or folder / "store"
        start = time.perf_counter()
        for task, words in TASKS.items():
            settings = parse(audit(place, task, asked.chains, folder), base=folder)
            began = time.perf_counter()
            verbs.run(settings, folder / task, store=store)
            result = json.loads((folder / task / "result.json").read_text(encoding="utf-8"))
            seconds = json.loads((folder / task / "provenance.json").read_text(encoding="utf-8"))["seconds"]
            told = {"task": words, "seconds": {**seconds, "whole": time.perf_counter() - began}, **rows_of(result)}
            reached = {metric: told["attacks"]["tmi"][metric][0] for metric in BARS[task]}
            told["tmi"] = case(reached, {metric: (">=", bar) for metric, bar in BARS[task].items()})
            found["tasks"][task] = told
            print(json.dumps({task: told}, indent=1), flush=True)
        found["seconds"] = time.perf_counter() - start
        for task in TASKS:
            prepared = prepare(parse(audit(place, task, asked.chains, folder), base=folder), store=Store(store))
            most = asked.chains - 2
            found["tasks"][task]["few"] = {str(k): few(prepared, k) for k in (8, 16, most)}
            if task == "a":
                found["classifiers"] = speed(prepared)
        heads = sum(v for one in found["tasks"].values() for k, v in one["seconds"].items() if "finetune" in k)
        found["heads_of_pretraining"] = heads / found["tasks"]["a"]["seconds"]["models"]
    asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
