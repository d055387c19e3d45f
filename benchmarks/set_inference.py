"""Questions on whole sets: of which share of women did a model learn, and on which people was an encoder trained?

`python benchmarks/set_inference.py [STEP ...]` writes `results/set_inference.json` after each step and leaves out those
that are there; `--again` measures them anew. The steps of shares need `census-kdd`, those of people `orl-faces`; what
is not installed is left out with a line that says so. `table` fills the tables of `docs/set-inference.md`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from machine import hardware
from page_tables import fill
from sklearn.metrics import roc_auc_score
from torch import nn

from dosimeter.data import Options, load
from dosimeter.families.exchange.inferring.distributions import (
    Own,
    kl_test,
    logits_test,
    loss_test,
    mean_prediction,
    threshold_test,
)
from dosimeter.families.exchange.inferring.tasks import fit_whitening, task_scores
from dosimeter.foundation.errors import DataError
from dosimeter.training.loop import seed_torch

PATH = Path(__file__).parent / "results" / "set_inference.json"
PAGE = Path(__file__).parents[1] / "docs" / "set-inference.md"
COLUMNS = (
    "age", "class_of_worker", "education", "wage_per_hour", "marital_status", "major_industry", "major_occupation",
    "race", "hispanic_origin", "union_member", "employment", "capital_gains", "capital_losses", "dividends",
    "tax_filer", "household_summary", "employer_persons", "citizenship", "own_business", "year",
)  # fmt: skip
"""Features of the census; sex, household detail and weeks worked are none."""
SEEDS, MODELS, ROWS, BASE, PROBES = 3, 20, 1500, 3000, 400
"""Seeds; models of each world and side; records of a model, of the checkpoint, and to probe with of each world."""
WIDTHS = (32, 16, 8)
PEOPLE = 20
"""Persons of 40 on whom an encoder is trained; 12 others are asked about, and 8 whiten."""
TESTS = {
    "loss": loss_test, "threshold": threshold_test, "mean prediction": mean_prediction,
    "KL, cut at 0": lambda asked, own: kl_test(asked, own, calibrated=False), "KL, fitted cut": kl_test,
    "logits": logits_test,
}  # fmt: skip


def census(task: str) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """Adults: features without sex, labels, and who is a woman."""
    whole = load("census-kdd", rows="0:60000", options=Options(attributes=("sex",)))
    columns = list(whole.columns or ())
    adults = np.flatnonzero(whole.inputs[:, columns.index("age")] >= 0.16)
    keep = [index for index, name in enumerate(columns) if name.partition("=")[0].partition(":")[0] in COLUMNS]
    worked = whole.inputs[adults, columns.index("weeks_worked")] > 0.5
    labels = whole.labels[adults] if task == "income" else worked.astype(np.int64)
    inputs = torch.from_numpy(whole.inputs[np.ix_(adults, keep)].astype(np.float32))
    return inputs, labels, whole.attributes["sex"][adults] == "Female"


def fresh(models: int, features: int) -> list[torch.Tensor]:
    """Weights and biases of many perceptrons, each with draws of its own."""
    sizes, made = (features, *WIDTHS, 2), []
    for a, b in zip(sizes, sizes[1:], strict=False):
        made += [(torch.rand(models, a, b) * 2 - 1) / a**0.5, torch.zeros(models, 1, b)]
    return made


def outputs(parameters: list[torch.Tensor], inputs: torch.Tensor) -> torch.Tensor:
    """Logits of many perceptrons for records of each `[m n p]`, or for the same ones `[n p]`."""
    found = inputs if inputs.ndim == 3 else inputs.expand(len(parameters[0]), *inputs.shape)
    for place in range(0, len(parameters), 2):
        found = torch.baddbmm(parameters[place + 1], found, parameters[place])
        found = found.relu() if place + 2 < len(parameters) else found
    return found


def trained(
    parameters: list[torch.Tensor], inputs: torch.Tensor, labels: torch.Tensor, rows: np.ndarray, epochs: int, seed: int
) -> list[torch.Tensor]:
    """Many perceptrons trained at once by Adam, each on rows of its own."""
    rng = np.random.default_rng([seed, 5])
    own = [one.clone().requires_grad_(True) for one in parameters]
    optimiser = torch.optim.Adam(own, lr=0.01)
    for _ in range(epochs):
        order = torch.from_numpy(rng.permuted(rows, axis=1))
        for some in order.split(64, dim=1):
            logits = outputs(own, inputs[some])
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels[some].flatten(), reduction="sum")
            optimiser.zero_grad()
            (loss / some.shape[1]).backward()
            optimiser.step()
    return [one.detach() for one in own]


def drawn(rng: np.random.Generator, pool: np.ndarray, woman: np.ndarray, share: float, count: int) -> np.ndarray:
    """Rows of a pool with a share of women."""
    women, men = pool[woman[pool]], pool[~woman[pool]]
    first = round(share * count)
    return np.concatenate([rng.choice(women, first, False), rng.choice(men, count - first, False)])


def shares(task: str, share: float, *, shared: bool = True) -> dict:
    """R10: worlds of half women and of another share; how often each test says the right one, by seed."""
    inputs, labels, woman = census(task)
    told, found = torch.from_numpy(labels), {name: [] for name in (*TESTS, "accuracy")}
    for seed in range(SEEDS):
        rng = np.random.default_rng([seed, 11])
        torch.manual_seed(seed)
        base, *pools = np.split(rng.permutation(len(labels)), [BASE, BASE + (len(labels) - BASE) // 2])
        start = fresh(1, inputs.shape[1])
        if shared:
            start = trained(start, inputs, told, base[None], 15, seed)
        world = np.repeat([0, 1], MODELS)
        probe = [drawn(rng, pools[1], woman, one, PROBES) for one in (0.5, share)]
        left = np.setdiff1d(pools[1], np.concatenate(probe))
        predicted = []
        for pool in (pools[0], left):
            rows = np.stack([drawn(rng, pool, woman, (0.5, share)[one], ROWS) for one in world])
            begun = [one.expand(len(rows), *one.shape[1:]) for one in start]
            if not shared:
                begun = fresh(len(rows), inputs.shape[1])
            models = trained(begun, inputs, told, rows, 15 if shared else 30, seed)
            predicted.append(outputs(models, inputs[np.concatenate(probe)]).softmax(2).double().numpy())
        drawn_from = np.repeat([0, 1], PROBES)
        own = Own(predicted[1], world, labels[np.concatenate(probe)], drawn_from)
        for name, test in TESTS.items():
            found[name].append(test(predicted[0], own).right(world))
        found["accuracy"].append(float((predicted[0].argmax(2) == own.labels).mean()))
    return found


def encoder() -> nn.Sequential:
    """Three convolutions and a dense layer to 64 numbers."""
    blocks: list[nn.Module] = []
    for a, b in ((1, 16), (16, 32), (32, 32)):
        blocks += [nn.Conv2d(a, b, 3, 2, 1), nn.ReLU()]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(32 * 4 * 3, 64))


def people() -> dict:
    """R13: an encoder with a head of its own for each of 20 persons; AUC by the records asked about, and untrained."""
    whole = load("orl-faces")
    photos = torch.from_numpy(whole.inputs).float() / 255
    photos = nn.functional.interpolate(photos, (28, 23), mode="area").reshape(40, 10, 1, 28, 23)
    photos = photos - photos.mean()
    found: dict[str, list[float]] = {"kept": [], "accuracy": []}
    for seed in range(5):
        order = np.random.default_rng([seed, 13]).permutation(40)
        own, others, pool = np.split(order, [PEOPLE, PEOPLE + 12])
        with seed_torch(seed):
            net, head = encoder(), nn.Linear(64, PEOPLE)
            untrained = {name: one.clone() for name, one in net.state_dict().items()}
            records, persons = photos[own, :5].flatten(0, 1), torch.arange(PEOPLE).repeat_interleave(5)
            truth = nn.functional.one_hot(persons, PEOPLE).float()
            optimiser = torch.optim.Adam([*net.parameters(), *head.parameters()], lr=2e-3)
            for _ in range(250):
                some = torch.randint(len(records), (50,))
                loss = nn.functional.binary_cross_entropy_with_logits(head(net(records[some])), truth[some])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        with torch.no_grad():
            found["accuracy"].append(float((head(net(records)).argmax(1) == persons).float().mean()))
            for state, name in ((net.state_dict(), "trained"), (untrained, "untrained")):
                net.load_state_dict({key: one.clone() for key, one in state.items()})
                seen = {part: _embedded(net, photos[rows]) for part, rows in
                        (("own", own), ("others", others), ("pool", pool))}  # fmt: skip
                whitening = fit_whitening(seen["pool"].reshape(-1, 64))
                if name == "trained":
                    found["kept"].append(float(whitening.kept))
                for kind, photo in (("strong", slice(0, 4)), ("weak", slice(5, 9))):
                    inside, outside = (task_scores(seen[part][:, photo], whitening) for part in ("own", "others"))
                    for statistic in ("inner", "compact"):
                        values = [getattr(one, statistic) for one in (inside, outside)]
                        bits = np.repeat([1, 0], [len(one) for one in values])
                        key = f"{name} {kind} {statistic}"
                        found.setdefault(key, []).append(float(roc_auc_score(bits, np.concatenate(values))))
    return found


def _embedded(net: nn.Module, photos: torch.Tensor) -> np.ndarray:
    """Embeddings of the photos of each person."""
    return net(photos.flatten(0, 1)).double().numpy().reshape(len(photos), 10, -1)


STEPS = {
    "people": people,
    **{
        f"{task} {share}": lambda task=task, share=share: shares(task, share)
        for task in ("income", "weeks") for share in (0.2, 0.35, 0.8)
    },
    "income 0.8 fresh": lambda: shares("income", 0.8, shared=False),
}  # fmt: skip


def spread(values: list[float]) -> str:
    """Mean and sample standard deviation over seeds."""
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"


def row(*cells: str) -> str:
    """A row of a table."""
    return f"| {' | '.join(cells)} |"


def lines(content: dict) -> dict[str, list[str]]:
    """Rows of the tables of the page, by table."""
    found = [(name, content[name]) for name in STEPS if name in content and name != "people"]
    ratios = [
        row(name.replace(" fresh", ", no shared checkpoint"), *(spread(one[test]) for test in (*TESTS, "accuracy")))
        for name, one in found
    ]
    own, tasks = content["people"], []
    for kind in ("strong", "weak"):
        for statistic in ("inner", "compact"):
            ends = (spread(own[f"{state} {kind} {statistic}"]) for state in ("trained", "untrained"))
            tasks.append(row(kind, f"`{statistic}`", *ends))
    return {"shares": ratios, "people": tasks}


def filled(page: str, content: dict) -> str:
    """The page with every table as the figures have it."""
    return fill(page, lines(content))


def main(words: list[str]) -> None:
    """Measures the steps that are named, or all."""
    content = json.loads(PATH.read_text("utf-8")) if PATH.exists() else {}
    if words == ["table"]:
        PAGE.write_text(filled(PAGE.read_text("utf-8"), content), encoding="utf-8")
        return
    torch.set_num_threads(1)
    again = "--again" in words
    for name in [word for word in words if word != "--again"] or list(STEPS):
        if name in content and not again:
            continue
        started = time.time()
        try:
            made = STEPS[name]()
        except DataError as error:
            print(f"{name}: left out, {error}", flush=True)
            continue
        content[name] = {key: [round(one, 4) for one in values] for key, values in made.items()}
        print(f"{name}: {time.time() - started:.0f} s", flush=True)
        content["hardware"] = hardware()
        PATH.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
