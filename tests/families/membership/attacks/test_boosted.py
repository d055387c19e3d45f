"""Answers of boosted trees, beside those of the library that trained them."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from dosimeter.families.membership.attacks import boosted


def fitted(**settings):
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(600, 5))
    columns[:, 3] = np.round(columns[:, 3])  # thresholds that values are equal to
    truth = columns[:, 0] + columns[:, 1] * columns[:, 2] + columns[:, 3] + rng.normal(size=600) > 0
    return HistGradientBoostingClassifier(early_stopping=False, random_state=0, **settings).fit(columns, truth)


def asked(rows=20_000):
    columns = np.random.default_rng(1).normal(size=(rows, 5))
    columns[:, 3] = np.round(columns[:, 3])
    columns[:2, 0] = np.inf, -np.inf
    return columns


@pytest.mark.parametrize("leaves", [2, 8, 9])
def test_small_trees_answer_bit_for_bit_as_the_library(leaves):
    fit = fitted(max_iter=12, max_leaf_nodes=leaves)
    own = boosted.read(fit)
    assert own.trees is not None
    assert max(len(tree.questions) for tree in own.trees) == leaves - 1
    np.testing.assert_array_equal(own.odds(asked()), fit.decision_function(asked()))


def test_a_tree_of_one_leaf_asks_nothing():
    fit = fitted(max_iter=2, min_samples_leaf=400)
    assert [tree.questions for tree in boosted.read(fit).trees] == [(), ()]
    np.testing.assert_array_equal(boosted.read(fit).odds(asked(7)), fit.decision_function(asked(7)))


def test_large_trees_missing_values_and_other_classifiers_are_left_to_the_library():
    fit, columns = fitted(max_iter=2, max_leaf_nodes=20), asked(50)
    assert boosted.read(fit).trees is None
    np.testing.assert_array_equal(boosted.read(fit).odds(columns), fit.decision_function(columns))
    small = fitted(max_iter=2, max_leaf_nodes=8)
    columns[3, 1] = np.nan
    np.testing.assert_array_equal(boosted.read(small).odds(columns), small.decision_function(columns))

    misread = replace(boosted.read(small), start=1.0)
    np.testing.assert_array_equal(misread.odds(asked(50)), small.decision_function(asked(50)))
    assert boosted.read(small).odds(asked(2)[:0]).shape == (0,)

    class Other:
        def decision_function(self, rows):
            return rows[:, 0]

    assert boosted.read(Other()).trees is None
    np.testing.assert_array_equal(boosted.read(Other()).odds(columns), columns[:, 0])
