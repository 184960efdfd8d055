"""The pictures of a group of judges: F1 against threshold, reliability, and what each is worth in noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from eval.judged import JudgedRow
from eval.report.drawing import GRID, INK, MARKERS, SERIES, draw, share_axes, style
from eval.report.folders import Figures, JudgeRun
from eval.report.groups import Group
from eval.thresholds import f1_curve, usable
from judge.types import NO_ERROR

MIN_MARKER: Final = 3.0
MAX_MARKER: Final = 11.0


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing with its heading; `svg` is markup of our own making."""

    title: str
    caption: str
    svg: str


def pictures(group: Group, prefix: str) -> list[Picture]:
    """The pictures for which there is something to draw.

    Args:
        prefix: differs between the groups of a page.
    """
    makers = (threshold_picture, reliability_picture, noise_picture)
    drawn = (maker(group, f"{prefix}{number}-") for number, maker in enumerate(makers))
    return [picture for picture in drawn if picture is not None]


def threshold_picture(group: Group, prefix: str) -> Picture | None:
    """F1 at every threshold of the first step whose error probability is above it; None without probabilities."""
    known = [(run, usable(run.judged())) for run in group.runs]
    curves = [(run, f1_curve(rows, "first_above")) for run, rows in known if _has_both_halves(rows)]
    if not curves:
        return None

    def plot(axes: Any) -> None:
        for number, (run, curve) in enumerate(curves):
            label = "F1" if len(curves) == 1 else run.name
            axes.plot(curve.thresholds, curve.f1, linewidth=2.0, label=label, **style(number))
        if len(curves) == 1:
            [(run, curve)] = curves
            axes.plot(curve.thresholds, curve.error_acc, linewidth=1.3, label="error accuracy", **style(1))
            axes.plot(curve.thresholds, curve.correct_acc, linewidth=1.3, label="correct accuracy", **style(2))
            if (as_run := run.summary.figure("f1")) is not None:
                axes.axhline(as_run, color=INK, linewidth=0.9, linestyle=(0, (2, 3)), label="F1 as it was run")
        share_axes(axes, "threshold on a step's error probability", "")

    caption = (
        "The first step whose error probability is above the threshold is named. The best point of a curve is picked "
        "on these very rows: it flatters the judge."
    )
    return Picture("F1 against threshold", caption, draw(plot, prefix, "F1 against threshold"))


def reliability_picture(group: Group, prefix: str) -> Picture | None:
    """Stated probability against what then holds; None without probabilities."""
    runs = [run for run in group.runs if run.summary.reliability]
    if not runs:
        return None

    def plot(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=GRID, linewidth=1.2)
        for number, run in enumerate(runs):
            _bins(axes, run.summary.reliability, number, "" if len(runs) == 1 else run.name)
        share_axes(axes, "stated probability that a step is wrong", "share that is wrong")

    caption = "Steps up to the first error, in 15 bins. On the line: calibrated. The larger a point, the more steps."
    return Picture("Reliability", caption, draw(plot, prefix, "Reliability diagram"))


def noise_picture(group: Group, prefix: str) -> Picture | None:
    """The cosine of the human label with noise, and each judge's; None where it is not known."""
    known = [(run, found) for run in group.runs if (found := _fidelity(run)) is not None]
    if not known:
        return None
    points = known[0][1]["noise"]["moved"]

    def plot(axes: Any) -> None:
        rates, values = [point["rate"] for point in points], [point["cosine"] for point in points]
        axes.plot(rates, values, color=INK, linewidth=2.0, label="human label with noise")
        for number, (run, found) in enumerate(known):
            cosine = found["figures"]["cosine"]
            rate = found["worth"]["moved"]["cosine"]["rate"]
            axes.axhline(cosine, linewidth=1.6, label=run.name, **style(number))
            if rate is not None:
                axes.plot([rate], [cosine], MARKERS[number % len(MARKERS)], color=SERIES[number % len(SERIES)])
        share_axes(axes, "share of the human labels moved to a random step", "cosine of the advantages")
        axes.set_ylim(min(-0.02, *(found["figures"]["cosine"] - 0.05 for _, found in known)), 1.02)

    caption = "Where a judge's line meets the curve: the human label with so much noise would train as well."
    return Picture("What a judge is worth", caption, draw(plot, prefix, "Cosine of the advantages against label noise"))


def _has_both_halves(rows: Sequence[JudgedRow]) -> bool:
    return {row.label == NO_ERROR for row in rows} == {True, False}


def _bins(axes: Any, bins: Sequence[Figures], number: int, label: str) -> None:
    most = max(found["num_steps"] for found in bins)
    xs, ys = [found["mean_prob"] for found in bins], [found["error_rate"] for found in bins]
    axes.plot(xs, ys, linewidth=1.3, label=label or "_", **style(number))
    for x, y, found in zip(xs, ys, bins, strict=True):
        size = MIN_MARKER + (MAX_MARKER - MIN_MARKER) * (found["num_steps"] / most) ** 0.5
        axes.plot([x], [y], MARKERS[number % len(MARKERS)], markersize=size, color=SERIES[number % len(SERIES)])


def _fidelity(run: JudgeRun) -> Figures | None:
    found = run.summary.fidelity
    if not found or found.get("figures", {}).get("cosine") is None or not found.get("noise", {}).get("moved"):
        return None
    return found
