"""What crosses between two organisations, by way of transfer: one audit file, one report, one table.

`python benchmarks/joint_transfer.py [STEP ...]` writes `results/joint_transfer.json` after each step and leaves out
those that are there; `--again` measures them anew. `--quick` runs the first step alone, which took under six minutes on
one core. `python benchmarks/joint_transfer.py table` fills the tables of the page from the file. Every step is one
audit through the public door.

The source has digits of MNIST, the receiver those of UCI, from other scanners and other writers. A record of the
source's is private, and so is the pen by which a batch of its digits was drawn.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import hardware
from page_tables import fill
from torch import nn

from dosimeter.config.audit import parse
from dosimeter.data import Dataset, Options, load
from dosimeter.pipeline import verbs
from dosimeter.results.page import plots

PATH = Path(__file__).parent / "results" / "joint_transfer.json"
PAGE = Path(__file__).parents[1] / "docs" / "exchange.md"
PICTURE = PAGE.parent / "img" / "sweeps.svg"
COLOURS = {
    "ink-2": "#566474", "ink": "#16202c", "grid": "#e6e9ee", "series-1": "#0067ad", "series-2": "#c04f00",
    "series-3": "#00785a", "series-0": "#7b8794",
}  # fmt: skip
"""Colours of the report on paper."""
SEEDS = (0, 1, 2)
SIDE = 8
"""Pixels of a side, as digits of UCI have them."""


def with_pens(whole: Dataset, inputs: np.ndarray) -> Dataset:
    """Digits in random order; private is whether one was drawn with more ink than half of its kind."""
    ink, heavy = inputs.sum((1, 2, 3)), np.zeros(len(whole), bool)
    for kind in range(len(whole.classes)):
        heavy |= (whole.labels == kind) & (ink > np.median(ink[whole.labels == kind]))
    order = np.random.default_rng(0).permutation(len(whole))  # writers stand one after another
    return replace(whole, inputs=inputs, attributes={"pen": np.where(heavy, "heavy", "light")}).take(order)


def of_source(seed: int) -> Dataset:
    """MNIST without its margin, at 8 x 8 pixels between 0 and 1."""
    whole = load("mnist-5k")
    inner = torch.from_numpy(whole.inputs).float()[..., 4:-4, 4:-4] / 255
    return with_pens(whole, torch.nn.functional.adaptive_avg_pool2d(inner, SIDE).numpy())


def of_receiver(seed: int) -> Dataset:
    """Digits of UCI, 8 x 8 pixels."""
    whole = load("digits")
    return with_pens(whole, whole.inputs.astype(np.float32))


def parts() -> dict[str, Any]:
    """The records of both, by name."""
    source, receiver = "joint_transfer:of_source", "joint_transfer:of_receiver"
    return {
        "source": {"data": source, "rows": "0:600"},
        "receiver": {"data": receiver, "rows": "0:40"},  # few, with labels
        "scans": {"data": receiver, "rows": "0:400"},  # many, whose labels nobody reads
        "known": {"data": source, "rows": "600:1200"},
        "known-scans": {"data": receiver, "rows": "400:800"},
        "unseen": {"data": receiver, "rows": "800:1797"},
    }


def stages() -> list[dict[str, Any]]:
    """Three ways: a model is handed over, features are made alike, or parameters are shared."""
    net, pair = {"model": "mlp", "options": {"width": 64}}, {"source": "source", "receiver": "receiver"}
    return [
        {"name": "handed-over", "data": "source", **net, "epochs": 30, "lr": 0.05},
        {
            "name": "finetuned", "data": "receiver", "transfer": "full", "test": "unseen",
            "epochs": 30, "batch_size": 8, "lr": 0.02,
        },
        {
            "name": "mapping", **net, "transfer": "mmd", "parties": {"source": "source", "receiver": "scans"},
            "alignment": 1.0, "test": "unseen", "lr": 0.05,
        },
        {
            "name": "parameters", **net, "transfer": "hard", "parties": pair, "test": "unseen", "batch_size": 16,
            "lr": 0.1, "momentum": 0.0,
        },
    ]  # fmt: skip


PEN = {"family": "exchange", "property": "pen", "value": "heavy", "steps": 200}
FORWARD = {"victim": "source", "adversary": "receiver", "auxiliary": "known"}
BACK = {"victim": "receiver", "adversary": "source", "auxiliary": "known-scans"}
THREATS: list[dict[str, Any]] = [
    {"id": "model-source", "at_risk": "handed-over", "shadows": 16, "targets": 8},
    {"id": "model-receiver", "at_risk": "finetuned", "shadows": 16, "targets": 8},
    {"id": "mapping-source", "at_risk": "mapping", **PEN, **FORWARD},
    {"id": "mapping-source-active", "at_risk": "mapping", **PEN, **FORWARD, "active": True},
    {"id": "mapping-receiver", "at_risk": "mapping", **PEN, **BACK},
    {"id": "parameters-source", "at_risk": "parameters", **PEN, **FORWARD},
    {"id": "parameters-source-active", "at_risk": "parameters", **PEN, **FORWARD, "active": True},
]
SHOWN, MOVED = (["mapping-source", "mapping-source-active"], ["parameters-source", "parameters-source-active"])
ATTACKS: list[dict[str, Any]] = [
    {"name": "direct", "threats": ["model-source"]},
    {"name": "pooled_discriminant", "threats": ["model-source"]},
    {"name": "lira", "threats": ["model-receiver"]},
    {"name": "constant"},
    {"name": "batch_property", "channel": "representations", "heads": 1, "threats": SHOWN},
    {"name": "batch_property", "channel": "moments", "heads": 1, "threats": SHOWN},
    {"name": "batch_property", "channel": "alignment_gradient", "heads": 1, "threats": ["mapping-receiver"]},
    {"name": "batch_property", "channel": "gradient", "threats": MOVED},
    {"name": "label_only"},
    {"name": "coin"},
]
VARIANTS: dict[str, dict[str, Any]] = {
    "alone": {"handed-over": {"lr": 1e-9}},  # the source's model has learned nothing
    "stopped": {"handed-over": {"defenses": [{"name": "early_stopping", "share": 0.2}]}},
    "private": {"handed-over": {"defenses": [{"name": "dp_sgd", "epsilon": 8.0}]}},
    "rows": {"mapping": {"defenses": [{"name": "noise", "clip": 1.0, "scale": 1.0}]}},
    "moments": {"mapping": {"defenses": [{"name": "dp_moments", "scale": 4.0}]}},
    "part": {"parameters": {"defenses": [{"name": "compress", "keep": 0.05}]}},
    "steps": {"parameters": {"defenses": [{"name": "sgld", "scale": 0.03}]}},
}


def audit(seed: int) -> dict[str, Any]:
    """The audit, as an audit file has it."""
    return {
        "name": "joint-transfer", "seed": seed, "data": parts(), "stage": stages(), "threat": THREATS,
        "attack": ATTACKS, "variant": [{"id": name, "stage": one} for name, one in VARIANTS.items()],
    }  # fmt: skip


def workers(seed: int) -> Dataset:
    """People of a census; the task is whether somebody worked for more than 26 weeks, and the sex is no input."""
    return of_census("0:12000")


def people(seed: int) -> Dataset:
    """More of them, each with a coin that moves nothing."""
    whole = of_census("0:60000")
    coin = np.random.default_rng(3).integers(2, size=len(whole))
    return replace(whole, attributes={**whole.attributes, "coin": np.where(coin == 1, "yes", "no")})


def of_census(rows: str) -> Dataset:
    """People who differ in what is read."""
    whole = load("census-kdd", rows=rows, options=Options(attributes=("sex",)))
    columns = list(whole.columns)
    left_out = ("detailed_", "country_", "state_", "region_", "weeks_worked")
    kept = [index for index, name in enumerate(columns) if not str(name).startswith(left_out)]
    first = np.sort(np.unique(whole.inputs[:, kept], axis=0, return_index=True)[1])
    weeks = whole.inputs[first, columns.index("weeks_worked")] * 52
    return Dataset(
        inputs=np.ascontiguousarray(whole.inputs[first][:, kept]), labels=(weeks > 26).astype(np.int64),
        classes=("few", "many"), ids=whole.ids[first], noun="person",
        attributes={"sex": whole.attributes["sex"][first]}, part=True,
    )  # fmt: skip


def distribution(asked: str, value: str) -> dict[str, Any]:
    """The share of women among all records of a party, from the joint model and from all messages; or of a coin."""
    rows = {"source": "0:16000", "receiver": "16000:16048", "own": "16500:24500", "later": "24500:25500"}
    return {
        "name": f"distribution-{asked}",
        "data": {name: {"data": "joint_transfer:people", "rows": own} for name, own in rows.items()},
        "stage": [{
            "name": "joint", "transfer": "fedsgd", "model": "mlp", "options": {"width": 32}, "test": "later",
            "parties": {"source": "source", "receiver": "receiver"}, "batch_size": 32, "lr": 0.05, "momentum": 0.0,
        }],
        "threat": {
            "id": "distribution", "family": "exchange", "question": "distribution", "victim": "source",
            "adversary": "receiver", "property": asked, "value": value, "auxiliary": "own",
            "mixtures": [[0.8, 0.2]], "steps": 300, "targets": 40, "shadows": 40,
        },
    }  # fmt: skip


def dropping(shape: tuple[int, ...], classes: int) -> nn.Module:
    """A hidden layer of 32 units, of which half are left out at each step."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(int(np.prod(shape)), 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, classes)
    )


