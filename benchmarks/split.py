"""Cuts of a model on real data: what depth hides, what answers tell alone, faces at four depths, speed, and the null.

`python benchmarks/split.py [depth] [knowledge] [answers] [faces] [speed] [repeats] [null]` writes `results/split.json`
after each step, and goes on where a call stopped. `null` takes 200 small audits, 20 in each call's step. Runs are kept
in the folder that DOSIMETER_RUNS names. `python benchmarks/split.py table` fills the tables of `docs/split.md` from
the file.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import hardware
from torch import nn

from dosimeter import data as doors
from dosimeter.config.audit import parse
from dosimeter.data import Dataset
from dosimeter.families.registry import FAMILIES
from dosimeter.models.cuts.graph import read_graph
from dosimeter.models.cuts.halves import halves
from dosimeter.models.cuts.places import cuts, find_cut
from dosimeter.models.cuts.recorder import crossings
from dosimeter.pipeline import verbs
from dosimeter.results.reading import read_result
from dosimeter.statistics.intervals.crossed import clopper_pearson

PATH = Path(__file__).parent / "results" / "split.json"
PAGE = Path(__file__).parents[1] / "docs" / "split.md"
NULLS, CHUNK = 200, 20
DEPTHS = ("2", "4", "6")
BLOCKS = tuple(f"backbone.0.net._blocks.{index}" for index in (1, 4, 10, 15))
COLUMNS = (
    "age", "class_of_worker", "education", "wage_per_hour", "marital_status", "major_industry", "major_occupation",
    "race", "hispanic_origin", "union_member", "employment", "capital_gains", "capital_losses", "dividends",
    "tax_filer", "household_summary", "employer_persons", "citizenship", "own_business", "year",
)  # fmt: skip
REPEATED = (("ridge", "mse", 4), ("ridge", "ssim", 2), ("decoder", "mse", 4), ("decoder", "ssim", 2))
NUMBERS = ("mse", "psnr", "ssim", "identified", "input_place", "attribute_auc")


def digits(seed: int) -> Dataset:
    """Handwritten digits in an order of their own; strokes are thicker than usual for the digit, or thinner."""
    whole = doors.load("mnist-5k")
    order = np.random.default_rng(0).permutation(len(whole))
    whole = whole.take(order)
    inputs = whole.inputs.astype(np.float32) / 255
    ink = inputs.reshape(len(inputs), -1).mean(1)
    usual = np.array([np.median(ink[whole.labels == digit]) for digit in range(10)])
    stroke = np.where(ink > usual[whole.labels], "thick", "thin")
    return replace(whole, inputs=inputs, attributes={"stroke": stroke}, part=True)


def faces(seed: int) -> Dataset:
    """Photos 1 to 5 of 30 people, then 6 to 10 of them, then all of 10 others and 100 faces of strangers, 56 x 46."""
    people, patches = doors.load("orl-faces"), doors.load("lfw-patches")
    photo = np.tile(np.arange(10), 40)
    known = people.labels < 30
    rows = [np.flatnonzero(known & (photo < 5)), np.flatnonzero(known & (photo >= 5)), np.flatnonzero(~known)]
    own = people.inputs[np.concatenate(rows)].astype(np.float32) / 255
    small = own.reshape(len(own), 1, 56, 2, 46, 2).mean((3, 5))
    strangers = torch.from_numpy(patches.inputs[patches.labels == 0])
    small = np.concatenate([small, nn.functional.interpolate(strangers, (56, 46), mode="bilinear").numpy()])
    labels = np.concatenate([people.labels[np.concatenate(rows)], np.full(len(strangers), 40)])
    names = (*(f"s{index:02d}" for index in range(1, 41)), "strangers")
    persons = np.array(
        [*(names[one] for one in labels[labels < 40]), *(f"x{one:03d}" for one in range(len(strangers)))]
    )
    ids = np.array([f"{index:04d}" for index in range(len(small))])
    return Dataset(
        small.astype(np.float32), labels.astype(np.int64), names, ids, persons=persons, noun="photo", part=True
    )


def census(seed: int) -> Dataset:
    """Adults of Census-Income KDD without their sex; the task is whether they worked more than half of the year."""
    options = doors.Options(attributes=("sex",))
    whole = doors.load("census-kdd", rows="0:60000", options=options)
    columns = list(whole.columns or ())
    age, weeks = columns.index("age"), columns.index("weeks_worked")
    adults = np.flatnonzero(whole.inputs[:, age] >= 0.18)
    keep = [index for index, name in enumerate(columns) if name.partition("=")[0].partition(":")[0] in COLUMNS]
    _, first = np.unique(whole.inputs[np.ix_(adults, keep)], axis=0, return_index=True)
    adults = adults[np.sort(first)][:6000]  # people whose answers are the same would stand in two parts
    worked = (whole.inputs[adults, weeks] > 0.5).astype(np.int64)
    inputs = whole.inputs[np.ix_(adults, keep)].astype(np.float32)
    ids, sex = whole.ids[adults], whole.attributes["sex"][adults]
    return Dataset(inputs, worked, ("less", "more"), ids, attributes={"sex": sex}, noun="person", part=True)


def coins(seed: int) -> Dataset:
    """Digits of 8 x 8 with an attribute that is drawn by coin."""
    whole = doors.load("digits")
    rng = np.random.default_rng([int(os.environ.get("COINS", "0")), 7])
    order = rng.permutation(len(whole))
    coin = np.array(["heads", "tails"])[rng.integers(2, size=len(whole))]
    return replace(whole.take(order), attributes={"coin": coin}, part=True)


def perceptron(shape: tuple[int, ...], classes: int, widths: tuple[int, ...] = (256, 64, 16)) -> nn.Sequential:
    """A perceptron whose layers have numbers for names; the cuts lie after its ReLUs."""
    layers: list[nn.Module] = [nn.Flatten()]
    sizes = (int(np.prod(shape)), *widths)
    for a, b in zip(sizes, widths, strict=False):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], classes))


def narrow(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """A small perceptron."""
    return perceptron(shape, classes, (16, 8))


def table(name: str, data: str, rows: tuple[str, str, str], threat: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The tables of an audit file: the stage's records, the victims, the auxiliary records."""
    parts = zip(("own", "queries", "others"), rows, strict=True)
    return {
        "name": name,
        "data": {part: {"data": f"split:{data}", "rows": one} for part, one in parts},
        "stage": [
            {"name": "train", "data": "own", "model": "split:perceptron", "epochs": 30, "batch_size": 50, "lr": 0.05}
        ],
        "threat": {"family": "split", "auxiliary": "others", "victims": "queries", **threat},
        **more,
    }


