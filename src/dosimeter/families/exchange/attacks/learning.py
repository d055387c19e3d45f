"""Classifiers that tell simulated batches of both sides apart, and their log-odds for what was observed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from dosimeter.foundation.arrays import Array
from dosimeter.training.learners.pool import auc

CLASSIFIERS = ("forest", "logistic")
"""All classifiers, which compete on simulated batches."""
HELD_BACK = 4
"""One of so many simulated batches is held back where classifiers compete."""
LEAST = 0.005
"""Least probability of a classifier: half of one tree of a hundred."""


def checked(classifiers: Sequence[str], **positive: int) -> None:
    """Refuses unknown classifiers, none, and numbers below 1.

    Raises:
        ValueError: there are some.
    """
    wrong = [one for one in classifiers if one not in CLASSIFIERS]
    if wrong or not classifiers or len(set(classifiers)) < len(classifiers):
        raise ValueError(f"classifiers must be distinct and out of {', '.join(CLASSIFIERS)}, got {list(classifiers)}")
    for name, value in positive.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def log_odds(
    features: Float[Array, "k d"],
    sides: Int[Array, " k"],
    observed: Float[Array, "n d"],
    names: Sequence[str],
    rng: np.random.Generator,
) -> Float[Array, " n"]:
    """Log-odds of the first side, by the classifier that tells simulated batches best that were held back.

    Args:
        features: of simulated batches.
        sides: of these, 1 for the first.
        observed: features of what was observed.
        names: of classifiers.
        rng: generator of the batches that are held back, and of the forest.
    """
    state = int(rng.integers(2**31))
    held = rng.permutation(len(sides)) % HELD_BACK == 0

    def reached(name: str) -> float:
        model = _classifier(name, state).fit(features[~held], sides[~held])
        return auc(model.predict_proba(features[held]), sides[held])

    competing = len(names) > 1 and min(np.bincount(sides[held], minlength=2)) > 0
    best = max(names, key=reached) if competing else names[0]
    likely = _classifier(best, state).fit(features, sides).predict_proba(observed)[:, 1]
    likely = np.clip(likely, LEAST, 1 - LEAST)
    found: Array = np.log(likely / (1 - likely))
    return found


def _classifier(name: str, state: int) -> Any:
    """A classifier of scikit-learn: the forest of Melis et al., 2018, and a strongly penalised linear one."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if name == "forest":
        return RandomForestClassifier(100, min_samples_leaf=5, random_state=state)
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
