"""The table of variants: what is compared with what, and what is said of it."""

import pytest
from example import shown
from flat import own_view, view

from dosimeter.results.page import variants

NAMES = {"lira online": "LiRA (online)"}


def estimate(variant, metric, value, low, high):
    """A row of `estimates`."""
    fpr = 0.01 if metric == "tpr" else None
    return {
        "variant": variant, "attack": "lira online", "metric": metric, "fpr": fpr, "prior": None, "group": None,
        "threshold": "shadow" if fpr else None, "value": value, "low": low, "high": high, "level": 0.95, "method": "m",
        "status": "ok", "reason": "", "family": "membership", "stage": "finetune", "n_members": 90, "n_nonmembers": 90,
        "n_targets": 1,
    }  # fmt: skip


def model(variant, accuracy, change, tpr, **entry):
    """The rows of one model: accuracy and its change in points with half a point or two of noise, TPR with its ends."""
    fit = {"variant": variant, "split": "test", "value": accuracy, "low": accuracy - 0.03, "high": accuracy + 0.03}
    fit |= {"metric": "accuracy", "level": 0.95, "method": "m", "n": 90, "n_targets": 1}
    if variant != "none":
        fit |= {"change": change[0], "change_low": change[1], "change_high": change[2]}
    listed = {
        "id": variant, "defense": entry.get("defense", variant), "settings": {"a": 1}, "paper": "A et al., 2020, x",
        "place": "loss", "status": "ok", "reason": "", "attack": "lira online", **entry,
    }  # fmt: skip
    return fit, [estimate(variant, "tpr", *tpr), estimate(variant, "auc", 0.6, 0.55, 0.65)], listed


def result(*models):
    """A result with the undefended model first."""
    none = model("none", 0.9, None, (0.2, 0.15, 0.25))
    fits, rows, listed = zip(none, *models, strict=True)
    whole = shown()
    return {
        **whole, "verdict": {**whole["verdict"], "attack": "lira online", "fpr": 0.01}, "utility": list(fits),
        "variants": list(listed[1:]), "estimates": [row for some in rows for row in some],
    }  # fmt: skip


def table(whole):
    """The table of a result."""
    return variants.table(view(whole), NAMES)


STOPPED = model("stopped", 0.9, (0.0, -0.01, 0.01), (0.1, 0.08, 0.13), defense="early_stopping")


@pytest.mark.parametrize(
    ("change", "tpr", "said"),
    [
        ((0.0, -0.01, 0.01), (0.02, 0.01, 0.05), "leaks less than stopped"),
        ((0.0, -0.01, 0.01), (0.12, 0.05, 0.15), "not shown to leak less than stopped"),
        ((0.0, -0.01, 0.01), (0.3, 0.28, 0.35), "leaks more than stopped"),
        ((-0.2, -0.25, -0.15), (0.0, 0.0, 0.02), "no undefended model of its accuracy to compare with"),
    ],
)
def test_a_defense_is_compared_with_the_least_leaking_undefended_model_of_its_accuracy(change, tpr, said):
    found = table(result(STOPPED, model("d", 0.9, change, tpr)))
    assert [row.matched for row in found.rows] == ["", "", said]
    alone = table(result(model("d", 0.9, change, tpr)))
    expected = said.replace("stopped", "the undefended model").replace("leaks more than", "leaks more than")
    assert alone.rows[1].matched == ("not shown to leak less than the undefended model" if tpr[0] == 0.12 else expected)


def test_accuracies_are_compared_by_their_paired_change():
    """The change is 2 points with little noise; the intervals of the accuracies themselves overlap."""
    found = table(result(model("d", 0.88, (-0.02, -0.03, -0.01), (0.02, 0.01, 0.05))))
    assert found.rows[1].matched == "no undefended model of its accuracy to compare with"
    assert (found.rows[1].change.value, found.rows[1].change.ends) == ("-2.0 points", "-3.0 to -1.0")


def test_the_worst_canaries_are_shown_where_there_are_any():
    canaries = [
        {"kind": "mislabelled", "copies": 1, "n": 40, "tpr": 0.2, "low": 0.1, "high": 0.3, "status": "ok"},
        {"kind": "mislabelled", "copies": 4, "n": 40, "tpr": 0.7, "low": 0.6, "high": 0.8, "status": "ok"},
        {"kind": "random", "copies": 1, "n": 40, "tpr": None, "low": None, "high": None, "status": "refused"},
    ]
    found = table(result(STOPPED, model("d", 0.9, (0, 0, 0), (0.1, 0.0, 0.2), canaries=canaries)))
    assert found.canaries
    assert not found.rows[1].canary.ok
    assert found.rows[2].canary.note == "mislabelled, 4 copies, n 40"
    assert not table(result(STOPPED)).canaries


def test_failed_variants_have_a_reason_and_no_point():
    failed = {**STOPPED[2], "id": "f", "status": "failed", "reason": "loss must be finite", "attack": None}
    whole = result(STOPPED)
    whole["variants"].append(failed)
    found = table(whole)
    assert found.rows[2].failed == "loss must be finite"
    assert found.figure.count("<svg") == 1
    assert table({**whole, "variants": []}) is None
    assert {row.variant for row in own_view(whole)["estimates"]} == {"none"}
