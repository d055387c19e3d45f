"""The defenses of a stage and the `[[defense]]` rows: from names and settings to defenses, ours or the user's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dosimeter.config.plugin_rows import Kind, build
from dosimeter.config.tables import Stage
from dosimeter.defenses import DEFENSES
from dosimeter.families.threat import ThreatTable
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.wording import one_line, quote
from dosimeter.models.access import Access
from dosimeter.training.defending import ACTING, AMONG_PARTIES, HIDDEN, METHODS, DefenseRow
from dosimeter.training.joint.methods import joint_defense_problems
from dosimeter.training.recipe import (
    AddsStepNoise,
    BlursCut,
    BoundsRecords,
    ChangesAnswers,
    ChangesLoss,
    ChangesRecipe,
    ChoosesMethods,
    FightsAdversaries,
    FitsCut,
    PutsBottleneck,
    Release,
    SubModels,
)

FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]{0,63}")
"""Pattern of an id that names a folder of a run, such as a variant's."""
KIND = Kind(
    word="defense",
    known=DEFENSES,
    wanted="a frozen dataclass with a method "
    + ", ".join(f"`{name}`" for name in METHODS[:-1])
    + f" or `{METHODS[-1]}`",
    fits=lambda found: any(callable(getattr(found, name, None)) for name in METHODS),
    needs={"paper": str, "place": str, "ladder": tuple},
    protocol="docs/defenses.md",
)


def defense_rows(raw: Any, base: Path, place: str) -> tuple[tuple[DefenseRow, ...], list[str]]:
    """Builds the defenses of all rows and lists the problems.

    Args:
        raw: the rows.
        base: folder from which the user's modules are found.
        place: name of the rows in messages, such as `defense` or `stage[0].defenses`.
    """
    built: list[DefenseRow] = []
    problems: list[str] = []
    for index, row in enumerate(raw if isinstance(raw, tuple) and len(raw) <= 1000 else ()):
        if not isinstance(row, Mapping):
            continue  # the file's own validation tells
        try:
            built.append(_defense(row, base))
        except ConfigError as error:
            problems += [one_line(f"{place}[{index}]{problem}", limit=600) for problem in error.problems]
    return tuple(built), problems


def _defense(row: Mapping[str, Any], base: Path) -> DefenseRow:
    """Builds one defense; problems are given as the tail of the row's place."""
    name, own_id, defense = build(row, base, KIND)
    if own_id is None:
        given = [f"{value}" for key, value in row.items() if key != "name"]
        own_id = re.sub(r"[^A-Za-z0-9._=-]+", "-", "-".join([name.rpartition(":")[2], *given]))[:64]
    if own_id in ("none", "*") or not FOLDER.fullmatch(own_id):
        raise ConfigError(
            f".id: must be 1 to 64 letters, digits, '.', '_', '=' or '-', and not 'none', got {quote(own_id)}: rename "
            "it, since it names a folder"
        )
    return DefenseRow(own_id, name, defense)


def listed_defenses(rows: Sequence[DefenseRow]) -> list[dict[str, Any]]:
    """Defenses as settings of a run list them."""
    return [{"id": row.id, "name": row.name, **row.settings} for row in rows]


def repeated(rows: Sequence[DefenseRow], place: str) -> list[str]:
    """Problems with ids of variants that occur twice; some file systems take a and A for one folder."""
    ids = [row.id.lower() for row in rows]
    return [
        f"{place}: ids must be distinct, got {twice!r} {ids.count(twice)} times: give each row an `id`"
        for twice in sorted({one for one in ids if ids.count(one) > 1})
    ]


def defense_problems(
    stages: Sequence[Stage], own: Sequence[Sequence[DefenseRow]], variants: Sequence[DefenseRow],
    threats: Mapping[str, ThreatTable],
) -> list[str]:  # fmt: skip
    """Defenses that are valid alone but impossible together or at their place, one line each.

    Args:
        stages: the chain.
        own: the defenses of each stage.
        variants: the `[[defense]]` rows.
        threats: threats by place, without those that are wrong themselves.
    """
    problems = repeated(variants, "defense")
    last, names = len(stages) - 1, [stage.name for stage in stages]
    at_risk = {names.index(one.at_risk) if one.at_risk in names else last for one in threats.values()} or {last}
    for index, (stage, rows) in enumerate(zip(stages, own, strict=True)):
        place, answers = f"stage[{index}].defenses", index in {*at_risk, last}
        problems += [f"{place}: {text}" for text in _together(stage, rows, threats, answers=answers)]
    if len(at_risk) > 1 and variants:
        told = " and ".join(repr(names[index]) for index in sorted(at_risk))
        problems.append(
            f"defense: a [[defense]] belongs to the stage at risk, got threats after {told}: write a [[variant]] with "
            "stage.NAME.defenses, which says the stage"
        )
        return problems
    risky = min(at_risk)
    for index, row in enumerate(variants if stages else ()):
        alone = [f"defense[{index}]: {text}" for text in _together(stages[risky], [row], threats, answers=True)]
        problems += alone
        if not alone and not _together(stages[risky], own[risky], threats, answers=True):
            rows = [*own[risky], row]
            problems += [f"defense[{index}]: {text}" for text in _together(stages[risky], rows, threats, answers=True)]
    return problems