def pilot_r5(method: str) -> dict[str, Any]:
    """R5 of the pilots: dropout is no defense of gradients, noise is, at a price."""
    data, channel = "joint_transfer:workers", "gradient" if method == "fedsgd" else "representations"
    defenses = (
        {"top": [{"name": "compress", "keep": 0.1}],
         "noise-1": [{"name": "dp_sgd", "noise_multiplier": 1.0}],
         "noise-5": [{"name": "dp_sgd", "noise_multiplier": 5.0}]}
        if method == "fedsgd"
        else {f"noise-{scale}": [{"name": "noise", "clip": 1.0, "scale": float(scale)}] for scale in (1, 5)}
    )  # fmt: skip
    changes = {"dropout": {"model": "joint_transfer:dropping", "options": {}}} if method == "fedsgd" else {}
    changes |= {name: {"defenses": one} for name, one in defenses.items()}
    rows = {"source": "0:3000", "receiver": "3000:3500", "own": "3500:6500", "later": "6500:7500"}
    return {
        "name": "r5", "data": {name: {"data": data, "rows": own} for name, own in rows.items()},
        "stage": [{
            "name": "joint", "transfer": method, "model": "mlp", "options": {"width": 32}, "test": "later",
            "parties": {"source": "source", "receiver": "receiver"}, "batch_size": 32, "lr": 0.05, "momentum": 0.0,
        }],
        "threat": {
            "id": "r5", "family": "exchange", "victim": "source", "adversary": "receiver", "property": "sex",
            "value": "Female", "auxiliary": "own", "mixtures": [[0.7, 0.3]], "steps": 300,
        },
        "attack": [{"name": "batch_property", "channel": channel}, {"name": "label_only"}, {"name": "coin"}],
        "variant": [{"id": name, "stage": {"joint": one}} for name, one in changes.items()],
    }  # fmt: skip


