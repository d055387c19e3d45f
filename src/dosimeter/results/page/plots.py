"""Figures as inline SVG. Colours are CSS variables, so that one figure is legible on light, dark and paper.

Only fixed words are drawn; names of attacks stand in the HTML legend beside the figure, which wraps and escapes them.
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that stand for CSS variables: what matplotlib writes is replaced by what the page defines.
INK, FAINT, GRID = "#010101", "#020202", "#030303"
SERIES = ("#040404", "#050505", "#060606")
CONTROL = "#070707"
VARIABLES: Mapping[str, str] = {
    INK: "var(--ink)",
    FAINT: "var(--ink-2)",
    GRID: "var(--grid)",
    SERIES[0]: "var(--series-1)",
    SERIES[1]: "var(--series-2)",
    SERIES[2]: "var(--series-3)",
    CONTROL: "var(--series-0)",
}
NEAR = 0.03
"""Share of an axis: points that are closer to each other share one label."""
# Line patterns tell the curves apart without colour; the legend's swatches in report.css repeat them.
DASHES = ((0, ()), (0, (7, 2)), (0, (2, 1.6)))
MARKERS = ("o", "s", "^")
FILLS: tuple[Literal["none", "full"], ...] = ("none", "full")
SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")
STYLE: Mapping[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 12,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "path.simplify": True,
    "path.simplify_threshold": 0.2,
}


def roc(curves: Sequence[Mapping[str, Sequence[float | int]]], *, smallest: float, control: bool, title: str) -> str:
    """ROC curves on two logarithmic axes, as an SVG element.

    Args:
        curves: `fpr`, `tpr`, `low`, `high` of each attack, the headline attack first; at most three, and a control.
        smallest: where the axes begin: the smallest false positive rate that is resolvable.
        control: the last curve is a control attack.
        title: text about the figure, for screen readers.
    """
    from matplotlib.ticker import FuncFormatter, NullLocator

    with _style("roc"):
        figure, axes = _figure(5.5, 5.0)
        axes.set(xscale="log", yscale="log", xlim=(smallest, 1), ylim=(smallest, 1))
        axes.set_xlabel("false accusations (share of unused records)")
        axes.set_ylabel("members recognised (share of members)")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(_as_percent))
            axis.set_minor_locator(NullLocator())  # they took a third of the time of a report
        axes.grid(True, which="major")
        axes.plot([smallest, 1], [smallest, 1], color=FAINT, linewidth=1, dashes=(3, 3))
        middle = smallest**0.38
        axes.text(
            middle,
            middle * smallest**0.025,
            "guessing",
            rotation=45,
            rotation_mode="anchor",
            ha="center",
            va="top",
            color=FAINT,
            fontsize=11,
        )
        for index, curve in reversed(list(enumerate(curves))):
            is_control = control and index == len(curves) - 1
            _curve(
                axes,
                curve,
                smallest,
                CONTROL if is_control else SERIES[index],
                DASHES[0 if is_control else index],
                band=index == 0,
            )
        return _svg(figure, title)


def _curve(
    axes: Axes,
    curve: Mapping[str, Sequence[float | int]],
    smallest: float,
    color: str,
    dash: tuple[int, Any],
    *,
    band: bool,
) -> None:
    """Draws one ROC, cut where the axes begin, with its interval band if it is the headline's."""
    x = np.asarray(curve["fpr"], float)
    shown = np.linspace(np.log(smallest), 0, 240)
    order = np.argsort(x, kind="stable")

    def at(key: str) -> Float[np.ndarray, " x"]:
        """The curve as steps: the last value at or below each rate."""
        y = np.asarray(curve[key], float)[order]
        rows = np.searchsorted(x[order], np.exp(shown) * (1 + 1e-9), side="right") - 1
        return np.asarray(np.where(rows >= 0, y[np.maximum(rows, 0)], 0.0))

    floor = smallest / 10
    if band:
        axes.fill_between(
            np.exp(shown),
            np.maximum(at("low"), floor),
            np.maximum(at("high"), floor),
            color=color,
            alpha=0.18,
            linewidth=0,
        )
    axes.plot(np.exp(shown), np.maximum(at("tpr"), floor), color=color, linestyle=dash, linewidth=2.4 if band else 1.7)


