"""Signals of all models on all judged records, read from the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float

from dosimeter.families.membership.game import BEFORE_TRANSFER
from dosimeter.families.membership.observe.observe import ObserveJob
from dosimeter.families.membership.observe.shadow_job import ShadowJob
from dosimeter.families.membership.observe.text_shadow_job import TextShadowJob
from dosimeter.foundation.arrays import Array
from dosimeter.jobs.store import Store, key_of

KEPT = 4
"""Most signals that a process holds while it plays one attack after another."""


@dataclass(frozen=True)
class Observations:
    """Signals of the whole fleet, and which answers are correct.

    Attributes:
        signals: each `[m q n+z]`, float64.
        correct: whether the answer to view 0 is correct `[m n+z]`.
        test_correct: the same on test records `[m r]`, or None.
    """

    signals: Mapping[str, Float[Array, "m q r *c"]]
    correct: Bool[Array, "m r"]
    test_correct: Bool[Array, "m k"] | None


@dataclass(frozen=True)
class Answers:
    """Answers of all models, by the entries that hold them; small enough to be sent to another process.

    Attributes:
        store: the store.
        signals: for each signal a digest of all that decides its values.
        keys: of the entries of the deployed models, in order.
        before: keys of the entries of the models at risk, where later stages follow; else empty.
        single: whether an entry holds one model `[q r]`, else a pack of them `[k q r]`.
    """

    store: Store
    signals: Mapping[str, str]
    keys: tuple[str, ...]
    before: tuple[str, ...] = ()
    single: bool = False

    def definition(self, signals: Sequence[str]) -> dict[str, str]:
        """Content of the key of a play that reads these signals; others do not count."""
        return {name: self.signals[name] for name in sorted(signals)}

    def load(self, signals: Sequence[str] | None = None) -> Observations:
        """Signals, all unless named, and which answers are correct.

        A control names none, but a game has outputs, whose shape says how many targets there are: it gets one.
        Where later stages follow, `correct` is about the models at risk, since the records have their classes;
        `test_correct` is about the deployed ones.
        """
        names = list(self.signals if signals is None else signals or list(self.signals)[:1])
        tests = _joined(self.store, self.keys, "test_correct", self.single)
        correct = _joined(self.store, self.before or self.keys, "correct", self.single)
        assert correct is not None
        return Observations(
            {name: self._signal(name) for name in names},
            correct.astype(bool),
            None if tests is None else tests.astype(bool),
        )

    def _signal(self, name: str) -> Array:
        """One signal of all models."""
        keys, own = (self.before, "logit_confidence") if name == BEFORE_TRANSFER else (self.keys, name)
        found = _joined(self.store, keys, own, self.single)
        assert found is not None
        return found


@lru_cache(maxsize=KEPT)
def _joined(store: Store, keys: tuple[str, ...], name: str, single: bool) -> Array | None:
    """One tensor of all entries, in order; None if they do not have it."""
    found = [entry[name] for entry in map(store.load, keys) if name in entry]
    return (torch.stack(found) if single else torch.cat(found)).numpy() if found else None


def fleet_answers(jobs: Sequence[ObserveJob], before: Sequence[ObserveJob] = ()) -> Answers:
    """The answers of a fleet that is trained here.

    Args:
        jobs: queries of the deployed models.
        before: queries of the models at risk, where later stages follow; else empty.
    """
    signals = {name: key_of({"packs": [job.decides(name) for job in jobs]}) for name in jobs[0].signals}
    if before:
        signals[BEFORE_TRANSFER] = key_of({"packs": [job.decides("logit_confidence") for job in before]})
    return Answers(jobs[0].store, signals, tuple(job.key for job in jobs), tuple(job.key for job in before))


def supplied_answers(
    store: Store, own: str, jobs: Sequence[ShadowJob | TextShadowJob], signals: Sequence[str]
) -> Answers:  # fmt: skip
    """The answers of a supplied model and its shadows.

    Args:
        store: the store.
        own: key of the model's own answers, which stand first.
        jobs: the shadows.
        signals: names of those that attacks read.
    """
    found = {name: key_of({"own": own, "shadows": [job.decides(name) for job in jobs]}) for name in signals}
    return Answers(store, found, (own, *(job.key for job in jobs)), single=True)
