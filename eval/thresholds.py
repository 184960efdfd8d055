"""F1 as a function of the threshold, computed for all thresholds at once.

A judge with step probabilities becomes a yes-or-no judge through a rule and a threshold (`judge.calibration.Decoding`).
For each row the thresholds at which the answer is right form one interval ``low <= threshold < high``, so the number of
right answers at a threshold is a matter of counting bounds.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np

from eval.bootstrap import Floats
from eval.first_error import harmonic_mean
from eval.judged import JudgedRow
from judge.decoding import first_error_distribution
from judge.train.calibrate import NUM_CANDIDATES, Curve
from judge.types import NO_ERROR

Rule = Literal["first_above", "any_error"]
RULES: Final[tuple[Rule, ...]] = ("first_above", "any_error")
FEW: Final = 20
"""Rows that a threshold is fitted on, as published probes do; the others are scored."""
DRAWS: Final = 100


def usable(rows: Sequence[JudgedRow]) -> list[JudgedRow]:
    """The rows with a probability for every step."""
    return [row for row in rows if row.step_error_probs is not None and len(row.step_error_probs) == row.num_steps]


def f1_curve(rows: Sequence[JudgedRow], rule: Rule) -> Curve:
    """Error accuracy, correct accuracy and F1 at quantiles of the scores; 0 where a half is empty.

    Args:
        rows: each with a probability for every step; at least one.
    """
    thresholds = _candidates([_levels(row, rule) for row in rows])
    return _curve(rule, thresholds, _bounds(rows, rule), _is_error(rows))


def fitted_on_few(rows: Sequence[JudgedRow], seed: int) -> dict[str, Any] | None:
    """F1 with rule and threshold fitted on `FEW` rows and scored on the others: mean and deviation of `DRAWS` draws.

    None when there are not twice as many rows, or the halves are so uneven that few rows hardly ever hold both.
    """
    error = _is_error(rows)
    if len(rows) < 2 * FEW or min(error.sum(), (~error).sum()) < FEW / 2:
        return None
    levels = {rule: [_levels(row, rule) for row in rows] for rule in RULES}
    bounds = {rule: _bounds(rows, rule) for rule in RULES}
    rng = np.random.default_rng(seed)
    scores: list[float] = []
    while len(scores) < DRAWS:
        order = rng.permutation(len(rows))
        few, others = order[:FEW], order[FEW:]
        if error[few].all() or not error[few].any() or error[others].all() or not error[others].any():
            continue
        curves = [
            _curve(rule, _candidates([levels[rule][row] for row in few]), bounds[rule][few], error[few])
            for rule in RULES
        ]
        best = max(curves, key=lambda curve: curve.f1[curve.best])
        at = np.array([best.thresholds[best.best]])
        scores.append(_curve(best.rule, at, bounds[_rule(best)][others], error[others]).f1[0])
    return {"f1": statistics.fmean(scores), "sd": statistics.stdev(scores), "num_rows": FEW, "draws": DRAWS}


def threshold_figures(rows: Sequence[JudgedRow], seed: int) -> dict[str, Any] | None:
    """For each rule the threshold with the best F1 on these rows (optimistic), and `fitted_on_few`.

    None when no row has a probability for every step, or a half is empty.
    """
    rows = usable(rows)
    error = _is_error(rows)
    if not error.any() or error.all():
        return None
    curves = [f1_curve(rows, rule) for rule in RULES]
    best = {
        curve.rule: {"best_threshold": curve.thresholds[curve.best], "best_f1": curve.f1[curve.best]}
        for curve in curves
    }
    return {"num_rows": len(rows), **best, "fitted_on_few": fitted_on_few(rows, seed)}


def _rule(curve: Curve) -> Rule:
    return "first_above" if curve.rule == "first_above" else "any_error"


def _is_error(rows: Sequence[JudgedRow]) -> Any:
    return np.array([row.label != NO_ERROR for row in rows], dtype=bool)


def _levels(row: JudgedRow, rule: Rule) -> Sequence[float]:
    """The thresholds at which the answer to the row changes."""
    probs = row.step_error_probs or ()
    return probs if rule == "first_above" else [math.fsum(first_error_distribution(probs)[0])]


def _candidates(levels: Sequence[Sequence[float]]) -> Floats:
    quantiles = np.quantile(np.concatenate(levels), np.linspace(0, 1, NUM_CANDIDATES))
    return np.unique(np.clip(quantiles, 0.0, 1.0))


def _bounds(rows: Sequence[JudgedRow], rule: Rule) -> Floats:
    """[rows, 2] the thresholds low <= t < high at which the row's answer is right."""
    return np.array([_interval(row, rule) for row in rows]).reshape(len(rows), 2)


def _interval(row: JudgedRow, rule: Rule) -> tuple[float, float]:
    probs = row.step_error_probs or ()
    if rule == "first_above":
        if row.label == NO_ERROR:
            return max(probs), math.inf
        return max(probs[: row.label], default=-math.inf), probs[row.label]
    first, _ = first_error_distribution(probs)
    total = math.fsum(first)
    if row.label == NO_ERROR:
        return total, math.inf
    return -math.inf, total if first.index(max(first)) == row.label else -math.inf


def _curve(rule: str, thresholds: Floats, bounds: Floats, error: Any) -> Curve:
    def accuracy(half: Floats) -> Floats:
        held = half[half[:, 0] < half[:, 1]]
        entered = np.searchsorted(np.sort(held[:, 0]), thresholds, side="right")
        left = np.searchsorted(np.sort(held[:, 1]), thresholds, side="right")
        return (entered - left) / max(len(half), 1)

    error_acc, correct_acc = accuracy(bounds[error]), accuracy(bounds[~error])
    points = (thresholds, error_acc, correct_acc, harmonic_mean(error_acc, correct_acc))
    rising, errors, corrects, f1 = (tuple(map(float, values)) for values in points)
    return Curve(rule=rule, thresholds=rising, error_acc=errors, correct_acc=corrects, f1=f1)