def mixed() -> dict[str, Any]:
    """How much of a batch differs, and how large it is: the sex in batches of a census, by features."""
    raw = pilot_r5("coral")
    sizes = [{"id": f"batch-{size}", "stage": {"joint": {"batch_size": size}}} for size in (8, 128)]
    return raw | {
        "name": "mixtures", "variant": sizes,
        "threat": raw["threat"] | {"id": "mixtures", "mixtures": [[1.0, 0.0], [0.7, 0.3], [0.6, 0.4]], "steps": 200},
    }  # fmt: skip


def pilot_r6(seed: int) -> dict[str, Any]:
    """R6 of the pilots: alignment improves the transfer and does not hide the source's pens; answers tell them too."""
    raw, ways = audit(seed), {"coral": 100.0, "mmd": 1.0}
    joint = next(one for one in raw["stage"] if one["name"] == "mapping")
    forward, back = ({key: one for key, one in own.items() if key != "id"} for own in (THREATS[2], THREATS[4]))
    return raw | {
        "name": "r6",
        "stage": [{**joint, "name": way, "transfer": way, "alignment": one} for way, one in ways.items()],
        "threat": [
            {**own, "id": f"{way}-{name}", "at_risk": way}
            for way in ways for name, own in (("source", forward), ("receiver", back))
        ],
        "attack": [
            *({"name": "batch_property", "channel": channel, "heads": 1, "threats": [f"{way}-{name}" for way in ways]}
              for channel, name in (("representations", "source"), ("alignment_gradient", "receiver"))),
            {"name": "label_only"}, {"name": "coin"},
        ],
        "variant": [],
    }  # fmt: skip


