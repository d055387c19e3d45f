"""`dosimeter.audit`: audits a supplied model in one call."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from dosimeter.config.attack_rows import named_attacks
from dosimeter.config.audit import threat_settings
from dosimeter.config.sent_defenses import listed, python_defenses
from dosimeter.config.tables import Report, finetuning_of
from dosimeter.config.threat_rows import ThreatRow, python_threats
from dosimeter.data import Options
from dosimeter.data.supplied import read_parts
from dosimeter.families.threat import AccessName
from dosimeter.foundation.errors import AuditError, ConfigError, DataError
from dosimeter.foundation.table import Table, arguments
from dosimeter.foundation.user_code import report_user_errors
from dosimeter.foundation.wording import quote
from dosimeter.jobs.runners import Workers
from dosimeter.pipeline.execution import Execution, Progress
from dosimeter.pipeline.progress import interruptible, show_progress
from dosimeter.pipeline.result import Result, load
from dosimeter.pipeline.supplied.prepare import prepare_supplied
from dosimeter.pipeline.supplied.prepared import Supplied, name_of, read_records
from dosimeter.pipeline.supplied.shadow_keys import check_depends, name_in_depends
from dosimeter.pipeline.supplied.texts import folder_of, reading_of
from dosimeter.pipeline.transcript.prepared import Recorded, prepare_recorded
from dosimeter.pipeline.transcript.shared import shared_model
from dosimeter.pipeline.verbs import run_prepared

if TYPE_CHECKING:
    from dosimeter.pipeline.prepared import Prepared
    from dosimeter.training.user_fit import Fit


class _Call(Table):
    """Arguments of `audit` other than model, records and attacks."""

    seed: int = Field(ge=0)
    shadows: int = Field(ge=0, le=10_000)
    output: Literal["auto", "logits", "probs"]
    duplicates: Literal["refuse", "exclude"]
    access: AccessName | None = None
    leading_fpr: Literal[0.1, 0.01, 0.001, 0.0001]
    device: str
    workers: int | None = Field(default=None, ge=1)
    noun: str | None = Field(default=None, min_length=1, max_length=40)

    def threat(self, *, trains: bool) -> dict[str, Any]:
        """The keys of a threat that the call itself has; without `fit` no shadow is trained, whatever their number."""
        own = {"shadows": self.shadows} if trains else {}
        return own | ({} if self.access is None else {"access": self.access})

    def settings(self) -> dict[str, Any]:
        """Settings that can change a result, for the run's folder."""
        return self.model_dump(mode="json", exclude={"device", "workers", "access", "shadows"})


@contextlib.contextmanager
def _as_arguments() -> Iterator[None]:
    """Makes errors about an option of the command line, inside the block, name the argument of the same name."""
    try:
        yield
    except AuditError as error:
        told = tuple(re.sub(r"^--(device|store|workers)\b", r"\1", line) for line in error.problems)
        if told == error.problems:
            raise
        raise type(error)(*told) from error.__cause__ or error


