"""What a judge is worth on solutions that are known to be wrong, from its step probabilities.

SGPO asks about wrong solutions only. There "no error" is impossible, so the steps share all the probability: no
threshold is needed (see `judge.decoding.decode_known_wrong`). RTS is the share of the steps before the first error.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from eval.bootstrap import Clusters, Floats, Statistic, SumStatistic, ratio
from eval.judged import JudgedRow
from judge.decoding import decode_known_wrong, median_first_error
from judge.types import NO_ERROR


def known_wrong(rows: Sequence[JudgedRow], clusters: Clusters) -> Statistic:
    """Figures over the rows with an error and a probability for every step.

    - ``known_wrong_acc``: share for which the most likely step is the first error.
    - ``known_wrong_rts_mae``, ``expected_rts_mae``, ``median_rts_mae``: mean absolute error of that step's RTS, of the
      expected RTS, and of the RTS of the median of the first-error distribution.
    """
    values = np.array([_row_values(row) for row in rows]).reshape(len(rows), 5)
    return SumStatistic(values, clusters, _figures)


def _row_values(row: JudgedRow) -> tuple[float, float, float, float, float]:
    probs = row.step_error_probs or ()
    median = median_first_error(probs) if is_usable(row) else None
    if median is None:
        return 0.0, 0.0, 0.0, 0.0, 0.0
    decoded = decode_known_wrong(probs)
    assert decoded.first_error is not None
    assert decoded.expected_rts is not None
    n = row.num_steps
    return (
        1.0,
        float(decoded.first_error == row.label),
        abs(decoded.first_error - row.label) / n,
        abs(decoded.expected_rts - row.label / n),
        abs(median - row.label) / n,
    )


def _figures(sums: Floats) -> dict[str, Floats]:
    count, hits, index_error, expected_error, median_error = np.moveaxis(sums, -1, 0)
    return {
        "known_wrong_acc": ratio(hits, count),
        "known_wrong_rts_mae": ratio(index_error, count),
        "expected_rts_mae": ratio(expected_error, count),
        "median_rts_mae": ratio(median_error, count),
    }


def is_usable(row: JudgedRow) -> bool:
    """True for a row with an error and a probability for every step."""
    probs = row.step_error_probs
    return row.label != NO_ERROR and probs is not None and len(probs) == row.num_steps


def known_wrong_baselines(rows: Sequence[JudgedRow]) -> dict[str, dict[str, Any]]:
    """The best constant index, and the median RTS for all, on the same rows. Empty without such rows."""
    used = [row for row in rows if is_usable(row)]
    if not used:
        return {}
    labels = [row.label for row in used]
    index = min(set(labels), key=lambda label: (-labels.count(label), label))
    rts = [row.label / row.num_steps for row in used]
    median = statistics.median(rts)
    return {
        "constant_index": {"index": index, "known_wrong_acc": labels.count(index) / len(labels)},
        "median_rts": {"rts": median, "expected_rts_mae": statistics.fmean(abs(value - median) for value in rts)},
    }
