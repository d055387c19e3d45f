"""Defenses against inversion on handwritten characters: 46 classes, three seeds, beside models that stop early.

`python benchmarks/inversion_characters.py [STEP[:SEED] ...]` writes `results/inversion_characters.json`. Steps are
`main`, `settings`, `membership`, `fisher`, `near`, `digits`, `textures` for nets that were pretrained on other records,
and `vgg`, `resnet`, `vit` for other nets, against which attacks search longer in fewer numbers. Each is one audit for
each of its seeds. Runs are kept in the folder that DOSIMETER_RUNS names, and the file is written after each, so that a
further call goes on where one stopped. It needs copies of Omniglot and CIFAR-10, which DOSIMETER_OMNIGLOT and
DOSIMETER_CIFAR10 name. `inversion_page.py` makes the tables of `docs/inversion.md`.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from machine import hardware

from dosimeter.config.audit import parse
from dosimeter.families.registry import FAMILIES
from dosimeter.jobs.arrays import read_arrays
from dosimeter.pipeline import verbs
from dosimeter.results.reading import read_result
from dosimeter.statistics.identification import recognised

PATH = Path(__file__).parent / "results" / "inversion_characters.json"
SEEDS = {
    "main": (0, 1, 2),
    "vgg": (0, 1, 2),
    **dict.fromkeys(("settings", "membership", "fisher", "near", "digits", "textures", "resnet", "vit"), (0,)),
}
LARGEST = 0.0025
"""Size of the small changes under which an accuracy is kept."""
ALPHABETS = {
    "private": ("Greek", "Early_Aramaic"),
    "public": ("Sanskrit", "Tagalog", "Balinese"),
    "verifier": ("Korean", "Japanese_(katakana)"),
    "near": ("Latin",),
}
"""Who is at risk, what the adversary holds, from whom the judges learn, and what a net may be pretrained on."""
ATTACKS = (
    {"name": "ppa", "aim": "margin", "restarts": 2, "steps": 70},
    {"name": "ppa", "id": "ppa views", "aim": "margin", "restarts": 2, "steps": 30, "copies": 3, "copied": "views"},
    {"name": "brep_mi", "steps": 25, "directions": 8},
    {"name": "prior_best", "samples": 400},
    {"name": "mean_public"},
)
LONGER = (
    {"name": "ppa", "aim": "margin", "restarts": 3, "steps": 150},
    {"name": "ppa", "id": "ppa views", "aim": "margin", "restarts": 3, "steps": 50, "copies": 3, "copied": "views"},
    {"name": "gmi", "id": "gmi checkpoint", "restarts": 3, "steps": 75, "lr": 0.05, "checkpoint": "usual"},
    *ATTACKS[2:],
)
"""Attacks on other nets. Each of the first three takes 450 gradients for each class, `gmi` those of two networks."""
PRIOR = {"prior": "vae", "prior_steps": 2500, "latent": 64}


def finetuned(name: str, *defenses: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """A row of `[[variant]]` that finetunes otherwise."""
    return {"id": name, "stage": {"finetune": {**({"defenses": list(defenses)} if defenses else {}), **changed}}}


def frozen(blocks: int, *defenses: dict[str, Any], name: str = "") -> dict[str, Any]:
    """A row that trains the last blocks and the head."""
    return finetuned(name or f"last-{blocks}", *defenses, transfer="last-k", last_k=blocks)


def bido(x: float) -> dict[str, Any]:
    """BiDO with HSIC and ten times as much weight on the labels."""
    return {"name": "bido", "measure": "hsic", "lambda_x": x, "lambda_y": 10 * x}


def random(blocks: int) -> dict[str, Any]:
    """A row whose frozen blocks were never trained."""
    row = frozen(blocks, name=f"random-{blocks}")
    row["stage"]["pretrain"] = {"epochs": 1, "lr": 1e-9}
    return row


def smoothed(alpha: float) -> dict[str, Any]:
    """Negative label smoothing."""
    return {"name": "negative_label_smoothing", "alpha": alpha}


EARLY = tuple(finetuned(f"stopped-{epochs}", epochs=epochs) for epochs in (20, 8))
DEPTHS = tuple(frozen(blocks) for blocks in (3, 2, 1))
RANDOM = random(2)
MAIN = (
    *EARLY,
    *DEPTHS,
    finetuned("bido-0.1", bido(0.1)),
    finetuned("negative-0.05", smoothed(-0.05)),
    finetuned("mid-0.03", {"name": "mid", "beta": 0.03}),
    frozen(2, bido(0.1), name="last-2-bido"),
    RANDOM,
)
"""The first seed; `random-2` freezes layers that were never trained."""
AGAIN = (*EARLY, *DEPTHS, RANDOM, finetuned("bido-0.1", bido(0.1)))
"""The other seeds."""
SETTINGS = (
    *(finetuned(f"bido-{x}", bido(x)) for x in (0.02, 0.5)),
    *(finetuned(f"negative-{-alpha}", smoothed(alpha)) for alpha in (-0.02, -0.2)),
    *(finetuned(f"mid-{beta}", {"name": "mid", "beta": beta}) for beta in (0.003, 0.3)),
)
"""The two other settings of each defense."""
PRETRAINED = {"near": "near", "digits": "mnist-5k", "textures": "inversion_data:textures"}
"""Other records to pretrain on, by step: another alphabet, digits, gratings."""
NETS = {
    "vgg": {},
    "resnet": {"widths": [12, 24, 48], "blocks": [1, 1, 1]},
    "vit": {"width": 64, "depth": 4, "heads": 4, "patch": 4},
}
"""Options of other nets, by step; their blocks are eight, four and five."""
WIDER = (
    *EARLY,
    *(frozen(blocks) for blocks in (6, 4, 2)),
    random(4),
    *(finetuned(f"bido-{x}", bido(x)) for x in (0.02, 0.1, 0.5)),
    *(finetuned(f"negative-{-alpha}", smoothed(alpha)) for alpha in (-0.02, -0.05, -0.2)),
    *(finetuned(f"mid-{beta}", {"name": "mid", "beta": beta}) for beta in (0.003, 0.03, 0.3)),
    frozen(4, bido(0.1), name="last-4-bido"),
)
"""Rows of `vgg`: 2, 4 or 6 of its 8 blocks are frozen, and each other defense has three settings."""
WIDER_AGAIN = tuple(
    row for name in ("stopped-20", "last-4", "bido-0.1", "last-6") for row in WIDER if row["id"] == name
)
"""The other seeds of `vgg`."""
ROWS = {
    "main": MAIN,
    "vgg": WIDER,
    "resnet": (*EARLY, frozen(2)),
    "vit": (frozen(2),),
    "settings": SETTINGS,
    "membership": DEPTHS,
    "fisher": (),
    **dict.fromkeys(PRETRAINED, (frozen(2),)),
}


def audit(step: str, seed: int) -> dict[str, Any]:
    """The tables of an audit file."""
    omniglot = {"data": "omniglot", "data_options": {"size": [28, 28]}}
    parts = {name: {**omniglot, "where": {"group": list(groups)}} for name, groups in ALPHABETS.items()}
    threat = {
        "family": "inversion", "public": "public", "verifier": "verifier", "judges": "network",
        "fisher": step == "fisher", **PRIOR, **({"latent": 16} if step in NETS else {}),
    }  # fmt: skip
    made: dict[str, Any] = {
        "name": f"characters-{step}", "seed": seed, "data": parts,
        "stage": [
            {
                "name": "pretrain", "data": PRETRAINED.get(step, "inversion_data:photos"),
                "model": step if step in NETS else "convnet",
                "options": NETS.get(step, {"widths": [16, 32, 64, 64]}), "epochs": 5, "batch_size": 64, "lr": 0.05,
            },
            {
                "name": "finetune", "data": "private", "transfer": "full", "epochs": 60, "batch_size": 32, "lr": 0.03,
                "schedule": "one-cycle", "augment": ["shift"],
            },
        ],
        "threat": threat, "attack": list(LONGER if step in NETS else ATTACKS),
        "variant": list({"main": AGAIN, "vgg": WIDER_AGAIN}[step] if seed else ROWS[step]),
    }  # fmt: skip
    for stage in made["stage"]:
        stage |= {"optimizer": "adam", "lr": 0.001} if step == "vit" else {}
    if step == "membership":
        made["threat"] = [{"family": "membership", "shadows": 8, "targets": 4}, threat]
        made["attack"] = [
            *({"name": name, "threats": ["membership"]} for name in ("lira", "loss")),
            *({**one, "threats": ["inversion"]} for one in (ATTACKS[0], *ATTACKS[3:])),
        ]
    return made


def bits(found: np.ndarray) -> str:
    """Whether each class is hit, in letters, so that a file holds them on one line."""
    return "".join("1" if one else "0" for one in found)


def classes_of(folder: Path, attacks: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """By attack, which classes the lineup recognises, the classifier names, and the lineup accepts."""
    case = folder / "threats" / "inversion"
    least = float(read_arrays(case / "truth" / "truth.npz")["accepts_from"])
    found = {}
    for index, one in enumerate(attacks):
        if one["status"] == "ok":
            arrays = read_arrays(case / "evidence" / f"{index}.npz")
            lineup, named = arrays["lineup"][:, :, 0], arrays["classifier"][:, :, 0]
            found[one["id"]] = {
                "recognised": bits(recognised(lineup)[0]),
                "classified": bits(recognised(named)[0]),
                "accepted": bits(np.diagonal(lineup[0]) > least),
            }
    return found


def numbers(folder: Path) -> dict[str, Any]:
    """What one run came to, by variant."""
    result = read_result(folder / "result.json", families=FAMILIES, name="result.json", absent="run the benchmark")
    (threat,) = (one for one in result["threats"] if one["family"] == "inversion")
    names = ["none", *(one["id"] for one in result["variants"] if one["status"] == "ok")]
    variants: dict[str, Any] = {}
    for name in names:
        place = folder if name == "none" else folder / "variants" / name
        variants[name] = {"attacks": classes_of(place, threat["attacks"]), "utility": {}}
    for row in result["utility"]:
        conditions = row["conditions"]
        kept = row["metric"] in ("accuracy", "perturbed_accuracy") and conditions.get("epsilon", LARGEST) == LARGEST
        if kept and conditions["split"] == "nonmember" and row["threat"] == "inversion" and row["status"] == "ok":
            variants[row["variant"]]["utility"][row["metric"]] = [row["value"], row["low"], row["high"]]
    return {
        "verdict": threat["verdict"]["status"],
        "judges": {**threat["details"]["judges"], "acceptance": threat["details"]["acceptance"]},
        "null_audit": {row["attack"]: row["value"] for row in threat["null_audit"]},
        "identities": threat["data"]["identities"],
        "fisher": threat["details"].get("fisher"),
        "failed": [f"{one['id']}: {one['reason']}" for one in result["variants"] if one["status"] != "ok"],
        "membership": membership(result),
        "variants": variants,
    }


def membership(result: Any) -> dict[str, Any] | None:
    """By variant the AUC and the rate at 1 % of the strongest attack on membership; None where it is not asked."""
    found: dict[str, Any] = {}
    for threat in result["threats"]:
        if threat["family"] != "membership":
            continue
        for row in threat["estimates"]:
            wanted = row["metric"] == "auc" or (row["metric"] == "tpr" and row["conditions"].get("fpr") == 0.01)
            if wanted and row["status"] == "ok" and row["conditions"].get("threshold") != "oracle":
                own = found.setdefault(row["variant"], {}).setdefault(str(row["attack"]), {})
                own[row["metric"]] = [row["value"], row["low"], row["high"]]
    return found or None


def main() -> None:
    """Runs the steps that are named, seed by seed, and writes the figures."""
    with tempfile.TemporaryDirectory() as draft:
        base = Path(os.environ.get("DOSIMETER_RUNS", draft))
        wanted = [(step, seed) for step in sys.argv[1:] or list(SEEDS) for seed in SEEDS[step.partition(":")[0]]]
        for step, seed in wanted:
            if step.partition(":")[2] not in ("", str(seed)):
                continue
            step = step.partition(":")[0]
            folder = base / f"{step}-{seed}"
            verbs.run(parse(audit(step, seed), base=Path(__file__).parent), folder, workers=1, store=base / ".store")
            own = numbers(folder)
            content = json.loads(PATH.read_text("utf-8")) if PATH.is_file() else {}  # steps may run side by side
            content.setdefault(step, {})[str(seed)] = own
            content |= {"hardware": hardware()}
            PATH.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
