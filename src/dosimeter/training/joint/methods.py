"""Joint methods by name, and what organisations send by each; read without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dosimeter.training.recipe import (
    AddsStepNoise,
    BoundsRecords,
    ChangesRecipe,
    ChoosesMethods,
    GuardsMessages,
    HidesParts,
    Hyperparameters,
    MixesRecords,
)

SENT: Mapping[str, tuple[str, ...]] = {
    "fedsgd": ("gradient",),
    "fedavg": ("update",),
    "hard": ("gradient",),
    "l2-sp": ("gradient",),
    "soft": ("parameters",),
    **dict.fromkeys(("coral", "mmd", "dann", "dsn"), ("representations", "alignment_gradient", "gradient", "head")),
}
"""Kinds of message that organisations send, by method; the coordinator sends the trunk."""
SHOWING = tuple(method for method, kinds in SENT.items() if "representations" in kinds)
"""Methods in which the source shows features, which are made alike."""
GUARDED = ("representations", "alignment_gradient", "gradient", "update")
"""Kinds of message that defenses may change."""
JUDGED = ("dann", "dsn")
"""Methods in which the receiver trains a discriminator of features."""
FEDERATED = ("fedsgd", "fedavg")
"""Methods with two or more parties of any name; others have a source and a receiver."""
AVERAGED = ("fedsgd", "fedavg", "l2-sp")
"""Methods whose trunk moves by the mean of what parties send."""
PLAIN = "use compress, noise, dp_moments, secure_sum, sgld, mixup, dp_sgd, l2 or early_stopping"
"""Defenses of joint stages, as the remedy where another is named."""


ABLE = GuardsMessages | AddsStepNoise | MixesRecords | HidesParts | BoundsRecords | ChangesRecipe
"""Defenses that act in joint stages."""


def joint_defense_problems(
    method: str, defenses: Sequence[tuple[str, object]], hp: Hyperparameters, parties: int
) -> list[str]:  # fmt: skip
    """Defenses that cannot act in a joint method, one line each, as the tail of their place.

    Args:
        method: a joint method.
        defenses: by name.
        hp: the recipe.
        parties: their number.
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
        elif isinstance(one, BoundsRecords) and method in SHOWING:
            problems.append(
                f"{name} bounds gradients, got transfer {method!r}, which shows features too: remove it, or use "
                "dp_moments or noise for features"
            )
        elif isinstance(one, HidesParts) and (method not in FEDERATED or parties < 3):
            problems.append(
                f"{name} hides parts in a sum, got transfer {method!r} with {parties} parties, of whom each could "
                "subtract its own part: remove it, or use 'fedsgd' or 'fedavg' with three parties or more"
            )
        elif not isinstance(one, ABLE):
            problems.append(f"{name} does not act where parties train together, got transfer {method!r}: {PLAIN}")
        elif isinstance(one, ChoosesMethods) and (reason := one.unfit(method, hp)):
            problems.append(f"{name} {reason}")
    for kind in (BoundsRecords, MixesRecords, AddsStepNoise, HidesParts):
        names = [name for name, one in defenses if isinstance(one, kind)]
        if len(names) > 1:
            problems.append(f"one of a kind acts in a stage, got {' and '.join(names)}: keep one")
    bounding = [name for name, one in defenses if isinstance(one, BoundsRecords)]
    mixing = [name for name, one in defenses if isinstance(one, MixesRecords)]
    if bounding and mixing:
        problems.append(f"{bounding[0]} bounds what one record does, got {mixing[0]}, which mixes two: keep one")
    return problems
