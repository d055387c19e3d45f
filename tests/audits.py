"""Small audits and runs for tests: a table for `config.parse`, and the material of a run without any model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dosimeter.config.audit import Audit, parse
from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.attacks import default_rows
from dosimeter.families.membership.case.refusals import Offer, refusal
from dosimeter.families.membership.design.design import Design, membership_matrix
from dosimeter.families.membership.design.supplied import stated_null
from dosimeter.families.membership.gates.numbers import saturation
from dosimeter.families.membership.measures.blind import blind_scores
from dosimeter.families.membership.measures.calibration import Calibration
from dosimeter.families.membership.measures.cross_fitting import HALVES, CrossFit, halvings
from dosimeter.families.membership.measures.material import Material
from dosimeter.families.membership.observe.observations import Observations
from dosimeter.families.membership.play.play import Played, play_attack
from dosimeter.families.membership.stored import material_of, read_case
from dosimeter.foundation.seeds import generator
from dosimeter.models.access import Access
from dosimeter.pipeline.run_folder import read_run

BASE = Path(__file__).parent


def table(**threat: Any) -> dict[str, Any]:
    """A one-stage audit of a linear model on digits that trains in a second."""
    stage = {"name": "train", "data": "digits", "rows": "0:400", "model": "linear", "epochs": 3, "lr": 0.05}
    return {"name": "tiny", "stage": [stage], "threat": {"shadows": 8, "targets": 4, "population": 40, **threat}}


def faces(**threat: Any) -> dict[str, Any]:
    """An audit of inversion of a linear model on 20 people, with 20 others as public records; it trains in a second."""
    options = {"data": "orl-faces", "data_options": {"size": [28, 23]}}
    people = [f"s{number:02d}" for number in range(1, 41)]
    stage = {"name": "train", "data": "private", "model": "linear", "epochs": 40, "batch_size": 16, "lr": 0.05}
    return {
        "name": "faces",
        "data": {
            "private": {**options, "where": {"label": people[:20]}},
            "others": {**options, "where": {"label": people[20:]}},
        },
        "stage": [stage],
        "threat": {"family": "inversion", "public": "others", **threat},
        "attack": [
            {"name": "miface", "steps": 60},
            {"name": "gmi", "restarts": 2, "steps": 100},
            {"name": "prior_best", "samples": 200},
            {"name": "mean_public"},
        ],
    }


def audit(**threat: Any) -> Audit:
    """The audit of `table`."""
    return parse(table(**threat), base=BASE)


def attacks(shadows: int = 16) -> tuple[NamedAttack, ...]:
    """Every default attack that can run with so many shadows and without features, and in less than a second a game."""
    settings = {"stage": [{"name": "s", "data": "digits", "model": "linear"}], "attack": default_rows()}
    given = Offer(Access.LOGITS, 100, shadows)
    quick = (row for row in parse(settings, base=BASE).attacks if not hasattr(row.attack, "game_seconds"))
    return tuple(row for row in quick if not refusal(row, given))


QUICK = tuple(row for row in attacks() if row.id != "base offline")
"""All but the attack that tunes itself, which takes most of the time."""


def gaussian(
    seed: int, *, leakage: float, n: int = 400, z: int = 100, shadows: int = 16, targets: int = 8
) -> tuple[Design, Observations]:
    """A fleet whose signals are Gaussian, with record difficulty, model effects, and a shift for members.

    Args:
        seed: of the draw.
        leakage: mean shift of a member's confidence, in units of the noise; 0 leaks nothing.
        n: candidates.
        z: population.
        shadows: of each target.
        targets: models that are measured.
    """
    rng = np.random.default_rng(seed)
    models = shadows + 2
    member = membership_matrix(n, models, seed)
    hard = rng.normal(1.0, 2.0, n + z)
    phi = hard + rng.normal(0, 0.3, (models, 1)) + rng.normal(0, 1, (models, n + z))
    phi[:, :n] += leakage * rng.uniform(0, 2, n) * member
    design = Design(
        ids=np.array([f"r{i}" for i in range(n)]),
        labels=rng.integers(0, 5, n),
        classes=5,
        member=member,
        targets=targets,
        rehearsals=2,
        record=np.arange(n),
        population_ids=np.array([f"z{i}" for i in range(z)]),
        population_labels=rng.integers(0, 5, z),
    )
    signals = {"logit_confidence": phi[:, None], "logit_confidence_t2": phi[:, None] / 2}
    return design, Observations(signals, phi > 0, None)


def material(
    design: Design, observations: Observations, *, seed: int = 0, leading: float = 0.01, rows: Any = None
) -> Material:
    """What a run would leave, from a design and its outputs."""
    rows = QUICK if rows is None else rows
    models, n = design.member.shape
    null = stated_null(n, models - 1, seed) if design.lone else membership_matrix(n, models, seed, "null membership")
    evidence = {row.id: play_attack(row, design, observations, null_member=null, seed=seed) for row in rows}
    summary = {
        "door": "recipe",
        "audit_key": "0" * 24,
        "name": "gaussian",
        "noun": "record",
        "seed": seed,
        "leading_fpr": leading,
        "data": {
            "name": "gaussian", "records": len(design.ids), "candidates": len(design.ids),
            "population": len(design.population_ids), "classes": 5, "members_per_target": len(design.ids) // 2,
            "persons": None, "groups": None,
        },
        "chain": [
            {
                "stage": "s", "data": "gaussian", "model": "linear", "transfer": "scratch", "given": False,
                "at_risk": True, "settings": {},
            }
        ],
        "threat": {
            "at_risk": "s", "access": "logits", "shadows": len(design.member) - 2, "targets": design.targets,
            "population": len(design.population_ids), "views": ["identity"],
        },
        "attacks": [row.listed("") for row in rows],
    }  # fmt: skip
    return Material(
        summary=summary,
        truth=design.truth(),
        scores={name: one.scores for name, one in evidence.items()},
        calibration=_calibration(design, evidence, seed),
        null_scores={name: one.null for name, one in evidence.items()},
        null_truth=design.truth(null),
        correct=observations.correct[: design.targets],
        test_correct=None,
        groups=design.groups,
        gates=(saturation(observations.signals, Access.LOGITS),),
    )


def _calibration(design: Design, evidence: Mapping[str, Played], seed: int) -> Calibration | CrossFit:
    """What sets thresholds: rehearsals or, if no shadow rehearses, halves of the records, as in a run."""
    bits, folds, own = design.member[design.rehearsal_rows], len(design.folds), design.truth().is_member
    if not len(bits):
        halves = halvings(design.record, own, generator(seed, HALVES), drawn=True)
        return CrossFit(own, design.record, {name: one.scores for name, one in evidence.items()}, halves)
    return Calibration(
        source="shadow",
        block=np.repeat(np.arange(folds), 2)[: design.targets],
        is_member=[bits] * folds,
        scores={name: list(one.rehearsed) for name, one in evidence.items()},
    )


def lone(seed: int, *, leakage: float, n: int, shadows: int, rows: Any) -> Material:
    """What a run with a supplied model and a `fit` would leave, with classifiers that saw records of pure noise.

    Args:
        seed: of the draw.
        leakage: as in `gaussian`, of the target and of the shadows.
        n: members and non-members.
        shadows: that `fit` trained.
        rows: attacks.
    """
    design, observations = gaussian(seed, leakage=leakage, n=n, shadows=shadows, targets=1)
    kept = np.delete(np.arange(shadows + 2), 1)
    signals = {name: values[kept] for name, values in observations.signals.items()}
    design = replace(design, member=design.member[kept], lone=True)
    made = material(design, Observations(signals, observations.correct[kept], None), seed=seed, rows=rows)
    rng = np.random.default_rng([seed, 7])
    judged, bits = np.full(n, np.nan), design.member[0]
    found = blind_scores(rng.normal(size=(n, 10)).astype(np.float32), design.labels, bits, design.record, seed=seed)
    judged[found.rows] = found.scores
    halves = halvings(design.record, bits[None], generator(seed, HALVES))
    return replace(
        made,
        summary={**made.summary, "door": "model", "threat": {**made.summary["threat"], "shadows": shadows}},
        calibration=CrossFit(bits[None], design.record, made.scores, halves),
        blind=judged,
    )


def material_in(run: Path) -> Material:
    """The material of a finished run with one threat."""
    (case,) = read_run(run).cases.values()
    return material_of(read_case(case))
