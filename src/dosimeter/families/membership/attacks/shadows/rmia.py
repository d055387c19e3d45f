"""The robust attack: is the target's confidence, relative to shadows, higher on this record than on outside records?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation import checks
from dosimeter.foundation.arrays import Array
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

Mode = Literal["online", "offline"]
_SIGNALS = {1.0: "logit_confidence", 2.0: "logit_confidence_t2"}
_GAMMAS = (1.25, 1.0, 1.5, 2.0)  # of equals the first is chosen: 1.25 is seldom far from the best
_DEFAULT_A = 0.3  # the authors' value for CIFAR-10; used when no pair of shadows can be spared to tune it
_LOW = 0.01  # false positive rate of the calls that count in the choice of gamma
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
    Offline, p(x) reads out-shadows only; tuning also reads the shadows' own membership bits, which they know.
    Deviations: a tempered softmax instead of the Taylor softmax (whose cubic is negative for low logits); a plain and
    not a trimmed mean; views are averaged into one confidence before the ratio, with no vote per pair; all in log
    space, so that nothing saturates. A score takes z + 1 values: records with equal shares stay tied, those above all
    of the population too, and no tie is broken.
    Cost: O(s q (n + z) + t (n + z) log z): sorted thresholds and a binary search, never an n x z matrix. Tuning adds
    up to 4 rehearsed pairs x 2 targets: of the first term once, of the second 4 times online (values of gamma), 44
    times offline (with 11 of `a`, each of which is sorted once).

    Attributes:
        mode: whether in-shadows are read.
        gamma: factor by which a population record must be beaten, at least 1. The authors' 2 leaves few records to
            beat where models are sure of all of them, and 1 leaves ties at the top; `docs/attacks.md` has figures.
            "auto": the value of 1, 1.25, 1.5, 2 with the largest sum of mean AUC and mean TPR at 1 % FPR when up to 4
            pairs of shadows play the target, each with its best `a`; 1.25 if there is only one pair.
        temperature: temperature of the softmax, 1 or 2.
        a: offline only: how in-confidences follow from out-confidences, p_in = a p_out + 1 - a. None: the value of 0,
            0.1, ..., 1 with the best mean AUC when up to 4 pairs of shadows play the target, see
            `MembershipGame.rehearse`; 0.3, the authors' value for CIFAR-10, if there is only one pair.
    """

    paper: ClassVar[str] = "Zarifzadeh, Liu, Shokri, 2024, https://arxiv.org/abs/2312.03262"
    control: ClassVar[bool] = False

    mode: Mode = "online"
    gamma: float | Literal["auto"] = "auto"
    temperature: float = 2.0
    a: float | None = None

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            tail = checks.suggest(str(self.mode), get_args(Mode))
            raise ValueError(f"mode must be known, got {self.mode!r}: {tail}")
        if isinstance(self.gamma, str):
            if self.gamma != "auto":
                raise ValueError(f"gamma must be 'auto' or a number of at least 1, got {self.gamma!r}")
        else:
            checks.in_range("gamma", self.gamma, 1.0, np.inf, open_high=True)
        if self.temperature not in _SIGNALS:
            raise ValueError(f"temperature must be 1.0 or 2.0, got {self.temperature}")
        if self.a is not None:
            checks.in_range("a", self.a, 0.0, 1.0)

    @property
    def needs(self) -> Needs:
        """Probabilities, one shadow on each side, and a population large enough for more than a few distinct scores."""
        in_shadows = 1 if self.mode == "online" else 0
        return Needs(Access.PROBS, in_shadows=in_shadows, out_shadows=1, population=_FEWEST_POPULATION)

    @property
    def signals(self) -> tuple[str, ...]:
        """The logit-scaled confidence at the attack's temperature."""
        return (_SIGNALS[self.temperature],)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game; `rng` is not used.

        Raises:
            ValueError: too few shadows or population records, or a signal is missing or not finite.
        """
        reading.require(game, self.needs, self.signals)
        gamma, a = _tune(game, self)
        return Scores(game.ids, _shares(_Confidences.of(game, self), gamma, a))


@dataclass(frozen=True)
class _Confidences:
    """Log-confidences of targets and the log of their mean over shadows, on candidates and on the population."""

    candidates: Float[Array, "t n"]
    population: Float[Array, "t z"]
    shadow_candidates: Float[Array, " n"]
    shadow_population: Float[Array, " z"]

    @classmethod
    def of(cls, game: MembershipGame, attack: RMIA) -> _Confidences:
        """Reads a game once; nothing here depends on `gamma` or `a`."""
        (name,) = attack.signals
        assert game.population is not None  # `require` has refused this
        outside, shadows = game.population, game.shadow_outputs[name]
        return cls(
            candidates=np.stack([reading.log_mean_confidence(one[None]) for one in game.outputs[name]]),
            population=np.stack([reading.log_mean_confidence(one[None]) for one in outside.outputs[name]]),
            shadow_candidates=reading.log_mean_confidence(
                shadows if attack.mode == "online" else reading.split(shadows, game.shadow_in)[1]
            ),
            shadow_population=reading.log_mean_confidence(outside.shadow_outputs[name]),
        )


def _shares(logs: _Confidences, gamma: float, a: float | None) -> Float[Array, "t n"]:
    """Share of the population records that each candidate beats; `a` is None if in-shadows were read too."""
    shares: Array = _beaten(logs, (gamma,), a)[0] / logs.population.shape[1]
    return shares


def _beaten(logs: _Confidences, gammas: Sequence[float], a: float | None) -> Int[Array, "g t n"]:
    """Number of population records that each candidate beats, for each gamma."""
    ratios = logs.candidates - _log_evidence(logs.shadow_candidates, a)
    bars = np.sort(logs.population - _log_evidence(logs.shadow_population, a), axis=1)
    # The first place where a ratio could be inserted counts the bars strictly below it.
    return np.array(
        [
            [np.searchsorted(bar + np.log(gamma), ratio, side="left") for bar, ratio in zip(bars, ratios, strict=True)]
            for gamma in gammas
        ]
    )


def _log_evidence(log_mean: Float[Array, " n"], a: float | None) -> Float[Array, " n"]:
    """Log of p(x) from the log of the shadows' mean confidence."""
    if a is None or a == 1:
        return log_mean
    result: Array = np.logaddexp(np.log1p(a) + log_mean, np.log1p(-a)) - np.log(2)
    return result