@interruptible((), None)
@_as_arguments()
@report_user_errors()
def audit(  # more than seven parameters because this is the one call that a user makes
    model: object = None,
    *,
    members: object = None,
    nonmembers: object = None,
    base: object = None,
    tokenizer: object = None,
    fit: Fit | Mapping[str, object] | None = None,
    population: object = None,
    data: Mapping[str, object] | None = None,
    shadows: int = 16,
    threats: Sequence[Mapping[str, Any]] | None = None,
    attacks: Sequence[object] | None = None,
    seed: int = 0,
    out: Path | str,
    output: Literal["auto", "logits", "probs"] = "auto",
    duplicates: Literal["refuse", "exclude"] = "refuse",
    access: AccessName | None = None,
    leading_fpr: Literal[0.1, 0.01, 0.001, 0.0001] = 0.01,
    noun: str | None = None,
    options: Options | None = None,
    depends: Sequence[object] = (),
    transcript: Path | str | None = None,
    defenses: Sequence[Mapping[str, Any]] | None = None,
    show_records: bool = False,
    store: Path | str | None = None,
    device: str = "cpu",
    workers: Workers | int | None = None,
    progress: Progress | None = None,
) -> Result:
    """Audit your own trained classifier: could somebody tell which records it was trained on?

    Without `fit`, attacks that need no shadow models run at once. With it, shadow models are trained on halves of all
    records, and every attack runs. What was trained is kept, so a second call trains nothing.

    Args:
        model: a `torch.nn.Module`, an exported program, a scikit-learn classifier, a transformers model, or a function
            from inputs to one score per class; a language model also as the folder that `save_pretrained` wrote. Of a
            recorded joint training, how the shared network is built: its name, or a table with `model` and `options`.
        members: records that it was trained on: `(inputs, labels)`, a PyTorch data set, a `dosimeter.Dataset`, a data
            frame, or what an audit file takes as `data`.
        nonmembers: records of the same kind that it was not trained on.
        base: of a finetuned language model: the model before, as `model` is given.
        tokenizer: of a language model: the tokenizer that cuts texts, or its folder; that of the model's folder unless
            given. It, or `base`, or `options.level` says that records are texts of a language model.
        fit: `fit(dataset, seed)` trains a fresh model on `dataset.inputs`, `dataset.labels` (also a PyTorch data set)
            and returns it. It must never start from weights that saw the members. For a language model it may be
            settings, such as `{"epochs": 3, "lr": 5e-4}`, by which references are finetuned from `base`.
        population: further records of the same kind, in no training set; some attacks need them.
        data: further records by name, for threats of families that read them.
        shadows: how many models `fit` trains, even; 0 for none.
        threats: the adversaries, as tables of an audit file; one of membership unless given. `shadows` and `access` are
            those of each that has none of its own.
        attacks: names, tables as in an audit file, or attacks themselves; the default list unless given.
        seed: seed of all randomness; the same seed gives the same result.
        out: folder of the run, new or of an earlier run of the same audit.
        output: what the model returns, if it cannot be seen.
        duplicates: what to do with records that are both members and non-members.
        access: what the deployed model gives away; all that it returns unless given.
        leading_fpr: false positive rate of the verdict.
        noun: noun for one record in the report, in the singular.
        options: options for reading tables and other sources.
        depends: modules and functions that `fit` uses and that its key would not see, themselves or by name, such as
            `"package.module"` or `"package.module:function"`; shadows are trained anew when their source changes.
        transcript: folder of recorded messages, for threats of families that read them.
        defenses: of what crosses the cut of the model, or of recorded messages of a joint training, as tables of an
            audit file, each for a further audit.
        show_records: whether the report may show records, for threats of families that have pictures of them.
        store: the cache, a folder or a URL; `.store` beside `out` unless given.
        device: where the models are queried.
        workers: processes that train shadows, one per core unless given; or `Workers`, such as those of a cluster.
        progress: called with (phase, done, total); unless given, bars with the time left on a terminal, else nothing.

    Returns:
        The result; its report is in the folder.

    Raises:
        AuditError: every problem found, one line each.
        KeyboardInterrupt: with a note of what is kept and how to continue.
    """
    folder, named = _path(out, "out"), _check(fit, options, depends, progress)
    call = arguments(
        _Call, seed=seed, shadows=shadows, output=output, duplicates=duplicates, access=access,
        leading_fpr=leading_fpr, device=device, workers=None if isinstance(workers, Workers) else workers, noun=noun,
    )  # fmt: skip
    here = Path.cwd()
    given = {"model": model, "members": members, "nonmembers": nonmembers, "population": population}
    read = _reading(given, (base, tokenizer), options or Options(), here)
    rows = _threats(call, threats, attacks, here, (fit is not None, transcript is not None, _of_texts(given, read)))
    taken = {"data": _names(data), "transcript": transcript, "defenses": defenses, "show_records": show_records}
    _check_taken(rows, taken)
    rest = {**given, "fit": fit, "defenses": defenses}
    if transcript is not None:
        recorded = _recorded(folder, _path(transcript, "transcript"), rest, data, rows, call, options)
        prepare: Callable[..., Prepared] = functools.partial(prepare_recorded, recorded)
    else:
        _check_parts(rest, data or {}, members=any(row.family.members for row in rows))
        sent = python_defenses(defenses, rows, here)
        sources = {**{name: one for name, one in given.items() if name != "model" and one is not None}, **(data or {})}
        parts = read_records(sources, rows, seed=call.seed, base=here, options=read)
        told = {**call.settings(), **_named(model, fit, named), **threat_settings(rows), **listed(sent)}
        recipe, function = (finetuning_of(fit, "fit"), None) if isinstance(fit, Mapping) else (None, fit)
        supplied = Supplied(
            name=folder.name or "audit", seed=seed, model=model, model_name=name_of(model),
            members=parts.get("members"), nonmembers=parts.get("nonmembers"), population=parts.get("population"),
            data={name: parts[name] for name in data or {}}, variants=sent, fit=function,
            finetuning=recipe, fit_name=_fit_name(fit), depends=named, threats=rows,
            report=Report.model_construct(noun=noun, leading_fpr=leading_fpr), output=output, duplicates=duplicates,
            base=here, parent=base, tokenizer=read.tokenizer if read.level == "tokenizer" else None, given=told,
        )  # fmt: skip
        prepare = functools.partial(prepare_supplied, supplied)
    with show_progress(progress, workers=workers, device=device) as shown:
        execution = Execution(folder, _cache(store), device, workers, shown)
        run_prepared(prepare(store=execution.open(), device=device), execution)
    return load(folder)