def audited(raw: dict[str, Any], base: Path) -> dict[str, Any]:
    """The numbers of one run: of each attack at each cut, and the table of cuts."""
    folder, started = base / raw["name"], time.time()
    verbs.run(parse(raw, base=Path(__file__).parent), folder, workers=1, store=base / ".store")
    result = read_result(folder / "result.json", families=FAMILIES, name="result.json", absent="run the benchmark")
    (threat,) = result["threats"]
    found: dict[str, Any] = {}
    for one in threat["estimates"]:
        if one["metric"] in NUMBERS and one["conditions"].get("top", 1) == 1 and one["value"] is not None:
            at = str(one["conditions"].get("cut") or "")
            own = found.setdefault(one["attack"], {}).setdefault(at, {})
            own[one["metric"]] = [one["value"], one["low"], one["high"]]
    details = threat["details"]
    return {
        "attacks": found, "cuts": details["cuts"], "choice": details["choice"], "verdict": threat["verdict"]["status"],
        "shown": [[one["attack"], one["cut"], one["attribute"]] for one in details["tests"] if one["shown"]],
        "data": {key: threat["data"][key] for key in ("records", "auxiliary", "lineup", "trained")},
        "seconds": round(time.time() - started),
    }  # fmt: skip


def depth(base: Path) -> dict[str, Any]:
    """S1: the features of a perceptron after each of its layers."""
    rows, threat = ("0:2500", "2500:3500", "3500:5000"), {"cuts": list(DEPTHS), "attributes": ["stroke"]}
    pool = ["logistic", "svm"]
    attacks = [
        {"name": "ridge"}, {"name": "decoder"}, {"name": "output_only", "mode": "input"}, {"name": "mean_input"},
        {"name": "attribute_pool", "classifiers": pool}, {"name": "raw_input", "classifiers": pool},
        {"name": "output_only", "mode": "attribute", "classifiers": pool},
    ]  # fmt: skip
    return audited(table("depth", "digits", rows, threat, attack=attacks), base)


def knowledge(base: Path) -> dict[str, Any]:
    """S2: records of the same kind against the weights of the first half; needs attacks that use its halves."""
    absent = {"white_box", "random_decoder"} - set(FAMILIES["split"].attacks())
    if absent:
        raise SystemExit(f"knowledge: this version has no attack {', '.join(sorted(absent))}")
    rows = ("0:2500", "2500:2600", "3500:5000")
    attacks = [{"name": name} for name in ("decoder", "white_box", "random_decoder", "mean_input")]
    attacks.append({"name": "output_only", "mode": "input"})
    return audited(table("knowledge", "digits", rows, {"cuts": ["2", "4"]}, attack=attacks), base)


