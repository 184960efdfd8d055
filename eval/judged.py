"""A labelled row and what a judge said of it: all that the figures are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from eval.benchmarks.example import Example
from eval.log import LogRow
from judge.types import NO_ERROR


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
    blank_step: bool = False
    """The judge named a step without text, for which `prediction` stands: it is not the label's step."""

    @property
    def is_right(self) -> bool:
        """The very answer of the label, by the indices as upstream writes them."""
        return self.prediction == self.label and not self.blank_step

    @property
    def located(self) -> bool:
        """There is an error, and the very step was named."""
        return self.is_right and self.label != NO_ERROR

    @property
    def out_of_range(self) -> bool:
        """The judge named a step that is not there."""
        return self.prediction is not None and self.prediction >= self.num_steps


def judged_rows(
    examples: Sequence[Example],
    log: Mapping[str, LogRow],
    reasons: Mapping[str, bool] | None = None,
    step_threshold: float = 0.5,
) -> list[JudgedRow]:
    """Put examples and the log's rows together.

    Where there are grades, an error that was not located needs none: its reason counts as wrong.

    Args:
        log: by id; a row for every example.
        reasons: by id, whether the judge's reason was graded as right.
        step_threshold: a step whose error probability is above it counts as called wrong, in [0, 1].
    """
    rows = [_judged(example, log[example.id], step_threshold) for example in examples]
    if not reasons:
        return rows
    grades = [
        reasons.get(example.id, None if row.located else False) for example, row in zip(examples, rows, strict=True)
    ]
    return [replace(row, reason_correct=grade) for row, grade in zip(rows, grades, strict=True)]


def _judged(example: Example, row: LogRow, step_threshold: float) -> JudgedRow:
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
        blank_step=row.blank_step,
    )


def flagged_steps(row: LogRow, num_steps: int, threshold: float) -> tuple[int, ...] | None:
    """The steps that the judge calls wrong; None without a verdict, whatever else the row says.

    A list of them, where the judge gave one; those with a probability above the threshold, where it gave one for every
    step; else the first error alone: a judge that says no more has called no other step wrong.
    """
    if row.prediction is None:
        return None
    if row.error_steps is not None:
        return row.error_steps
    if row.step_error_probs is not None and len(row.step_error_probs) == num_steps:
        return tuple(step for step, prob in enumerate(row.step_error_probs) if prob > threshold)
    return (row.prediction,) if row.prediction >= 0 and not row.blank_step else ()