def swept(seed: int) -> dict[str, Any]:
    """Alignment, frozen depth and shared width, each step by step: what more or less of a transfer tells and is worth.

    Three hidden layers begin with weights of public digits of MNIST, then both organisations align them.
    """
    net = {"width": 64, "depth": 3}
    before = {"name": "public", "data": "public-digits", "model": "mlp", "epochs": 10, "lr": 0.05, "options": net}
    joint = {
        **{key: one for key, one in stages()[2].items() if key not in ("model", "options")}, "after": "public",
        "frozen": 0,
    }  # fmt: skip
    return {
        "name": "sweeps", "seed": seed,
        "data": parts() | {"public-digits": {"data": "joint_transfer:of_source", "rows": "1200:2400"}},
        "stage": [before, joint],
        "threat": {"id": "mapping-source", "at_risk": "mapping", **PEN, **FORWARD},
        "attack": [
            {"name": "batch_property", "channel": "representations", "heads": 1}, {"name": "label_only"},
            {"name": "coin"},
        ],
        "variant": [
            *({"id": f"alignment-{one:g}", "stage": {"mapping": {"alignment": one}}} for one in (0.03, 0.1, 0.3, 3.0)),
            *({"id": f"frozen-{one}", "stage": {"mapping": {"frozen": one}}} for one in (1, 2)),
            *({"id": f"width-{one}", "stage": {"public": {"options": net | {"width": one}}}} for one in (8, 16, 32)),
        ],
    }  # fmt: skip


KEPT = (
    "auc", "property_auc", "distribution_auc", "beyond_labels", "dose", "accuracy", "accuracy_alone", "accuracy_change",
    "transfer_gain",
)  # fmt: skip
"""Metrics that are kept of each report."""


