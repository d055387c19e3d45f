"""The robust attack: is the target's confidence, relative to shadows, higher on this record than on outside records?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

from dosimeter import _check
from dosimeter.attacks.membership import signals
from dosimeter.games import Access, MembershipGame, Needs, Scores

Array = npt.NDArray[Any]
Mode = Literal["online", "offline"]

_SIGNALS = {1.0: "logit_confidence", 2.0: "logit_confidence_t2"}
_GRID = tuple(step / 10 for step in range(11))
_DEFAULT_A = 0.3  # the authors' value for CIFAR-10; used when no pair of shadows can be spared to tune it
_REHEARSALS = 4
_FEWEST_POPULATION = 10


@dataclass(frozen=True)
class RMIA:
    """Score a record by the share of population records whose likelihood ratio it beats by a factor gamma.

    Paper: Zarifzadeh, Liu, Shokri, "Low-Cost High-Power Membership Inference Attacks", 2024,
    https://arxiv.org/abs/2312.03262, equations 2 to 4. With p(x | theta) the confidence in the label:

        r(x) = p(x | theta) / p(x),   s(x) = share of z with r(x) > gamma r(z)   (strict)
        online:  p(x) = mean over in- and out-shadows
        offline: p(x) = ((1 + a) mean over out-shadows + 1 - a) / 2

    Threat model: confidences of the target; a pair of shadows or more; records known to be outside every model.
    Offline, p(x) reads out-shadows only; tuning `a` also reads the shadows' own membership bits, which they know.
    Deviations: a tempered softmax instead of the Taylor softmax (whose cubic is negative for low logits); a plain and
    not a trimmed mean; views are averaged into one confidence before the ratio, with no vote per pair; all in log
    space, so that nothing saturates. A score takes z + 1 values: records with equal shares stay tied, those above all
    of the population too, and no tie is broken.
    Cost: O(s q (n + z) + t (n + z) log z): sorted thresholds and a binary search, never an n x z matrix. Tuning `a`
    adds 11 values x 4 rehearsed pairs x 2 targets of the second term.

    Attributes:
        mode: whether in-shadows are read.
        gamma: factor by which a population record must be beaten, at least 1. The authors' 2 leaves few records to
            beat where models are sure of all of them, and 1 leaves ties at the top; `docs/attacks.md` has figures.
        temperature: of the softmax, 1 or 2.
        a: offline only: how in-confidences follow from out-confidences, p_in = a p_out + 1 - a. None: the value of 0,
            0.1, ..., 1 with the best mean AUC when up to 4 pairs of shadows play the target, see
            `MembershipGame.rehearse`; 0.3, the authors' value for CIFAR-10, if there is only one pair.
    """

    paper: ClassVar[str] = "Zarifzadeh, Liu, Shokri, 2024, https://arxiv.org/abs/2312.03262"
    control: ClassVar[bool] = False

    mode: Mode = "online"
    gamma: float = 1.25
    temperature: float = 2.0
    a: float | None = None

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            tail = _check.suggest(str(self.mode), get_args(Mode))
            raise ValueError(f"mode must be known, got {self.mode!r}: {tail}")
        _check.in_range("gamma", self.gamma, 1.0, np.inf, open_high=True)
        if self.temperature not in _SIGNALS:
            raise ValueError(f"temperature must be 1.0 or 2.0, got {self.temperature}")
        if self.a is not None:
            _check.in_range("a", self.a, 0.0, 1.0)

    @property
    def needs(self) -> Needs:
        """Probabilities, one shadow a side, and enough population records for more than a handful of scores."""
        in_shadows = 1 if self.mode == "online" else 0
        return Needs(Access.PROBS, in_shadows=in_shadows, out_shadows=1, population=_FEWEST_POPULATION)

    @property
    def signals(self) -> tuple[str, ...]:
        """The logit-scaled confidence at the attack's temperature."""
        return (_SIGNALS[self.temperature],)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Score all records of a game; `rng` is not used.

        Raises:
            ValueError: too few shadows or population records, or a signal is missing or not finite.
        """
        signals.require(game, self.needs, self.signals)
        a = self.a
        if self.mode == "offline" and a is None:
            a = _tune(game, self)
        return Scores(game.ids, _shares(_Confidences.of(game, self), self.gamma, a))


@dataclass(frozen=True)
class _Confidences:
    """Log-confidences of targets and the log of their mean over shadows, on candidates and on the population."""

    candidates: Float[Array, "t n"]
    population: Float[Array, "t z"]
    shadow_candidates: Float[Array, " n"]
    shadow_population: Float[Array, " z"]

    @classmethod
    def of(cls, game: MembershipGame, attack: RMIA) -> _Confidences:
        """Read a game once; all that depends on `gamma` and `a` comes later."""
        (name,) = attack.signals
        assert game.population is not None  # `require` has refused this
        outside, shadows = game.population, game.shadow_outputs[name]
        return cls(
            candidates=np.stack([signals.log_mean_confidence(one[None]) for one in game.outputs[name]]),
            population=np.stack([signals.log_mean_confidence(one[None]) for one in outside.outputs[name]]),
            shadow_candidates=signals.log_mean_confidence(
                shadows if attack.mode == "online" else signals.split(shadows, game.shadow_in)[1]
            ),
            shadow_population=signals.log_mean_confidence(outside.shadow_outputs[name]),
        )


def _shares(logs: _Confidences, gamma: float, a: float | None) -> Float[Array, "t n"]:
    """The share of population records that each candidate beats; `a` None means that in-shadows were read too."""
    ratios = logs.candidates - _expected(logs.shadow_candidates, a)
    bars = np.sort(logs.population - _expected(logs.shadow_population, a) + np.log(gamma), axis=1)
    # The first place where a ratio could be inserted counts the bars strictly below it.
    beaten = [np.searchsorted(bar, ratio, side="left") for bar, ratio in zip(bars, ratios, strict=True)]
    shares: Array = np.stack(beaten) / bars.shape[1]
    return shares


def _expected(log_mean: Float[Array, " n"], a: float | None) -> Float[Array, " n"]:
    """Log of p(x) from the log of the shadows' mean confidence."""
    if a is None or a == 1:
        return log_mean
    result: Array = np.logaddexp(np.log1p(a) + log_mean, np.log1p(-a)) - np.log(2)
    return result


def _tune(game: MembershipGame, attack: RMIA) -> float:
    """The value of `a` that attacks the adversary's own shadows best; the lowest one of equals."""
    pairs = min(_REHEARSALS, game.n_shadows // 2)
    if game.n_shadows < 4:
        return _DEFAULT_A
    quality = np.zeros(len(_GRID))
    for pair in range(pairs):
        rehearsal, is_member = game.rehearse(pair)
        logs = _Confidences.of(rehearsal, attack)
        quality += [signals.auc(_shares(logs, attack.gamma, a), is_member) for a in _GRID]
    return _GRID[int(quality.argmax())]
