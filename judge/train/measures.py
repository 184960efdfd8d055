"""How well decoded hazards find first errors: what the trainers print and write into manifests and cards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from judge.calibration import Decoding
from judge.train.calibrate import harmonic_mean
from judge.types import NO_ERROR


def first_error_measures(
    scores: Sequence[Sequence[float]], labels: Sequence[int], num_steps: Sequence[int], decoding: Decoding
) -> dict[str, Any]:
    """Measures of ProcessBench and of SGPO on labelled solutions.

    Args:
        scores: [solutions][steps] raw hazards; steps after a first error may be missing.
        labels: 0-based first error, `NO_ERROR` for none.
        num_steps: steps of each whole solution.

    Returns:
        ``error_acc``, ``correct_acc``, ``f1`` (unknown outcome, the decoding's threshold); ``conditional_acc`` and
        ``rts_mae`` (wrong solutions, known to be wrong; rts in steps, of the index that is decoded). None where no row
        bears on it.
    """
    error_hits: list[bool] = []
    correct_hits: list[bool] = []
    found_hits: list[bool] = []
    rts_errors: list[float] = []
    for probs, label, total in zip(scores, labels, num_steps, strict=True):
        _, cold = decoding.decode(probs, known_wrong=False)
        if label == NO_ERROR:
            correct_hits.append(cold.first_error is None)
            continue
        error_hits.append(cold.first_error == label)
        _, known = decoding.decode(probs, known_wrong=True)
        found_hits.append(known.first_error == label)
        if known.first_error is not None:
            rts_errors.append(abs(known.first_error - label) / total)
    error_acc, correct_acc = _mean(error_hits), _mean(correct_hits)
    return {
        "num_error": len(error_hits),
        "num_correct": len(correct_hits),
        "error_acc": error_acc,
        "correct_acc": correct_acc,
        "f1": None if error_acc is None or correct_acc is None else harmonic_mean(error_acc, correct_acc),
        "conditional_acc": _mean(found_hits),
        "rts_mae": _mean(rts_errors),
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
