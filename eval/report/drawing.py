"""Pictures as inline SVG, drawn by matplotlib and coloured by the page's style sheet.

matplotlib writes placeholder colours, which are then replaced by CSS variables: one drawing suits the light page, the
dark page and paper. Series differ in line style as well as in colour (Okabe and Ito's palette).
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any, Final

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
LINE_STYLES: Final = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))
MARKERS: Final = ("o", "s", "^", "D", "v")


def style(number: int) -> dict[str, Any]:
    """Colour and line of the series of this number; they repeat after 20 series."""
    return {"color": SERIES[number % len(SERIES)], "linestyle": LINE_STYLES[number % len(LINE_STYLES)]}


def draw(plot: Callable[[Any], None], prefix: str, label: str) -> str:
    """An SVG element for the page.

    Args:
        plot: draws on matplotlib axes.
        prefix: makes the ids of this drawing differ from those of others on the page.
        label: says what is shown, for screen readers.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix, "font.size": 9}):
        figure = Figure(figsize=(5.2, 3.1), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        plot(axes)
        _tidy(axes)
        if len(axes.get_legend_handles_labels()[1]) > 1:
            figure.legend(loc="outside upper left", ncols=3, frameon=False, labelcolor=INK, fontsize=8.5, borderpad=0)
        out = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(out, format="svg", transparent=True, metadata=nothing)
    return _for_page(out.getvalue(), prefix, label)


def share_axes(axes: Any, x_label: str, y_label: str) -> None:
    """Both axes from 0 to 100%, or only the upright one."""
    from matplotlib.ticker import PercentFormatter

    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel(x_label, color=INK)
    axes.set_ylabel(y_label, color=INK)


def _tidy(axes: Any) -> None:
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(GRID)


def _for_page(svg: str, prefix: str, label: str) -> str:
    """CSS colours, unique ids, no fixed size, a name for screen readers."""
    from markupsafe import escape

    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\1{prefix}", svg)
    for placeholder, variable in COLOURS.items():
        svg = svg.replace(placeholder, variable)
    head, body = svg.split(">", 1)
    head = re.sub(r' (?:width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{escape(label)}">{body}'
