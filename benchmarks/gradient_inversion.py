"""Records made again from one gradient of digits: a dense first layer, smooth and ReLU convolutions, heads alone.

`python benchmarks/gradient_inversion.py [STEP ...]` writes `results/gradient_inversion.json` after each step and leaves
out those that are there; `--again` measures them anew. `python benchmarks/gradient_inversion.py table` fills the tables
of the pages from the file. No step takes ten minutes on one slow core.
"""

from __future__ import annotations

import json
import re
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from machine import hardware
from page_tables import fill
from torch import nn

from dosimeter.data import load
from dosimeter.families.exchange.inverting.dense import dense_records, first_records
from dosimeter.families.exchange.inverting.features import head_features
from dosimeter.families.exchange.inverting.imprint import imprint_block, imprinted_records, isolated_share
from dosimeter.families.exchange.inverting.labels import inferred_labels, label_counts
from dosimeter.families.exchange.inverting.matching import Newton, Signs, dlg, idlg, inverting_gradients
from dosimeter.families.exchange.inverting.observed import Observed
from dosimeter.statistics.intervals.crossed import clopper_pearson
from dosimeter.statistics.leakage.matched import matched, mean_baseline
from dosimeter.training.joint.gradients import batch_gradients

PATH = Path(__file__).parent / "results" / "gradient_inversion.json"
DOCS = Path(__file__).parents[1] / "docs"
PAGES = {
    DOCS / "gradient-inversion.md": ("dense", "searches", "labels", "heads", "imprint"),
    DOCS / "design" / "0015-exchange.md": ("speed",),
}
"""Pages with the tables that each has."""
SEEDS, MANY = 6, 20
GOOD = 25.0
"""dB from which a batch counts as made again, the mean over its records."""
BOX, CLASSES = (0.0, 1.0), 10
SIDE = 16


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """mnist-5k in [0, 1], 28 pixels a side."""
    whole = load("mnist-5k")
    return torch.from_numpy(whole.inputs).float() / 255, torch.from_numpy(whole.labels)


def small() -> tuple[torch.Tensor, torch.Tensor]:
    """Their middle 24 pixels as 16 x 16."""
    pictures, labels = digits()
    inner = pictures[:, :, 2:26, 2:26]
    return nn.functional.interpolate(inner, (SIDE, SIDE), mode="bilinear", antialias=True), labels


def sigmoid_net(seed: int, *, spread: float | None = 0.5) -> tuple[nn.Sequential, nn.Linear]:
    """Three smooth convolutions of 12 channels, and a head; parameters are uniform in the spread, or PyTorch's own."""
    torch.manual_seed(seed)
    trunk = nn.Sequential(
        nn.Conv2d(1, 12, 5, 2, 2), nn.Sigmoid(), nn.Conv2d(12, 12, 5, 2, 2), nn.Sigmoid(),
        nn.Conv2d(12, 12, 5, 1, 2), nn.Sigmoid(), nn.Flatten(),
    )  # fmt: skip
    head = nn.Linear(192, CLASSES)
    if spread is not None:
        for parameter in (*trunk.parameters(), *head.parameters()):
            nn.init.uniform_(parameter, -spread, spread)
    return trunk, head


def default_net(seed: int) -> tuple[nn.Sequential, nn.Linear]:
    """The same net with the parameters that PyTorch draws."""
    return sigmoid_net(seed, spread=None)


def relu_net(seed: int) -> tuple[nn.Sequential, nn.Linear]:
    """Three convolutions of 16 channels with ReLUs, and a head, with the parameters that PyTorch draws."""
    torch.manual_seed(seed)
    trunk = nn.Sequential(
        nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, 2, 1), nn.ReLU(),
        nn.Conv2d(16, 16, 3, 1, 1), nn.ReLU(), nn.Flatten(),
    )  # fmt: skip
    return trunk, nn.Linear(256, CLASSES)


