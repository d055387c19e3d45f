"""The content of result.json: what is common to a run, its threats, its variants."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dosimeter.families.membership.family import MEMBERSHIP
from dosimeter.families.membership.measure import measure
from dosimeter.families.membership.measures.material import Material
from dosimeter.pipeline.variants import join_variants
from dosimeter.results.compose import ThreatFindings, compose
from dosimeter.results.findings import Findings


def whole_result(material: Material, folder: Path) -> dict[str, Any]:
    """The content of result.json of a run with one threat, with the figures of its variants.

    Args:
        material: material of the run.
        folder: its folder; its variants are measured.

    Raises:
        StoreError: a variant's folder is missing or damaged.
    """
    findings, variants = join_variants(measure(material), material, folder)
    return compose(material.summary, [only_threat(findings, material.summary)], variants=variants)


def only_threat(findings: Findings, summary: Mapping[str, Any]) -> ThreatFindings:
    """The threat of a run that has one, of membership.

    Args:
        findings: what it came to.
        summary: the content of `run.json`.
    """
    return ThreatFindings(
        MEMBERSHIP.name, MEMBERSHIP.name, MEMBERSHIP.question, str(summary["threat"]["at_risk"]), findings
    )  # fmt: skip
