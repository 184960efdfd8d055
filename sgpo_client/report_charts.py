"""Curves of a run as inline SVG, drawn by matplotlib and coloured by the page's style sheet.

matplotlib writes placeholder colours, which are then replaced by CSS variables: so one drawing suits the light page,
the dark page and paper. Series differ in line style as well as in colour (Okabe and Ito's palette).
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
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
"""Up to this many steps every point gets a marker; beyond it a moving mean is drawn over the pale raw line."""
MAX_BARS: Final = 60

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of ``metrics.jsonl`` and what the legend calls it."""

    key: str
    label: str
    per: str = ""
    """Key of the metric to divide by; empty for none."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture of the report."""

    title: str
    caption: str
    series: tuple[Series, ...]
    unit: Literal["share", "number", "seconds"] = "number"
    stacked: bool = False
    with_evaluation: bool = False
    """Also show the evaluation's accuracy as separate points."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A finished picture; `svg` is markup of our own making."""

    chart: Chart
    svg: str


CHARTS: Final = (
    Chart(
        "Reward and accuracy",
        "Mean reward of the scored responses, and the share of right final answers.",
        (Series("reward_mean", "mean reward"), Series("accuracy", "accuracy while training")),
        with_evaluation=True,
    ),
    Chart(
        "All-negative groups",
        "Groups without one right answer teach plain GRPO nothing; rescued ones got different rewards from the judge.",
        (Series("all_negative_share", "all-negative"), Series("num_rescued", "of these, rescued", per="num_groups")),
        "share",
    ),
    Chart(
        "Unscored and cut off",
        "Responses that the judge or the answer checker could not score (they are masked, not counted as 0), and "
        "responses that ran into the token limit.",
        (Series("unscored_share", "unscored"), Series("truncated_share", "cut off")),
        "share",
    ),
    Chart(
        "Steps before the first error",
        "Mean rts of the judged responses: the share of a wrong response that stands before its first wrong step.",
        (Series("rts_mean", "mean rts"),),
        "share",
    ),
    Chart("Response length", "Tokens per response.", (Series("response_tokens_mean", "tokens"),)),
    Chart("Steps per response", "As the reward server cuts them.", (Series("num_steps_mean", "steps"),)),
    Chart(
        "Time per step",
        "Where the wall-clock time goes.",
        (
            Series("time_sample_s", "sampling"),
            Series("time_reward_s", "rewards"),
            Series("time_train_s", "training"),
            Series("time_sync_s", "weight sync"),
        ),
        "seconds",
        stacked=True,
    ),
    Chart("Throughput", "Tokens per second.", (Series("tokens_per_s", "tokens/s"),)),
    Chart("Gradient norm", "Before clipping.", (Series("grad_norm", "gradient norm"),)),
    Chart("Entropy", "Of the policy, per token.", (Series("entropy", "entropy"),)),
    Chart("Loss", "Its sign and size say little in policy-gradient training; jumps do.", (Series("loss", "loss"),)),
    Chart("Clipped tokens", "Share of tokens outside the clipping range.", (Series("clip_share", "clipped"),)),
)


def draw_charts(steps: Sequence[Row], evaluations: Sequence[Row]) -> list[Drawing]:
    """Draw every chart that has at least one value.

    Args:
        steps: rows of ``metrics.jsonl``, in order.
        evaluations: rows with ``step`` and ``accuracy``.
    """
    present = [chart for chart in CHARTS if any(_has_value(steps, series.key) for series in chart.series)]
    return [Drawing(chart, _draw(chart, steps, evaluations, prefix=f"c{i}-")) for i, chart in enumerate(present)]


def _draw(chart: Chart, steps: Sequence[Row], evaluations: Sequence[Row], prefix: str) -> str:
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix, "font.size": 9, "axes.titlesize": 10}):
        figure = Figure(figsize=(5.2, 2.5), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        if chart.stacked:
            _draw_bars(axes, chart, steps)
        else:
            _draw_lines(axes, chart, steps)
        if chart.with_evaluation and evaluations:
            axes.plot(
                [row["step"] for row in evaluations],
                [row["accuracy"] for row in evaluations],
                "D",
                color=SERIES[2],
                markersize=6,
                label="accuracy in evaluation",
            )
        if chart.unit == "share":
            axes.set_ylim(-0.02, 1.02)
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        elif chart.unit == "seconds":
            axes.set_ylabel("seconds", color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        axes.set_xlabel("step", color=INK)
        _style(axes)
        if len(axes.get_legend_handles_labels()[1]) > 1:
            figure.legend(loc="outside upper left", ncols=4, frameon=False, labelcolor=INK, fontsize=8.5, borderpad=0)
        out = io.StringIO()
        figure.savefig(
            out, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    return _for_page(out.getvalue(), prefix, chart.title)


def _draw_lines(axes: Any, chart: Chart, steps: Sequence[Row]) -> None:
    xs = [row["step"] for row in steps]
    for i, series in enumerate(chart.series):
        ys = [_value(row, series) for row in steps]
        style = {"color": SERIES[i], "linestyle": LINE_STYLES[i], "label": series.label}
        if len(xs) <= MAX_POINTS:
            axes.plot(xs, ys, linewidth=1.8, marker="o", markersize=3, **style)
        else:
            axes.plot(xs, ys, linewidth=0.8, color=SERIES[i], alpha=0.35)
            axes.plot(xs, moving_mean(ys, max(3, len(ys) // 25)), linewidth=1.8, **style)


def _draw_bars(axes: Any, chart: Chart, steps: Sequence[Row]) -> None:
    size = math.ceil(len(steps) / MAX_BARS)
    bins = [steps[start : start + size] for start in range(0, len(steps), size)]
    xs = [sum(row["step"] for row in rows) / len(rows) for rows in bins]
    floor = [0.0] * len(bins)
    for i, series in enumerate(chart.series):
        if not _has_value(steps, series.key):
            continue
        heights = [mean_of([_value(row, series) for row in rows]) or 0.0 for rows in bins]
        axes.bar(xs, heights, width=0.82 * size, bottom=floor, color=SERIES[i], label=series.label)
        floor = [low + height for low, height in zip(floor, heights, strict=True)]


def _style(axes: Any) -> None:
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(GRID)
    axes.margins(x=0.02)


def _for_page(svg: str, prefix: str, title: str) -> str:
    """Make the drawing fit to stand in a page beside others: CSS colours, unique ids, a name for screen readers."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\1{prefix}", svg)
    for placeholder, variable in COLOURS.items():
        svg = svg.replace(placeholder, variable)
    head, body = svg.split(">", 1)
    head = re.sub(r' (?:width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{title}, by step">{body}'


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


def _value(row: Row, series: Series) -> float:
    value = number(row, series.key)
    if series.per:
        value /= number(row, series.per) or math.nan
    return value


def number(row: Row, key: str) -> float:
    """The metric as a number; NaN where the row has none, so that a curve has a gap and not a 0."""
    value = row.get(key)
    return float(value) if isinstance(value, int | float) else math.nan


def _has_value(steps: Sequence[Row], key: str) -> bool:
    return any(math.isfinite(number(row, key)) for row in steps)