def answers(base: Path) -> dict[str, Any]:
    """S13: what the answers of a model tell of a person's sex, wherever it is cut."""
    pool = ["logistic", "boosting"]
    attacks = [
        {"name": "attribute_pool", "classifiers": pool}, {"name": "raw_input", "classifiers": pool},
        {"name": "output_only", "mode": "attribute", "classifiers": pool},
    ]  # fmt: skip
    rows = ("0:2500", "2500:4000", "4000:6000")
    raw = table("answers", "census", rows, {"cuts": ["2", "4"], "attributes": ["sex"]}, attack=attacks)
    return audited(raw, base)


def photos(base: Path) -> dict[str, Any]:
    """Faces through EfficientNet-lite0, cut at four depths."""
    raw = table("faces", "faces", ("0:150", "150:300", "300:500"), {"cuts": list(BLOCKS), "show_records": True})
    options = {"size": 96, "weights": "imagenet"}
    raw["stage"] = [
        {"name": "imagenet", "model": "efficientnet-lite0", "options": options, "weights": "imagenet"},
        {"name": "faces", "data": "own", "transfer": "head", "epochs": 60, "lr": 0.1},
    ]
    attacks = [{"name": "ridge"}, {"name": "decoder"}, {"name": "output_only", "mode": "input"}, {"name": "mean_input"}]
    return audited({**raw, "attack": attacks}, base)


def speed(base: Path) -> dict[str, Any]:
    """Features of 2,000 records at four cuts, from one pass, and from a pass for each cut and attack."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()]
    layers += [nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 49, 10)).eval()
    records, names, attacks = torch.rand(2000, 1, 28, 28), ("1", "3", "5", "7"), 7
    graph = read_graph(model, records[:2])
    places = [one for one in (find_cut(cuts(graph), name) for name in names) if one is not None]
    ratios, once, again = [], [], []
    for _ in range(5):
        start = time.process_time()
        for some in records.split(256):
            crossings(graph, places, some)
        once.append(time.process_time() - start)
        start = time.process_time()
        with torch.no_grad():
            for place in places:
                first, _ = halves(graph, place)
                for _ in range(attacks):
                    for some in records.split(256):
                        first(some)
        again.append(time.process_time() - start)
        ratios.append(again[-1] / once[-1])
    return {"records": 2000, "cuts": 4, "attacks": attacks, "once": once, "again": again, "ratios": ratios}


def null(base: Path, known: dict[str, Any]) -> dict[str, Any]:
    """How often an attribute that is drawn by coin is shown to leak: the next audits."""
    shown, done = list(known.get("shown", [])), int(known.get("audits", 0))
    pool = ["logistic", "neighbours"]
    attacks = [
        {"name": "attribute_pool", "classifiers": pool},
        {"name": "output_only", "mode": "attribute", "classifiers": pool},
    ]
    for number in range(done, min(NULLS, done + CHUNK)):
        os.environ["COINS"] = str(number)
        threat = {"cuts": ["2", "4"], "attributes": ["coin"]}
        raw = table(f"null-{number}", "coins", ("0:400", "400:600", "600:1000"), threat, attack=attacks)
        raw |= {"seed": number}
        raw["stage"][0] |= {"model": "split:narrow", "epochs": 5}
        if audited(raw, base)["shown"]:
            shown.append(number)
    audits = min(NULLS, done + CHUNK)
    low, high = clopper_pearson(len(shown), audits, level=0.95)
    return {"audits": audits, "shown": shown, "share": [len(shown) / audits, low, high]}


def repeats(base: Path) -> dict[str, Any]:
    """S11: the same records sent many times through noise of twice the features' spread, and once without noise."""
    rows, found = ("0:2500", "2500:2800", "3500:4500"), {}
    attacks = [{"name": "ridge"}, {"name": "decoder", "epochs": 20}, {"name": "output_only", "mode": "input"}]
    for name, count in (("1", 1), ("4", 4), ("16", 16), ("64", 64), ("without noise", 1)):
        threat = {"cuts": ["2"], "repeats": count}
        raw = table(f"repeats-{name.replace(' ', '-')}", "digits", rows, threat, attack=attacks)
        if name.isdigit():
            raw["stage"][0]["defenses"] = [{"name": "noise", "scale": 2.0}]
        found[name] = audited(raw, base)
    return found


STEPS = {
    "depth": depth, "knowledge": knowledge, "answers": answers, "faces": photos, "speed": speed, "repeats": repeats,
}  # fmt: skip


