"""Dosimeter: who could learn what about whose data from a transferred model, how sure, and what stopping it costs.

Public names are imported when they are first used, so that `import dosimeter` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dosimeter._version import __version__

if TYPE_CHECKING:
    from dosimeter import errors
    from dosimeter.auditing import audit
    from dosimeter.config import Audit
    from dosimeter.config import load as load_config
    from dosimeter.data import Dataset
    from dosimeter.games import Access, Attack, MembershipGame, Needs, Scores, Truth
    from dosimeter.metrics.estimate import Estimate
    from dosimeter.pipeline import measure, measure_scores, plan, run
    from dosimeter.policy import Check, Policy, load_policy
    from dosimeter.report.render import write_report
    from dosimeter.run_result import Reported, Result, load
    from dosimeter.runners import Workers

__all__ = [
    "Access",
    "Attack",
    "Audit",
    "Check",
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
    "load_policy",
    "measure",
    "measure_scores",
    "plan",
    "run",
    "write_report",
]

_HOMES = {
    "Access": "games",
    "Attack": "games",
    "Audit": "config",
    "Check": "policy",
    "Dataset": "data",
    "Estimate": "metrics.estimate",
    "MembershipGame": "games",
    "Needs": "games",
    "Policy": "policy",
    "Reported": "run_result",
    "Result": "run_result",
    "Scores": "games",
    "Truth": "games",
    "Workers": "runners",
    "audit": "auditing",
    "load": "run_result",
    "load_config": "config:load",
    "load_policy": "policy",
    "measure": "pipeline",
    "measure_scores": "pipeline",
    "plan": "pipeline",
    "run": "pipeline",
    "write_report": "report.render",
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
