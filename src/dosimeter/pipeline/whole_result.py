"""The content of result.json: what is common to a run, its threats, its variants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dosimeter.families.family import Family
from dosimeter.pipeline.run_folder import RunFolder
from dosimeter.pipeline.variants import join_variants, listed_variants
from dosimeter.results.findings import Findings
from dosimeter.results.whole.compose import ThreatFindings, compose

WHATEVER_IS_GAINED = (
    "Whether the transfer pays. This verdict stands in any case, since the model is there and tells what it tells; a "
    "joint training of this run has no verdict where nothing is gained."
)
"""Left open by a threat that stands beside one about a joint training, and is about none itself."""


def whole_result(left: RunFolder, folder: Path) -> dict[str, Any]:
    """The content of result.json of a finished run, with the figures of its variants.

    Args:
        left: what the run left.
        folder: its folder; its variants are measured.

    Raises:
        StoreError: a variant's folder is missing or damaged.
    """
    threats: list[ThreatFindings] = []
    outcomes: dict[str, list[Mapping[str, Any]]] = {}
    joint = any(map(_is_joint, left.families.values()))
    for name, case in left.cases.items():
        family = left.families[name]
        findings, found = join_variants(family.measure(case), case, folder, threat=name)
        if joint and not _is_joint(family):
            findings = replace(findings, not_tested=(*findings.not_tested, WHATEVER_IS_GAINED))
        threats.append(one_threat(name, family, findings, case.summary))
        for variant, outcome in found.items():
            outcomes.setdefault(variant, []).append(outcome)
    variants = listed_variants(left.summary, outcomes)
    return compose(left.summary, threats, variants=variants, not_tested=left.summary.get("not_tested", ()))


def _is_joint(family: Family) -> bool:
    """Returns whether a family is about what parties learn of each other while they train a stage together."""
    return "parties" in family.takes


def one_threat(name: str, family: Family, findings: Findings, summary: Mapping[str, Any]) -> ThreatFindings:
    """A threat of a run.

    Args:
        name: its id.
        family: its family.
        findings: what it came to.
        summary: what `run.json` says of the run, and of this threat.
    """
    return ThreatFindings(name, family.name, family.question, str(summary["threat"]["at_risk"]), findings)
