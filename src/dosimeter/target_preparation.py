"""From a brought model to everything that can be known before its shadows are trained."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

import numpy as np

from dosimeter._resolve import import_from, one_line, resolve
from dosimeter._seeds import generator
from dosimeter.audit_design import unfit
from dosimeter.brought import PROBED, Brought, PreparedTarget, access_of, joined, lone_design, name_of, sources_of
from dosimeter.calibration import halve
from dosimeter.config import Target, TargetAudit
from dosimeter.data.duplicates import overlap
from dosimeter.data.given import Source, given
from dosimeter.design import Design
from dosimeter.errors import ConfigError, DataError
from dosimeter.preflight import Together, check_device
from dosimeter.runners import one_thread
from dosimeter.store import Store
from dosimeter.target.adapt import adapt, repeatability
from dosimeter.target.loading import load_target
from dosimeter.validity import Gate, near_duplicates, outputs_as_taken, repeated_answers, trusted_pickle


def bring(audit: TargetAudit, *, trust_pickle: bool = False) -> Brought:
    """Load the model and the records that an audit file names.

    Args:
        audit: the settings.
        trust_pickle: whether a file that can run code may be loaded.

    Raises:
        AuditError: every problem found, one line each.
    """
    import_from(audit.base)
    target = audit.target
    parts = given(_sources(target), seed=audit.seed, base=audit.base, options=target.data_options.options)
    members = parts["members"]
    loaded = load_target(
        target.model,
        weights=target.weights,
        options=target.options,
        shape=tuple(members.inputs.shape[1:]),
        classes=len(members.classes),
        base=audit.base,
        trust_pickle=trust_pickle,
    )
    return Brought(
        name=audit.name,
        seed=audit.seed,
        model=loaded.model,
        model_name=target.model,
        members=parts["members"],
        nonmembers=parts["nonmembers"],
        population=parts.get("population"),
        fit=target.fit,
        fit_name=target.fit or "",
        depends=target.depends,
        threat=audit.threat,
        access_given="access" in audit.threat.model_fields_set,
        attacks=audit.attacks,
        report=audit.report,
        output=target.output,
        duplicates=target.duplicates,
        gates=(*([trusted_pickle(loaded.trusted)] if loaded.trusted else []), *outputs_as_taken(loaded.notes)),
        base=audit.base,
        named={part: one.shown for part, one in _sources(target).items()},
        settings=audit.settings(),
    )


def _sources(target: Target) -> dict[str, Source]:
    """Where the records of each part come from."""
    parts = ("members", "nonmembers", "population")
    return {
        part: Source(getattr(target, part), getattr(target, f"{part}_rows")) for part in parts if getattr(target, part)
    }


def prepare_target(brought: Brought, *, store: Path, device: str = "cpu") -> PreparedTarget:
    """Adapt the model, try it on a few records, look for records in both parts, and lay out the shadows.

    Args:
        brought: the model and its records.
        store: folder of the cache.
        device: where models are queried.

    Raises:
        AuditError: every problem found, one line each.
    """
    import_from(brought.base)
    together, gates = Together(), list(brought.gates)
    with together:
        check_device(device)
    with together:
        brought, found = _without_overlap(brought)
        gates.append(found)
    with together:
        brought = dataclasses.replace(brought, sources=sources_of(brought.fit, brought.depends))
        _check_fit(brought)
    with together:
        _check_sizes(brought)
    if brought.threat.views != "auto":
        with together:
            if problems := unfit("threat.views", brought.threat.views, brought.members.inputs):
                raise ConfigError(*problems)
    together.tell()
    classes = len(brought.members.classes)
    design = lone_design(brought, classes)
    _check_halves(design, brought.seed)
    probe = np.concatenate([part.inputs[: PROBED // 2] for part in (brought.members, brought.nonmembers)])
    with one_thread():
        adapted = adapt(
            brought.model, classes=classes, example=probe, output=brought.output, device=device, name=brought.model_name
        )
        gates.append(repeated_answers(repeatability(adapted, probe)))
    gates += outputs_as_taken(adapted.notes)
    parts = {"members": brought.members, "nonmembers": brought.nonmembers}
    if brought.population is not None:
        parts["population"] = brought.population
    return PreparedTarget(
        brought=brought,
        adapted=adapted,
        pool=joined(parts),
        design=design,
        access=access_of(brought, adapted),
        store=Store(store),
        device=device,
        gates=tuple(gates),
    )


def _without_overlap(brought: Brought) -> tuple[Brought, Gate]:
    """Refuse or leave out records that are in both parts, and count near duplicates.

    Raises:
        DataError: exact duplicates that are not to be left out, or nothing is left.
    """
    members, nonmembers = brought.members, brought.nonmembers
    found = overlap(members, nonmembers)
    told = "; ".join(found.lines())
    if len(found.exact) and brought.duplicates == "refuse":
        raise DataError(
            f"members and nonmembers: no record may be in both, got {len(found.exact)} exact duplicates ({told}): "
            "remove them, or leave them out with duplicates = 'exclude'"
        )
    gate = near_duplicates(found.near_count, told, remarkable=found.remarkable)
    if not len(found.exact):
        return brought, gate
    pairs = zip((members, nonmembers), found.exact.T, strict=True)
    kept = [np.setdiff1d(np.arange(len(part)), rows) for part, rows in pairs]
    if min(map(len, kept)) < 1:
        raise DataError("members and nonmembers: must differ, got the same records in both: give other non-members")
    brought = dataclasses.replace(brought, members=members.take(kept[0]), nonmembers=nonmembers.take(kept[1]))
    return brought, gate


def _check_sizes(brought: Brought) -> None:
    """Refuse numbers of records and shadows that make no audit."""
    for name, part in (("members", brought.members), ("nonmembers", brought.nonmembers)):
        if len(part) < 2:
            raise DataError(f"{name}: must have at least 2 records, got {len(part)}: give more")
    if brought.fit is not None and (brought.threat.shadows % 2 or brought.threat.shadows < 2):
        raise ConfigError(
            f"shadows: must be even and at least 2, since they come in complementary pairs, got "
            f"{brought.threat.shadows}: use {brought.threat.shadows + 1}"
        )


def _check_halves(design: Design, seed: int) -> None:
    """Refuse records that cannot set thresholds and be measured as well, where no shadow rehearses."""
    if len(design.rehearsal_rows):
        return
    for rows, use in zip(
        halve(design.record, design.member[:1], generator(seed, "calibration split")),
        ("drawn to set thresholds", "left to be measured"),
        strict=True,
    ):
        members = int(design.member[0, rows].sum())
        if members in (0, len(rows)):
            raise DataError(
                f"members and nonmembers: half of the records set thresholds, whole persons together, and both halves "
                f"need both kinds, got {members} members and {len(rows) - members} non-members among those {use}: give "
                "records of more persons, or a fit, whose shadows set thresholds"
            )


def _check_fit(brought: Brought) -> None:
    """See that the user's fit takes its arguments."""
    if brought.fit is None:
        return
    function = resolve(brought.fit) if isinstance(brought.fit, str) else brought.fit
    if not callable(function):
        raise ConfigError(f"fit: must be a function, got {type(function).__name__}: pass fit(dataset, seed)")
    try:
        inspect.signature(function).bind(None, 0)
    except TypeError as error:
        raise ConfigError(
            f"fit: {name_of(function)} must take (dataset, seed), got {one_line(error)}: change it"
        ) from error
    except ValueError:  # no signature to read
        return
