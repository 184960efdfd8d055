"""MR-Score (MR-GSM8K, arXiv 2312.17080, ``eval_mr_gsm8k.py``; the same in Mr-Ben, arXiv 2406.13975, ``utils.py``).

``0.2 max(0, MCC) + 0.3 ACC_step + 0.5 ACC_reason``: is the solution right, where is the first error, and why. Both
accuracies are shares of **all** wrong solutions. The third needs a person or a model who grades the judge's reasons for
the errors that it located; without them it stays undefined, and so does the score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from eval import first_error
from eval.bootstrap import Floats, ratio
from eval.first_error import Column
from eval.judged import JudgedRow

WEIGHTS: Final = (0.2, 0.3, 0.5)
"""Of MCC, step and reason."""
_REASON: Final = len(Column)


def counts(rows: Sequence[JudgedRow]) -> Floats:
    """[rows, columns]: those of `eval.first_error`, and the located errors whose reason is right.

    The last column is NaN throughout when a located error was not graded.
    """
    columns = first_error.counts(rows)
    located = columns[:, Column.EXACT] > 0
    graded = not any(map(needs_grade, rows))
    right = np.array([bool(row.reason_correct) for row in rows]) & located
    reason = right.astype(np.float64) if graded and _any_reason(rows) else np.full(len(rows), np.nan)
    return np.column_stack([columns, reason])


def needs_grade(row: JudgedRow) -> bool:
    """True for an error that was located, while nobody graded the reason."""
    return row.located and row.reason_correct is None


def random_flag_sums(rows: Sequence[JudgedRow], rates: Floats) -> Floats:
    """[rates, columns] expected of random flags, which give no reasons."""
    return np.column_stack([first_error.random_flag_sums(rows, rates), np.full(len(rates), np.nan)])


def figures(sums: Floats) -> dict[str, Floats]:
    """``step_acc``, ``reason_acc``, ``mr_score``, ``mr_score_without_reason``: its first two parts (0.5 at most)."""
    mcc = first_error.figures(sums)["mcc"]
    errors = sums[..., Column.ERRORS]
    step_acc, reason_acc = ratio(sums[..., Column.EXACT], errors), ratio(sums[..., _REASON], errors)
    known = WEIGHTS[0] * np.maximum(0.0, mcc) + WEIGHTS[1] * step_acc
    return {
        "step_acc": step_acc,
        "reason_acc": reason_acc,
        "mr_score_without_reason": known,
        "mr_score": known + WEIGHTS[2] * reason_acc,
    }


def _any_reason(rows: Sequence[JudgedRow]) -> bool:
    return any(row.reason_correct is not None for row in rows)
