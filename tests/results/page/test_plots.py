import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pytest

from dosimeter.results.page import plots

CURVE = {
    "fpr": [0.0, 0.01, 0.1, 1.0],
    "tpr": [0.0, 0.1, 0.4, 1.0],
    "low": [0.0, 0.08, 0.3, 1.0],
    "high": [0.1, 0.2, 0.5, 1.0],
}
SHARES = {"value": [0.5, 0.3, 0.2], "low": [0.4, 0.2, 0.1], "high": [0.6, 0.4, 0.3]}
BARS = {"edges": [-1.0, 0.0, 1.0], "members": [1, 3], "nonmembers": [3, 1]}


def _draw(kind: str) -> str:
    if kind == "roc":
        return plots.roc([CURVE, CURVE, CURVE, CURVE], smallest=0.001, control=True, title="a & b")
    if kind == "layers":
        return plots.by_layer([SHARES, SHARES], share="the information", title="a & b")
    if kind == "seconds":
        points = [(1, 1e-4, 0.1, 0.0, 0.2), (2, 60.0, 0.3, 0.2, 0.4)]
        return plots.over_seconds(points, share="members recognised", title="a & b")
    return plots.histogram(BARS, title="a & b")


@pytest.mark.parametrize("kind", ["roc", "histogram", "layers", "seconds"])
def test_figure_is_one_themed_element_with_text(kind):
    svg = _draw(kind)
    root = ElementTree.fromstring(svg)
    assert root.get("aria-label") == "a & b"
    assert not {element.tag for element in root.iter()} & {"metadata", "style", "image", "script"}
    assert "http" not in svg
    assert not [color for color in plots.VARIABLES if color in svg]
    assert all(variable in svg for variable in ("var(--ink)", "var(--grid)", "var(--series-1)"))
    assert [element for element in root.iter("text")]


@pytest.mark.parametrize("kind", ["roc", "histogram", "layers", "seconds"])
def test_figure_does_not_depend_on_time_or_on_the_users_settings(kind):
    svg = _draw(kind)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert _draw(kind) == svg
        assert matplotlib.rcParams["font.size"] == 30


def test_ids_of_two_figures_do_not_clash():
    ids = [
        {e.get("id") for e in ElementTree.fromstring(_draw(kind)).iter() if e.get("id")}
        for kind in ("roc", "histogram", "layers", "seconds")
    ]
    assert ids[0]
    assert len(set().union(*ids)) == sum(map(len, ids))


def test_points_that_nearly_coincide_share_a_label_on_logarithmic_seconds():
    points = [(1, 1.0, 0.3, 0.2, 0.4), (2, 1.05, 0.3, 0.2, 0.4), (3, 50.0, 0.3, 0.2, 0.4)]
    texts = _texts(plots.over_seconds(points, share="members recognised", title=""))
    assert {"1, 2", "3", "seconds of one core", "members recognised"} <= set(texts)


def test_one_point_alone_is_drawn():
    assert "1" in _texts(plots.over_seconds([(1, 2.0, 0.0, 0.0, 0.1)], share="members", title=""))


def test_points_whose_seconds_differ_by_a_rounding_are_drawn():
    points = [(1, 1e-4, 0.2, 0.1, 0.3), (2, np.nextafter(1e-4, 1), 0.5, 0.4, 0.6)]
    texts = _texts(plots.over_seconds(points, share="members", title=""))
    assert {"1", "2"} <= set(texts)


def test_counts_become_shares():
    doubled = BARS | {"members": [2, 6], "nonmembers": [30, 10]}
    assert plots.histogram(BARS, title="") == plots.histogram(doubled, title="")


def _texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter("text")]


def test_numbers_of_points_in_one_place_stand_together():
    points = [(0, 0.58, 0.5, 0.64, 0.72, 0.66, 0.78), (1, 0.57, 0.5, 0.64, 0.53, 0.47, 0.6),
              (2, 0.5805, 0.5, 0.64, 0.721, 0.66, 0.78)]  # fmt: skip
    texts = _texts(plots.scatter(points, labels=("x", "y"), title=""))
    assert "0, 2" in texts
    assert "1" in texts
    assert not {"0", "2"} & set(texts)


@pytest.mark.parametrize("top", [0.021, 0.05, 0.17, 0.2, 0.43, 1.0])
def test_shares_have_ticks_short_enough_for_the_margin(top):
    bars = {"edges": [0.0, 0.1, 0.2, 0.3], "members": [top, 1 - top, 0.0], "nonmembers": [1.0, 0.0, 0.0]}
    if top < 0.5:
        bars = {"edges": list(range(101)), "members": [top, *[(1 - top) / 99] * 99], "nonmembers": [0.01] * 100}
    ticks = [text for text in _texts(plots.histogram(bars, title="")) if text.endswith(" %")]
    assert ticks
    assert max(map(len, ticks)) <= len("100 %")


def test_layers_are_numbered_from_one_and_have_a_line_for_each_curve():
    svg = plots.by_layer([SHARES, SHARES], share="the information", title="")
    texts = _texts(svg)
    assert {"1", "2", "3", "share of the information"} <= set(texts)
    assert "0" not in texts
    marks = [element for element in ElementTree.fromstring(svg).iter("use") if "series" in (element.get("style") or "")]
    assert len(marks) == 2 * (1 + 3)  # a band and three points each
