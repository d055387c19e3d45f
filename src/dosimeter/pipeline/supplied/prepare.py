"""Prepares a supplied model: everything that is known before its shadows are trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from dosimeter.config.audit import SuppliedAudit
from dosimeter.config.tables import Target, finetuning_of
from dosimeter.data import Dataset, Options
from dosimeter.data.duplicates import overlap
from dosimeter.data.gates import near_duplicates
from dosimeter.data.supplied import Source, clusters_of
from dosimeter.families.family import Case
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.gate import Gate
from dosimeter.foundation.user_code import import_from
from dosimeter.jobs.store import Store
from dosimeter.models.supplied.gates import outputs_as_taken, trusted_pickle
from dosimeter.models.supplied.loading import load_target
from dosimeter.pipeline.supplied.asking import asked
from dosimeter.pipeline.supplied.checks import check_fit, check_sizes, check_texts
from dosimeter.pipeline.supplied.prepared import Asked, PreparedSupplied, Supplied, read_records
from dosimeter.pipeline.supplied.shadow_keys import sources_of
from dosimeter.pipeline.supplied.texts import asked_texts, model_of_texts, reading_of
from dosimeter.training.preflight import Together, check_device
from dosimeter.training.system import SuppliedSystem


def read_supplied(audit: SuppliedAudit, *, trust_pickle: bool = False) -> Supplied:
    """Loads the model and the records that an audit file names.

    Args:
        audit: the settings.
        trust_pickle: whether a file that can run code may be loaded.

    Raises:
        AuditError: every problem found, one line each.
    """
    import_from(audit.base)
    target = audit.target
    options = target.data_options.options
    if target.task == "language":
        options = reading_of(options, target.model, audit.base)
    parts = read_records(_sources(target), audit.threats, seed=audit.seed, base=audit.base, options=options)
    if target.task == "language":
        return _read_texts(audit, parts, options, trust_pickle=trust_pickle)
    first = parts[next(name for name in ("members", *target.data) if name in parts)]
    loaded = load_target(
        target.model,
        weights=target.weights,
        options=target.options,
        shape=tuple(first.inputs.shape[1:]),
        classes=len(first.classes),
        base=audit.base,
        trust_pickle=trust_pickle,
    )
    gates = (*([trusted_pickle(loaded.trusted)] if loaded.trusted else []), *outputs_as_taken(loaded.notes))
    return dataclasses.replace(_as_written(audit, parts, loaded.model), gates=gates)


def _read_texts(
    audit: SuppliedAudit, parts: Mapping[str, Dataset], options: Options, *, trust_pickle: bool
) -> Supplied:  # fmt: skip
    """A language model that an audit file names."""
    model, parent = model_of_texts(audit.target, parts["members"], audit.base)
    tokenizer = None if options.tokenizer is None else str(audit.base / options.tokenizer)
    found = _as_written(audit, parts, model)
    return dataclasses.replace(found, parent=parent, tokenizer=tokenizer, trust_pickle=trust_pickle)


def _as_written(audit: SuppliedAudit, parts: Mapping[str, Dataset], model: object) -> Supplied:
    """The model with its records, and all else that an audit file says of them."""
    target = audit.target
    recipe = finetuning_of(target.fit, "target.fit") if isinstance(target.fit, dict) else None
    function = target.fit if isinstance(target.fit, str) else None
    return Supplied(
        name=audit.name,
        seed=audit.seed,
        model=model,
        model_name=target.model,
        members=parts.get("members"),
        nonmembers=parts.get("nonmembers"),
        population=parts.get("population"),
        data={name: parts[name] for name in target.data},
        fit=function,
        fit_name=str(recipe or function or ""),
        finetuning=recipe,
        depends=target.depends,
        threats=audit.threats,
        report=audit.report,
        output=target.output,
        duplicates=target.duplicates,
        base=audit.base,
        named={part: one.title for part, one in _sources(target).items()},
        given=audit.settings(),
        variants=audit.variants,
    )


def _sources(target: Target) -> dict[str, Source]:
    """Sources of the records of each part."""
    parts = ("members", "nonmembers", "population")
    own = {
        part: Source(getattr(target, part), getattr(target, f"{part}_rows")) for part in parts if getattr(target, part)
    }
    return {**own, **{name: Source(one) for name, one in target.data.items()}}


def prepare_supplied(supplied: Supplied, *, store: Store, device: str = "cpu") -> PreparedSupplied:
    """Adapts the model, tries it on a few records, finds records in both parts, and lists the shadows' jobs.

    Args:
        supplied: the model and its records.
        store: the cache.
        device: device on which models are queried.

    Raises:
        AuditError: every problem found, one line each.
    """
    import_from(supplied.base)
    together = Together()
    overlapping: list[Gate] = []
    reads: list[Gate] = []
    with together:
        check_device(device)
    with together:
        supplied, overlapping = _without_overlap(supplied)
    with together:
        sources, reads = sources_of(supplied.fit, supplied.depends)
        supplied = dataclasses.replace(supplied, sources=sources)
        check_fit(supplied)
    with together:
        check_sizes(supplied)
    with together:
        check_texts(supplied)
    together.tell()
    for row in supplied.threats:
        with together:
            row.family.check_records(supplied.parts, row.threat, trains=supplied.trains, seed=supplied.seed)
    together.tell()
    texts = supplied.first.vocabulary is not None
    supplied, found = (supplied, asked_texts(supplied, device)) if texts else asked(supplied, device)
    if found.adapted.tokens and not texts:  # which only the model says, and by which near duplicates are others
        _, overlapping = _without_overlap(supplied)
    system = _system(supplied, found, (*overlapping, *reads), store, device)
    cases: dict[str, Case] = {}
    for row in supplied.threats:
        with together:
            cases[row.id] = row.family.case(system, row.threat, row.attacks)
    together.tell()
    return PreparedSupplied(supplied, system, cases)


def _system(supplied: Supplied, asked: Asked, reads: Sequence[Gate], store: Store, device: str) -> SuppliedSystem:
    """The model as families see it.

    Args:
        supplied: the model and its records.
        asked: how it is asked.
        reads: checks of how the records and the user's code were read.
        store: the cache.
        device: device on which it is queried.
    """
    return SuppliedSystem(
        store=store,
        device=device,
        seed=supplied.seed,
        adapted=asked.adapted,
        parts={**supplied.parts, **supplied.data},
        names=supplied.named,
        fit=supplied.fit,
        gates=(*supplied.gates, *reads, *asked.gates),
        probe=asked.probe,
        answers=asked.answers,
        noise=asked.noise,
        sources=supplied.sources,
        seconds=asked.seconds,
        language=asked.language,
        finetuning=supplied.finetuning,
    )


def _without_overlap(supplied: Supplied) -> tuple[Supplied, list[Gate]]:
    """Refuses or leaves out records that are in both parts, and counts near duplicates; nothing where one is not given.

    Raises:
        DataError: exact duplicates that are not to be left out, or nothing is left.
    """
    members, nonmembers = supplied.members, supplied.nonmembers
    if members is None or nonmembers is None:
        return supplied, []
    found = overlap(members, nonmembers)
    told = "; ".join(found.lines())
    if len(found.exact) and supplied.duplicates == "refuse":
        raise DataError(
            f"members and nonmembers: no record may be in both, got {len(found.exact)} exact duplicates ({told}): "
            "remove them, or leave them out with duplicates = 'exclude'"
        )
    if len(found.exact):
        pairs = zip((members, nonmembers), found.exact.T, strict=True)
        kept = [np.setdiff1d(np.arange(len(part)), rows) for part, rows in pairs]
        if min(map(len, kept)) < 1:
            raise DataError("members and nonmembers: must differ, got the same records in both: give other non-members")
        members, nonmembers = members.take(kept[0]), nonmembers.take(kept[1])
        supplied = dataclasses.replace(supplied, members=members, nonmembers=nonmembers)
    supplied = _without_judged(supplied, members, nonmembers)
    by_person = members.persons is not None and nonmembers.persons is not None
    content = None if by_person else clusters_of(members, nonmembers)
    return supplied, [near_duplicates(found.near_count, told, remarkable=found.remarkable, content=content)]


def _without_judged(supplied: Supplied, members: Dataset, nonmembers: Dataset) -> Supplied:
    """Refuses or leaves out population records that are judged: they must be outside the model and its shadows.

    Raises:
        DataError: there are such records that are not to be left out, or nothing is left.
    """
    population = supplied.population
    if population is None:
        return supplied
    shared = [overlap(part, population, near=False).exact[:, 1] for part in (members, nonmembers)]
    rows = np.unique(np.concatenate(shared))
    if not len(rows):
        return supplied
    kept = np.setdiff1d(np.arange(len(population)), rows)
    if supplied.duplicates == "refuse" or not len(kept):
        raise DataError(
            f"population: must be outside of members and nonmembers, got {len(rows)} of {len(population)} records that "
            "are in one of them too: give others"
            + (", or leave them out with duplicates = 'exclude'" if len(kept) else "")
        )
    return dataclasses.replace(supplied, population=population.take(kept))
