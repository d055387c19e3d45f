"""A finished run as an object: its estimates, its report, its comparison with a policy."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dosimeter.families.registry import FAMILIES
from dosimeter.foundation.errors import ConfigError, StoreError
from dosimeter.jobs.store import write_text
from dosimeter.pipeline.page import render_folder
from dosimeter.results.policy import limits
from dosimeter.results.policy.check import Check, check
from dosimeter.results.policy.limits import Policy
from dosimeter.results.reading import read_result
from dosimeter.results.rows import Condition, Row
from dosimeter.results.views import all_gates, views
from dosimeter.results.words import speak
from dosimeter.statistics.estimate import Estimate

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Reported:
    """One row of a result: the quantity, and its estimate.

    Attributes:
        attack: id of the attack.
        metric: of membership "tpr", "auc", "precision", "fpr" (the rate that a threshold reached), "dose", "log_mia" or
            "exposure".
        fpr: false positive rate aimed at, or None.
        prior: assumed share of members, for a precision; else None.
        group: group of records, None for all records.
        variant: id of the defense that was tried, "none" for the audit itself.
        threshold: "shadow", "split", "oracle", or None.
        estimate: value, both ends, n, and the reason if there is none; its counts are 0 for what was not counted.
        fpr_reached: false positive rate at that threshold on the targets, or None.
        threat: id of the threat.
        family: family of attack.
        unit: what the number is in, such as "share" or "auc".
        conditions: all that the number holds for, by name.
        n: counts by name.
        grade_shown: of `log_mia` at a preset threshold, the grade of the leak that is shown, by our rules; else None.
        grade_not_excluded: the grade that is not excluded; else None.
    """

    attack: str | None
    metric: str
    fpr: float | None
    prior: float | None
    group: str | None
    variant: str
    threshold: str | None
    estimate: Estimate
    fpr_reached: float | None
    threat: str
    family: str
    unit: str
    conditions: Mapping[str, Condition]
    n: Mapping[str, int]
    grade_shown: str | None = None
    grade_not_excluded: str | None = None


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
        return tuple(one for view in views(self.content) for one in _reported(view["estimates"]))

    def to_frame(self) -> pandas.DataFrame:
        """All estimates as a table, one row each: columns as in `estimates`, counts and common conditions beside them.

        Raises:
            ConfigError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ConfigError("to_frame: needs pandas, which is not installed: pip install pandas") from error
        return pd.DataFrame([_columns(one) for one in self.estimates])

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
        wanted = policy if isinstance(policy, Policy) else load_policy(policy)
        return check(self.content, wanted, FAMILIES, None if accepted is None else accepted.content)

    def save_partition(
        self, folder: Path | str, *, cut: str | None = None, threat: str | None = None, base: Path | str = ".",
        model: object = None,
    ) -> Path:  # fmt: skip
        """Writes the device's half and the server's half of the audited model of a threat of split.

        `device.safetensors` and `server.safetensors` hold weights, `partition.json` the cut, the defenses at it and
        what the model is built of. `dosimeter.load_device` and `dosimeter.load_server` read them. A variant is saved
        from its own result, `dosimeter.load(result.folder / "variants" / "ID")`.

        Args:
            folder: where to, new or empty.
            cut: the layer after which the model is cut; the only one that was audited unless given.
            threat: id of the threat, if there are several.
            base: folder in which the code of a model of yours is found.
            model: the network itself, or one that the same code builds, where it was supplied; its weights do not
                count.

        Returns:
            The folder.

        Raises:
            AuditError: there is no such model or cut, or the folder holds something.
        """
        from dosimeter.pipeline.recipe.partition import save_partition  # loads PyTorch

        return save_partition(self.folder, Path(folder), cut=cut, threat=threat, base=Path(base), model=model)

    def __str__(self) -> str:
        return "\n".join([*map(speak, first_sentences(self.content)), *check_lines(self.content)])


