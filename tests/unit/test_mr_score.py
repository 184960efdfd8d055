"""MR-Score against the published scripts' formula, and the part that needs a grader."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from eval import mr_score
from eval.judged import JudgedRow
from judge.types import NO_ERROR

Row = tuple[int, int | None, bool | None]


def rows_of(rows: list[Row]) -> list[JudgedRow]:
    return [JudgedRow(f"p{i}", label, 9, said, reason_correct=reason) for i, (label, said, reason) in enumerate(rows)]


def figures_of(rows: list[Row]) -> dict[str, float]:
    found = mr_score.figures(mr_score.counts(rows_of(rows)).sum(axis=0))
    return {name: float(value) for name, value in found.items()}


def published(rows: list[Row]) -> tuple[float, float, float]:
    """Step accuracy, reason accuracy and MR-Score as Mr-Ben's and MR-GSM8K's scripts count them."""
    correct = sum(label == NO_ERROR for label, _, _ in rows)
    incorrect = len(rows) - correct
    tp = sum(label == NO_ERROR == said for label, said, _ in rows)
    tn = sum(label != NO_ERROR and said is not None and said != NO_ERROR for label, said, _ in rows)
    located = [(label, said, reason) for label, said, reason in rows if label != NO_ERROR and said == label]
    fp, fn = incorrect - tn, correct - tp
    below = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    mcc = (tp * tn - fp * fn) / below if below else 0.0
    step, reason = len(located) / incorrect, sum(bool(right) for _, _, right in located) / incorrect
    return step, reason, 0.2 * max(0, mcc) + 0.3 * step + 0.5 * reason


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_the_published_scripts(seed: int) -> None:
    rng = random.Random(seed)
    rows: list[Row] = [
        (rng.randrange(-1, 3), rng.choice([None, -1, 0, 1, 2]), rng.random() < 0.5) for _ in range(50 + seed)
    ]
    step, reason, score = published(rows)
    found = figures_of(rows)
    assert found["step_acc"] == pytest.approx(step)
    assert found["reason_acc"] == pytest.approx(reason)
    assert found["mr_score"] == pytest.approx(score)
    assert found["mr_score_without_reason"] == pytest.approx(score - 0.5 * reason)


def test_by_hand() -> None:
    # 4 wrong: found with a good and with a bad reason, found elsewhere, missed; 2 right: both called so
    rows: list[Row] = [(0, 0, True), (1, 1, False), (2, 1, None), (3, -1, None), (-1, -1, None), (-1, -1, None)]
    found = figures_of(rows)
    mcc = (2 * 3 - 1 * 0) / math.sqrt((2 + 1) * (2 + 0) * (3 + 1) * (3 + 0))
    assert (found["step_acc"], found["reason_acc"]) == (0.5, 0.25)
    assert found["mr_score"] == pytest.approx(0.2 * mcc + 0.3 * 0.5 + 0.5 * 0.25)


def test_a_correlation_below_zero_costs_nothing() -> None:
    found = figures_of([(0, 0, True), (1, -1, None), (2, -1, None), (-1, 0, None), (-1, 1, None)])
    assert found["mr_score"] == pytest.approx(0.3 / 3 + 0.5 / 3)


@pytest.mark.parametrize("reasons", [(None, None), (True, None)])
def test_reasons_must_be_graded_for_every_error_that_was_located(reasons: tuple[bool | None, bool | None]) -> None:
    found = figures_of([(0, 0, reasons[0]), (1, 1, reasons[1]), (-1, -1, None)])
    assert math.isnan(found["reason_acc"])
    assert math.isnan(found["mr_score"])
    assert found["mr_score_without_reason"] == pytest.approx(0.5)


def test_a_grade_where_the_error_was_not_located_does_not_count() -> None:
    assert figures_of([(0, 0, False), (1, 0, True), (-1, -1, None)])["reason_acc"] == 0.0


def test_no_wrong_solutions() -> None:
    assert math.isnan(figures_of([(-1, -1, None), (-1, 0, None)])["step_acc"])


def test_random_flags_give_no_reasons() -> None:
    found = mr_score.figures(mr_score.random_flag_sums(rows_of([(0, 0, True), (-1, -1, None)]), np.array([0.2, 0.4])))
    assert np.isnan(found["mr_score"]).all()
    assert found["step_acc"] == pytest.approx([0.2, 0.4])
