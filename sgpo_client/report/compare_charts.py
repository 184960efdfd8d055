"""The curves of several runs over one another."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from sgpo_client.report.charts import Drawing
from sgpo_client.report.compare import Compared
from sgpo_client.report.drawing import Frame, Unit, draw, number, paint_line

Points = tuple[list[float], list[float]]

METRICS: Final[tuple[tuple[str, str, str, Unit], ...]] = (
    ("reward_mean", "Reward", "Mean reward of the scored responses.", "number"),
    ("accuracy", "Accuracy while training", "Share of right final answers among the sampled responses.", "share"),
    ("all_negative_share", "All-negative groups", "Groups without one right answer.", "share"),
    ("rescued_share", "Rescued", "Of the all-negative groups, those with different rewards from the judge.", "share"),
    ("unscored_share", "Unscored", "Responses without a reward; masked, never 0.", "share"),
    ("rts_mean", "Steps before the first error", "Mean rts of the judged responses.", "share"),
    ("response_tokens_mean", "Response length", "Tokens per response.", "number"),
    ("num_steps_mean", "Steps per response", "As the reward server cuts them.", "number"),
    ("entropy", "Entropy", "Of the policy, per token, in nats.", "number"),
    ("kl", "KL", "From the model that the run began with, per token, in nats.", "number"),
    ("time_step_s", "Time per step", "Wall-clock time.", "seconds"),
)
"""Metric of metrics.jsonl, title, caption, unit."""


def draw_comparison(compared: Sequence[Compared]) -> list[Drawing]:
    """Evaluation accuracy over steps and over tokens, then the metrics that any run has."""
    drawings = [
        _overlay(compared, "Evaluation accuracy", "On held-out problems, by step.", "share", "step", _by_step),
        _overlay(
            compared, "Evaluation accuracy by tokens", "By response tokens sampled.", "share", "tokens", _by_tokens
        ),
    ]
    for key, title, caption, unit in METRICS:
        drawings.append(_overlay(compared, title, caption, unit, "step", lambda run, key=key: _metric(run, key)))  # type: ignore[misc]
    return [drawing for drawing in drawings if drawing is not None]


def _overlay(
    compared: Sequence[Compared],
    title: str,
    caption: str,
    unit: Unit,
    x_label: str,
    points: Callable[[Compared], Points],
) -> Drawing | None:
    """One drawing with a curve for each run that has points; None where none has."""
    curves = [(index, each.name, *points(each)) for index, each in enumerate(compared)]
    curves = [curve for curve in curves if any(map(math.isfinite, curve[3]))]
    if not curves:
        return None

    def paint(axes: Any) -> None:
        for index, name, xs, ys in curves:
            paint_line(axes, xs, ys, name, index)

    prefix = "".join(char for char in title.lower() if char.isalpha())
    frame = Frame(title, unit, x_label=x_label, names_one=True)
    return Drawing(title, caption, draw(frame, f"{prefix}-", paint))


def _by_step(compared: Compared) -> Points:
    rows = compared.run.evaluations
    return [float(row.step) for row in rows], [row.accuracy for row in rows]


def _by_tokens(compared: Compared) -> Points:
    tokens = [(compared.run.tokens_after(row.step), row.accuracy) for row in compared.run.evaluations]
    known = [(float(count), accuracy) for count, accuracy in tokens if count is not None]
    return [count for count, _ in known], [accuracy for _, accuracy in known]


def _metric(compared: Compared, key: str) -> Points:
    rows = compared.run.steps
    return [float(row["step"]) for row in rows], [number(row, key) for row in rows]
