"""All features of a solution's steps in one table: text, a probe's scores, surprisals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from judge.features import surprise, text
from judge.types import Solution

PROBE_NAMES: Final = ("probe", "probe_max_before", "probe_mean_before")
NO_STEP_BEFORE: Final = -10.0
"""Stands for the probe's scores of the steps before the first one: surely right."""


@dataclass(frozen=True, slots=True)
class Surprisals:
    """Of one response."""

    nats: NDArray[np.float32]
    """[tokens]"""
    is_digit: NDArray[np.bool_]
    """[tokens] whether the token holds a digit."""
    lengths: Sequence[int]
    """Tokens of each step."""


def feature_names(*, probe: bool, surprisal: bool) -> tuple[str, ...]:
    """The columns of `feature_table`."""
    return (*text.NAMES, *(PROBE_NAMES if probe else ()), *(surprise.NAMES if surprisal else ()))


def feature_table(
    solution: Solution, probe_logits: Sequence[float] | None, surprisals: Surprisals | None
) -> NDArray[np.float32]:
    """One row per step; None leaves the group of columns out."""
    rows = text.text_features(solution)
    if probe_logits is not None:
        rows = [[*row, *more] for row, more in zip(rows, _probe_rows(probe_logits), strict=True)]
    if surprisals is not None:
        more_rows = surprise.surprise_features(surprisals.nats, surprisals.is_digit, surprisals.lengths)
        rows = [[*row, *more] for row, more in zip(rows, more_rows, strict=True)]
    return np.array(rows, dtype=np.float32)


def _probe_rows(logits: Sequence[float]) -> list[list[float]]:
    rows = []
    for step, logit in enumerate(logits):
        before = logits[:step]
        mean = sum(before) / step if step else NO_STEP_BEFORE
        rows.append([logit, max(before, default=NO_STEP_BEFORE), mean])
    return rows
