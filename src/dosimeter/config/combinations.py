"""Keys that are valid alone but impossible together, and checks of a stage's references without its data."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from dosimeter.config.stages.legs import legs_of
from dosimeter.config.tables import Stage, Target, finetuning_of
from dosimeter.data.options import parse_rows
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import ConfigError, DataError
from dosimeter.foundation.findings import Finding, findings, lines
from dosimeter.foundation.user_code import REFERENCE, is_file
from dosimeter.foundation.wording import quote
from dosimeter.models.names import ARCHITECTURES


def chain_problems(stages: Sequence[Stage], at_risk: Mapping[str, str | None], base: Path) -> list[str]:
    """Impossible combinations in the chain, one line each.

    Args:
        stages: all stages.
        at_risk: by place of a threat the stage that it is after, None for the last one of its chain.
        base: folder of the audit file.
    """
    names = [stage.name for stage in stages]
    problems = [
        f"stage: names must be distinct, got {twice!r} {names.count(twice)} times: rename one"
        for twice in sorted({one for one in names if names.count(one) > 1})
    ]
    problems += [
        f"{place}.at_risk: no such stage, got {quote(one)}, {suggest(one, names)}"
        for place, one in at_risk.items()
        if one is not None and one not in names
    ]
    asked, checked = {names.index(one) for one in at_risk.values() if one in names}, set[int]()
    for leg in legs_of(stages):
        risky = {place for place, index in enumerate(leg) if index in asked} or {len(leg) - 1}
        if stages[leg[-1]].joint and len(leg) < len(stages):
            risky = {len(leg) - 1}  # threats after an earlier stage are about the plain chain
        problems += _transferred([(index, stages[index]) for index in leg], min(risky))
        for place, index in enumerate(leg):
            found = [
                *_start(stages[index], place),
                *_roles(stages[index], at_risk=place in risky, last=place == len(leg) - 1),
                *_training(stages[index]),
                *_references(stages[index]),
                *_model(stages[index], base),
            ]
            problems += [f"stage[{index}].{problem}" for problem in found if index not in checked]
            checked.add(index)
    return problems + _tasks(stages)


def target_problems(target: Target, *, members: bool = True) -> list[str]:
    """Impossible combinations around a supplied model, one line each.

    Args:
        target: the model and its records.
        members: whether a threat needs records that it was trained on, and others.
    """
    absent = [key for key in ("members", "nonmembers") if getattr(target, key) is None]
    problems = [f"target.{key}: is required and missing: add it" for key in absent if members]
    if not members:
        problems += [
            f"target.{key}: no threat of this file reads it, got {quote(str(getattr(target, key)))}: remove it, or add "
            "the threat that does"
            for key in ("nonmembers", "population", "fit")
            if getattr(target, key) is not None
        ]
        if not target.data:
            problems.append("target.data: is required and missing: name the records of the threat in [target.data]")
    if target.members_rows is not None and target.members is None and not members:
        problems.append("target.members_rows: choose from `members`, which are absent: add them")
    for key in ("members_rows", "nonmembers_rows", "population_rows"):
        try:
            parse_rows(getattr(target, key), key)
        except DataError as error:
            problems += [f"target.{line.replace(f'{key}: rows', f'{key}:', 1)}" for line in error.problems]
    if target.population_rows is not None and target.population is None:
        problems.append("target.population_rows: choose from `population`, which is absent: add it")
    if target.task == "language":
        problems += _language_target(target)
    else:
        only = {"base": target.base, "data_options.level": target.data_options.level}
        problems += [
            f"target.{key}: only texts of a language model have it, got {quote(one)}: set task = 'language', or remove "
            "it"
            for key, one in only.items()
            if one is not None
        ]
        if isinstance(target.fit, dict):
            problems.append(
                "target.fit: must be package.module:function, got a table, which says how a language model is "
                "finetuned: name a function, or set task = 'language'"
            )
    function = None if isinstance(target.fit, dict) else target.fit
    return problems + [f"target.{line}" for line in _functions(function, target.depends)]


NO_BASE = "{place}: settings say how the base is finetuned, got no base: name it as base, or give a function"
"""Problem of references that have nothing to start from."""


def _language_target(target: Target) -> list[str]:
    """Problems with keys that a supplied language model has no use for."""
    problems: list[str] = []
    if isinstance(target.fit, dict):
        try:
            finetuning_of(target.fit, "target.fit")
        except ConfigError as error:
            problems += error.problems
        if target.base is None:
            problems.append(NO_BASE.format(place="target.fit"))
    if target.output != "auto":
        problems.append(f"target.output: a language model returns logits, got {target.output!r}: remove it")
    return problems


def _start(stage: Stage, index: int) -> list[str]:
    """Problems with the start of a stage: its model, its parent."""
    problems: list[str] = []
    if index == 0 and stage.model is None:
        problems.append("model: the first stage needs one, got none: name an architecture or package.module:function")
    elif stage.given and stage.model is None:
        problems.append("model: a given stage needs the model that its weights belong to, got none: name one")
    elif stage.transfer == "scratch" and stage.model is None:
        problems.append(
            "model: transfer 'scratch' needs a model of its own, got none: name one, or use 'head', 'last-k', "
            "'lora' or 'full'"
        )
    first = index == 0 and stage.joint  # it starts from a model of its own
    if index == 0 and stage.transfer != "scratch" and not first:
        problems.append(f"transfer: the first stage has no parent, got {stage.transfer!r}: use 'scratch'")
    elif stage.given and stage.transfer != "scratch":
        problems.append(f"transfer: a given stage is not trained, got {stage.transfer!r}: remove it")
    elif stage.transfer != "scratch" and stage.model is not None and not first:
        problems.append(f"model: transfer {stage.transfer!r} takes the parent's model, got {stage.model!r}: remove it")
    if stage.head is not None and stage.model is None:
        problems.append(f"head: names a layer of `model`, which this stage has not, got {quote(stage.head)}")
    if stage.options and stage.model is None:
        problems.append(f"options: belong to `model`, which this stage has not, got {_keys(stage)}: remove them")
    return problems


def _keys(stage: Stage) -> str:
    return quote(", ".join(stage.options))


def _transferred(stages: Sequence[tuple[int, Stage]], at_risk: int) -> list[str]:
    """Problems with stages after the first one at risk, and with settings that need such a stage.

    Args:
        stages: of one chain, each with its position in the file.
        at_risk: position of the first one at risk in the chain.
    """
    problems = []
    for position, (index, stage) in enumerate(stages):
        place, later = f"stage[{index}]", position > at_risk
        if later and (stage.given or stage.transfer == "scratch"):
            problems.append(
                f"{place}: stands after the stage at risk, so it must start from it and be trained here, got "
                f"{'given weights' if stage.given else 'a model from scratch'}: use transfer 'head', 'last-k', "
                "'lora' or 'full', or end the chain before it"
            )
        if "sample" in stage.model_fields_set and not later:
            problems.append(
                f"{place}.sample: only a stage after the one at risk draws a share of its records for each model, got "
                f"{stage.sample}: remove it"
            )
    return problems


def _roles(stage: Stage, *, at_risk: bool, last: bool) -> list[str]:
    """Problems with the role of a stage: given, trained, at risk, last."""
    problems = []
    if stage.given and (stage.data or stage.fit):
        problems.append("weights: a given stage is not trained, so it takes neither `data` nor `fit`: remove them")
    if stage.classes is not None and not stage.given:
        problems.append(
            f"classes: only a given stage says how many classes its head has, others take it from data, got "
            f"{stage.classes}: remove it"
        )
    if not stage.given and not stage.joint and stage.data is None:
        problems.append("data: a stage that is trained needs data, got none: name a data set or a file")
    if stage.given and at_risk:
        problems.append(f"weights: stage {stage.name!r} is at risk and must be trained here: give `data` instead")
    if stage.test is not None and not last:
        problems.append(f"test: only the last stage is tested, which is deployed, got {quote(stage.test)}: remove it")
    if stage.test_rows is not None and stage.test is None:
        problems.append(f"test_rows: choose from `test`, which is absent, got {quote(stage.test_rows)}: add `test`")
    if stage.rows is not None and stage.data is None:
        problems.append(f"rows: choose from `data`, which is absent, got {quote(stage.rows)}: remove them")
    return problems


def _training(stage: Stage) -> list[str]:
    """Problems with settings of training that exclude each other."""
    problems = []
    if stage.augment and stage.transfer == "head":
        problems.append(
            f"augment: transfer {stage.transfer!r} computes frozen features once, so records cannot be augmented, got "
            f"{list(stage.augment)}: remove it or use transfer 'full' or 'last-k'"
        )
    problems += _adapters(stage)
    problems += [
        f"{key}: only transfer 'last-k' has it, got {getattr(stage, key)} with {stage.transfer!r}: remove it or set "
        "transfer = 'last-k'"
        for key in ("last_k", "bn_mode")
        if key in stage.model_fields_set and stage.transfer != "last-k"
    ]
    if stage.bn_mode == "official" and stage.fit:
        problems.append("bn_mode: only the built-in training has it, got 'official' with `fit`: remove it")
    if stage.standardise and (stage.transfer != "head" or stage.fit):
        problems.append("standardise: only the built-in training of transfer 'head' has it, got true: remove it")
    if stage.precision == "bfloat16" and stage.transfer == "head" and not stage.fit:
        problems.append("precision: heads are trained in float32, got 'bfloat16': remove it")
    return problems


def _adapters(stage: Stage) -> list[str]:
    """Problems with settings that only adapters have, or that exclude adapters."""
    problems = []
    if stage.transfer == "lora" and stage.fit:
        problems.append(
            f"fit: transfer 'lora' trains adapters itself, got {quote(stage.fit)}: remove it, or use transfer 'full' "
            "and put adapters into the model there"
        )
    return problems + [
        f"{key}: only transfer 'lora' has it, got {getattr(stage, key)} with {stage.transfer!r}: remove it or set "
        "transfer = 'lora'"
        for key in ("lora_rank", "lora_alpha")
        if key in stage.model_fields_set and stage.transfer != "lora"
    ]


def _tasks(stages: Sequence[Stage]) -> list[str]:
    """Problems with stages of texts, and with chains in which only some stages are."""
    problems = []
    for index, stage in enumerate(stages):
        place = f"stage[{index}]"
        if stage.task != stages[0].task:
            problems.append(
                f"{place}.task: all stages of a chain must have one, got {stage.task!r} after {stages[0].task!r}: use "
                "one task"
            )
        if stage.task == "classes":
            continue
        if stage.transfer not in ("scratch", "full", "lora"):
            problems.append(
                f"{place}.transfer: a language model is trained from scratch, in full or by adapters, got "
                f"{stage.transfer!r}: use 'full' or 'lora'"
            )
        if stage.augment:
            problems.append(f"{place}.augment: task 'language' has none, got {list(stage.augment)}: remove it")
    return problems


def _references(stage: Stage) -> list[str]:
    """Problems with the form of row ranges and function references."""
    problems = []
    for key in ("rows", "test_rows"):
        try:
            parse_rows(getattr(stage, key), key)
        except DataError as error:
            problems += [problem.replace(f"{key}: rows", f"{key}:", 1) for problem in error.problems]
    return problems + _functions(stage.fit, stage.depends)


def _functions(fit: str | None, depends: Sequence[str]) -> list[str]:
    """Problems with the form of references to the user's functions."""
    problems = []
    if fit is not None and not REFERENCE.fullmatch(fit):
        problems.append(f"fit: must be package.module:function, got {quote(fit)}: write for example 'recipe:fit'")
    for one in depends:
        if not REFERENCE.fullmatch(one if ":" in one else f"{one}:any"):
            problems.append(f"depends: must be package.module or package.module:function, got {quote(one)}: correct it")
    return problems