def _on_texts(stage: Stage, rows: Sequence[DefenseRow]) -> list[str]:
    """Problems with defenses of a stage of texts, which have no classes."""
    if stage.task == "classes":
        return []
    return [
        f"task 'language' has no classes and no answers to change, got {row.name}: remove it, or use l2, "
        "early_stopping, sgld or dp_sgd"
        for row in rows
        if not isinstance(row.defense, ChangesRecipe | BoundsRecords | AddsStepNoise)
        or isinstance(row.defense, ChangesAnswers | ChangesLoss)
    ]


def _together(
    stage: Stage, rows: Sequence[DefenseRow], threats: Mapping[str, ThreatTable], *, answers: bool
) -> list[str]:
    """Problems with the defenses of one stage, as the tail of their place."""
    if stage.joint:
        return _among_parties(stage, rows)
    problems = _without_parties(stage, rows)
    losses = [row.name for row in rows if isinstance(row.defense, ChangesLoss | BoundsRecords | SubModels)]
    if len(losses) > 1:
        problems.append(f"one of them decides the loss, the step or the labels, got {' and '.join(losses)}: keep one")
    bounding = [row.name for row in rows if isinstance(row.defense, BoundsRecords)]
    problems += _bounded(stage, bounding[0]) if bounding else []
    problems += _hidden(stage, rows, bounding)
    problems += _disturbed(stage, rows, bounding)
    problems += _on_texts(stage, rows)
    if rows and stage.given:
        problems.append(f"a given stage is not trained, got {rows[0].name}: remove them")
    training = [row.name for row in rows if isinstance(row.defense, ChangesRecipe | ACTING)]
    if training and stage.fit:
        problems.append(
            f"{training[0]} changes the built-in training, got a stage with `fit`: write it into `fit`, or use "
            "defenses of the outputs"
        )
    changing = [row.name for row in rows if isinstance(row.defense, ChangesAnswers)]
    if changing and not answers:
        text = "changes answers, which only the deployed model gives: move it to the last stage"
        problems.append(f"{changing[0]} {text}")
    problems += _crossing(rows, threats)
    return problems + [
        f"{changing[0]} changes answers, but {place}.access = {threat.access!r} gives the model itself: grant "
        "'probs' or 'logits', or remove it"
        for place, threat in threats.items()
        if changing and threat.access_flag.includes & (Access.FEATURES | Access.WEIGHTS)
    ]


def _among_parties(stage: Stage, rows: Sequence[DefenseRow]) -> list[str]:
    """Problems with the defenses of a joint stage, as the tail of their place."""
    named = [(row.name, row.defense) for row in rows]
    return joint_defense_problems(stage.transfer, named, stage.hyperparameters, len(stage.parties or ()))


def _without_parties(stage: Stage, rows: Sequence[DefenseRow]) -> list[str]:
    """Problems with defenses of joint stages at another stage, as the tail of their place."""
    defenses: list[tuple[str, object]] = [(row.name, row.defense) for row in rows]
    return [
        f"{name} acts where parties train together, got transfer {stage.transfer!r}: remove it, or use a joint "
        "transfer such as 'coral' or 'fedsgd'"
        for name, one in defenses
        if isinstance(one, AMONG_PARTIES) and not isinstance(one, FitsCut | Release | ACTING)
    ]


def _told(threat: ThreatTable) -> str:
    """The cuts of a threat in a message."""
    found = getattr(threat, "cuts", ())
    return quote(found if isinstance(found, str) else ", ".join(found))


