"""Complete results with made-up numbers: a leak that is shown, one that is not, and data too small to tell."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

NORMAL = NormalDist()
LADDER = (0.1, 0.01, 0.001, 0.0001)
NEED = {0.1: 29, 0.01: 299, 0.001: 2995, 0.0001: 29956}
NAMES = {
    "lira-online": ("LiRA", "online", "Carlini et al. 2022, arXiv:2112.03570", {"variance": "global", "views": 2}),
    "rmia": ("RMIA", "online", "Zarifzadeh et al. 2024, arXiv:2312.03262", {"gamma": 2.0, "temperature": 2.0}),
    "attack-p": ("Attack-P", None, "Ye et al. 2022, arXiv:2111.09679", {}),
    "loss": ("LOSS", None, "Yeom et al. 2018, arXiv:1709.01604", {}),
    "constant": ("Constant score", None, "", {}),
    "count": ("Count of shadows", None, "", {}),
}
METHOD = {1: "clopper-pearson", 8: "two-way bootstrap"}
CONTROLS = ("constant", "count")


def shown() -> dict[str, Any]:
    """A leak is shown."""
    shifts = {"lira-online": 1.25, "rmia": 1.17, "attack-p": 0.62, "loss": 0.6, "constant": 0.0, "count": 0.0}
    result = _result("shown", shifts, n=5000, targets=8)
    low, high = _ends(result)
    result["verdict"]["sentences"] = [
        "Someone who sees the model's class probabilities and trains 16 shadow models recognises at least "
        f"{low} of the photos it was finetuned on, while falsely accusing about 1 % of the others.",
        f"Up to {high} is not excluded. The strongest attack was LiRA (online), chosen on shadow models before the "
        "targets were measured.",
    ]
    return result


def not_shown() -> dict[str, Any]:
    """Nothing is shown at this size."""
    result = _result("not_shown", dict.fromkeys(NAMES, 0.0), n=5000, targets=1)
    result["verdict"]["sentences"] = [
        "No leak was shown with 16 shadow models and 5,000 unused photos; an attack that recognises up to "
        f"{_ends(result)[1]} of the members at 1 % false accusations is not excluded.",
    ]
    return result


def tiny() -> dict[str, Any]:
    """Too few records to resolve any rate."""
    sentences = [
        "This audit cannot tell: 20 unused photos are too few to measure 1 % false accusations, which needs at least "
        "299.",
        "Audit more photos, or read only the AUC, which is an average.",
    ]
    result = _result("not_resolvable", {key: 0.0 if key in CONTROLS else 0.4 for key in NAMES}, n=20, targets=1)
    result["verdict"]["sentences"] = sentences
    return result


def _ends(result: dict[str, Any]) -> tuple[str, str]:
    """The two ends of the headline rate."""
    row = next(r for r in result["estimates"] if r["metric"] == "tpr" and r["fpr"] == 0.01)
    return f"{100 * row['low']:.1f} %", f"{100 * row['high']:.1f} %"


def provenance() -> dict[str, Any]:
    """A provenance.json."""
    return {
        "dosimeter": "0.1.0",
        "git": {"revision": "0ead48f6d1c2", "dirty": False},
        "versions": {"python": "3.11.9", "torch": "2.6.0", "numpy": "2.1.3"},
        "started": "2026-11-03T09:12:44Z",
        "finished": "2026-11-03T09:31:02Z",
        "seconds": 1098.4,
        "hardware": {"cpu": "2 cores, x86_64", "memory": "8 GB", "gpu": None},
        "seeds": {"root": 0},
        "definitions": {
            "stage finetune": {
                "model": "mlp",
                "epochs": 30,
                "rows": "half of 10000",
                "seed": 0,
                "parent": "9f2c41aa07de",
            },
            "data photos": {"fingerprint": "41c0ffee" * 8},
        },
    }


def _result(status: str, shifts: dict[str, float], *, n: int, targets: int) -> dict[str, Any]:
    """Assemble one result from binormal attacks."""
    attacks = [
        {
            "id": key,
            "name": name,
            "mode": mode,
            "paper": paper,
            "control": key in CONTROLS,
            "headline": key == "lira-online",
            "settings": settings,
            "status": "ok",
            "reason": "",
        }
        for key, (name, mode, paper, settings) in NAMES.items()
    ]
    attacks.append(
        {
            "id": "qmia",
            "name": "Quantile regression",
            "mode": None,
            "paper": "Bertran et al. 2023, arXiv:2307.03694",
            "control": False,
            "headline": False,
            "settings": {},
            "status": "refused",
            "reason": "needs 1,000 population records, the audit has 500: enlarge `population`",
        }
    )
    estimates = [row for key, shift in shifts.items() for row in _estimates(key, shift, n, targets)]
    leaks = status == "shown"
    return {
        "schema": 2,
        "door": "recipe",
        "audit_key": "5b1d0c9e7f3a24680bd1f2e3c4a5968778695a4b3c2d1e0f00112233445566ff",
        "name": "flower-photos",
        "noun": "photo",
        "data": {
            "name": "flowers",
            "records": 2 * n + 500,
            "candidates": 2 * n,
            "population": 500,
            "classes": 10,
            "members_per_target": n,
            "persons": 812 if leaks else None,
            "groups": None,
        },
        "chain": [
            {
                "stage": "pretrain",
                "data": "public-objects",
                "model": "efficientnet-lite0",
                "transfer": "scratch",
                "given": True,
                "at_risk": False,
                "settings": {},
            },
            {
                "stage": "finetune",
                "data": "flowers",
                "model": "linear head",
                "transfer": "head",
                "given": False,
                "at_risk": True,
                "settings": {"epochs": 30, "learning_rate": 0.05, "batch": 64, "weight_decay": None},
            },
        ],
        "threat": {
            "at_risk": "finetune",
            "access": "probs",
            "shadows": 16,
            "targets": targets,
            "population": 500,
            "views": ["as it is", "mirrored"],
        },
        "attacks": attacks,
        "verdict": {
            "status": status,
            "attack": "lira-online",
            "fpr": 0.01,
            "p_auc": 0.0005 if leaks else 0.41,
            "p_tpr": 0.0005 if leaks else None,
            "sentences": ["to be written"],
        },
        "estimates": estimates,
        "utility": [
            _utility("train", 0.931 if leaks else 0.842, n, targets),
            _utility("nonmember", 0.812 if leaks else 0.836, n, targets),
            _utility("test", 0.809 if leaks else 0.838, 500, targets),
        ],
        "gates": [
            {
                "id": "blind",
                "name": "Members and non-members look alike without the model",
                "status": "pass",
                "value": 0.503,
                "message": "A classifier that never sees the model has AUC 0.503 (0.492 to 0.514).",
            },
            {
                "id": "targets",
                "name": "Several targets",
                "status": "warn" if targets < 5 else "pass",
                "value": float(targets),
                "message": f"Targets: {targets}. From 5 on, the interval covers training again.",
            },
            {
                "id": "twins",
                "name": "No near-duplicates across the split",
                "status": "pass",
                "value": 0.0,
                "message": "No pair of records closer than the smallest distance within classes.",
            },
        ],
        "null_audit": [
            {
                "attack": key,
                "auc": 0.5 + 0.002 * (i - 2),
                "low": 0.485 + 0.002 * (i - 2),
                "high": 0.515 + 0.002 * (i - 2),
                "status": "pass",
            }
            for i, key in enumerate(shifts)
        ],
        "curves": {key: _curve(shift, n) for key, shift in shifts.items()},
        "histograms": {"lira-online": _histogram(shifts["lira-online"], n)},
        "not_tested": [
            "Adversaries with the model's weights or gradients.",
            "Reconstruction of photos, and attributes of the persons in them.",
            "Worst-case records: the candidates are ordinary photos, no planted ones.",
        ],
    }


def _rate(value: float, n: int) -> dict[str, float]:
    """Value, low and high of a share by Wilson's formula."""
    z = 1.96
    middle = (value + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(value * (1 - value) / n + z * z / (4 * n * n))
    return {"value": value, "low": max(0.0, middle - half), "high": min(1.0, middle + half)}


def _tpr(shift: float, fpr: float) -> float:
    """A binormal ROC."""
    return 1.0 if fpr >= 1 else NORMAL.cdf(NORMAL.inv_cdf(fpr) + shift) if fpr > 0 else 0.0


def _estimates(attack: str, shift: float, n: int, targets: int) -> list[dict[str, Any]]:
    """The rows of one attack."""
    base = {
        "family": "membership",
        "stage": "finetune",
        "variant": "none",
        "attack": attack,
        "fpr": None,
        "prior": None,
        "group": None,
        "level": 0.95,
        "method": METHOD[targets],
        "n_members": n * targets,
        "n_nonmembers": n,
        "n_targets": targets,
        "threshold": None,
        "status": "ok",
        "reason": "",
    }
    none = {"value": None, "low": None, "high": None}
    rows: list[dict[str, Any]] = []
    for fpr in LADDER:
        for threshold in ("shadow", "oracle"):
            row = {**base, "metric": "tpr", "fpr": fpr, "threshold": threshold}
            if n < NEED[fpr]:
                certified = f"{100 * (1 - 0.05 ** (1 / n)):.2g} %"
                reason = f"{n:,} unused records; at least {NEED[fpr]:,} are needed. Smallest certified: {certified}."
                row |= {**none, "status": "not_resolvable", "reason": reason}
            else:
                reached = fpr * (0.9 + 0.02 * len(attack) if threshold == "shadow" else 1.0)
                row |= _rate(_tpr(shift, reached), n // 2)
                row["reason"] = "low n" if n < 10 / fpr else ""
                if threshold == "shadow":
                    r = _rate(reached, n)
                    row |= {"fpr_reached": r["value"], "fpr_low": r["low"], "fpr_high": r["high"]}
            rows.append(row)
    auc = NORMAL.cdf(shift / math.sqrt(2))
    half = 0.5 / math.sqrt(n)
    rows.append(
        {
            **base,
            "metric": "auc",
            "method": "logit DeLong" if targets == 1 else METHOD[targets],
            "value": auc,
            "low": max(0.0, auc - half),
            "high": min(1.0, auc + half),
        }
    )
    for prior in (0.5, 0.1, 0.01):
        row = {**base, "metric": "precision", "fpr": 0.01, "prior": prior, "threshold": "shadow"}
        if n < NEED[0.01]:
            rows.append({**row, **none, "status": "not_resolvable", "reason": "Too few unused records."})
        else:
            odds = prior / (1 - prior) * _tpr(shift, 0.01) / 0.01
            rows.append(
                {**row, **{key: o / (1 + o) for key, o in (("value", odds), ("low", odds / 1.3), ("high", odds * 1.3))}}
            )
    return rows


def _utility(split: str, value: float, n: int, targets: int) -> dict[str, Any]:
    """One row of accuracy."""
    return {
        "variant": "none",
        "metric": "accuracy",
        "split": split,
        **_rate(value, n),
        "level": 0.95,
        "method": METHOD[targets],
        "n": n,
        "n_targets": targets,
        "status": "ok",
        "reason": "",
    }


def _curve(shift: float, n: int) -> dict[str, list[float]]:
    """A ROC at 120 rates."""
    fpr = [0.0, *(10 ** (-4 + 4 * i / 118) for i in range(119))]
    rates = [_rate(min(1.0, _tpr(shift, f)), n) for f in fpr]
    return {
        "fpr": [min(1.0, f) for f in fpr],
        **{a: [r[b] for r in rates] for a, b in (("tpr", "value"), ("low", "low"), ("high", "high"))},
    }


def _histogram(shift: float, n: int) -> dict[str, list[float]]:
    """Counts in 40 bins."""
    edges = [-4 + 0.2 * i for i in range(41)]

    def counts(mean: float) -> list[float]:
        cdf = [NormalDist(mean).cdf(edge) for edge in edges]
        return [float(round(n * (b - a))) for a, b in zip(cdf, cdf[1:], strict=False)]

    return {"edges": edges, "members": counts(shift - 0.2), "nonmembers": counts(-0.2)}
