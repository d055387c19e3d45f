"""Dosimeter: who could learn what about whose data from a transferred model, how sure, and what stopping it costs.

Public names are imported when they are first used, so that `import dosimeter` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dosimeter.foundation.package import __version__

if TYPE_CHECKING:
    from dosimeter.config.audit import Audit
    from dosimeter.config.audit import load as load_config
    from dosimeter.data import Dataset
    from dosimeter.families.attack import Attack
    from dosimeter.families.membership.game import MembershipGame, Needs
    from dosimeter.foundation import errors
    from dosimeter.jobs.runners import Workers
    from dosimeter.models.access import Access
    from dosimeter.pipeline.call import audit
    from dosimeter.pipeline.page import write_report
    from dosimeter.pipeline.recipe.partition import load_device, load_server
    from dosimeter.pipeline.result import Reported, Result, load, load_policy
    from dosimeter.pipeline.table import measure_scores
    from dosimeter.pipeline.verbs import measure, plan, run
    from dosimeter.results.policy.check import Check
    from dosimeter.results.policy.limits import Policy
    from dosimeter.statistics.estimate import Estimate
    from dosimeter.statistics.evidence import Scores, Truth
    from dosimeter.training.construction.partition import AdversarialPartition
    from dosimeter.training.construction.settings import Construction

__all__ = [
    "Access",
    "AdversarialPartition",
    "Attack",
    "Audit",
    "Check",
    "Construction",
    "Dataset",
    "Estimate",
    "MembershipGame",
    "Needs",
    "Policy",
    "Reported",
    "Result",
    "Scores",
    "Truth",
    "Workers",
    "__version__",
    "audit",
    "errors",
    "load",
    "load_config",
    "load_device",
    "load_policy",
    "load_server",
    "measure",
    "measure_scores",
    "plan",
    "run",
    "write_report",
]

_HOMES = {
    "Access": "models.access",
    "AdversarialPartition": "training.construction.partition",
    "Attack": "families.attack",
    "Audit": "config.audit",
    "Check": "results.policy.check",
    "Construction": "training.construction.settings",
    "Dataset": "data",
    "Estimate": "statistics.estimate",
    "MembershipGame": "families.membership.game",
    "Needs": "families.membership.game",
    "Policy": "results.policy.limits",
    "Reported": "pipeline.result",
    "Result": "pipeline.result",
    "Scores": "statistics.evidence",
    "Truth": "statistics.evidence",
    "Workers": "jobs.runners",
    "audit": "pipeline.call",
    "load": "pipeline.result",
    "load_config": "config.audit:load",
    "load_device": "pipeline.recipe.partition",
    "load_policy": "pipeline.result",
    "load_server": "pipeline.recipe.partition",
    "measure": "pipeline.verbs",
    "measure_scores": "pipeline.table",
    "plan": "pipeline.verbs",
    "run": "pipeline.verbs",
    "write_report": "pipeline.page",
}
"""The module of each public name, after a colon its name there."""


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("dosimeter.errors")
    if name not in _HOMES:
        raise AttributeError(f"module 'dosimeter' has no attribute {name!r}")
    home, _, own = _HOMES[name].partition(":")
    return getattr(importlib.import_module(f"dosimeter.{home}"), own or name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
