"""What judges that look at nothing get on the same rows. A figure means little without these beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from eval.bootstrap import Floats, plain
from eval.families import Family
from eval.judged import JudgedRow
from judge.types import NO_ERROR

RATES: Final = tuple(percent / 100 for percent in range(1, 100))
"""Rates at which a random judge is tried."""


def baselines(
    rows: Sequence[JudgedRow], families: Sequence[Family], headline: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """The figures of four judges.

    - ``random_flag``: calls each step wrong at random, at the best ``rate`` of `RATES`; expected counts, not a sample.
    - ``constant_index``: always names the ``index`` that is right most often.
    - ``last_step``: always names the last step.
    - ``always_correct``: never finds an error (always -1).

    Args:
        headline: the best rate is best at the first of these figures that is defined, else at an accuracy.
    """
    labels = Counter(row.label for row in rows if row.label != NO_ERROR)
    index = min(labels, key=lambda label: (-labels[label], label)) if labels else 0
    found = {
        "random_flag": _random_flag(rows, families, headline),
        "constant_index": {"index": index} | _figures_of(rows, families, lambda _: index),
        "last_step": _figures_of(rows, families, lambda row: row.num_steps - 1),
        "always_correct": _figures_of(rows, families, lambda _: NO_ERROR),
    }
    return found


def _figures_of(
    rows: Sequence[JudgedRow], families: Sequence[Family], predict: Callable[[JudgedRow], int]
) -> dict[str, float | None]:
    answered = [_answered(row, predict(row)) for row in rows]
    return _totals([(family, family.counts(answered).sum(axis=0)) for family in families])


def _answered(row: JudgedRow, prediction: int) -> JudgedRow:
    flagged = () if prediction == NO_ERROR else (prediction,)
    return replace(
        row,
        prediction=prediction,
        blank_step=False,
        flagged_steps=flagged,
        step_error_probs=None,
        reason_correct=None,
    )


def _random_flag(rows: Sequence[JudgedRow], families: Sequence[Family], headline: Sequence[str]) -> dict[str, Any]:
    rates = np.array(RATES)
    curves = {
        name: values
        for family in families
        for name, values in family.figures(family.random_flag_sums(rows, rates)).items()
    }
    wanted = (*headline, "f1", "error_acc", "correct_acc")
    best_at = next(figure for figure in wanted if figure in curves and not np.isnan(curves[figure]).any())
    best = int(np.argmax(curves[best_at]))
    return {"rate": RATES[best], "best_at": best_at} | {name: plain(values[best]) for name, values in curves.items()}


def _totals(sums: Sequence[tuple[Family, Floats]]) -> dict[str, float | None]:
    return {name: plain(float(value)) for family, total in sums for name, value in family.figures(total).items()}
