"""How well first errors are found: pure functions of labels and predictions, for training and for evaluation.

The definition is ProcessBench's (arXiv 2412.06559): accuracy on the wrong solutions (the exact index), accuracy on the
right ones, and the harmonic mean of the two, called F1 there. It is not the F1 of true and false positives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from judge.types import NO_ERROR


class FirstErrorMetrics(NamedTuple):
    """Accuracies in [0, 1]; None where no row bears on them."""

    error_acc: float | None
    """Share of the rows with an error for which the very index was found."""
    correct_acc: float | None
    """Share of the rows without an error that were found right."""
    f1: float | None
    """Harmonic mean of the two; 0 when both are 0."""
    num_error: int
    num_correct: int
    num_unscored: int


def first_error_metrics(labels: Sequence[int], predictions: Sequence[int | None]) -> FirstErrorMetrics:
    """Compare predictions with labels.

    Args:
        labels: 0-based index of the first wrong step, or `NO_ERROR`.
        predictions: the same from the judge, or None where it gave no verdict: counts as wrong in either half, and is
            counted apart.

    >>> first_error_metrics([2, 0, -1], [2, None, -1]).f1
    0.6666666666666666
    """
    pairs = list(zip(labels, predictions, strict=True))
    error_hits = [label == prediction for label, prediction in pairs if label != NO_ERROR]
    correct_hits = [label == prediction for label, prediction in pairs if label == NO_ERROR]
    error_acc, correct_acc = _share(error_hits), _share(correct_hits)
    return FirstErrorMetrics(
        error_acc=error_acc,
        correct_acc=correct_acc,
        f1=None if error_acc is None or correct_acc is None else harmonic_mean(error_acc, correct_acc),
        num_error=len(error_hits),
        num_correct=len(correct_hits),
        num_unscored=sum(prediction is None for prediction in predictions),
    )


def harmonic_mean(a: float, b: float) -> float:
    """``2ab / (a + b)``, and 0 when both are 0."""
    return 2 * a * b / (a + b) if a + b else 0.0


def _share(hits: Sequence[bool]) -> float | None:
    return sum(hits) / len(hits) if hits else None