def _crossing(rows: Sequence[DefenseRow], threats: Mapping[str, ThreatTable]) -> list[str]:
    """Problems with defenses of what crosses a cut, as the tail of their place."""
    crossing = [row.name for row in rows if isinstance(row.defense, Release | FitsCut)]
    placed = [(row.name, row.defense.cut) for row in rows if isinstance(row.defense, BlursCut)]
    return [
        f"{name} trains for noise at one cut, its own `cut` {quote(at)}, got {place}.cuts = {_told(threat)}: name the "
        "same single layer in both"
        for name, at in placed
        for place, threat in threats.items()
        if hasattr(threat, "cuts") and tuple(threat.cuts) != (at,)
    ] + [
        f"{crossing[0]} changes what crosses a cut, got {place}, whose adversary sees none: remove it, or use family = "
        "'split'"
        for place, threat in threats.items()
        if crossing and not hasattr(threat, "cuts")
    ]


def _fighting(stage: Stage, rows: Sequence[DefenseRow]) -> list[str]:
    """Problems with defenses that fight adversaries at a cut, as the tail of their place."""
    fighting = [row.name for row in rows if isinstance(row.defense, FightsAdversaries)]
    dividing = [row.name for row in rows if isinstance(row.defense, SubModels)]
    problems = []
    if fighting and stage.transfer in ("last-k", "lora"):
        problems.append(
            f"{fighting[0]} trains the layers before the cut, got transfer = {stage.transfer!r}, which freezes layers: "
            "use 'scratch' or 'full'"
        )
    if len(fighting) > 1:
        problems.append(f"one of them fights adversaries, got {' and '.join(fighting)}: name all aims in one `against`")
    if fighting and dividing:
        problems.append(f"{dividing[0]} trains models on parts of the records, got {fighting[0]} beside it: keep one")
    return problems


def _bounded(stage: Stage, name: str) -> list[str]:
    """Problems of one stage with a defense that bounds what a record does, as the tail of its place."""
    problems = []
    if stage.standardise:
        problems.append(
            f"{name} bounds what a record does, got standardise = true, which gives away means over records "
            "without noise: set standardise = false, and choose lr for features as they are"
        )
    if stage.precision == "bfloat16":
        problems.append(f"{name} clips and adds noise in float32, got precision = 'bfloat16': remove it")
    if stage.bn_mode == "official":
        problems.append(
            f"{name} bounds what a record does, got bn_mode = 'official', which moves stored statistics without "
            "noise: use 'strict'"
        )
    return problems


def _disturbed(stage: Stage, rows: Sequence[DefenseRow], bounding: Sequence[str]) -> list[str]:
    """Problems with the defenses of one stage that add noise to its steps, as the tail of their place."""
    adding = [row.name for row in rows if isinstance(row.defense, AddsStepNoise)]
    problems = [
        f"{row.name} {reason}"
        for row in rows
        if isinstance(row.defense, AddsStepNoise) and isinstance(row.defense, ChoosesMethods)
        if (reason := row.defense.unfit(stage.transfer, stage.hyperparameters))
    ]
    if len(adding) > 1:
        problems.append(f"one of them adds noise to the steps, got {' and '.join(adding)}: keep one")
    if adding and bounding:
        problems.append(
            f"{bounding[0]} adds noise to every step, and says what that guarantees, got {adding[0]} too: keep one"
        )
    return problems


def _hidden(stage: Stage, rows: Sequence[DefenseRow], bounding: Sequence[str]) -> list[str]:
    """Problems with the defenses of one stage that act on hidden layers, as the tail of their place."""
    acting = [row.name for row in rows if isinstance(row.defense, HIDDEN)]
    putting = [row.name for row in rows if isinstance(row.defense, PutsBottleneck)]
    problems = []
    if acting and stage.transfer == "head" and not stage.fit:
        problems.append(
            f"{acting[0]} acts on hidden layers that are trained, got transfer = 'head', which trains the last layer "
            "alone: use 'last-k', 'full' or 'scratch'"
        )
    if putting and stage.transfer == "lora":
        problems.append(
            f"{putting[0]} trains a layer of its own before the last one, got transfer = 'lora', which freezes all "
            "layers before it: use 'last-k' or 'full'"
        )
    problems += _fighting(stage, rows)
    if len(putting) > 1:
        problems.append(f"one of them puts a bottleneck before the last layer, got {' and '.join(putting)}: keep one")
    if acting and bounding:
        problems.append(
            f"{bounding[0]} bounds the gradient of the loss alone, got {acting[0]}, which adds to the loss: keep one"
        )
    return problems
