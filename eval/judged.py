"""A labelled row and what a judge said of it: all that the figures are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from eval.benchmarks.example import Example
from eval.log import LogRow


@dataclass(frozen=True, slots=True)
class JudgedRow:
    """One row.

    >>> JudgedRow(cluster="p1", label=1, num_steps=3, prediction=1).prediction
    1
    """

    cluster: str
    """The same for rows that belong to one problem."""
    label: int
    """0-based index of the first wrong step, -1 for none."""
    num_steps: int
    prediction: int | None
    """The same from the judge; None when it gave no verdict."""
    subset: str = ""
    step_error_probs: tuple[float, ...] | None = None
    """P(step t is wrong | all steps before are right), in [0, 1]."""
    wrong_steps: tuple[int, ...] | None = None
    """Every wrong step, from 0, where the benchmark marks them all."""
    flagged_steps: tuple[int, ...] | None = None
    """The steps that the judge calls wrong, from 0, where it says so of each step."""
    reason_correct: bool | None = None
    """Whether the judge's reason for the error was graded as right; None: not graded."""


def judged_rows(
    examples: Iterable[Example],
    log: Mapping[str, LogRow],
    reasons: Mapping[str, bool] | None = None,
    step_threshold: float = 0.5,
) -> list[JudgedRow]:
    """Put examples and the log's rows together.

    Args:
        log: by id; a row for every example.
        reasons: by id, whether the judge's reason was graded as right.
        step_threshold: a step whose error probability is above it counts as called wrong, in [0, 1].
    """
    graded = reasons or {}
    return [_judged(example, log[example.id], graded.get(example.id), step_threshold) for example in examples]


def _judged(example: Example, row: LogRow, reason_correct: bool | None, step_threshold: float) -> JudgedRow:
    assert example.label is not None, "a benchmark labels every row"
    return JudgedRow(
        cluster=example.cluster,
        label=example.label,
        num_steps=len(example.steps),
        prediction=row.prediction,
        subset=example.subset,
        step_error_probs=row.step_error_probs,
        wrong_steps=example.wrong_steps,
        flagged_steps=flagged_steps(row, len(example.steps), step_threshold),
        reason_correct=reason_correct,
    )


def flagged_steps(row: LogRow, num_steps: int, threshold: float) -> tuple[int, ...] | None:
    """The steps that the judge calls wrong; None without a verdict.

    A list of them, where the judge gave one; those with a probability above the threshold, where it gave one for every
    step; else the first error alone: a judge that says no more has called no other step wrong.
    """
    if row.error_steps is not None:
        return row.error_steps
    if row.step_error_probs is not None and len(row.step_error_probs) == num_steps:
        return tuple(step for step, prob in enumerate(row.step_error_probs) if prob > threshold)
    if row.prediction is None:
        return None
    return (row.prediction,) if row.prediction >= 0 else ()