def drawn(pictures: torch.Tensor, labels: torch.Tensor, seed: int, size: int) -> tuple[torch.Tensor, ...]:
    """A batch, and 1,000 other pictures that the adversary has."""
    order = torch.from_numpy(np.random.default_rng([seed, size]).permutation(len(pictures)))
    return pictures[order[:size]], labels[order[:size]], pictures[order[size : size + 1000]]


def gradients(trunk: nn.Module, head: nn.Module, records: torch.Tensor, labels: torch.Tensor) -> tuple[dict, dict]:
    """Of the trunk, and of the head."""
    loss = nn.functional.cross_entropy(head(trunk(records)), labels)
    made = torch.autograd.grad(loss, [*trunk.parameters(), *head.parameters()])
    names = [name for name, _ in trunk.named_parameters()]
    return dict(zip(names, made, strict=False)), dict(zip(("weight", "bias"), made[len(names) :], strict=True))


def recall(counts: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of a batch whose class is counted."""
    return float(torch.minimum(counts, torch.bincount(labels, minlength=CLASSES)).sum() / len(labels))


def altered(gradient: torch.Tensor, how: str, rng: np.random.Generator) -> torch.Tensor:
    """A gradient with noise of a hundredth of its largest entry, with its largest hundredth alone, or its signs."""
    if how == "noise":
        noise = torch.from_numpy(rng.standard_normal(gradient.shape, dtype=np.float32))
        return gradient + 0.01 * gradient.abs().max() * noise
    if how == "prune":
        return torch.where(gradient.abs() >= gradient.abs().flatten().quantile(0.99), gradient, 0.0)
    return gradient.sign() if how == "sign" else gradient


def dense() -> dict:
    """R7: a perceptron 784-256-10 by size of batch, and what becomes of one record where the gradient is altered."""
    pictures, labels = digits()
    pictures, found = pictures.flatten(1), {}
    for size, how in [*((size, "none") for size in (1, 2, 4, 8, 16, 32)), (1, "noise"), (1, "prune"), (1, "sign")]:
        rows: dict[str, list[float]] = {name: [] for name in ("listed", "chosen", "psnr", "mean", "equal", "noise")}
        for seed in range(MANY):
            rng = np.random.default_rng([seed, size, 1])
            torch.manual_seed(seed)
            trunk, head = nn.Sequential(nn.Linear(784, 256), nn.ReLU()), nn.Linear(256, CLASSES)
            records, own, known = drawn(pictures, labels, seed, size)
            gradient, last = gradients(trunk, head, records, own)
            gradient, last = ({k: altered(v, how, rng) for k, v in one.items()} for one in (gradient, last))
            shown = dense_records(gradient["0.weight"], gradient["0.bias"], BOX)
            made = matched(first_records(shown, size, BOX).numpy(), records.numpy())
            rows["listed"].append(matched(shown.records.clamp(*BOX).numpy(), records.numpy()).recovered)
            rows["chosen"].append(made.recovered)
            rows["psnr"].append(float(np.maximum(made.psnr, 0).mean()))
            rows["mean"].append(float(mean_baseline(known.numpy(), records.numpy()).psnr.mean()))
            whole = Observed(trunk, head, gradient, last, size, (784,), CLASSES, BOX)
            rows["equal"].append(recall(label_counts(last["bias"], size), own))
            counted = torch.bincount(inferred_labels(whole, rng), minlength=CLASSES)
            rows["noise"].append(recall(counted, own))
        found[f"{size} {how}"] = rows
    return found


def searched(net, attacks: dict, size: int) -> dict:
    """Attacks on a net by size of batch: PSNR of each seed, the mean picture, whether all classes were inferred."""
    pictures, labels = small()
    found: dict[str, list] = {name: [] for name in (*attacks, "mean", "labels")}
    for seed in range(SEEDS):
        trunk, head = net(seed)
        records, own, known = drawn(pictures, labels, seed, size)
        gradient, last = gradients(trunk, head, records, own)
        seen = Observed(trunk, head, gradient, last, size, (1, SIDE, SIDE), CLASSES, BOX)
        for place, (name, attack) in enumerate(attacks.items()):
            made = attack(seen, np.random.default_rng([seed, size, place]), own)
            found[name].append(float(matched(made.records.numpy(), records.numpy()).psnr.mean()))
        found["mean"].append(float(mean_baseline(known.numpy(), records.numpy()).psnr.mean()))
        counted = torch.bincount(inferred_labels(seen, np.random.default_rng(seed)), minlength=CLASSES)
        found["labels"].append(recall(counted, own))
    return found


def without_head(seen: Observed, rng: np.random.Generator, own: torch.Tensor):
    """What is left where the head stays with its owner."""
    return dlg(Observed(seen.trunk, None, seen.gradient, {}, seen.size, seen.shape, seen.classes, seen.box), rng, SMALL)


SMALL = Newton(attempts=2)
FREE, SMOOTHED = Signs(variation=0.0), Signs(variation=1e-3)
SMOOTH = {
    "dlg": lambda seen, rng, own: dlg(seen, rng, SMALL),
    "idlg": lambda seen, rng, own: idlg(seen, rng, search=SMALL),
    "idlg, true labels": lambda seen, rng, own: idlg(seen, rng, own, SMALL),
    "inverting_gradients": lambda seen, rng, own: inverting_gradients(seen, rng),
}
ROUGH = {
    "dlg": SMOOTH["dlg"],
    "idlg": SMOOTH["idlg"],
    "inverting_gradients": lambda seen, rng, own: inverting_gradients(seen, rng, search=FREE),
    "inverting_gradients, TV 0.001": lambda seen, rng, own: inverting_gradients(seen, rng, search=SMOOTHED),
}
PLAIN = {name: SMOOTH[name] for name in ("idlg", "inverting_gradients")}
PRIVATE = {"dlg, head unknown": without_head}


def heads() -> dict:
    """Features of a batch from the gradient of a dense head of 10 classes alone; errors in shares of their variance."""
    pictures, labels = small()
    found = {}
    for size in (1, 2, 4, 8, 16):
        rows: dict[str, list[float]] = {"found": [], "error": [], "mean": []}
        for seed in range(SEEDS):
            trunk, head = relu_net(seed)
            records, own, known = drawn(pictures, labels, seed, size)
            with torch.no_grad():
                true, others = trunk(records), trunk(known)
            loss = nn.functional.cross_entropy(head(true), own)
            made = dict(zip(("weight", "bias"), torch.autograd.grad(loss, [head.weight, head.bias]), strict=True))
            seen = Observed(trunk, head, {}, made, size, (1, SIDE, SIDE), CLASSES)
            features = head_features(seen, np.random.default_rng(seed), search=Newton(5, 20, 1)).records
            spread = float(others.var(0).mean())
            error = matched(features.numpy(), true.numpy()).error / spread
            rows["found"].append(float((error < 0.01).mean()))
            rows["error"].append(float(error.mean()))
            rows["mean"].append(float(mean_baseline(others.numpy(), true.numpy()).error.mean() / spread))
        found[str(size)] = rows
    return found


def labels() -> dict:
    """Classes of a batch from the gradient of the last bias: whether all are right, by what is expected of a model."""
    pictures, known = small()
    found: dict[str, dict[str, list[float]]] = {}
    for name, net in (("smooth", sigmoid_net), ("relu", relu_net), ("default", default_net)):
        for size in (1, 2, 4, 8, 16):
            rows = found.setdefault(f"{name} {size}", {"equal": [], "noise": []})
            for seed in range(MANY):
                trunk, head = net(seed)
                records, own, _ = drawn(pictures, known, seed, size)
                seen = Observed(trunk, head, *gradients(trunk, head, records, own), size, (1, SIDE, SIDE), CLASSES, BOX)
                equal = torch.full((CLASSES,), 1 / CLASSES)
                for how, usual in (("equal", equal), ("noise", None)):
                    counted = inferred_labels(seen, np.random.default_rng(seed), usual)
                    rows[how].append(float(counted.tolist() == sorted(own.tolist())))
    return found


def imprint() -> dict:
    """R8: records that a malicious first layer isolates, by bins and size of batch."""
    pictures, known = digits()
    pictures, found = pictures.flatten(1), {}
    for bins, size in ((16, 8), (16, 64), (64, 32), (256, 64)):
        shares = []
        for seed in range(5 * MANY):
            records, own, others = drawn(pictures, known, seed, size)
            torch.manual_seed(seed)
            block, head = imprint_block(others, bins, 32), nn.Linear(32, CLASSES)
            loss = nn.functional.cross_entropy(head(block(records)), own)
            made = imprinted_records(*torch.autograd.grad(loss, [block[0].weight, block[0].bias]))
            shares.append(matched(made.clamp(*BOX).numpy(), records.numpy()).recovered)
        found[f"{bins}, {size}"] = {"shares": shares, "expected": isolated_share(bins, size)}
    return found


def one_by_one(trunk: nn.Module, head: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> None:
    """A backward pass for each batch."""
    for batch, classes in zip(inputs, labels, strict=True):
        gradients(trunk, head, batch, classes)


class GoesThrough(nn.Module):
    """Changes nothing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same."""
        return x


def speed() -> dict:
    """Gradients of simulated batches: how much faster than one backward pass for each, the median of five tries."""
    found = {}
    for sizes in ((81, 32), (784, 64), (784, 256, 64)):
        for size in (8, 32):
            torch.manual_seed(0)
            layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
            trunk, head, m = nn.Sequential(*layers), nn.Linear(sizes[-1], 2), 400 if sizes[0] < 100 else 100
            odd = nn.Sequential(*trunk, GoesThrough())  # no perceptron, so it is differentiated by vmap
            inputs, labels = torch.randn(m, size, sizes[0]), torch.randint(2, (m, size))
            own = {name: one.detach() for name, one in trunk.named_parameters()}
            arrays = {name: torch.zeros(m, *one.shape) for name, one in own.items()}
            calls = {
                "vmap": lambda odd=odd, rest=(head, own, inputs, labels): batch_gradients(odd, *rest),
                "new": lambda rest=(trunk, head, own, inputs, labels): batch_gradients(*rest),
                "given": lambda rest=(trunk, head, own, inputs, labels, arrays): batch_gradients(*rest),
            }
            plain = taken(lambda rest=(trunk, head, inputs, labels): one_by_one(*rest))
            name = f"{'-'.join(map(str, sizes))}, {size}"
            found[name] = {kind: plain / taken(call) for kind, call in calls.items()}
    return found


def taken(call) -> float:
    """Seconds of the processor, the median of five tries after one that does not count."""
    seconds = []
    for _ in range(6):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return float(np.median(seconds[1:]))


STEPS = {
    "dense": dense,
    "heads": heads,
    "labels": labels,
    "imprint": imprint,
    "speed": speed,
    **{f"smooth {size}": lambda size=size: searched(sigmoid_net, SMOOTH, size) for size in (1, 2, 4)},
    **{f"relu {size}": lambda size=size: searched(relu_net, ROUGH, size) for size in (1, 2, 4)},
    "default 1": lambda: searched(default_net, PLAIN, 1),
    **{f"private {size}": lambda size=size: searched(sigmoid_net, PRIVATE, size) for size in (1, 2)},
}


def success(values: list[float]) -> str:
    """How many batches came back, of how many, with the interval of the share."""
    good = sum(value > GOOD for value in values)
    low, high = clopper_pearson(good, len(values))
    return f"{good} of {len(values)} ({low:.2f} to {high:.2f})"


def row(*cells: str) -> str:
    """A row of a table."""
    return f"| {' | '.join(cells)} |"


def in_order(one: dict) -> list[tuple[str, dict]]:
    """Parts of a step by the first number in their names, which a file of JSON does not keep."""
    return sorted(one.items(), key=lambda part: [int(number) for number in re.findall(r"\d+", part[0])])


def of_dense(one: dict) -> list[str]:
    """By size of batch, then altered gradients."""
    rows, last = [], []
    for name, found in in_order(one):
        size, _, how = name.partition(" ")
        told = {"none": f"{size}", "noise": "1, noise", "prune": "1, largest 1 %", "sign": "1, signs alone"}[how]
        means = (f"{np.mean(found[key]):.2f}" for key in ("listed", "chosen"))
        ends = f"{np.median(found['psnr']):.1f}", f"{np.median(found['mean']):.1f}"
        (rows if how == "none" else last).append(row(told, *means, *ends))
    return rows + last


def of_labels(one: dict) -> list[str]:
    """Each net and size of batch."""
    rows = []
    for kind in ("smooth", "relu", "default"):
        for name, found in in_order({name: own for name, own in one.items() if name.startswith(kind)}):
            cells = (f"{sum(found[how]):.0f} of {len(found[how])}" for how in ("equal", "noise"))
            rows.append(row(NETS[kind], name.partition(" ")[2], *cells))
    return rows


NETS = {
    "smooth": "sigmoid, parameters in ±0.5",
    "relu": "ReLU, default parameters",
    "default": "sigmoid, default parameters",
    "private": "sigmoid, ±0.5, only the trunk's gradient",
}


def of_searches(content: dict) -> list[str]:
    """Each net and size of batch, each attack."""
    rows = []
    for step, found in content.items():
        kind, _, size = step.partition(" ")
        if kind not in NETS:
            continue
        for attack, values in found.items():
            if attack in ("mean", "labels"):
                continue
            ends = f"{np.median(values):.1f}", f"{min(values):.1f} to {max(values):.1f}"
            rows.append(row(NETS[kind], size, f"`{attack}`", *ends, success(values), f"{np.median(found['mean']):.1f}"))
    return rows


def of_heads(one: dict) -> list[str]:
    """By size of batch."""
    cells = {
        size: (f"{np.mean(own['found']):.2f}", f"{np.median(own['error']):.3f}", f"{np.median(own['mean']):.2f}")
        for size, own in in_order(one)
    }
    return [row(size, *own) for size, own in cells.items()]


def lines(content: dict) -> dict[str, list[str]]:
    """Rows of the tables of the page, by table."""
    steps = {name: content[name] for name in STEPS if name in content}
    ratios = [
        row(name, *(f"{one[kind]:.1f}" for kind in ("vmap", "new", "given")))
        for name, one in in_order(content["speed"])
    ]
    own = {"dense": of_dense(content["dense"]), "searches": of_searches(steps), "heads": of_heads(content["heads"])}
    own["labels"] = of_labels(content["labels"])
    own["imprint"] = [
        row(*name.split(", "), f"{np.mean(one['shares']):.2f}", f"{one['expected']:.2f}")
        for name, one in in_order(content["imprint"])
    ]
    return {**own, "speed": ratios}


def filled(page: str, content: dict, names: tuple[str, ...]) -> str:
    """A page with its tables as the figures have them."""
    made = lines(content)
    return fill(page, {name: made[name] for name in names})


def rounded(found):
    """Figures with four digits after the point."""
    if isinstance(found, dict):
        return {name: rounded(one) for name, one in found.items()}
    return [rounded(one) for one in found] if isinstance(found, list) else round(found, 4)


def main(words: list[str]) -> None:
    """Measures the steps that are named, or all."""
    content = json.loads(PATH.read_text("utf-8")) if PATH.exists() else {}
    if words == ["table"]:
        for path, names in PAGES.items():
            path.write_text(filled(path.read_text("utf-8"), content, names), encoding="utf-8")
        return
    torch.set_num_threads(1)
    again = "--again" in words
    for name in [word for word in words if word != "--again"] or list(STEPS):
        if name in content and not again:
            continue
        started = time.time()
        content[name] = rounded(STEPS[name]())
        print(f"{name}: {time.time() - started:.0f} s", flush=True)
        content["hardware"] = hardware()
        PATH.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
