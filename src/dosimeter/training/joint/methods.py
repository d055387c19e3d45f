"""Joint methods by name, and what organisations send by each; read without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dosimeter.training.recipe import (
    AddsStepNoise,
    BoundsRecords,
    ChangesRecipe,
    ChoosesMethods,
    GuardsMessages,
    Hyperparameters,
    MixesRecords,
)

SENT: Mapping[str, tuple[str, ...]] = {
    "fedsgd": ("gradient",),
    "fedavg": ("update",),
    "hard": ("gradient",),
    "l2-sp": ("gradient",),
    "soft": ("parameters",),
    **dict.fromkeys(("coral", "mmd", "dann"), ("representations", "alignment_gradient", "gradient", "head")),
}
"""Kinds of message that organisations send, by method; the coordinator sends the trunk."""
ALIGNED = tuple(method for method, kinds in SENT.items() if "representations" in kinds)
"""Methods that make features alike."""
GUARDED = ("representations", "alignment_gradient", "gradient", "update")
"""Kinds of message that defenses may change."""
FEDERATED = ("fedsgd", "fedavg")
"""Methods with two or more parties of any name; others have a source and a receiver."""
AVERAGED = ("fedsgd", "fedavg", "l2-sp")
"""Methods whose trunk moves by the mean of what parties send."""
PLAIN = "use compress, noise, dp_moments, sgld, mixup, dp_sgd, l2 or early_stopping"
"""Defenses of joint stages, as the remedy where another is named."""


def joint_defense_problems(method: str, defenses: Sequence[tuple[str, object]], hp: Hyperparameters) -> list[str]:
    """Defenses that cannot act in a joint method, one line each, as the tail of their place.

    Args:
        method: a joint method.
        defenses: by name.
        hp: the recipe.
    """
    problems, sent = [], SENT.get(method, ())
    for name, one in defenses:
        if isinstance(one, GuardsMessages) and not set(one.messages) <= set(GUARDED):
            problems.append(
                f"{name} must change messages of {', '.join(GUARDED)}, got {', '.join(one.messages)}: correct its "
                "`messages`"
            )
        elif isinstance(one, GuardsMessages) and not set(one.messages) & set(sent):
            remedy = " or ".join(repr(other) for other, kinds in SENT.items() if set(one.messages) & set(kinds))
            problems.append(
                f"{name} changes {' and '.join(one.messages)}, got transfer {method!r}, which sends no such message: "
                f"remove it, or use transfer {remedy}"
            )
        elif isinstance(one, BoundsRecords) and method in ALIGNED:
            problems.append(
                f"{name} bounds gradients, got transfer {method!r}, which shows features too: remove it, or use "
                "dp_moments or noise for features"
            )
        elif not isinstance(one, GuardsMessages | AddsStepNoise | MixesRecords | BoundsRecords | ChangesRecipe):
            problems.append(f"{name} does not act where parties train together, got transfer {method!r}: {PLAIN}")
        elif isinstance(one, ChoosesMethods) and (reason := one.unfit(method, hp)):
            problems.append(f"{name} {reason}")
    for kind in (BoundsRecords, MixesRecords, AddsStepNoise):
        names = [name for name, one in defenses if isinstance(one, kind)]
        if len(names) > 1:
            problems.append(f"one of a kind acts on the steps of a party, got {' and '.join(names)}: keep one")
    bounding = [name for name, one in defenses if isinstance(one, BoundsRecords)]
    mixing = [name for name, one in defenses if isinstance(one, MixesRecords)]
    if bounding and mixing:
        problems.append(f"{bounding[0]} bounds what one record does, got {mixing[0]}, which mixes two: keep one")
    return problems