def first_sentences(content: Mapping[str, Any]) -> list[str]:
    """The sentences of the whole verdict, then the first sentence of each threat that they are not about.

    Args:
        content: content of `result.json`.
    """
    verdict = content["verdict"]
    others = [one for one in content["threats"] if one["id"] != verdict["threat"]]
    return [*verdict["sentences"], *(f"Threat {one['id']}: {one['verdict']['sentences'][0]}" for one in others)]


def check_lines(content: Mapping[str, Any]) -> list[str]:
    """Number of the audit's own checks that passed, then one line for each other check, failures first.

    Args:
        content: content of `result.json`.

    >>> gate = {"id": "P2", "name": "Enough", "status": "warn", "message": "7 are few."}
    >>> check_lines({"gates": [gate], "threats": []})
    ['0 checks passed, 1 warning:', '  warning P2 (Enough): 7 are few.']
    """
    gates, several = all_gates(content), len(content["threats"]) > 1
    count = Counter(gate["status"] for _, gate in gates)
    told = [_counted(count["pass"], "check") + " passed"]
    told += [f"{count['fail']} failed"] if count["fail"] else []
    told += [_counted(count["warn"], "warning") if count["warn"] else "no warnings"]
    lines = [
        f"  {word} {gate['id']} ({gate['name']}){f', threat {of}' if several and of else ''}: {gate['message']}"
        for status, word in (("fail", "failed"), ("warn", "warning"))
        for of, gate in gates
        if gate["status"] == status
    ]
    return [speak(one) for one in (", ".join(told) + (":" if lines else ""), *lines)]


def _counted(number: int, word: str) -> str:
    """A number with its noun, in the plural unless it is one."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _reported(rows: Sequence[Row]) -> Iterator[Reported]:
    """The rows of one threat as objects."""
    reached = {row.key: row.value for row in rows if row.metric == "fpr"}
    for row in rows:
        counts: dict[str, Any] = {f"n_{name}": row.n.get(name, 0) for name in ("members", "nonmembers")}
        names = ("value", "low", "high", "level", "method", "n_targets", "status", "reason")
        estimate = Estimate(**{name: getattr(row, name) for name in names}, **counts)
        prior = row.conditions.get("prior")
        yield Reported(
            **{name: getattr(row, name) for name in ALIKE},
            fpr=row.rate,
            prior=None if prior is None else float(prior),
            threshold=row.threshold,
            estimate=estimate,
            fpr_reached=reached.get(replace(row.key, metric="fpr")) if row.metric == "tpr" else None,
        )


ALIKE = (
    "attack",
    "metric",
    "group",
    "variant",
    "threat",
    "family",
    "unit",
    "conditions",
    "n",
    "grade_shown",
    "grade_not_excluded",
)
"""Fields that a reported row has as the row itself."""


def _columns(one: Reported) -> dict[str, Any]:
    """A row of the table: its own parts, its estimate's, and each condition and count that is not among them."""
    parts = {field.name: getattr(one, field.name) for field in dataclasses.fields(Reported) if field.name != "estimate"}
    counts = {f"n_{name}": number for name, number in one.n.items()}
    del parts["n"]
    return {**one.conditions, **parts, **dataclasses.asdict(one.estimate), **counts}


def load_policy(path: Path | str) -> Policy:
    """Reads a policy file.

    Args:
        path: a TOML file.

    Raises:
        ConfigError: every problem, one line each.
    """
    return limits.load_policy(Path(path), FAMILIES)


def load(path: Path | str) -> Result:
    """Reads an earlier run.

    Args:
        path: path of a run's folder, or of a `result.json`.

    Raises:
        StoreError: there is none, it is damaged, or another version wrote it.
    """
    place = Path(path)
    content = read_result(place, families=FAMILIES)
    folder = place if place.is_dir() else place.parent
    if not content:
        raise StoreError(f"{place}: holds no result: run `dosimeter measure` first")
    return Result(folder, content)
