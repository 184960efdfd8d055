"""Figures of the first error: how well it is located, and whether there is one at all.

`judge.measures` has ProcessBench's three for single runs; here they are sums, so that intervals and the exact
expectation of a random judge come from the same formulas.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from eval.bootstrap import Floats, ratio, take
from eval.judged import JudgedRow
from judge.types import NO_ERROR


class Column(IntEnum):
    """What a row adds up to."""

    SCORED = 0
    ERRORS = 1
    CORRECTS = 2
    EXACT = 3
    """The row has an error, and its very index was named."""
    RIGHT = 4
    """The row has none, and none was found."""
    WITHIN_ONE = 5
    DETECTED = 6
    """The row has an error, and some step was named that is there."""
    OFFSET = 7
    """Named index minus true one, of the detected."""
    CALLED_WRONG = 8
    """The row has an error, and some step was named, even one that is not there."""


def counts(rows: Sequence[JudgedRow]) -> Floats:
    """[rows, columns] for the judge's predictions."""
    label = take(row.label for row in rows)
    said = take(np.nan if row.prediction is None else row.prediction for row in rows)
    error, called_wrong = label != NO_ERROR, (label != NO_ERROR) & (said >= 0)
    detected = called_wrong & (said < take(row.num_steps for row in rows))
    offset = np.where(detected, said - label, 0.0)
    columns = {
        Column.SCORED: ~np.isnan(said),
        Column.ERRORS: error,
        Column.CORRECTS: ~error,
        Column.EXACT: [row.located for row in rows],
        Column.RIGHT: ~error & (said == NO_ERROR),
        Column.WITHIN_ONE: detected & (np.abs(offset) <= 1),
        Column.DETECTED: detected,
        Column.OFFSET: offset,
        Column.CALLED_WRONG: called_wrong,
    }
    return np.stack([np.asarray(columns[column], np.float64) for column in Column], axis=1)


def random_flag_sums(rows: Sequence[JudgedRow], rates: Floats) -> Floats:
    """[rates, columns], expected of a judge that calls each step wrong with a probability and names the first such.

    Step t is named with probability ``rate (1 - rate)^t``, none of n steps with ``(1 - rate)^n``: no sampling.

    Args:
        rates: [rates] in (0, 1).
    """
    label, n = take(row.label for row in rows), take(row.num_steps for row in rows)
    error, rate = label != NO_ERROR, rates[:, None]
    keep = 1 - rate
    silent = keep**n

    def named(step: Floats) -> Floats:
        return np.where((step >= 0) & (step < n), rate * keep ** np.maximum(step, 0), 0.0)

    mean_index = keep * (1 - n * keep ** (n - 1) + (n - 1) * silent) / rate  # sum of t rate keep^t over the steps
    expected = {
        Column.SCORED: np.ones_like(label),
        Column.ERRORS: error,
        Column.CORRECTS: ~error,
        Column.EXACT: error * named(label),
        Column.RIGHT: ~error * silent,
        Column.WITHIN_ONE: error * (named(label - 1) + named(label) + named(label + 1)),
        Column.DETECTED: error * (1 - silent),
        Column.OFFSET: error * (mean_index - label * (1 - silent)),
        Column.CALLED_WRONG: error * (1 - silent),
    }
    return np.stack([np.broadcast_to(expected[column], silent.shape).sum(axis=1) for column in Column], axis=1)


def figures(sums: Floats) -> dict[str, Floats]:
    """The figures of sums [..., columns]; NaN where no row bears on one.

    - ``error_acc``, ``correct_acc``, ``f1``: ProcessBench (arXiv 2412.06559, and the end of its ``run_eval.py``).
    - ``accuracy``: share of all rows with the very answer.
    - ``within_one_acc``, ``detected_acc``: shares of the rows with an error for which a step at most one off, or any
      step, was named (OPV-Bench's "plus or minus one" and "rough"). A step that is not there earns neither.
    - ``mean_offset``: mean of named minus true index over the detected rows; negative: the judge is early.
    - ``mcc``: see `mcc`.
    - ``coverage``: share of the rows with a verdict.
    """
    part = {column: sums[..., column] for column in Column}
    errors, corrects = part[Column.ERRORS], part[Column.CORRECTS]
    error_acc, correct_acc = ratio(part[Column.EXACT], errors), ratio(part[Column.RIGHT], corrects)
    return {
        "error_acc": error_acc,
        "correct_acc": correct_acc,
        "f1": harmonic_mean(error_acc, correct_acc),
        "accuracy": ratio(part[Column.EXACT] + part[Column.RIGHT], errors + corrects),
        "within_one_acc": ratio(part[Column.WITHIN_ONE], errors),
        "detected_acc": ratio(part[Column.DETECTED], errors),
        "mean_offset": ratio(part[Column.OFFSET], part[Column.DETECTED]),
        "mcc": mcc(
            true_positive=part[Column.RIGHT],
            true_negative=part[Column.CALLED_WRONG],
            false_positive=errors - part[Column.CALLED_WRONG],
            false_negative=corrects - part[Column.RIGHT],
        ),
        "coverage": ratio(part[Column.SCORED], errors + corrects),
    }


def harmonic_mean(a: Floats, b: Floats) -> Floats:
    """``2ab / (a + b)``, 0 when both are 0, NaN when either is."""
    total = a + b
    return np.divide(2 * a * b, total, out=np.where(np.isnan(total), np.nan, 0.0), where=total > 0)


def mcc(true_positive: Floats, true_negative: Floats, false_positive: Floats, false_negative: Floats) -> Floats:
    """Matthews' correlation of "the solution is right" with the judge's word (positive: right), in [-1, 1].

    As Mr-Ben's script (arXiv 2406.13975, ``utils.py``): no verdict counts as the wrong one, and it is 0 where it is not
    defined (one kind of rows, or of verdicts, only).
    """
    tp, tn, fp, fn = true_positive, true_negative, false_positive, false_negative
    below = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return np.divide(tp * tn - fp * fn, below, out=np.zeros_like(below), where=below > 0)
