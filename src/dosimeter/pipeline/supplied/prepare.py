"""Prepares a supplied model: everything that is known before its shadows are trained."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from dosimeter.config.audit import SuppliedAudit
from dosimeter.config.tables import Target
from dosimeter.data import Dataset, Options
from dosimeter.data.duplicates import overlap
from dosimeter.data.files.spelling import WHOLE
from dosimeter.data.gates import near_duplicates
from dosimeter.data.supplied import Source, clusters_of, held_of, join_parts, read_apart
from dosimeter.families.family import Case
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError, TrainingError
from dosimeter.foundation.gate import Gate
from dosimeter.foundation.user_code import import_from
from dosimeter.foundation.wording import one_line
from dosimeter.jobs.runners import one_thread
from dosimeter.jobs.store import Store
from dosimeter.models.supplied.adapt import PROBED, Adapted, Examples, adapt, repeatability
from dosimeter.models.supplied.asked import own_predictions_agree
from dosimeter.models.supplied.classes import Classes, class_names
from dosimeter.models.supplied.classes import join_classes as joined_classes
from dosimeter.models.supplied.estimators import bearer, own_predictions
from dosimeter.models.supplied.gates import outputs_as_taken, repeated_answers, trusted_pickle
from dosimeter.models.supplied.loading import load_target
from dosimeter.pipeline.supplied.checks import check_fit, check_sizes, check_texts
from dosimeter.pipeline.supplied.prepared import Asked, PreparedSupplied, Supplied
from dosimeter.pipeline.supplied.shadow_keys import sources_of
from dosimeter.pipeline.supplied.texts import asked_texts, model_of_texts, reading_of
from dosimeter.training.preflight import Together, check_device
from dosimeter.training.system import SuppliedSystem

LABELLED = 256
"""Number of records of a part that settle how the model is queried, and its accuracy on training records."""
TRIED_ON = ("members", "nonmembers")
"""Names of the parts whose records the model is tried on."""


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
    apart = [name for row in audit.threats for name in row.threat.strangers]
    options = target.data_options.options
    if target.task == "language":
        options = reading_of(options, target.model, audit.base)
    parts = read_apart(_sources(target), apart=apart, seed=audit.seed, base=audit.base, options=options)
    if target.task == "language":
        return _read_texts(audit, parts, options, trust_pickle=trust_pickle)
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
    return Supplied(
        name=audit.name,
        seed=audit.seed,
        model=model,
        model_name=target.model,
        members=parts["members"],
        nonmembers=parts["nonmembers"],
        population=parts.get("population"),
        data={name: parts[name] for name in target.data},
        fit=target.fit,
        fit_name=target.fit or "",
        depends=target.depends,
        threats=audit.threats,
        report=audit.report,
        output=target.output,
        duplicates=target.duplicates,
        base=audit.base,
        named={part: one.title for part, one in _sources(target).items()},
        given=audit.settings(),
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
    together, overlapping = Together(), None
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
            trains = supplied.fit is not None
            row.family.check_records(supplied.parts, row.threat, trains=trains, seed=supplied.seed)
    together.tell()
    texts = supplied.members.vocabulary is not None
    supplied, asked = (supplied, asked_texts(supplied, device)) if texts else _asked(supplied, device)
    if asked.adapted.tokens and not texts:  # which only the model says, and by which near duplicates are others
        _, overlapping = _without_overlap(supplied)
    assert overlapping is not None
    system = _system(supplied, asked, (overlapping, *reads), store, device)
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
    )


def _called(supplied: Supplied) -> str:
    """Name of the model in messages; an object that is no model at all has no useful name."""
    kind = type(supplied.model)
    plain = not callable(supplied.model) and kind.__module__.partition(".")[0] in ("builtins", "pathlib")
    return "model" if plain else f"model {supplied.model_name}"


def _asked(supplied: Supplied, device: str) -> tuple[Supplied, Asked]:
    """Matches the classes of the model and of the records, determines how the model is queried, and queries it.

    Raises:
        AuditError: it cannot be asked, or its classes are others.
    """
    name, parts = _called(supplied), supplied.parts
    first = supplied.members
    known = Classes(first.classes, numbered=all(one.ordered for one in parts.values()))
    names = joined_classes(bearer(supplied.model), known, name)
    if not known.numbered and class_names(bearer(supplied.model)) is None:
        _check_order(names)
    parts = {part: dataclasses.replace(one, classes=names) for part, one in parts.items()}
    known = dataclasses.replace(known, names=names)
    probe = join_parts({part: parts[part].take(np.arange(len(parts[part]))[: PROBED // 2]) for part in TRIED_ON})
    labelled = join_parts({part: parts[part].take(_spread(len(parts[part]))) for part in TRIED_ON})
    with one_thread(), _missing_told(parts):
        adapted = adapt(
            supplied.model,
            classes=known,
            example=Examples(held_of(labelled), torch.from_numpy(labelled.labels), first.columns),
            output=supplied.output,
            device=device,
            name=name,
        )
        _check_classes(adapted, parts, names)
        noise = repeatability(adapted, held_of(probe))
        start = time.perf_counter()
        answers = adapted.query(held_of(probe))
        seconds = (time.perf_counter() - start) / len(probe)
        gates = [repeated_answers(noise), _own_records(supplied, adapted, parts["members"])]
    notes = [*adapted.notes, *_read_as(adapted, first, names)]
    if adapted.tokens:
        parts = {part: dataclasses.replace(one, tokens=True) for part, one in parts.items()}
    found = Asked(adapted, (*gates, *outputs_as_taken(notes)), held_of(probe), answers, noise, seconds)
    matched = dataclasses.replace(
        supplied, members=parts["members"], nonmembers=parts["nonmembers"], population=parts.get("population")
    )
    return matched, found


@contextlib.contextmanager
def _missing_told(parts: Mapping[str, Dataset]) -> Iterator[None]:
    """Explains an error inside the block by missing numbers, if the records have some.

    Raises:
        DataError: it does not, and there are some.
    """
    try:
        yield
    except TrainingError as error:
        for part, one in parts.items():
            rows = one.incomplete
            if len(rows):
                raise DataError(
                    f"{part}: inputs must be finite, got NaN or infinity in {len(rows)} records, the first is row "
                    f"{rows[0]}: remove or impute them, since the model does not take them ({error.problems[0]})"
                ) from error
        raise


def _spread(n: int) -> Array:
    """Positions of at most `LABELLED` of n records, evenly spread."""
    found: Array = np.unique(np.linspace(0, n - 1, min(n, LABELLED)).astype(np.int64))
    return found


def _check_order(names: Sequence[str]) -> None:
    """Refuses numeric texts as labels for a model without class names, since texts sort differently from numbers.

    Raises:
        DataError: with what to do.
    """
    if all(WHOLE.fullmatch(name) for name in names) and sorted(names) != list(names):
        raise DataError(
            f"members: labels must be whole numbers, or texts with an order, got texts of whole numbers such as "
            f"{sorted(names)[1]!r}, whose order could be that of texts or of numbers: give numbers, or name the "
            "classes in the order of the model's columns (the option classes)"
        )


def _check_classes(adapted: Adapted, parts: Mapping[str, Dataset], names: Sequence[str]) -> None:
    """Refuses records of classes that the model does not answer for.

    Raises:
        DataError: with the part and the class.
    """
    known = np.array(adapted.known_classes)
    for part, one in parts.items():
        odd = np.flatnonzero(~np.isin(one.labels, known))
        if len(odd):
            raise DataError(
                f"{part}: labels must be among the classes that the model answers for, "
                f"{one_line(', '.join(names[i] for i in adapted.known_classes), 200)}, "
                f"got {names[one.labels[odd[0]]]!r} in row {odd[0]} ({len(odd)} such records): "
                "remove these records or correct their labels"
            )


def _own_records(supplied: Supplied, adapted: Adapted, members: Dataset) -> Gate:
    """I7: answers of the model on its own training records."""
    some = members.take(_spread(len(members)))
    answers = adapted.query(held_of(some))
    own = None
    if adapted.estimator:
        own = own_predictions(bearer(supplied.model), adapted.form, held_of(some), adapted.known_classes)
    if own is not None and _by_threshold(
        answers[:, list(adapted.known_classes)], np.isin(own, adapted.known_classes[1:])
    ):
        own = None
    assumed = _assumed(adapted, supplied, members)
    return own_predictions_agree(answers.argmax(1).numpy(), some.labels, own, len(members.classes), assumed=assumed)


def _by_threshold(answers: Tensor, second: Array) -> bool:
    """Returns whether a classifier of two classes decides by another threshold than 1/2; its queries are right then."""
    if answers.shape[1] != 2 or second.all() or not second.any():
        return False
    margin = torch.nan_to_num(answers[:, 1] - answers[:, 0], posinf=1e9, neginf=-1e9).numpy()
    return bool(margin[second].min() >= margin[~second].max())


def _assumed(adapted: Adapted, supplied: Supplied, members: Dataset) -> bool:
    """Returns whether an order of columns or classes, or the scale of bytes or whole numbers, was assumed."""
    columns = getattr(bearer(supplied.model), "feature_names_in_", None) is not None and members.columns is None
    classes = not members.ordered and not adapted.estimator and class_names(supplied.model) is None
    scale = members.inputs.dtype == np.uint8 or (members.inputs.dtype.kind == "i" and adapted.form.kind == "fractions")
    return bool(columns or classes or scale)


def _read_as(adapted: Adapted, members: Dataset, names: Sequence[str]) -> list[str]:
    """Remarks on how records and classes were read, if another reading is possible."""
    notes = []
    inputs = members.inputs
    if inputs.ndim == 2 and inputs.dtype.kind in "iu" and not members.tokens:
        said = "tokens, since the model looks them up in an embedding" if adapted.tokens else "numbers, not as tokens"
        notes.append(f"records of whole numbers are read as {said}")
    if not adapted.estimator and not adapted.names_classes and not all(WHOLE.fullmatch(name) for name in names):
        listed = one_line(", ".join(map(repr, names)), 120)
        order = "that you gave" if members.ordered else "of their names"
        notes.append(f"its outputs are read as the classes in the order {order}: {listed}")
    return notes


def _without_overlap(supplied: Supplied) -> tuple[Supplied, Gate]:
    """Refuses or leaves out records that are in both parts, and counts near duplicates.

    Raises:
        DataError: exact duplicates that are not to be left out, or nothing is left.
    """
    members, nonmembers = supplied.members, supplied.nonmembers
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
    by_person = members.persons is not None and nonmembers.persons is not None
    content = None if by_person else clusters_of(members, nonmembers)
    return supplied, near_duplicates(found.near_count, told, remarkable=found.remarkable, content=content)
