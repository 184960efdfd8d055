"""Statistics of the surprisals of a step's tokens under a language model, in nats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

NAMES: Final = (
    "num_tokens", "surprisal_mean", "surprisal_max", "surprisal_top3", "surprisal_std", "surprisal_first",
    "digit_share", "digit_surprisal_mean", "digit_surprisal_max", "digit_surprisal_top3",
    "surprisal_mean_before", "surprisal_mean_change", "digit_max_before", "digit_max_change",
)  # fmt: skip
"""Columns of `surprise_features`."""


def surprise_features(
    surprisals: NDArray[np.float32], is_digit: NDArray[np.bool_], lengths: Sequence[int]
) -> list[list[float]]:
    """One row per step, one column per name in `NAMES`.

    Args:
        surprisals: [tokens] of all steps, one after the other.
        is_digit: [tokens] whether the token holds a digit.
        lengths: tokens of each step, each at least 1.
    """
    rows: list[list[float]] = []
    means: list[float] = []
    digit_tops: list[float] = []
    end = 0
    for length in lengths:
        begin, end = end, end + length
        step, digit = surprisals[begin:end], is_digit[begin:end]
        digits = step[digit] if digit.any() else np.zeros(1, np.float32)
        mean, digit_top = float(step.mean()), float(digits.max())
        mean_before = float(np.mean(means)) if means else mean
        digit_before = float(np.mean(digit_tops)) if digit_tops else digit_top
        rows.append(
            [
                float(length),
                mean,
                float(step.max()),
                _top3(step),
                float(step.std()),
                float(step[0]),
                float(digit.mean()),
                float(digits.mean()),
                digit_top,
                _top3(digits),
                mean_before,
                mean - mean_before,
                digit_before,
                digit_top - digit_before,
            ]
        )
        means.append(mean)
        digit_tops.append(digit_top)
    return rows


def _top3(values: NDArray[np.float32]) -> float:
    return float(np.sort(values)[-3:].mean())