def _tune(game: MembershipGame, attack: RMIA) -> tuple[float, float | None]:
    """Gamma and `a`: as given, or those that do best against the adversary's own shadows; among equals the first.

    For each gamma, `a` has the best AUC. Among gammas the AUC alone would choose 1. Its ties at the top hide the most
    certain members, so the TPR at few false positives counts as much as the AUC.
    """
    offline = attack.mode == "offline"
    few = game.n_shadows < 4
    gammas = (attack.gamma,) if not isinstance(attack.gamma, str) else _GAMMAS[:1] if few else _GAMMAS
    grid = (None,) if not offline else (attack.a,) if attack.a is not None else (_DEFAULT_A,) if few else reading.TENTHS
    if len(gammas) == len(grid) == 1:
        return gammas[0], grid[0]
    found = np.zeros((len(gammas), len(grid), 2))
    for pair in range(min(reading.REHEARSALS, game.n_shadows // 2)):
        rehearsal, is_member = game.rehearse(pair)
        logs = _Confidences.of(rehearsal, attack)
        for i, a in enumerate(grid):
            counts = _beaten(logs, gammas, a)
            found[:, i] += [_quality(count, is_member, logs.population.shape[1]) for count in counts]
    best = found[..., 0].argmax(1)
    chosen = int(found[np.arange(len(gammas)), best].sum(1).argmax())
    return gammas[chosen], grid[best[chosen]]


def _quality(beaten: Int[Array, "t n"], is_member: Bool[Array, "t n"], most: int) -> Float[Array, " k"]:
    """Mean AUC, ties counted half, and mean TPR at few false positives, of whole-number scores up to `most`.

    Scores are counted, not sorted, since there are few distinct values.
    """
    rows = []
    for counts, bits in zip(beaten, is_member, strict=True):
        members, others = (np.bincount(counts[own], minlength=most + 1) for own in (bits, ~bits))
        below = others.cumsum()
        area = (members * (below - others / 2)).sum() / (members.sum() * below[-1])
        cut = int((below[-1] - below <= _LOW * below[-1]).argmax())  # the lowest with so few others strictly above
        rows.append((area, members[cut + 1 :].sum() / members.sum()))
    return np.asarray(np.mean(rows, axis=0))
