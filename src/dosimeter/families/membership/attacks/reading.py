"""Functions that membership attacks share: checks of a game, confidences in log space, shadows split by membership.

Axes: `m` models (targets or shadows), `q` views (view 0 is the record itself), `n` records.
"""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.families.attack import Attack
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation import checks
from dosimeter.foundation.arrays import Array
from dosimeter.statistics.area import area
from dosimeter.statistics.evidence import Scores

TENTHS = tuple(step / 10 for step in range(11))
"""Grid of a weight from 0 to 1 that attacks tune on shadows."""
REHEARSALS = 4
"""Pairs of shadows that such a weight is tuned on, at most."""
_BLOCK = 16_384  # records at a time, so that the intermediate arrays stay in cache and memory does not grow with n


def check_choices(attack: object, **choices: Any) -> None:
    """Refuses a hyperparameter whose value is not listed by its `Literal`.

    Args:
        attack: the attack whose fields are checked.
        choices: the `Literal` of each field.

    Raises:
        ValueError: a value is not listed.
    """
    for name, allowed in choices.items():
        if (value := getattr(attack, name)) not in get_args(allowed):
            raise ValueError(f"{name} must be known, got {value!r}: {checks.suggest(str(value), get_args(allowed))}")


def confidences(
    game: MembershipGame, attack: Attack[MembershipGame, Scores]
) -> tuple[Float[Array, "t q n"], Float[Array, "k q n"], Float[Array, "k q n"]]:
    """Values of the one signal of an attack that compares the target with shadows: target, in-shadows, out-shadows.

    Raises:
        ValueError: as `require`.
    """
    require(game, attack.needs, attack.signals)
    (name,) = attack.signals
    return game.outputs[name], *sides(game, name)


def require(game: MembershipGame, needs: Needs, names: tuple[str, ...]) -> None:
    """Refuses a game that lacks what an attack needs, before anything is computed.

    Args:
        game: the game.
        needs: the attack's needs.
        names: the signals it reads.

    Raises:
        ValueError: too few shadows or population records, no inputs or training, a missing signal, or
            one that is not finite.
    """
    each = game.n_shadows // 2  # complementary pairs: every record is in one row of each
    views = next(iter(game.outputs.values())).shape[1]
    more = needs.per_view * (views - 1)
    wanted = {"in": needs.in_shadows + more, "out": needs.out_shadows + more}
    for side, fewest in wanted.items():
        if each < fewest:
            raise ValueError(
                f"the attack needs at least {fewest} {side}-shadows per record, got {each}: train {2 * fewest} shadows"
            )
    population = game.population if needs.population else None
    if needs.population and (population is None or len(population.ids) < needs.population):
        size = 0 if population is None else len(population.ids)
        raise ValueError(f"the attack needs at least {needs.population} population records, got {size}: set more aside")
    if needs.labelled:
        _require_known(game, needs.labelled)
    if needs.inputs and (game.inputs is None or (population is not None and population.inputs is None)):
        raise ValueError("the attack needs the records themselves, got a game without inputs: run it within an audit")
    if needs.retrain and game.retrain is None:
        raise ValueError("the attack needs to train further shadows, got a game that cannot: use a stage with a head")
    if needs.weights and game.weights is None:
        raise ValueError("the attack needs the models themselves, got a game without weights: run it within an audit")
    _require_texts(game, needs)
    shadows_used = max(wanted.values()) > 0
    for signal in names:
        tables = {"outputs": game.outputs}
        tables |= {"shadow_outputs": game.shadow_outputs} if shadows_used else {}
        for part, more in {"population": population, "known": game.known if needs.labelled else None}.items():
            if more is not None:
                tables |= {f"{part}.outputs": more.outputs}
                tables |= {f"{part}.shadow_outputs": more.shadow_outputs} if shadows_used else {}
        for table, values in tables.items():
            if signal not in values:
                raise ValueError(
                    f"the attack needs the signal {signal!r} in {table}, got {', '.join(values) or 'none'}"
                )
            checks.finite(f"{table}[{signal!r}]", values[signal])