def _model(stage: Stage, base: Path) -> list[str]:
    """Problems with an unknown architecture, unknown options, or missing weights."""
    return network_problems(stage.model, stage.options, base, stage.weights)


def network_problems(
    model: str | None, options: Mapping[str, Any], base: Path, weights: str | None = None
) -> list[str]:  # fmt: skip
    """Problems with the name of a network, its options and its weights, as the tail of their place.

    Args:
        model: an architecture or a function; None for none.
        options: keyword arguments of its builder.
        base: folder of the audit file.
        weights: a name that the builder knows, or a file; None for none.
    """
    if model is None:
        return []
    supplied = weights is not None and is_file(base / weights)
    if ":" in model:
        wrong = not REFERENCE.fullmatch(model)
        return [f"model: must be package.module:function, got {quote(model)}: correct it"] if wrong else []
    if model not in ARCHITECTURES:
        remedy = suggest(model, ARCHITECTURES)
        return [f"model: unknown architecture {quote(model)}, {remedy} (or write package.module:function)"]
    builder = ARCHITECTURES[model]
    known = list(inspect.signature(builder).parameters)[2:]
    hints = get_type_hints(builder, include_extras=True)
    found: list[Finding] = []
    if weights is not None and not supplied:
        found += _weights(weights, hints.get("weights"), base)
    for key, value in options.items():
        if key not in known:
            found.append((f"options.{key}", f": unknown option, {suggest(key, known) if known else 'remove it'}"))
        else:
            found += _option_problems(value, hints[key], f"options.{key}")
    return lines(found)


def _weights(weights: str, hint: Any, base: Path) -> list[Finding]:
    """Problems with weights that are no file."""
    absent: Finding = ("weights", f": no such file, got {quote(str(base / weights), 300)}: correct the path")
    if hint is None or Path(weights).suffix:
        return [absent]
    return _option_problems(weights, hint, "weights")


def _option_problems(value: Any, hint: Any, place: str) -> list[Finding]:
    """Problems with an option, by the annotation of the builder's parameter."""
    try:
        TypeAdapter(hint, config=ConfigDict(strict=True)).validate_python(value)
    except ValidationError as error:
        return findings(error, place, [])
    return []