def _reading(
    given: Mapping[str, object], beside: tuple[object, object], options: Options, here: Path
) -> Options:  # fmt: skip
    """The options for reading, with what cuts texts if the model is one of language.

    Args:
        given: the arguments that hold the model and its own records.
        beside: base and tokenizer.
        options: as the user gave them.
        here: the folder that paths start from.

    Raises:
        ConfigError: nothing says how texts are cut, or two things do.
    """
    base, tokenizer = beside
    for name, one in given.items():
        if name != "model" and isinstance(one, str) and len(one.splitlines()) > 1:  # a text, which no message repeats
            raise ConfigError(f"{name}: must be a list of texts, or a file, got one text of {len(one)} characters: "
                              "put it in a list")  # fmt: skip
    held = any(getattr(one, "vocabulary", None) is not None for one in given.values())
    folder = folder_of(given["model"], here) is not None
    if tokenizer is not None:
        if options.tokenizer is not None or options.level not in (None, "tokenizer"):
            raise ConfigError(
                "tokenizer: must be said once, got one beside options.tokenizer or options.level: remove one of them"
            )
        found: Any = str(tokenizer) if isinstance(tokenizer, PathLike) else tokenizer
        return replace(options, tokenizer=found, level="tokenizer")
    if held or not (folder or base is not None or options.level is not None):
        return options
    return reading_of(options, given["model"], here)


def _of_texts(given: Mapping[str, object], options: Options) -> bool:
    """Whether the records are texts of a language model."""
    return options.level is not None or getattr(given["members"], "vocabulary", None) is not None


def _check(fit: object, options: object, depends: object, progress: object) -> tuple[object, ...]:
    """Checks arguments that are functions or settings; returns what `fit` depends on.

    Raises:
        ConfigError: one of them is something else.
    """
    if fit is not None and not callable(fit) and not isinstance(fit, Mapping):
        raise ConfigError(f"fit: must be a function fit(dataset, seed), got {quote(fit)}: pass the function itself")
    if options is not None and not isinstance(options, Options):
        raise ConfigError(f"options: must be a dosimeter.data.Options, got {quote(options)}: make one of it")
    if progress is not None and not callable(progress):
        raise ConfigError(f"progress: must be a function of (phase, done, total), got {quote(progress)}: pass one")
    return check_depends(depends)


def _named(model: object, fit: object, depends: tuple[object, ...]) -> dict[str, Any]:
    """Names of what the user brought, for the run's folder."""
    more = {"depends": [name_in_depends(one) for one in depends]} if depends else {}
    return {"model": name_of(model), "fit": _fit_name(fit) or None, **more}


def _fit_name(fit: object) -> str:
    """Name of the training of shadows, or its settings; empty without one."""
    if isinstance(fit, Mapping):
        return str(finetuning_of(fit, "fit"))
    return "" if fit is None else name_of(fit)


def _names(data: object) -> list[str]:
    """Names of further records.

    Raises:
        ConfigError: they are no table by name.
    """
    if data is None:
        return []
    if not isinstance(data, Mapping) or not all(isinstance(name, str) for name in data):
        raise ConfigError(f"data: must be a table of names to records, got {quote(data)}: write {{'name': records}}")
    return list(data)


def _check_taken(rows: Sequence[ThreatRow], given: Mapping[str, object]) -> None:
    """Refuses arguments that no threat of the call reads, since they would be ignored.

    Raises:
        ConfigError: one line for each.
    """
    takes = {what for row in rows for what in row.family.takes}
    families = " and ".join(dict.fromkeys(repr(row.family.name) for row in rows))
    problems = [
        f"{what}: no threat of this call reads it, got {quote(one)} beside threats of family {families}: remove it, or "
        "give the threat that reads it"
        for what, one in given.items()
        if one and what not in takes
    ]
    if problems:
        raise ConfigError(*problems)


