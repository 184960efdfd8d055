"""From raw step scores to a verdict: what a trained judge learnt on its calibration split.

A judge's raw score of a step is mapped to a probability (Platt's sigmoid or an isotonic step function, both fitted with
scikit-learn and stored as plain numbers), and the probabilities are decoded to a first error.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from judge.decoding import Decoded, decode_cold, decode_first_above, decode_known_wrong
from judge.settings import Settings


class Calibration(Settings):
    """A monotone map of [0, 1] onto itself.

    >>> Calibration(method="platt", slope=1.0, intercept=0.0).apply(0.25)
    0.25
    """

    method: Literal["none", "platt", "isotonic"] = "none"
    slope: float = Field(default=1.0, gt=0)
    """Platt: ``sigmoid(slope * logit(p) + intercept)``."""
    intercept: float = 0.0
    knots_x: tuple[float, ...] = ()
    """Isotonic: linear between these points, constant outside (as ``sklearn.isotonic.IsotonicRegression``)."""
    knots_y: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _knots_fit(self) -> Calibration:
        if len(self.knots_x) != len(self.knots_y) or (self.method == "isotonic" and not self.knots_x):
            raise ValueError("knots_x and knots_y need the same number of values, at least one for 'isotonic'")
        if sorted(self.knots_x) != list(self.knots_x) or sorted(self.knots_y) != list(self.knots_y):
            raise ValueError("knots_x and knots_y must not fall")
        return self

    def apply(self, prob: float) -> float:
        """The calibrated probability of a raw one, both in [0, 1]."""
        if self.method == "platt":
            return _sigmoid(self.slope * logit(prob) + self.intercept)
        if self.method == "isotonic":
            return _interpolate(prob, self.knots_x, self.knots_y)
        return prob


class Decoding(Settings):
    """How hazards become a first error when the outcome is not known; known to be wrong, no threshold is needed."""

    rule: Literal["first_above", "any_error"] = "first_above"
    """``first_above``: the first step whose hazard is above the threshold. ``any_error``: when P(some step is wrong) is
    above it, the most likely first error."""
    threshold: float = Field(default=0.5, ge=0, le=1)
    calibration: Calibration = Calibration()

    def decode(self, scores: Sequence[float], *, known_wrong: bool) -> tuple[tuple[float, ...], Decoded]:
        """Calibrated hazards, and the decision on them.

        Args:
            scores: [num_steps] raw hazards in [0, 1].

        Raises:
            ValueError: no steps, or a score that is not in [0, 1].
        """
        hazards = tuple(self.calibration.apply(score) for score in scores)
        if known_wrong:
            return hazards, decode_known_wrong(hazards)
        decide = decode_first_above if self.rule == "first_above" else decode_cold
        return hazards, decide(hazards, self.threshold)


def logit(prob: float, eps: float = 1e-7) -> float:
    """Log odds, kept finite."""
    prob = min(max(prob, eps), 1 - eps)
    return math.log(prob / (1 - prob))


def _sigmoid(value: float) -> float:
    if value < 0:
        return math.exp(value) / (1 + math.exp(value))
    return 1 / (1 + math.exp(-value))


def _interpolate(x: float, knots_x: Sequence[float], knots_y: Sequence[float]) -> float:
    above = bisect_right(knots_x, x)
    if above == 0 or above == len(knots_x):
        return knots_y[0] if above == 0 else knots_y[-1]
    x0, x1, y0, y1 = knots_x[above - 1], knots_x[above], knots_y[above - 1], knots_y[above]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
