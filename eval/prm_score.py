"""PRMScore (PRMBench, arXiv 2501.03124, ``draw_radar.ipynb``): every step is called right or wrong.

The mean of the F1 of right steps and the F1 of wrong steps ("negative F1"), both over the steps of all rows together.
The type ``multi_solutions`` has no wrong steps and is scored by the F1 of right steps. As in upstream's script, rows
without a verdict are left out (see ``coverage``) and right original solutions are no part of it; unlike there, an F1
whose precision is 0/0 is 0 (the script has -1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from eval.bootstrap import Floats, ratio
from eval.judged import JudgedRow

MULTI_SOLUTIONS: Final = "multi_solutions"


def counts(rows: Sequence[JudgedRow]) -> Floats:
    """[rows, 5]: right steps called right and wrong, wrong steps called right and wrong; 1 unless multi_solutions."""
    return np.array([_row_counts(row) for row in rows]).reshape(len(rows), 5)


def _row_counts(row: JudgedRow) -> tuple[float, ...]:
    balanced = float(row.subset != MULTI_SOLUTIONS)
    if row.wrong_steps is None or row.flagged_steps is None:
        return 0.0, 0.0, 0.0, 0.0, balanced
    wrong = set(row.wrong_steps)
    flagged = {step for step in row.flagged_steps if step < row.num_steps}
    missed, hit = len(wrong - flagged), len(wrong & flagged)
    false_alarms = len(flagged) - hit
    return row.num_steps - len(wrong) - false_alarms, false_alarms, missed, hit, balanced


def random_flag_sums(rows: Sequence[JudgedRow], rates: Floats) -> Floats:
    """[rates, 5] expected of a judge that calls each step wrong with a probability."""
    silent = counts([replace(row, flagged_steps=()) for row in rows]).sum(axis=0)
    right, wrong, balanced = silent[0], silent[2], np.full(len(rates), silent[4])
    return np.column_stack([right * (1 - rates), right * rates, wrong * (1 - rates), wrong * rates, balanced])


def figures(sums: Floats) -> dict[str, Floats]:
    """``step_f1``, ``step_negative_f1`` and ``prm_score``; NaN without right steps, or without wrong ones."""
    right_right, right_wrong, wrong_right, wrong_wrong, balanced = np.moveaxis(sums, -1, 0)
    step_f1 = _f1(right_right, right_wrong + wrong_right, right_right + right_wrong)
    negative = _f1(wrong_wrong, right_wrong + wrong_right, wrong_right + wrong_wrong)
    prm_score = np.where(balanced > 0, (step_f1 + negative) / 2, step_f1)
    return {"step_f1": step_f1, "step_negative_f1": negative, "prm_score": prm_score}


def _f1(hits: Floats, faults: Floats, members: Floats) -> Floats:
    """``2 TP / (2 TP + FP + FN)``; NaN when the class has no member."""
    return np.where(members > 0, ratio(2 * hits, 2 * hits + faults), np.nan)
