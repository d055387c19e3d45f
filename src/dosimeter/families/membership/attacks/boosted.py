"""Answers of small boosted trees, in a fifth of the time that scikit-learn takes, bit for bit the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from dosimeter.foundation.arrays import Array

_BLOCK = 8192  # rows at a time, so that their columns stay in the cache
_CHECKED = 32  # rows that scikit-learn is asked about too
_MOST_SPLITS = 8  # of a tree: a byte holds the answers to all of its questions


@dataclass(frozen=True)
class Tree:
    """A tree as questions, and a table of where their answers lead.

    Attributes:
        questions: column and threshold of each; rows up to the threshold go left.
        values: of the leaf, for each way to answer all questions, the first in the highest bit `[a]`.
    """

    questions: tuple[tuple[int, float], ...]
    values: Float[Array, " a"]


@dataclass(frozen=True)
class Boosted:
    """A fitted `HistGradientBoostingClassifier` of two classes.

    scikit-learn leads each row through each tree. Here all rows are asked all questions of a tree, column by column,
    and a table says to which leaf the answers lead. Trees of more questions, missing values, and releases that keep
    their trees otherwise are left to scikit-learn.

    Attributes:
        fit: the classifier.
        start: what the trees are added to.
        trees: the trees; None if scikit-learn is asked.
    """

    fit: Any
    start: float
    trees: tuple[Tree, ...] | None

    def odds(self, columns: Float[Array, "r d"]) -> Float[Array, " r"]:
        """Log-odds of each row, as `decision_function` gives them."""
        if self.trees is None or np.isnan(columns).any():
            return np.asarray(self.fit.decision_function(columns)).reshape(-1)
        total = np.full(len(columns), self.start)
        for first in range(0, len(columns), _BLOCK):
            block, own = np.ascontiguousarray(columns[first : first + _BLOCK].T), total[first : first + _BLOCK]
            for tree in self.trees:
                answers = np.zeros(len(own), np.uint8)
                for column, threshold in tree.questions:
                    answers += answers  # a bit further to the left, three times as fast as a shift
                    answers |= (block[column] <= threshold).view(np.uint8)
                own += tree.values.take(answers)
        # A release that reads its trees in another way would be wrong without a word.
        some = columns[:_CHECKED]
        if len(some) and not np.array_equal(total[:_CHECKED], self.fit.decision_function(some).reshape(-1)):
            return np.asarray(self.fit.decision_function(columns)).reshape(-1)
        return total


def read(fit: Any) -> Boosted:
    """The trees of a fitted classifier."""
    try:
        start, trees = float(fit._baseline_prediction.item()), [_tree(one.nodes) for (one,) in fit._predictors]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):  # another release's
        return Boosted(fit, 0.0, None)
    known = tuple(one for one in trees if one is not None)
    return Boosted(fit, start, known if len(known) == len(trees) else None)


def _tree(nodes: Array) -> Tree | None:
    """One tree, by scikit-learn's nodes; None if it asks too much, or for categories."""
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    if len(inner) > _MOST_SPLITS or nodes["is_categorical"][inner].any():
        return None
    ways, place, node = np.arange(1 << len(inner)), np.zeros(len(nodes), np.int64), np.zeros(1 << len(inner), np.int64)
    place[inner] = np.arange(len(inner))[::-1]
    for _ in inner:  # no way is longer than there are questions
        left = ways >> place[node] & 1 == 1
        node = np.where(nodes["is_leaf"][node] == 1, node, np.where(left, nodes["left"][node], nodes["right"][node]))
    questions = zip(nodes["feature_idx"][inner].tolist(), nodes["num_threshold"][inner].tolist(), strict=True)
    return Tree(tuple(questions), nodes["value"][node].astype(np.float64))
