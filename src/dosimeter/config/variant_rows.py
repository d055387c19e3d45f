"""The `[[variant]]` rows, each as the whole audit file that it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dosimeter.config.tables import Stage, Variant
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.wording import quote

OF_DATA = ("name", "data", "data_options", "rows", "test", "test_rows", "weights", "classes", "parties")
"""Keys of a stage that determine the judged records and given parts; they are the same in every variant."""
OF_TRANSFER = ("last_k", "bn_mode", "lora_rank", "lora_alpha", "local_steps")
"""Keys that belong to one method of transfer only."""


def problems_of(variant: Variant, names: list[str], threats: int, *, written: bool = True) -> list[str]:
    """Problems with a row alone, as the tail of its place.

    Args:
        variant: the row.
        names: names of the stages.
        threats: number of threats.
        written: whether the file has a `[[threat]]`; otherwise they follow from its topology.
    """
    found = []
    if variant.knows is not None and not written:
        found.append(
            f".knows: is a key of a [threat], got {quote(variant.id)} beside [topology], which has none: write the "
            "[threat] that it changes"
        )
    elif variant.knows is not None and threats > 1:
        found.append(
            f".knows: is a key of one threat, got {quote(variant.id)} beside {threats} of them: write a [[threat]] "
            "that knows more"
        )
    if variant.id == "none":
        found.append(".id: 'none' is the audit itself, got 'none': rename it, since it names a folder")
    if variant.knows is None and not any(variant.stage.values()):
        found.append(f": must change something, got {quote(variant.id)} alone: give `stage` or `knows`")
    for name, changes in variant.stage.items():
        if name not in names:
            found.append(f".stage: no such stage, got {quote(name)}, {suggest(name, names)}")
            continue
        found += [
            f".stage.{name}.{key}: is the same in every variant, got {quote(changes[key])}: remove it, or write an "
            "audit file of its own"
            for key in OF_DATA
            if key in changes
        ]
    return found


def placed(place: str, text: str) -> str:
    """A problem of the audit that a row stands for; what the row itself says of the adversary stands in the row.

    >>> placed("variant[0]", "threat.knows[0]: must be text"), placed("variant[0]", "stage[0].lr: must be above 0")
    ('variant[0].knows[0]: must be text', 'variant[0]: stage[0].lr: must be above 0')
    """
    return f"{place}.{text.removeprefix('threat.')}" if text.startswith("threat.knows") else f"{place}: {text}"


def merge_rows(whole: Mapping[str, Any], variant: Variant) -> dict[str, Any]:
    """The tables of the audit file that a row stands for, without any variants."""
    table = {key: value for key, value in whole.items() if key not in ("defense", "variant")}
    table["stage"] = tuple(_change(stage, variant.stage.get(stage["name"], {})) for stage in whole["stage"])
    if variant.knows is not None:
        threat = whole.get("threat", {})
        single = threat[0] if isinstance(threat, tuple) else threat
        table["threat"] = {**single, "knows": variant.knows}
    return table


def _change(stage: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A stage with other settings; another method of transfer drops the settings of the former one."""
    other = changes.get("transfer", stage.get("transfer")) != stage.get("transfer")
    return {key: value for key, value in stage.items() if not (other and key in OF_TRANSFER)} | dict(changes)


def flat(variant: Variant) -> dict[str, Any]:
    """Changes of a row, one setting each: `finetune.transfer`, `knows`."""
    found: dict[str, Any] = {} if variant.knows is None else {"knows": " and ".join(variant.knows) or "nothing more"}
    for name, changes in variant.stage.items():
        found |= {f"{name}.{key}": _plain(value) for key, value in changes.items() if key in Stage.model_fields}
    return found


def _plain(value: Any) -> Any:
    """A setting in the form that a table shows: tables and lists as words."""
    if isinstance(value, Mapping):
        return " ".join(str(_plain(item)) if key == "name" else f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return " and ".join(str(_plain(item)) for item in value) or "none"
    return value
