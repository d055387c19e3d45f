"""A pool of classifiers that an adversary tries: the one that does best on records of their own is used."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from dosimeter.foundation.arrays import Array
from dosimeter.statistics.area import area

WIDEST = 256
"""Most principal components that classifiers see of features."""
HELD_BACK = 0.25
"""Share of the records on which the classifiers compete."""
LEAST = 1e-12
"""Least probability, so that its logarithm is finite."""
FEWEST = 8
"""Fewest records of each value, so that both parts have some."""
ABOUT: Mapping[str, str] = {
    "logistic": "logistic regression",
    "svm": "support vectors with a Gaussian kernel",
    "forest": "random forest",
    "boosting": "gradient boosting",
    "neighbours": "nearest neighbours",
    "mlp": "three small networks together",
}
"""The classifiers, in words."""


class Fitted:
    """A classifier with the components that it sees.

    Args:
        model: of scikit-learn, with all that stands before it.
        values: number of values of the secret.
    """

    def __init__(self, model: Any, values: int) -> None:
        self.model, self.values = model, values

    def log_scores(self, features: Float[Array, "n d"]) -> Float[Array, "n v"]:
        """Log-probability of each value, or what stands for it: decisions as log-odds.

        Args:
            features: flattened.
        """
        if hasattr(self.model, "predict_proba"):
            return np.asarray(np.log(np.maximum(self.model.predict_proba(features), LEAST)))
        found = np.asarray(self.model.decision_function(features), dtype=np.float64)
        if found.ndim == 1:
            found = np.stack([-found, found], 1) / 2
        top = found.max(1, keepdims=True)
        return np.asarray(found - top - np.log(np.exp(found - top).sum(1, keepdims=True)))


def fit_pool(
    features: Float[Array, "n d"],
    values: Int[Array, " n"],
    names: Sequence[str],
    *,
    persons: Int[Array, " n"],
    seed: int,
) -> tuple[Fitted, dict[str, float]]:
    """Fits the classifier that does best on records that were held back, then on all records.

    Args:
        features: of the adversary's records, flattened.
        values: of the secret, from 0 on; each occurs `FEWEST` times or more.
        names: of classifiers, out of `ABOUT`.
        persons: whose records they are; a person is held back as a whole.
        seed: of all randomness.

    Returns:
        The best one, and the AUC of each on the records that were held back.

    Raises:
        ValueError: too few records of a value.
    """
    counts = np.bincount(values)
    if counts.min() < FEWEST or len(counts) < 2:
        raise ValueError(f"needs {FEWEST} records of each of two values or more, got {counts.tolist()}")
    fitted, judged = _parts(values, persons, seed)
    shown, scores = _shown(features[fitted], seed), {}
    for name in names:
        one = _fit(name, shown, values[fitted], seed)
        scores[name] = auc(one.log_scores(features[judged]), values[judged])
    best = max(names, key=lambda name: scores[name])
    return _fit(best, _shown(features, seed), values, seed), scores


def auc(scores: Float[Array, "n v"], values: Int[Array, " n"]) -> float:
    """Mean over values of the AUC of each against the others; the second alone if there are two.

    Args:
        scores: log-scores of each value.
        values: the true ones, each of which occurs.
    """
    judged = range(1, 2) if scores.shape[1] == 2 else range(scores.shape[1])
    return float(np.mean([area(scores[:, value], values == value) for value in judged]))


def _parts(values: Array, persons: Array, seed: int) -> tuple[Array, Array]:
    """Rows that classifiers learn and rows on which they compete; each part has each value, and persons are whole.

    Where persons cannot be kept whole, since one of them alone has a value, records are divided.
    """
    rng, everyone = np.random.default_rng(seed), np.unique(persons)
    for _ in range(20):
        held = np.isin(persons, rng.permutation(everyone)[: max(1, round(HELD_BACK * len(everyone)))])
        if all(len(np.unique(values[part])) == values.max() + 1 for part in (held, ~held)):
            return np.flatnonzero(~held), np.flatnonzero(held)
    held = np.zeros(len(values), bool)
    for value in range(values.max() + 1):
        own = rng.permutation(np.flatnonzero(values == value))
        held[own[: max(1, round(HELD_BACK * len(own)))]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def _shown(features: Array, seed: int) -> tuple[Any, Array]:
    """How all classifiers see features, standardised or by their leading components if they are many, and these."""
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    before: list[Any] = [StandardScaler()]
    most = min(WIDEST, len(features) - 1)
    if features.shape[1] > most:
        before += [PCA(most, svd_solver="randomized", random_state=seed % 2**31), StandardScaler()]
    shown = make_pipeline(*before)
    return shown, shown.fit_transform(features)


def _fit(name: str, shown: tuple[Any, Array], values: Array, seed: int) -> Fitted:
    """One classifier on what it sees of features."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.pipeline import Pipeline

    classifier = _classifier(name, len(values), seed % 2**31)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # what is not done competes as it is
        classifier.fit(shown[1], values)
    return Fitted(Pipeline([("shown", shown[0]), ("classifier", classifier)]), int(values.max()) + 1)


def _classifier(name: str, n: int, state: int) -> Any:
    """A classifier of scikit-learn; settings after Song and Shmatikov, ICLR 2020, and pilots."""
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, VotingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.svm import SVC

    if name == "logistic":
        return LogisticRegression(C=0.1, max_iter=500)
    if name == "svm":
        return SVC(C=10.0)
    if name == "forest":
        return RandomForestClassifier(150, min_samples_leaf=2, random_state=state)
    if name == "boosting":
        return HistGradientBoostingClassifier(max_iter=100, random_state=state)
    if name == "neighbours":
        return KNeighborsClassifier(max(1, min(25, n // 8)), weights="distance")
    if name == "mlp":
        networks = [
            (str(i), MLPClassifier((128, 128), alpha=1e-3, max_iter=60, random_state=(state + i) % 2**31))
            for i in range(3)
        ]
        return VotingClassifier(networks, voting="soft")
    raise ValueError(f"classifier must be one of {', '.join(ABOUT)}, got {name!r}")