def _require_texts(game: MembershipGame, needs: Needs) -> None:
    """Refuses a game without the texts of a language model, without its base, or with texts that are too short."""
    texts = game.texts
    if (needs.texts or needs.base) and texts is None:
        raise ValueError("the attack needs the tokens of texts, got a game without texts: use task = 'language'")
    if needs.base and texts is not None and not texts.base:
        raise ValueError("the attack needs the base of the finetuned model, got none: finetune another stage's model")
    if needs.base and needs.labelled and (game.known is None or game.known.texts is None):
        raise ValueError("the attack needs what the base says of the known texts, got none: run it within an audit")
    if needs.tokens and texts is not None and np.median(texts.lengths) - 1 < needs.tokens:
        raise ValueError(
            f"the attack needs texts of which half have at least {needs.tokens} tokens after the first, got "
            f"{np.median(texts.lengths) - 1:g}: use longer texts, or leave it out"
        )


def _require_known(game: MembershipGame, fewest: int) -> None:
    """Refuses a game without enough known members and known non-members of each target, or that judges one of them."""
    known = game.known
    each = 0 if known is None else known.fewest
    if known is None or each < fewest:
        raise ValueError(
            f"the attack needs at least {fewest} known members and {fewest} known non-members of each target, got "
            f"{each}: label more records, or take fewer shots"
        )
    both = np.intersect1d(np.asarray(game.ids).astype(str), np.asarray(known.ids).astype(str))
    if len(both):
        raise ValueError(
            f"known records must not be judged, got {len(both)} that are, the first is {str(both[0])!r}: leave them out"
        )


def log_confidence(phi: Array) -> Array:
    """Log-probability of the label from the logit-scaled confidence, `-softplus(-phi)`, exact at both ends.

    Args:
        phi: log p_y - log(1 - p_y), nats, any shape.

    >>> log_confidence(np.array([-800.0, 0.0, 40.0])).tolist()
    [-800.0, -0.6931471805599453, -4.248354255291589e-18]
    """
    # Three times as fast as np.logaddexp and as exact: the exponential never exceeds 1.
    result: Array = np.minimum(phi, 0.0) - np.log1p(np.exp(-np.abs(phi)))
    return result


def log_mean_confidence(phi: Float[Array, "m q n"]) -> Float[Array, " n"]:
    """Log of the mean probability over models and views, without underflow at 0 or rounding at 1."""
    mean = np.empty(phi.shape[-1])
    for start in range(0, phi.shape[-1], _BLOCK):
        part = slice(start, start + _BLOCK)
        logs = log_confidence(phi[..., part].reshape(-1, *mean[part].shape))
        top = logs.max(axis=0)
        mean[part] = top + np.log1p(np.expm1(logs - top).mean(axis=0))
    return mean


def split(
    values: Float[Array, "s q n"], shadow_in: Bool[Array, "s n"]
) -> tuple[Float[Array, "k q n"], Float[Array, "k q n"]]:
    """Sorts the shadows' values of each record into those of in-shadows and those of out-shadows.

    Complementary pairs make this one choice per pair, so that both parts are rectangular, `k = s / 2`.

    Args:
        values: values of the shadows.
        shadow_in: which shadow trained on which record.

    Returns:
        In-shadows' and out-shadows' values.
    """
    first = shadow_in[0::2, None]
    even, odd = values[0::2], values[1::2]
    return np.where(first, even, odd), np.where(first, odd, even)


def sides(game: MembershipGame, name: str) -> tuple[Float[Array, "k q n"], Float[Array, "k q n"]]:
    """One signal of in-shadows and of out-shadows, as by `split`; a game parts it once, for all who ask."""
    if name not in game.parted:
        found = split(game.shadow_outputs[name], game.shadow_in)
        for side in found:
            side.flags.writeable = False
        game.parted[name] = found
    return game.parted[name]


def by_class(labels: Int[Array, " n"]) -> list[Int[Array, " c"]]:
    """Positions of the records of each class, in the order of the classes.

    >>> [one.tolist() for one in by_class(np.array([7, 2, 7]))]
    [[1], [0, 2]]
    """
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def auc(scores: Float[Array, "t n"], is_member: Bool[Array, "t n"]) -> float:
    """Mean area under the ROC over rehearsed targets, ties counted half; each target needs members and non-members."""
    return float(np.mean([area(row, bits) for row, bits in zip(scores, is_member, strict=True)]))