def save(content: dict[str, Any]) -> None:
    """Writes the figures."""
    PATH.write_text(json.dumps(content | {"hardware": hardware()}, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def number(found: list[float] | None, digits: int = 2) -> str:
    """A number with its interval."""
    return "–" if found is None else "{:.{d}f} ({:.{d}f} to {:.{d}f})".format(*found, d=digits)


def lines(content: dict[str, Any]) -> dict[str, list[str]]:
    """Rows of the tables in `docs/split.md`, by table."""
    makers = {"depth": of_depth, "faces": of_faces, "answers": of_answers, "knowledge": of_knowledge}
    makers |= {"repeats": of_repeats}
    return {name: make(content[name]) for name, make in makers.items() if name in content}


def row(*cells: str) -> str:
    """A row of a table."""
    return f"| {' | '.join(cells)} |"


def of_depth(one: dict[str, Any]) -> list[str]:
    """Digits after each layer of a perceptron, then the answers and the mean input."""
    own, rows = one["attacks"], []
    for cut in one["cuts"]:
        decoder, ridge, pool = (own[name][cut["name"]] for name in ("decoder", "ridge", "attribute_pool"))
        ends = number(decoder["mse"], 4), number(decoder["ssim"]), number(ridge["ssim"])
        told = f"after layer {cut['name']}, {cut['numbers']} numbers"
        rows.append(row(told, *ends, number(pool["attribute_auc"], 3)))
    alone, told = own["output_only input"][""], own["output_only attribute"][""]["attribute_auc"]
    rows.append(row("answers alone", number(alone["mse"], 4), number(alone["ssim"]), "–", number(told, 3)))
    mean = own["mean_input"][""]
    return [*rows, row("mean input", number(mean["mse"], 4), number(mean["ssim"]), "–", "–")]


def of_faces(one: dict[str, Any]) -> list[str]:
    """Faces after blocks of EfficientNet-lite0, then the answers."""
    rows = []
    for cut in one["cuts"]:
        ridge, decoder = (one["attacks"][name][cut["name"]] for name in ("ridge", "decoder"))
        share = "–" if cut["radius"] is None else f"{cut['radius']['share']:.2f}"
        costs = f"{cut['bytes']['float32']:,}", f"{cut['multiply_adds'] / 1e6:.1f} M"
        leaks = number(ridge["identified"]), number(decoder["identified"]), number(decoder["ssim"])
        rows.append(row(f"`{cut['name'].rpartition('.')[2]}`", *costs, *leaks, share))
    alone = one["attacks"]["output_only input"][""]
    return [*rows, row("answers alone", "", "", "–", number(alone["identified"]), number(alone["ssim"]), "")]


def of_answers(one: dict[str, Any]) -> list[str]:
    """What features, answers and inputs tell of a person's sex."""
    told = {
        "features after the first layer": ("attribute_pool", "2"),
        "features after the second layer": ("attribute_pool", "4"),
        "answers alone": ("output_only attribute", ""),
        "the inputs themselves": ("raw_input", ""),
    }
    return [row(what, number(one["attacks"][name][cut]["attribute_auc"], 3)) for what, (name, cut) in told.items()]


def of_knowledge(one: dict[str, Any]) -> list[str]:
    """Attacks that know records, weights or nothing, at two cuts."""
    return [
        row(f"`{name}`", *(number(one["attacks"][name][cut]["ssim"]) for cut in ("2", "4")))
        for name in ("decoder", "white_box", "random_decoder")
    ]


def of_repeats(one: dict[str, Any]) -> list[str]:
    """What the mean of several sends of a record tells."""
    return [
        row(name, *(number(own["attacks"][attack]["2"][metric], digits) for attack, metric, digits in REPEATED))
        for name, own in sorted(one.items(), key=lambda found: (len(found[0]), found[0]))
    ]


def filled(text: str, tables: dict[str, list[str]]) -> str:
    """The page with the rows between the marks `<!-- split:NAME -->` and `<!-- end -->`, after each table's head."""
    for name, rows in tables.items():
        start = text.index(f"<!-- split:{name} -->")
        end = text.index("<!-- end -->", start)
        head = text[start:end].splitlines()[:4]
        text = text[:start] + "\n".join([*head, *rows, ""]) + "\n" + text[end:]
    return text


def main() -> None:
    """Does the steps that are named, or those that are left."""
    content = json.loads(PATH.read_text("utf-8")) if PATH.is_file() else {}
    sys.modules.setdefault("split", sys.modules["__main__"])  # the audit files name functions of this file
    with tempfile.TemporaryDirectory() as draft:
        base = Path(os.environ.get("DOSIMETER_RUNS", draft))
        for step in sys.argv[1:] or [one for one in (*STEPS, "null") if one not in content]:
            if step == "table":
                PAGE.write_text(filled(PAGE.read_text("utf-8"), lines(content)), encoding="utf-8")
                continue
            content[step] = null(base, content.get("null", {})) if step == "null" else STEPS[step](base)
            save(content)


if __name__ == "__main__":
    main()
