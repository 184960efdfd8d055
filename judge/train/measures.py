"""How well decoded hazards find first errors: what the trainers print and write into manifests and cards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from judge.calibration import Decoding
from judge.measures import first_error_metrics
from judge.types import NO_ERROR


def predictions(scores: Sequence[Sequence[float]], decoding: Decoding) -> list[int]:
    """First errors of solutions whose outcome is unknown, `NO_ERROR` for none.

    Args:
        scores: [solutions][steps] raw hazards.
    """
    found = [decoding.decode(probs, known_wrong=False)[1].first_error for probs in scores]
    return [NO_ERROR if index is None else index for index in found]


def conditional_accuracy(scores: Sequence[Sequence[float]], labels: Sequence[int], decoding: Decoding) -> float | None:
    """Share of the wrong solutions whose first error is found when they are known to be wrong; None without any."""
    wrong = [(probs, label) for probs, label in zip(scores, labels, strict=True) if label != NO_ERROR]
    hits = [decoding.decode(probs, known_wrong=True)[1].first_error == label for probs, label in wrong]
    return _mean(hits)


def rts_error(
    scores: Sequence[Sequence[float]], labels: Sequence[int], num_steps: Sequence[int], decoding: Decoding
) -> float | None:
    """Mean absolute error of RTS, in shares of the steps, over the solutions that are known to be wrong."""
    errors = []
    for probs, label, total in zip(scores, labels, num_steps, strict=True):
        found = None if label == NO_ERROR else decoding.decode(probs, known_wrong=True)[1].first_error
        if found is not None:
            errors.append(abs(found - label) / total)
    return _mean(errors)


def first_error_measures(
    scores: Sequence[Sequence[float]],
    labels: Sequence[int],
    num_steps: Sequence[int],
    decoding: Decoding,
    known_wrong: Sequence[bool] | None = None,
) -> dict[str, Any]:
    """Measures of ProcessBench and of SGPO on labelled solutions.

    Args:
        scores: [solutions][steps] raw hazards; steps after a first error may be missing.
        labels: 0-based first error, `NO_ERROR` for none.
        num_steps: steps of each whole solution.
        known_wrong: which of the solutions with an error can be known to be wrong; None for all of them.

    Returns:
        ``error_acc``, ``correct_acc``, ``f1`` (unknown outcome, the decoding's threshold); ``conditional_acc`` and
        ``rts_mae`` (wrong solutions, known to be wrong; of the index that is decoded). None where no row bears on it.
    """
    metrics = first_error_metrics(labels, predictions(scores, decoding))
    wrong = [i for i, label in enumerate(labels) if label != NO_ERROR and (known_wrong is None or known_wrong[i])]
    wrong_scores, wrong_labels = [scores[i] for i in wrong], [labels[i] for i in wrong]
    return {
        "num_error": metrics.num_error,
        "num_correct": metrics.num_correct,
        "error_acc": metrics.error_acc,
        "correct_acc": metrics.correct_acc,
        "f1": metrics.f1,
        "num_known_wrong": len(wrong),
        "conditional_acc": conditional_accuracy(wrong_scores, wrong_labels, decoding),
        "rts_mae": rts_error(wrong_scores, wrong_labels, [num_steps[i] for i in wrong], decoding),
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
