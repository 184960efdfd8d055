"""Fit on a small calibration split what turns raw scores into verdicts: a probability map and a threshold.

Thresholds are tried at quantiles of the observed scores, not on a uniform grid: the scores of a judge often lie in a
narrow band, which a grid steps over.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Literal

import numpy as np

from judge.calibration import Calibration, Decoding, logit
from judge.errors import DataError
from judge.measures import first_error_metrics
from judge.train.measures import conditional_accuracy, predictions
from judge.types import NO_ERROR

logger = logging.getLogger(__name__)

NUM_CANDIDATES: Final = 200
MIN_ROWS: Final = 10
Method = Literal["none", "platt", "isotonic"]


@dataclass(frozen=True, slots=True)
class Curve:
    """How the F1 of a rule depends on its threshold."""

    rule: str
    thresholds: tuple[float, ...]
    """Rising, in [0, 1]."""
    error_acc: tuple[float, ...]
    correct_acc: tuple[float, ...]
    f1: tuple[float, ...]

    @property
    def best(self) -> int:
        """Index of the highest F1; of neighbours that are equal, the middle one of the longest run."""
        highest = max(self.f1)
        runs = [list(run) for is_top, run in groupby(range(len(self.f1)), lambda i: self.f1[i] == highest) if is_top]
        longest = max(runs, key=len)
        return longest[len(longest) // 2]


def step_targets(scores: Sequence[Sequence[float]], labels: Sequence[int]) -> tuple[list[float], list[int]]:
    """Scores and 0/1 targets of all steps up to the first error: what a hazard is about.

    Args:
        scores: [solutions][steps] raw hazards.
        labels: 0-based first error, `NO_ERROR` for none.
    """
    flat: list[float] = []
    targets: list[int] = []
    for probs, label in zip(scores, labels, strict=True):
        last = len(probs) - 1 if label == NO_ERROR else label
        flat.extend(probs[: last + 1])
        targets.extend(int(step == label) for step in range(last + 1))
    return flat, targets


def fit_calibration(scores: Sequence[Sequence[float]], labels: Sequence[int], method: Method) -> Calibration:
    """A monotone map from raw hazards to probabilities, by scikit-learn."""
    flat, targets = step_targets(scores, labels)
    if method == "none" or len(set(targets)) < 2:
        return Calibration()
    if method == "platt":
        from sklearn.linear_model import LogisticRegression

        odds = np.array([[logit(prob)] for prob in flat])
        model = LogisticRegression(C=1e6).fit(odds, targets)
        slope = float(model.coef_[0, 0])
        if slope <= 0:
            logger.warning(
                "higher scores do not mean more errors on the calibration split: scores are left as they are"
            )
            return Calibration()
        return Calibration(method="platt", slope=slope, intercept=float(model.intercept_[0]))
    from sklearn.isotonic import IsotonicRegression

    isotonic = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(flat, targets)
    return Calibration(
        method="isotonic",
        knots_x=tuple(map(float, isotonic.X_thresholds_)),
        knots_y=tuple(map(float, isotonic.y_thresholds_)),
    )


def f1_curve(scores: Sequence[Sequence[float]], labels: Sequence[int], decoding: Decoding) -> Curve:
    """Error accuracy, correct accuracy and their harmonic mean at quantiles of the scores."""
    hazards = [[decoding.calibration.apply(prob) for prob in probs] for probs in scores]
    if decoding.rule == "first_above":
        levels = [hazard for row in hazards for hazard in row]
    else:
        levels = [1 - float(np.prod([1 - hazard for hazard in row])) for row in hazards]
    quantiles = np.quantile(levels, np.linspace(0, 1, NUM_CANDIDATES))
    thresholds = sorted({min(max(float(value), 0.0), 1.0) for value in quantiles})
    points = [
        first_error_metrics(labels, predictions(scores, decoding.model_copy(update={"threshold": value})))
        for value in thresholds
    ]
    return Curve(
        rule=decoding.rule,
        thresholds=tuple(thresholds),
        error_acc=tuple(point.error_acc or 0.0 for point in points),
        correct_acc=tuple(point.correct_acc or 0.0 for point in points),
        f1=tuple(point.f1 or 0.0 for point in points),
    )


def fit_decoding(
    scores: Sequence[Sequence[float]], labels: Sequence[int], method: Method = "platt"
) -> tuple[Decoding, dict[str, object]]:
    """Calibration, rule and threshold for a judge.

    Args:
        scores: [solutions][steps] raw hazards in [0, 1].
        labels: 0-based first error, `NO_ERROR` for none; both kinds are needed.

    Returns:
        The decoding with the highest F1 on these rows, and what was measured on them (JSON-able; optimistic, since the
        threshold was chosen there).

    Raises:
        DataError: too few rows, or rows of one kind only.
    """
    check_calibration_labels(labels)
    num_error = sum(label != NO_ERROR for label in labels)
    calibration = fit_calibration(scores, labels, method)
    curves: dict[str, Curve] = {}
    decodings: list[tuple[float, Decoding]] = []
    for rule in ("first_above", "any_error"):
        decoding = Decoding(rule=rule, calibration=calibration)
        curve = curves[rule] = f1_curve(scores, labels, decoding)
        best = curve.best
        decodings.append((curve.f1[best], decoding.model_copy(update={"threshold": curve.thresholds[best]})))
    f1, chosen = max(decodings, key=lambda pair: pair[0])
    curve = curves[chosen.rule]
    return chosen, {
        "num_rows": len(labels),
        "num_error": num_error,
        "rule": chosen.rule,
        "threshold": chosen.threshold,
        "f1": f1,
        "error_acc": curve.error_acc[curve.best],
        "correct_acc": curve.correct_acc[curve.best],
        "conditional_acc": conditional_accuracy(scores, labels, chosen),
    }


def check_calibration_labels(labels: Sequence[int | None]) -> None:
    """Refuse a calibration split that nothing can be fitted on.

    Raises:
        DataError: too few rows, or rows of one kind only.
    """
    num_error = sum(label != NO_ERROR for label in labels)
    if len(labels) < MIN_ROWS or num_error in (0, len(labels)):
        raise DataError(
            f"the calibration split holds {num_error} solutions with an error and {len(labels) - num_error} without; "
            f"both kinds and {MIN_ROWS} rows are needed: raise calibration_share, or add data"
        )