def found_in(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What the report of an audit says: of each threat, verdict and numbers by variant, attack and metric."""
    return kept_of(result_of(raw))


def result_of(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The result of an audit.

    Runs are kept in the folder that DOSIMETER_RUNS names, so that a call that was stopped goes on.
    """
    with tempfile.TemporaryDirectory() as draft:
        folder = Path(os.environ.get("DOSIMETER_RUNS", draft)) / f"{raw['name']}-{raw.get('seed', 0)}"
        out = folder / "run"
        verbs.run(parse(dict(raw), base=Path(__file__).parent), out, workers=1, store=folder / "store")
        found: dict[str, Any] = json.loads((out / "result.json").read_text("utf-8"))
    return found


def mixtures_in(raw: Mapping[str, Any]) -> dict[str, Any]:
    """By variant, metric and mixture what representations tell, each with its interval."""
    found: dict[str, Any] = {}
    for row in result_of(raw)["threats"][0]["estimates"]:
        told = row["metric"] in ("property_auc", "beyond_labels") and row["value"] is not None
        if told and row["attack"].startswith("batch_property"):
            own = found.setdefault(row["variant"], {}).setdefault(row["metric"], {})
            own[row["conditions"]["mixture"]] = [round(row[end], 4) for end in ("value", "low", "high")]
    return found


def kept_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a result that tables are made of; each number with its interval and what it counts."""
    found: dict[str, Any] = {"sentences": result["verdict"]["sentences"], "threats": {}}
    for threat in result["threats"]:
        failed = [one["id"] for one in threat["gates"] if one["status"] == "fail"]
        numbers: dict[str, Any] = {}
        mine = [one for one in result["utility"] if one["threat"] == threat["id"]]
        for row in (*threat["estimates"], *mine):
            if row["metric"] in KEPT and row["conditions"].get("split", "test") == "test" and row["value"] is not None:
                ends = [round(row[end], 4) for end in ("value", "low", "high")]
                of_variant = numbers.setdefault(row["variant"], {})
                of_variant.setdefault(row["attack"] or "", {})[row["metric"]] = [*ends, row["n"]]
        status = threat["verdict"]["status"]
        found["threats"][threat["id"]] = {"status": status, "failed": failed, "numbers": numbers}
    return found


STEPS: Mapping[str, Callable[[], dict[str, Any]]] = {
    **{f"report {seed}": lambda seed=seed: found_in(audit(seed)) for seed in SEEDS},
    "R5 gradients": lambda: found_in(pilot_r5("fedsgd")),
    "R5 representations": lambda: found_in(pilot_r5("coral")),
    **{f"R6 {seed}": lambda seed=seed: found_in(pilot_r6(seed)) for seed in SEEDS},
    **{f"sweeps {seed}": lambda seed=seed: found_in(swept(seed)) for seed in SEEDS},
    "mixtures": lambda: mixtures_in(mixed()),
    "distribution sex": lambda: found_in(distribution("sex", "Female")),
    "distribution coin": lambda: found_in(distribution("coin", "yes")),
}
QUICK = "report 0"

MODEL, ALIGNED, SHARED = "model-based", "mapping-based (`mmd`)", "parameter-based (`hard`)"
FOLLOWS, DEPARTS = "follows the protocol", "departs from it"
TABLE = (
    (MODEL, "model-source", "none", "direct", "a record of the source, by the model as handed over", "none"),
    (MODEL, "model-source", "none", "pooled_discriminant", "a record of the source, by the finetuned model", "none"),
    (MODEL, "model-source", "stopped", "pooled_discriminant", "", "`early_stopping`, 20 %"),
    (MODEL, "model-source", "private", "pooled_discriminant", "", "`dp_sgd`, ε = 8"),
    (MODEL, "model-source", "alone", "pooled_discriminant", "", "nothing was learned"),
    (MODEL, "model-receiver", "none", "lira", "a record of the receiver, by the finetuned model", "none"),
    (ALIGNED, "mapping-source", "none", "batch_property representations", "a batch of the source, by features", "none"),
    (ALIGNED, "mapping-source", "rows", "batch_property representations", "", "`noise`, 1"),
    (ALIGNED, "mapping-source", "moments", "batch_property moments", "", "`dp_moments`, 4"),
    (ALIGNED, "mapping-source-active", "none", "batch_property representations", "the same, actively", "none"),
    (ALIGNED, "mapping-source-active", "rows", "batch_property representations", "", "`noise`, 1"),
    (ALIGNED, "mapping-source-active", "moments", "batch_property moments", "", "`dp_moments`, 4"),
    (
        ALIGNED,
        "mapping-receiver",
        "none",
        "batch_property alignment",
        "a batch of the receiver, by what it sends back",
        "none",
    ),
    (SHARED, "parameters-source", "none", "batch_property gradient", "a batch of the source, by gradients", "none"),
    (SHARED, "parameters-source", "part", "batch_property gradient", "", "`compress`, 5 %"),
    (SHARED, "parameters-source", "steps", "batch_property gradient", "", "`sgld`, 0.03"),
    (SHARED, "parameters-source-active", "none", "batch_property gradient", "the same, actively", "none"),
    (SHARED, "parameters-source-active", "part", "batch_property gradient", "", "`compress`, 5 %"),
    (SHARED, "parameters-source-active", "steps", "batch_property gradient", "", "`sgld`, 0.03"),
)
"""Rows of the table: way, threat, variant, beginning of the attack's name, what is told and by what, defense."""


def span(value: Sequence[Any] | None, digits: int = 2, scale: float = 1.0, sign: str = "") -> str:
    """A number with its interval."""
    if value is None:
        return ""
    middle, low, high = (f"{scale * one:{sign}.{digits}f}" for one in value[:3])
    return f"{middle} ({low} to {high})"


def numbers_of(found: Mapping[str, Any], threat: str, variant: str, attack: str) -> Mapping[str, Any]:
    """The numbers of the attack whose name begins so; of "" those of the model."""
    own = found["threats"][threat]["numbers"].get(variant, {})
    name = next((one for one in own if one.startswith(attack) and bool(one) == bool(attack)), None)
    return {} if name is None else own[name]


def gained(found: Mapping[str, Any], threat: str, variant: str) -> str:
    """Accuracy that the transfer adds, in points: by itself, or from the change that its absence makes."""
    own = numbers_of(found, threat, variant, "")
    if "transfer_gain" in own:
        return span(own["transfer_gain"], 1, 100, "+")
    without = numbers_of(found, threat, "alone", "").get("accuracy_change")
    if without is None or variant == "alone":
        return ""
    if variant == "none":
        return span([-without[0], -without[2], -without[1]], 1, 100, "+")
    return f"{100 * (own['accuracy'][0] - numbers_of(found, threat, 'alone', '')['accuracy'][0]):+.1f}"


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Rows of the table of one report."""
    for way, threat, variant, attack, told, defense in TABLE:
        own = numbers_of(found, threat, variant, attack)
        if not own:
            continue
        labels = numbers_of(found, threat, variant, "label_only") or numbers_of(found, threat, "none", "label_only")
        accuracy = numbers_of(found, threat, variant, "") or numbers_of(found, threat, "none", "")
        cells = (
            way, told, defense, span(own.get("auc") or own["property_auc"]),
            f"{labels['property_auc'][0]:.2f}" if labels else "", span(own["dose"]),
            span(accuracy.get("accuracy")), gained(found, threat, variant),
        )  # fmt: skip
        yield f"| {' | '.join(cells)} |"


def seeds(content: Mapping[str, Any]) -> Iterator[str]:
    """Rows of the table of all reports: what undefended messages and models tell, and the gain, seed by seed."""
    found = [content[f"report {seed}"] for seed in SEEDS]
    for way, threat, variant, attack, told, _ in TABLE:
        if variant == "none":
            rows = [numbers_of(one, threat, variant, attack) for one in found]
            leaks = [span(one.get("auc") or one["property_auc"]) for one in rows]
            yield f"| {' | '.join((way, told, *leaks, *(gained(one, threat, variant) for one in found)))} |"


def dropped(content: Mapping[str, Any]) -> Iterator[str]:
    """Rows of the table of R5: what defenses of gradients and of representations hide, and what they cost."""
    for step, way in (("R5 gradients", "gradients (`fedsgd`)"), ("R5 representations", "representations (`coral`)")):
        for variant in content[step]["threats"]["r5"]["numbers"]:
            own, model = (numbers_of(content[step], "r5", variant, name) for name in ("batch_property", ""))
            gain = span(model["transfer_gain"], 1, 100, "+")
            yield f"| {way} | `{variant}` | {span(own['property_auc'])} | {span(model['accuracy'])} | {gain} |"


def aligned(content: Mapping[str, Any]) -> Iterator[str]:
    """Rows of the table of R6: each alignment, seed by seed."""
    for way in ("coral", "mmd"):
        for seed in SEEDS:
            found, cells = content[f"R6 {seed}"], []
            for side in ("source", "receiver"):
                own, labels = (numbers_of(found, f"{way}-{side}", "none", name) for name in ("batch", "label_only"))
                cells += [span(own["property_auc"]), f"{labels['property_auc'][0]:.2f}"]
            yield f"| `{way}` | {seed} | {' | '.join(cells)} | {gained(found, f'{way}-source', 'none')} |"


KNOBS = {
    "alignment": (1.0, {"alignment-0.03": 0.03, "alignment-0.1": 0.1, "alignment-0.3": 0.3, "alignment-3": 3.0}),
    "frozen layers": (0, {"frozen-1": 1, "frozen-2": 2}),
    "width": (64, {"width-8": 8, "width-16": 16, "width-32": 32}),
}
"""Settings that are swept: their value in the audit itself, and in each variant."""


def at(found: Mapping[str, Any], variant: str) -> tuple[Sequence[float], Sequence[float]]:
    """Gain and leak of one training of a sweep, each with its interval."""
    gain = numbers_of(found, "mapping-source", variant, "")["transfer_gain"]
    return gain[:3], numbers_of(found, "mapping-source", variant, "batch_property")["property_auc"][:3]


def steps_of(knob: str) -> list[tuple[float, str]]:
    """Values of a setting in order, each with its variant."""
    own, others = KNOBS[knob]
    return sorted([(own, "none"), *((value, name) for name, value in others.items())])


def sweeps(content: Mapping[str, Any]) -> Iterator[str]:
    """Rows of the table of sweeps: leak, then gain, seed by seed."""
    for knob in KNOBS:
        for value, variant in steps_of(knob):
            pairs = [at(content[f"sweeps {seed}"], variant) for seed in SEEDS]
            leaks, gains = [span(leak) for _, leak in pairs], [span(gain, 1, 100, "+") for gain, _ in pairs]
            yield f"| {knob} | {value:g} | {' | '.join((*leaks, *gains))} |"


def drawn(content: Mapping[str, Any]) -> str:
    """The figure of the first seed's report, as a picture of its own."""
    found = content["sweeps 0"]

    def mark(value: float, variant: str) -> tuple[float, ...]:
        gain, leak = at(found, variant)
        return (value, *gain, *leak, float(gain[0] > 0))

    lines = [[mark(value, variant) for value, variant in steps_of(knob)] for knob in KNOBS]
    figure = plots.swept(
        lines, mark(0.0, "none"), leak="AUC of a batch's side", chance=0.5, title="Leak against gain by setting"
    )
    for name, colour in COLOURS.items():
        figure = figure.replace(f"var(--{name})", colour)
    figure = figure.replace('class="plot"', 'font-family="sans-serif"', 1)
    back = '<rect width="100%" height="100%" fill="white"/>'
    return (
        figure.replace(
            "<svg ", '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ', 1
        )
        .replace(">", f">{back}", 1)
        .replace(' href="#', ' xlink:href="#')
    )


def mixtures(content: Mapping[str, Any]) -> Iterator[str]:
    """Rows of the table of mixtures, by size of a batch: what is told, and what beyond the classes."""
    for size, variant in ((8, "batch-8"), (32, "none"), (128, "batch-128")):
        own = content["mixtures"][variant]
        for mixture in ("1/0", "0.7/0.3", "0.6/0.4"):
            auc, beyond = own["property_auc"][mixture], own["beyond_labels"][mixture]
            sides = " against ".join(f"{100 * float(one):g} %" for one in mixture.split("/"))
            yield f"| {size} | {sides} | {span(auc)} | {span(beyond, sign='+')} |"


def distributions(content: Mapping[str, Any]) -> Iterator[str]:
    """Rows of the table of R10: each attack, on the share of women and on a coin."""
    found = [content[f"distribution {asked}"] for asked in ("sex", "coin")]
    for attack in found[0]["threats"]["distribution"]["numbers"]["none"]:
        if attack:
            own = [numbers_of(one, "distribution", "none", attack)["distribution_auc"] for one in found]
            yield f"| `{attack}` | {' | '.join(map(span, own))} |"


def filled(page: str, content: Mapping[str, Any]) -> str:
    """A page with its tables as the figures have them."""
    first = lines(content[QUICK])
    tables = {
        "ways": first, "seeds": seeds(content), "R5": dropped(content), "R6": aligned(content),
        "sweeps": sweeps(content), "R10": distributions(content), "mixtures": mixtures(content),
    }  # fmt: skip
    return fill(page, tables)


def main(words: list[str]) -> None:
    """Measures the steps that are named, or all."""
    content = json.loads(PATH.read_text("utf-8")) if PATH.exists() else {}
    if words == ["table"]:
        PAGE.write_text(filled(PAGE.read_text("utf-8"), content), encoding="utf-8")
        PICTURE.write_text(drawn(content) + "\n", encoding="utf-8")
        return
    torch.set_num_threads(1)
    named = [word for word in words if not word.startswith("--")]
    for name in named or ([QUICK] if "--quick" in words else list(STEPS)):
        if name in content and "--again" not in words:
            continue
        started, worked = time.time(), time.process_time()
        found = STEPS[name]()
        seconds = {"wall": round(time.time() - started), "processor": round(time.process_time() - worked)}
        content[name] = {**found, "seconds": seconds, "hardware": hardware()}
        print(f"{name}: {seconds}", flush=True)
        PATH.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