def _check_parts(given: Mapping[str, object], data: Mapping[str, object], *, members: bool) -> None:
    """Checks that the model and its records are there, and nothing beside them that is not read.

    Args:
        given: the arguments that hold the model, its own records and its training.
        data: further records.
        members: whether a threat needs records that the model was trained on, and others.

    Raises:
        AuditError: one is missing, or is of no use.
    """
    if given["model"] is None:
        raise ConfigError("model: is required and missing, got None: pass the trained model")
    missing = [name for name in ("members", "nonmembers") if given[name] is None and members]
    if missing:
        raise DataError(*[f"{name}: is required and missing, got None: pass records" for name in missing])
    if not members and not data:
        raise DataError("data: is required and missing, got None: pass the records of the threat by name")
    taken = [name for name in data if name in given]
    if taken:
        raise ConfigError(f"data: names must differ from the other arguments, got {quote(taken[0])}: rename it")
    useless = [name for name in ("nonmembers", "population", "fit") if given[name] is not None and not members]
    if useless:
        raise ConfigError(
            *[f"{name}: no threat of this call reads it, got {quote(given[name])}: remove it" for name in useless]
        )


def _recorded(  # seven parameters, since each stands for one argument of the call
    folder: Path, transcript: Path, given: Mapping[str, object], data: Mapping[str, object] | None,
    rows: tuple[ThreatRow, ...], call: _Call, options: Options | None,
) -> Recorded:  # fmt: skip
    """An audit of recorded traffic.

    Raises:
        AuditError: something stands beside it that it has no use for, or records cannot be read.
    """
    joint = any("parties" in row.family.takes for row in rows)
    problems = [
        f"{name}: recorded traffic stands in the place of a model, got {quote(one)} beside transcript: remove it"
        for name, one in given.items()
        if one is not None and not (joint and name in ("model", "defenses"))
    ]
    problems += [
        f"{row.place}.family: reads no recorded traffic, got {row.family.name!r}: leave it out"
        for row in rows
        if "transcript" not in row.family.takes
    ]
    if not data:
        problems.append("data: is required and missing beside transcript: give {'victims': ..., 'auxiliary': ...}")
    shared = shared_model(given["model"], transcript, rows) if joint and not problems else {}
    if problems:
        raise ConfigError(*problems)
    tried = python_defenses(given["defenses"], rows, Path.cwd(), recorded=True)
    parts = read_parts(data or {}, seed=call.seed, base=Path.cwd(), options=options or Options())
    return Recorded(
        name=folder.name or "audit", seed=call.seed, transcript=transcript, data=parts, threats=rows,
        report=Report.model_construct(noun=call.noun, leading_fpr=call.leading_fpr), base=Path.cwd(),
        given={**call.settings(), "transcript": str(transcript), **shared, **threat_settings(rows), **listed(tried)},
        model=shared, variants=tried,
    )  # fmt: skip


def _cache(store: Path | str | None) -> Path | str | None:
    """The cache that was named."""
    return None if store is None else store if isinstance(store, str) else _path(store, "store")


def _threats(
    call: _Call, threats: Sequence[object] | None, attacks: Sequence[object] | None, base: Path,
    kind: tuple[bool, bool, bool],
) -> tuple[ThreatRow, ...]:  # fmt: skip
    """The adversaries of a call with their attacks.

    Args:
        call: its other arguments.
        threats: as given.
        attacks: as given.
        base: folder from which the user's modules are found.
        kind: whether shadows can be trained, traffic was recorded, and records are texts.

    Raises:
        ConfigError: every problem, one line each.
    """
    trains, recorded, texts = kind
    found = python_threats(threats, call.threat(trains=trains), trains=trains, recorded=recorded)
    given = named_attacks(attacks, base, found, texts=texts)
    return tuple(ThreatRow(*one[:2], own, one[2]) for one, own in zip(found, given, strict=True))


def _path(given: object, argument: str) -> Path:
    """A path that was given in Python."""
    if not isinstance(given, str | PathLike) or not str(given):
        raise ConfigError(f"{argument}: must be the path of a folder, got {quote(given)}: give text or a pathlib.Path")
    return Path(given)
