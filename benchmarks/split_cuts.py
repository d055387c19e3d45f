"""Partitions that are trained to hide, at three cuts each: digits, textures, faces and adults, with five seeds.

`python benchmarks/split_cuts.py [strokes] [textures] [faces] [adults]` writes `results/split_cuts.json`. Of every seed
there is one plain model and one for each cut that is trained against adversaries at that cut; fresh attacks read both
there. `adults` are those of `census-kdd`, if it is installed. Runs are kept in the folder that DOSIMETER_RUNS names,
and figures are written after each seed, so that a further call goes on where one stopped.
`python benchmarks/split_cuts.py table` fills the table of `docs/split.md`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import hardware
from page_tables import fill
from split import PAGE
from split_construction import DIGITS, ROOM, audit, fight
from torch import nn

from dosimeter.config.audit import parse
from dosimeter.data import Dataset, Options, load
from dosimeter.families.registry import FAMILIES
from dosimeter.foundation.errors import AuditError
from dosimeter.pipeline import verbs
from dosimeter.results.reading import read_result

PATH = Path(__file__).parent / "results" / "split_cuts.json"
SEEDS = (0, 1, 2, 3, 4)
METRICS = ("attribute_auc", "ssim", "mse")
FRESH = ("attribute_pool", "ridge", "decoder")
SIDE, PHOTO = 32, 512
"""Pixels of a side of a texture, and of a photo of skimage that they are cut from."""
TEXTURES = ("brick", "grass", "gravel")
COLUMNS = ((0, 224), (224, 320), (320, 512))
"""Columns of a photo that the model, the adversary and the victims have, so that no pixel is in two of them."""
EACH = (200, 150)
"""Textures of each photo that the model and the adversary have; those of victims do not overlap each other."""


def textures(seed: int) -> Dataset:
    """Pieces of photos of brick, grass and gravel: those to train on, then the adversary's, then the victims'."""
    from skimage.io import imread

    folder = Path(str(importlib.util.find_spec("skimage").origin)).parent / "data"  # type: ignore[union-attr]
    rng, pieces, labels = np.random.default_rng(seed), list[np.ndarray](), list[int]()
    photos = [imread(folder / f"{name}.png") for name in TEXTURES]
    for part, (left, right) in enumerate(COLUMNS):
        for label, photo in enumerate(photos):
            if part < len(EACH):
                places = np.stack(
                    [rng.integers(0, PHOTO - SIDE + 1, EACH[part]), rng.integers(left, right - SIDE + 1, EACH[part])], 1
                )
            else:
                places = np.stack(np.meshgrid(range(0, PHOTO, SIDE), range(left, right, SIDE)), -1).reshape(-1, 2)
            pieces += [photo[top : top + SIDE, at : at + SIDE] for top, at in places]
            labels += [label] * len(places)
    ids = np.array([f"{row:05d}" for row in range(len(labels))])
    return Dataset(np.stack(pieces)[:, None], np.array(labels), TEXTURES, ids, noun="texture", part=True)


def faces(seed: int) -> Dataset:
    """Faces: has the person glasses? Of 20 people all photos are trained on; of the others the adversary has some.

    The first five photos of these others, and the same in a mirror, are the adversary's gallery; the last five are the
    victims. So the secret is whose face it is, of people that the model never saw.
    """
    whole = load("orl-faces", options=Options(size=(28, 23)))
    order = np.random.default_rng(seed).permutation(40)
    rows = np.arange(400).reshape(40, 10)
    parts = [rows[order[:20]].ravel(), rows[order[20:], :5].ravel(), rows[order[20:], 5:].ravel()]
    assert whole.groups is not None
    assert whole.persons is not None
    gallery = whole.inputs[parts[1]]
    inputs = np.concatenate([whole.inputs[parts[0]], gallery, gallery[..., ::-1], whole.inputs[parts[2]]])
    taken = np.concatenate([parts[0], parts[1], parts[1], parts[2]])
    mirrored = np.repeat([False, True, False], [len(parts[0]) + len(parts[1]), len(parts[1]), len(parts[2])])
    ids = np.where(mirrored, np.char.add(whole.ids[taken].astype(str), "/mirrored"), whole.ids[taken].astype(str))
    return Dataset(
        inputs, (whole.groups[taken] == "glasses").astype(np.int64), ("no glasses", "glasses"), ids, noun="photo",
        persons=whole.persons[taken], attributes={"person": whole.persons[taken].astype(str)}, part=True,
    )  # fmt: skip


def adults_model(shape: tuple[int, ...], classes: int) -> nn.Module:
    """The inputs, 64, 16 and 16 units."""
    first = (nn.Flatten(), nn.Linear(int(np.prod(shape)), 64), nn.ReLU(), nn.Linear(64, 16), nn.ReLU())
    return nn.Sequential(*first, nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, classes))


def pictures_model(shape: tuple[int, ...], classes: int) -> nn.Module:
    """Two layers of convolutions with strides, and 32 units."""
    height, width = (-(-side // 4) for side in shape[1:])
    first = (nn.Conv2d(shape[0], 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU())
    dense = (nn.Flatten(), nn.Linear(16 * height * width, 32), nn.ReLU())
    return nn.Sequential(*first, *dense, nn.Linear(32, classes))


CLASSIFIERS = {"classifiers": ["logistic", "svm", "forest", "neighbours", "mlp"]}
"""Without boosting, which makes a tree for each of 20 persons in each round."""


def pool(case: str) -> list[dict[str, Any]]:
    """Attacks on an attribute."""
    more = CLASSIFIERS if case == "faces" else {}
    return [
        {"name": "attribute_pool", **more}, {"name": "output_only", "mode": "attribute", **more},
        {"name": "raw_input", **more},
    ]  # fmt: skip


SHAPES = [{"name": "ridge"}, {"name": "decoder"}, {"name": "output_only", "mode": "input"}, {"name": "mean_input"}]
Case = tuple[str, str, tuple[int, int, int], tuple[str, str, str], str, float, dict[str, Any]]
CASES: dict[str, Case] = {
    "strokes": (
        *DIGITS, (2500, 1500, 1000), ("2", "4", "6"), "attribute:stroke", 1.0,
        {"epochs": 40},
    ),
    "textures": (
        "split_cuts:textures", "split_cuts:pictures_model", (600, 450, 288), ("1", "3", "6"), "input", 0.5,
        {"epochs": 20},
    ),
    "faces": (
        "split_cuts:faces", "split_cuts:pictures_model", (200, 200, 100), ("1", "3", "6"), "attribute:person", 0.1,
        {"epochs": 60},
    ),
    "adults": (
        "split_construction:adults", "split_cuts:adults_model", (20_000, 1500, 4000), ("2", "4", "6"),
        "attribute:sex", 1.0, {"epochs": 8, "batch_size": 256},
    ),
}  # fmt: skip
"""Data, model, numbers of records, cuts, secret, weight of the adversaries, and the recipe of each case."""


def settings(case: str, seed: int) -> dict[str, Any]:
    """The audit of a case and seed."""
    data, model, sizes, cuts, against, weight, recipe = CASES[case]
    of_input, secret = against == "input", against.partition(":")[2]
    more = {"steps": 2} if case != "adults" else {}
    return audit(
        seed, data, model, sizes, stage=recipe,
        threat={"cuts": list(cuts), "attributes": [] if of_input else [secret]},
        attack=SHAPES if of_input else pool(case),
        defense=[fight(f"after-{cut}", against, weight, **more, cut=cut) for cut in cuts],
    )  # fmt: skip


def figures(folder: Path, cuts: tuple[str, ...], variants: list[str]) -> list[dict[str, Any]]:
    """At each cut what fresh attacks find of the plain model and of the one that was trained against such attacks."""
    plain = read_result(folder, families=FAMILIES)
    found = []
    for cut, variant in zip(cuts, variants, strict=True):
        built = read_result(folder / "variants" / variant, families=FAMILIES)
        change = next(
            one for one in plain["utility"] if (one["metric"], one["variant"]) == ("accuracy_change", variant)
        )
        found.append(
            {"cut": cut, "accuracy_change": _number(change), "plain": _read(plain, cut), "built": _read(built, cut)}
        )
    return found


def _read(result: dict[str, Any], cut: str) -> dict[str, Any]:
    """The figures of one model at one cut."""
    (view,) = result["threats"]
    kept = [one for one in view["estimates"] if one["variant"] == "none" and one["metric"] in METRICS]
    accuracy = next(one for one in result["utility"] if (one["metric"], one["variant"]) == ("accuracy", "none"))
    return {
        "accuracy": _number(accuracy),
        "status": view["verdict"]["status"],
        "rows": [
            {"attack": one["attack"], "metric": one["metric"], **_number(one)}
            for one in kept
            if one["conditions"].get("cut") in (cut, None)
        ],
    }


def _number(one: dict[str, Any]) -> dict[str, Any]:
    """A figure with its interval."""
    return {key: one[key] for key in ("value", "low", "high")}


def measured(case: str, seed: int, folder: Path) -> dict[str, Any]:
    """All trainings of one case and seed."""
    start, where = time.perf_counter(), folder / f"cuts-{case}-{seed}"
    raw = settings(case, seed)
    verbs.run(parse(raw, base=Path(__file__).parent), where, workers=1)
    rows = figures(where, CASES[case][3], [one["id"] for one in raw["defense"]])
    return {"seed": seed, "seconds": round(time.perf_counter() - start, 1), **hardware(), "cuts": rows}


def strongest(one: dict[str, Any]) -> float:
    """AUC of the fresh attack on a model at a cut, or the best SSIM of what they made."""
    return max(float(row["value"]) for row in one["rows"] if row["attack"] in FRESH and row["metric"] in METRICS[:2])


def answers(one: dict[str, Any]) -> float:
    """The same from the answers of a model alone."""
    told = (row["value"] for row in one["rows"] if row["attack"].startswith("output_only") and row["metric"] != "mse")
    return float(next(told))


def gone(case: str, one: dict[str, Any]) -> float | None:
    """The share of what fresh attacks find above the floor that the training takes away; None without any room.

    The floor is 0.5 for strokes, which digits do not tell, and otherwise what the answers of the built model tell.
    """
    plain, built = strongest(one["plain"]), strongest(one["built"])
    floor = 0.5 if case == "strokes" else answers(one["built"])
    return (plain - built) / (plain - floor) if plain - floor >= ROOM else None


def _range(values: list[float]) -> str:
    """The least and the largest value over seeds."""
    return f"{min(values):.2f} to {max(values):.2f}"


def rows(content: dict[str, Any]) -> list[str]:
    """Rows of the table, one for each case and cut."""
    lines = []
    for case in [one for one in CASES if one in content]:
        seeds = sorted(content[case], key=lambda one: int(one["seed"]))
        for place, cut in enumerate(CASES[case][3]):
            found = [one["cuts"][place] for one in seeds]
            points = [100 * one["accuracy_change"]["value"] for one in found]
            shares = [gone(case, one) for one in found]
            cells = [
                case, f"`{cut}`", _range([one["plain"]["accuracy"]["value"] for one in found]),
                f"{min(points):+.1f} to {max(points):+.1f}", _range([strongest(one["plain"]) for one in found]),
                _range([strongest(one["built"]) for one in found]), _range([answers(one["built"]) for one in found]),
                ", ".join("no room" if share is None else f"{100 * share:.0f} %" for share in shares),
            ]  # fmt: skip
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def filled(page: str) -> str:
    """The page with the stored figures."""
    return fill(page, {"split cuts": rows(json.loads(PATH.read_text(encoding="utf-8")))})


def main(names: list[str]) -> None:
    """Measures what is missing, or fills the page."""
    if names == ["table"]:
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(os.environ.get("DOSIMETER_RUNS", temporary))
        for case, seed in ((case, seed) for case in names or list(CASES) for seed in SEEDS):
            known = json.loads(PATH.read_text()) if PATH.is_file() else {}
            if any(one["seed"] == seed for one in known.get(case, [])):
                continue
            try:
                found = measured(case, seed, folder)
            except AuditError as error:
                if "census-kdd" not in str(error):
                    raise
                print(f"{case}: skipped, since its data are not installed: {error}")
                continue
            content = {**known, case: [*known.get(case, []), found]}
            PATH.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
            print(f"{case} {seed}: {found['seconds']} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
