"""A finished run as an object: its estimates, its report, its comparison with a policy."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dosimeter.foundation.errors import ConfigError, StoreError
from dosimeter.jobs.store import write_text
from dosimeter.pipeline.page import render_folder
from dosimeter.results.policy.check import Check, check
from dosimeter.results.policy.limits import Policy, load_policy
from dosimeter.results.reading import read_result
from dosimeter.results.words import speak
from dosimeter.statistics.estimate import Estimate

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Reported:
    """One row of a result: the quantity, and its estimate.

    Attributes:
        attack: id of the attack.
        metric: "tpr", "auc" or "precision".
        fpr: false positive rate aimed at, or None.
        prior: assumed share of members, for a precision; else None.
        group: group of records, None for all records.
        variant: id of the defense that was tried, "none" for the audit itself.
        threshold: "shadow", "split", "oracle", or None.
        estimate: value, both ends, n, and the reason if there is none.
        fpr_reached: false positive rate at that threshold on the targets, or None.
    """

    attack: str
    metric: str
    fpr: float | None
    prior: float | None
    group: str | None
    variant: str
    threshold: str | None
    estimate: Estimate
    fpr_reached: float | None


@dataclass(frozen=True)
class Result:
    """Findings of an audit.

    Attributes:
        folder: folder of the run, or of a single `result.json`.
        content: content of `result.json`, as `docs/results.md` describes it.
    """

    folder: Path
    content: Mapping[str, Any]

    @property
    def status(self) -> str:
        """The verdict: "shown", "not_shown", "not_resolvable" or "withdrawn"."""
        return str(self.content["verdict"]["status"])

    @property
    def sentences(self) -> tuple[str, ...]:
        """The first sentences of the report."""
        return tuple(self.content["verdict"]["sentences"])

    @property
    def estimates(self) -> tuple[Reported, ...]:
        """All numbers about leakage."""
        return tuple(_reported(row) for row in self.content["estimates"])

    def to_frame(self) -> pandas.DataFrame:
        """All estimates as a table, one row each, columns as in `result.json`.

        Raises:
            ConfigError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ConfigError("to_frame: needs pandas, which is not installed: pip install pandas") from error
        return pd.DataFrame(list(self.content["estimates"]))

    def report(self, path: Path | str | None = None) -> Path:
        """Writes the HTML report.

        Args:
            path: where to; `report.html` in the run's folder unless given.

        Returns:
            The path.

        Raises:
            StoreError: it cannot be written.
        """
        wanted = self.folder / "report.html" if path is None else Path(path)
        write_text(wanted, render_folder(self.folder, self.content))
        return wanted

    def check(self, policy: Policy | Path | str, *, accepted: Result | None = None) -> Check:
        """Compares the result with limits.

        Args:
            policy: limits, or the file that has them.
            accepted: an earlier result that may not be exceeded.

        Raises:
            ConfigError: the policy is wrong or names what was not measured.
        """
        limits = policy if isinstance(policy, Policy) else load_policy(Path(policy))
        return check(self.content, limits, None if accepted is None else accepted.content)

    def __str__(self) -> str:
        return "\n".join([*map(speak, self.sentences), *check_lines(self.content)])


def check_lines(content: Mapping[str, Any]) -> list[str]:
    """Number of the audit's own checks that passed, then one line for each other check, failures first.

    Args:
        content: content of `result.json`.

    >>> check_lines({"gates": [{"id": "P2", "name": "Enough", "status": "warn", "message": "7 are few."}]})
    ['0 checks passed, 1 warning:', '  warning P2 (Enough): 7 are few.']
    """
    gates = content.get("gates", ())
    count = Counter(gate["status"] for gate in gates)
    told = [_counted(count["pass"], "check") + " passed"]
    told += [f"{count['fail']} failed"] if count["fail"] else []
    told += [_counted(count["warn"], "warning") if count["warn"] else "no warnings"]
    lines = [
        f"  {word} {gate['id']} ({gate['name']}): {gate['message']}"
        for status, word in (("fail", "failed"), ("warn", "warning"))
        for gate in gates
        if gate["status"] == status
    ]
    return [speak(one) for one in (", ".join(told) + (":" if lines else ""), *lines)]


def _counted(number: int, word: str) -> str:
    """A number with its noun, in the plural unless it is one."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _reported(row: Mapping[str, Any]) -> Reported:
    """One row of `estimates` as an object."""
    estimate = Estimate(**{field.name: row[field.name] for field in dataclasses.fields(Estimate)})
    names = [field.name for field in dataclasses.fields(Reported) if field.name != "estimate"]
    return Reported(**{name: row[name] for name in names}, estimate=estimate)


def load(path: Path | str) -> Result:
    """Reads an earlier run.

    Args:
        path: path of a run's folder, or of a `result.json`.

    Raises:
        StoreError: there is none, it is damaged, or another version wrote it.
    """
    place = Path(path)
    content = read_result(place)
    folder = place if place.is_dir() else place.parent
    if not content:
        raise StoreError(f"{place}: holds no result: run `dosimeter measure` first")
    return Result(folder, content)