def histogram(
    bars: Mapping[str, Sequence[float | int]],
    *,
    title: str,
    labels: tuple[str, str] = ("score (headline attack; higher = more likely member)", "share of records"),
    shares: bool = False,
) -> str:
    """Scores of members and non-members as two outlines, as an SVG element.

    Args:
        bars: `edges`, and `members` and `nonmembers` as counts or shares for each bin.
        title: text about the figure, for screen readers.
        labels: labels of the axes.
        shares: the bins are shares.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    with _style("histogram"):
        figure, axes = _figure(5.5, 5.0)
        given = np.asarray(bars["edges"], float)
        edges = _drawable(given)
        for key, color, dash in (("nonmembers", SERIES[1], DASHES[1]), ("members", SERIES[0], DASHES[0])):
            heights = np.asarray(bars[key], float)
            heights = heights / (heights.sum() or 1.0)
            axes.stairs(heights, edges, fill=True, color=color, alpha=0.16, linewidth=0)
            axes.stairs(heights, edges, color=color, linestyle=dash, linewidth=2)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(FuncFormatter(_as_percent))
        axes.grid(True, axis="y")
        if shares:
            axes.xaxis.set_major_formatter(FuncFormatter(_as_percent))
        axes.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        if edges is not given:
            for tick, side in zip(
                axes.set_xticks([0, 1], [repr(float(x)) for x in given[[0, -1]]]), SIDES, strict=True
            ):
                tick.label1.set_horizontalalignment(side)  # the labels are long and would leave the figure
        return _svg(figure, title)


def _drawable(edges: Float[np.ndarray, " e"]) -> Float[np.ndarray, " e"]:
    """The edges, or their positions from 0 to 1 if Matplotlib cannot distinguish them or would overflow."""
    first, last = float(edges[0]), float(edges[-1])
    largest, span = max(abs(first), abs(last)), last - first
    if span > 1e-9 * largest and largest < 1e280 and span > 1e-280:
        return edges
    if np.isinf(span):
        edges, first, span = edges / 2, first / 2, last / 2 - first / 2
    return np.asarray((edges - first) / span)


def scatter(points: Sequence[Sequence[float]], *, labels: tuple[str, str], title: str) -> str:
    """Numbered points with their intervals on two linear axes of shares, as an SVG element.

    Args:
        points: number, x, its low and high end, y, its low and high end.
        labels: labels of the axes.
        title: text about the figure, for screen readers.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    with _style("scatter"):
        figure, axes = _figure(5.5, 5.0)
        for number, x, left, right, y, low, high in points:
            color = SERIES[1] if number == 0 else SERIES[0]
            axes.plot([left, right], [y, y], color=color, linewidth=1.2, alpha=0.55)
            axes.plot([x, x], [low, high], color=color, linewidth=1.2, alpha=0.55)
            axes.plot([x], [y], color=color, marker="D" if number == 0 else "o", markersize=5, linestyle="")
        axes.set_ylim(bottom=0)
        spans = [high - low for low, high in (axes.get_xlim(), axes.get_ylim())]
        for place, numbers in _labels((spans[0], spans[1]), points):
            axes.annotate(numbers, place, (5, 5), textcoords="offset points", fontsize=11)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(_as_percent))
            axis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
        axes.grid(True)
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        return _svg(figure, title)


def swept(
    lines: Sequence[Sequence[Sequence[float]]], base: Sequence[float], *, leak: str, chance: float | None, title: str
) -> str:
    """Leak against gain of trainings that differ in one setting, a line for each setting, as an SVG element.

    Args:
        lines: of at most three settings the trainings in the order of its values: value, gain, its low and high end,
            leak, its low and high end, and whether the leak is judged; trainings that are not are hollow.
        base: the training that all lines leave from, in the same form; its value is not drawn.
        leak: label of the leak's axis.
        chance: leak by chance; None where that is no one number.
        title: text about the figure, for screen readers.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    with _style("swept"):
        figure, axes = _figure(5.5, 5.0)
        looks = zip(lines, SERIES, MARKERS, strict=False)
        drawn = [(one, color, marker) for points, color, marker in looks for one in points if one[1:] != base[1:]]
        for points, color, dash in zip(lines, SERIES, DASHES, strict=False):
            axes.plot([one[1] for one in points], [one[4] for one in points], color=color, linestyle=dash, linewidth=1)
        for (_, x, left, right, y, low, high, judged), color, marker in [*drawn, (base, INK, "D")]:
            axes.plot([left, right], [y, y], color=color, linewidth=1.2, alpha=0.4)
            axes.plot([x, x], [low, high], color=color, linewidth=1.2, alpha=0.4)
            axes.plot([x], [y], color=color, marker=marker, markersize=6, linestyle="", fillstyle=FILLS[bool(judged)])
        spans = [high - low for low, high in (axes.get_xlim(), axes.get_ylim())]
        for place, numbers in _labels((spans[0], spans[1]), [one[:7] for one, *_ in drawn]):
            axes.annotate(numbers, place, (5, 5), textcoords="offset points", fontsize=11)
        axes.axvline(0, color=FAINT, linewidth=1, dashes=(3, 3))
        if chance is not None:
            axes.axhline(chance, color=FAINT, linewidth=1, dashes=(3, 3))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda gain, _: f"{100 * gain:+.6g}"))
        axes.yaxis.set_major_formatter(FuncFormatter(_as_percent))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
        axes.grid(True)
        axes.set_xlabel("gain in accuracy (percentage points)")
        axes.set_ylabel(leak)
        return _svg(figure, title)


def over_seconds(points: Sequence[Sequence[float]], *, share: str, title: str) -> str:
    """Numbered points with their intervals over seconds on a logarithmic axis, as an SVG element.

    Args:
        points: number, seconds above 0, share, its low and high end.
        share: label of the shares' axis.
        title: text about the figure, for screen readers.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    with _style("seconds"):
        figure, axes = _figure(5.5, 5.0)
        axes.set_xscale("log")
        seconds = [one[1] for one in points]
        # Before the points: matplotlib's own limits are one number where seconds differ by a rounding, and warn.
        axes.set_xlim(min(seconds) / 2, max(seconds) * 3)
        for _, x, y, low, high in points:
            axes.plot([x, x], [low, high], color=SERIES[0], linewidth=1.2, alpha=0.55)
            axes.plot([x], [y], color=SERIES[0], marker="o", markersize=5, linestyle="")
        axes.set_ylim(bottom=0)
        first, last = (np.log10(end) for end in axes.get_xlim())
        flat = [(one[0], (np.log10(one[1]) - first) / (last - first), 0, 0, one[2], 0, 0) for one in points]
        for (place, y), numbers in _labels((1.0, axes.get_ylim()[1]), flat):
            axes.annotate(numbers, (10 ** (first + place * (last - first)), y), (5, 5), textcoords="offset points")
        axes.xaxis.set_major_locator(LogLocator(numticks=6))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_major_formatter(FuncFormatter(_as_percent))
        axes.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
        axes.grid(True)
        axes.set_xlabel("seconds of one core")
        axes.set_ylabel(share)
        return _svg(figure, title)


