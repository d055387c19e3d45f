"""Reads an audit file with its data, and reports problems of both together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dosimeter import data as doors
from dosimeter.config.audit import AnyAudit, Audit, draft
from dosimeter.data import Dataset, Options
from dosimeter.foundation.errors import AuditError, ConfigError, DataError
from dosimeter.foundation.toml import read
from dosimeter.foundation.user_code import import_from
from dosimeter.foundation.wording import quote
from dosimeter.pipeline.recipe.parts import of_stage, read_parts, rows_of, tested_like
from dosimeter.pipeline.recipe.texts import refuse_other_records
from dosimeter.training.preflight import Together, about
from dosimeter.training.system import JointStage


def load_audit(path: Path) -> AnyAudit:
    """Reads an audit file; if it is wrong, its data are read too, so that all problems are reported together.

    Raises:
        AuditError: every problem found, one line each.
    """
    base = path.resolve().parent
    found = draft(read(path), base=base, name=path.stem)
    if found.audit is not None:
        return found.audit
    problems, together = list(found.problems), Together()
    if found.parts:
        import_from(base)
        read_parts(found.parts, None, seed=found.seed, base=base, together=together)
        problems += [line for error in together.errors for line in error.problems]
    for index, stage in enumerate(found.stages):
        told = tuple(f"stage[{index}].{key}" for key in ("data", "rows", "test", "test_rows"))
        if stage is not None and not any(problem.startswith(told) for problem in problems):
            import_from(base)
            for key, rows in (("data", stage.rows), ("test", stage.test_rows)):
                options, place = stage.reading, f"stage[{index}].{key}"
                if getattr(stage, key) in found.parts:
                    continue
                error = _load(getattr(stage, key), rows, options, place, found.seed, base)[1]
                problems += () if error is None else error.problems
    raise ConfigError(*problems)


def _load(
    reference: str | None, rows: str | None, options: Options, key: str, seed: int, base: Path
) -> tuple[Dataset | None, DataError | None]:
    """One data set, or the error about it."""
    if reference is None:
        return None, None
    try:
        return doors.load(reference, rows=rows, seed=seed, base=base, options=options), None
    except AuditError as error:
        told = DataError(*[f"{key}: {line}" for line in error.problems])
        told.__cause__ = error  # it is raised later, together with others
        return None, told
    except MemoryError:
        return None, DataError(f"{key}: {quote(reference)} does not fit into memory: choose fewer `rows`")


def read_data(
    audit: Audit, parts: Mapping[str, Dataset], together: Together, joint: JointStage | None = None
) -> tuple[tuple[Dataset | None, ...], Dataset | None]:
    """The data of all stages and the test data.

    Args:
        audit: the settings.
        parts: the named parts that could be read.
        together: collects what is wrong.
        joint: who trains the last stage together; the records of its first party stand for its data.
    """

    def load(reference: str | None, rows: str | None, options: Options, key: str) -> Dataset | None:
        if reference in audit.parts:
            with together, about(key):
                if reference in parts:  # otherwise its own problem is told
                    part = parts[str(reference)]
                    return of_stage(part, rows) if key.endswith("data") else rows_of(part, rows)
            return None
        found, error = _load(reference, rows, options, key, audit.seed, audit.base)
        if error is not None:
            together.errors.append(error)
        return found

    last = len(audit.stages) - 1
    data = tuple(
        load(stage.data, stage.rows, stage.reading, f"stage[{i}].data") for i, stage in enumerate(audit.stages)
    )
    data = data if joint is None else (*data[:-1], next(iter(joint.parties.values())))
    stage, own = audit.stages[last], data[last]
    options = stage.reading
    if own is not None and own.categories:
        options = options.like(own)  # so that text columns become the same features
    test = load(stage.test, stage.test_rows, options, f"stage[{last}].test")
    if test is not None and own is not None:
        with together, about(f"stage[{last}].test"):
            test = tested_like(test, own)
    with together:
        refuse_other_records(audit.stages, data, test)
    if (
        test is not None
        and own is not None
        and (test.classes, test.inputs.shape[1:]) != (own.classes, own.inputs.shape[1:])
    ):
        together.errors.append(
            DataError(
                f"stage[{last}].test: must have the classes and the input shape of the stage's data, "
                f"got {len(test.classes)} classes of shape {test.inputs.shape[1:]} instead of {len(own.classes)} of "
                f"{own.inputs.shape[1:]}: use records of the same kind"
            )
        )
    return data, test
