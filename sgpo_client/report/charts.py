"""The curves of a run, by section; a chart without a single value is left out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sgpo_client.report.chart_list import SECTIONS, Chart, Series
from sgpo_client.report.drawing import LINE_STYLES, SERIES, Frame, Row, draw, mean_of, number, paint_line

MAX_BARS: Final = 60
QUIET: Final = frozenset({"skipped"})
"""Metrics that are worth a picture only where they are not always 0."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A finished picture; `svg` is markup of our own making."""

    title: str
    caption: str
    svg: str


@dataclass(frozen=True, slots=True)
class DrawnSection:
    """Pictures under one heading."""

    title: str
    drawings: tuple[Drawing, ...]


def draw_charts(steps: Sequence[Row], evaluations: Sequence[Row]) -> list[DrawnSection]:
    """Draw every chart that has at least one value.

    Args:
        steps: rows of ``metrics.jsonl``, in order.
        evaluations: rows with ``step`` and ``accuracy``.
    """
    sections = []
    for i, section in enumerate(SECTIONS):
        present = [chart for chart in section.charts if any(_has_value(steps, series) for series in chart.series)]
        if present:
            drawings = [_drawing(chart, steps, evaluations, f"c{i}-{j}-") for j, chart in enumerate(present)]
            sections.append(DrawnSection(section.title, tuple(drawings)))
    return sections


def _drawing(chart: Chart, steps: Sequence[Row], evaluations: Sequence[Row], prefix: str) -> Drawing:
    painters = {"lines": _paint_lines, "stacked": _paint_bars, "histogram": _paint_histogram}
    frame = Frame(chart.title, chart.unit)
    if chart.kind == "histogram":
        frame = Frame(chart.title, chart.unit, x_label=chart.series[0].label, whole_x=False)

    def paint(axes: Any) -> None:
        painters[chart.kind](axes, chart, steps)
        if chart.with_evaluation and evaluations:
            xs, ys = [row["step"] for row in evaluations], [row["accuracy"] for row in evaluations]
            axes.plot(xs, ys, "D", color=SERIES[2], markersize=6, label="accuracy in evaluation")

    return Drawing(chart.title, chart.caption, draw(frame, prefix, paint))


def _paint_lines(axes: Any, chart: Chart, steps: Sequence[Row]) -> None:
    xs = [row["step"] for row in steps]
    for i, series in enumerate(chart.series):
        if _has_value(steps, series):
            paint_line(axes, xs, [_value(row, series) for row in steps], series.label, i)


def _paint_bars(axes: Any, chart: Chart, steps: Sequence[Row]) -> None:
    size = math.ceil(len(steps) / MAX_BARS)
    bins = [steps[start : start + size] for start in range(0, len(steps), size)]
    xs = [sum(row["step"] for row in rows) / len(rows) for rows in bins]
    floor = [0.0] * len(bins)
    for i, series in enumerate(chart.series):
        if not _has_value(steps, series):
            continue
        heights = [mean_of([_value(row, series) for row in rows]) or 0.0 for rows in bins]
        axes.bar(xs, heights, width=0.82 * size, bottom=floor, color=SERIES[i], label=series.label)
        floor = [low + height for low, height in zip(floor, heights, strict=True)]


def _paint_histogram(axes: Any, chart: Chart, steps: Sequence[Row]) -> None:
    """Shares of the bins over [0, 1] in the first fifth of the steps beside those in the last fifth."""
    key = chart.series[0].key
    rows = [row for row in steps if _is_histogram(row.get(key))]
    size = math.ceil(len(rows) / 5)
    parts = [("first steps", rows[:size]), ("last steps", rows[-size:])] if len(rows) > 1 else [("all steps", rows)]
    for i, (label, chosen) in enumerate(parts):
        counts = [sum(column) for column in zip(*(row[key] for row in chosen), strict=True)]
        total = sum(counts)
        shares = [count / total if total else math.nan for count in counts]
        edges = [index / len(shares) for index in range(len(shares) + 1)]
        label = f"{label} (n = {total:,})"
        axes.stairs(shares, edges, color=SERIES[i], linewidth=1.8, linestyle=LINE_STYLES[i], label=label)
        axes.stairs(shares, edges, color=SERIES[i], alpha=0.15, fill=True)


def _value(row: Row, series: Series) -> float:
    value = number(row, series.key)
    if series.per:
        value /= number(row, series.per) or math.nan
    return value


def _has_value(steps: Sequence[Row], series: Series) -> bool:
    if series.key in QUIET:
        return any(number(row, series.key) > 0 for row in steps)
    return any(math.isfinite(number(row, series.key)) or _is_histogram(row.get(series.key)) for row in steps)


def _is_histogram(value: object) -> bool:
    return isinstance(value, list) and any(isinstance(count, int) and count for count in value)
