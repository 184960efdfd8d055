"""One matplotlib drawing as inline SVG, coloured by the page's style sheet.

matplotlib writes placeholder colours, which are then replaced by CSS variables: so one drawing suits the light page,
the dark page and paper. Series differ in line style as well as in colour (Okabe and Ito's palette).
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

COLOURS: Final = {
    "#00fe00": "var(--ink-soft)",
    "#00fe01": "var(--grid)",
    "#00fe10": "var(--series-0)",
    "#00fe11": "var(--series-1)",
    "#00fe12": "var(--series-2)",
    "#00fe13": "var(--series-3)",
    "#00fe14": "var(--series-4)",
}
INK, GRID, *SERIES = COLOURS
LINE_STYLES: Final = ("-", (0, (5, 2)), (0, (1, 1.5)))
MAX_POINTS: Final = 40
"""Up to this many points every one gets a marker; beyond it a moving mean is drawn over the pale raw line."""

Unit = Literal["share", "part", "correlation", "number", "seconds"]
"""``share``: 0 to 100%; ``part``: percent as far as the values go."""
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around the curves."""

    title: str
    """For screen readers."""
    unit: Unit = "number"
    x_label: str = "step"
    whole_x: bool = True
    """Only whole numbers at the x axis."""
    names_one: bool = False
    """A legend also where there is only one curve."""


def draw(frame: Frame, prefix: str, paint: Callable[[Any], None]) -> str:
    """A drawing as markup.

    Args:
        frame: axes and title.
        prefix: of the ids in the markup, one of its own for each drawing of a page.
        paint: draws into matplotlib's axes with the colours of this module.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix, "font.size": 9, "axes.titlesize": 10}):
        figure = Figure(figsize=(5.2, 2.5), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        paint(axes)
        _style(axes, frame)
        labels = axes.get_legend_handles_labels()[1]
        if len(labels) > (0 if frame.names_one else 1):
            ncols = 4 if sum(map(len, labels)) < 60 else 2
            figure.legend(
                loc="outside upper left", ncols=ncols, frameon=False, labelcolor=INK, fontsize=8.5, borderpad=0
            )
        out = io.StringIO()
        figure.savefig(
            out, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    return _for_page(out.getvalue(), prefix, f"{frame.title}, by {frame.x_label}")


def paint_line(axes: Any, xs: Sequence[float], ys: Sequence[float], label: str, index: int) -> None:
    """One curve, the ``index``-th of its drawing; gaps where a value is NaN."""
    # Folders have any name: to matplotlib $ begins a formula, and _ a label that is not shown.
    label = (" " if label.startswith("_") else "") + label.replace("$", r"\$")
    colour = SERIES[index % len(SERIES)]
    style = {"color": colour, "linestyle": LINE_STYLES[index % len(LINE_STYLES)], "label": label}
    if len(xs) <= MAX_POINTS:
        axes.plot(xs, ys, linewidth=1.8, marker="o", markersize=3, **style)
    else:
        axes.plot(xs, ys, linewidth=0.8, color=colour, alpha=0.35)
        axes.plot(xs, moving_mean(ys, max(3, len(ys) // 25)), linewidth=1.8, **style)


def _style(axes: Any, frame: Frame) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

    if frame.unit == "share":
        axes.set_ylim(-0.02, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    elif frame.unit == "part":
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    elif frame.unit == "correlation":
        axes.set_ylim(-1.04, 1.04)
        axes.axhline(0.0, color=INK, linewidth=0.8)
    elif frame.unit == "seconds":
        axes.set_ylabel("seconds", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=frame.whole_x, nbins=8, steps=[1, 2, 5, 10]))
    if axes.get_xlim()[1] >= 100_000:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # 1.6M
    axes.set_xlabel(frame.x_label, color=INK)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(GRID)
    axes.margins(x=0.02)


def _for_page(svg: str, prefix: str, label: str) -> str:
    """Make the drawing fit to stand in a page beside others: CSS colours, unique ids, a name for screen readers."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\1{prefix}", svg)
    for placeholder, variable in COLOURS.items():
        svg = svg.replace(placeholder, variable)
    head, body = svg.split(">", 1)
    head = re.sub(r' (?:width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{label}">{body}'


def moving_mean(values: Sequence[float], window: int) -> list[float]:
    """Mean of the last ``window`` values that are numbers, for each position; NaN where there are none.

    >>> moving_mean([1.0, 3.0, 5.0], 2)
    [1.0, 2.0, 4.0]
    """
    means = (mean_of(values[max(0, end - window) : end]) for end in range(1, len(values) + 1))
    return [math.nan if mean is None else mean for mean in means]


def mean_of(values: Sequence[float]) -> float | None:
    """Mean of the values that are numbers; None when there is none."""
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else None


def number(row: Row, key: str) -> float:
    """The metric as a number; NaN where the row has none, so that a curve has a gap and not a 0."""
    value = row.get(key)
    return float(value) if isinstance(value, int | float) else math.nan