def by_layer(curves: Sequence[Mapping[str, Sequence[float]]], *, share: str, title: str) -> str:
    """Shares over the layers of a model, with their intervals, as an SVG element.

    Args:
        curves: `value`, `low` and `high` of each curve, one number for each layer in the order in which they run; at
            most three, told apart by a legend beside the figure.
        share: what the shares are of, for the label of the axis.
        title: text about the figure, for screen readers.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    with _style("layers"):
        figure, axes = _figure(5.5, 5.0)
        for curve, color, dash in zip(curves, SERIES, DASHES, strict=False):
            places = np.arange(1, len(curve["value"]) + 1)
            axes.fill_between(places, curve["low"], curve["high"], color=color, alpha=0.18, linewidth=0)
            axes.plot(places, curve["value"], color=color, linestyle=dash, linewidth=2, marker="o", markersize=4)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(FuncFormatter(_as_percent))
        axes.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(True, axis="y")
        axes.set_xlabel("layer, in the order in which they run")
        axes.set_ylabel(f"share of {share}")
        return _svg(figure, title)


def _labels(size: tuple[float, float], points: Sequence[Sequence[float]]) -> list[tuple[tuple[float, float], str]]:
    """Places for the numbers of points on axes of some lengths; points that nearly coincide share one place."""
    found: list[tuple[tuple[float, float], str]] = []
    for number, x, _, _, y, _, _ in points:
        for index, (place, text) in enumerate(found):
            if abs(x - place[0]) < NEAR * size[0] and abs(y - place[1]) < NEAR * size[1]:
                found[index] = (place, f"{text}, {number:g}")
                break
        else:
            found.append(((x, y), f"{number:g}"))
    return found


@contextmanager
def _style(salt: str) -> Iterator[None]:
    """Uses our settings over matplotlib's defaults inside the block: a user's matplotlibrc must not change a report."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        settings: Any = {**STYLE, "svg.hashsalt": salt}
        matplotlib.rcParams.update(settings)
        yield


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A transparent figure without the global state of pyplot, with fixed margins: measuring text is slow."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(left=0.17, right=0.94, bottom=0.125, top=0.975)
    FigureCanvasSVG(figure)
    figure.patch.set_visible(False)
    axes = figure.add_subplot()
    axes.patch.set_visible(False)
    axes.set_axisbelow(True)
    return figure, axes


def _as_percent(share: float, _: int | None = None) -> str:
    """A tick label."""
    return f"{100 * share:.6g} %"


def _svg(figure: Figure, title: str) -> str:
    """The figure as an element that can stand inside HTML: no namespaces, metadata, global styles or clashing ids."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = ElementTree.fromstring(stream.getvalue())
    for parent in root.iter():
        for child in list(parent):
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        kept = {key.rpartition("}")[2]: _themed(value) for key, value in element.attrib.items()}
        if element.tag == "g":
            kept.pop("id", None)
        element.attrib.clear()
        element.attrib.update(kept)
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.attrib.update({"class": "plot", "role": "img", "aria-label": title})
    return ElementTree.tostring(root, encoding="unicode")


def _themed(value: str) -> str:
    """An attribute with the page's colours and font."""
    for color, variable in VARIABLES.items():
        value = value.replace(color, variable)
    return re.sub(r" font-family: [^;]*;", "", value)
