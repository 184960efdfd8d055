"""Error accuracy, correct accuracy and F1 against ProcessBench's own formula, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.measures import first_error_metrics

LABELS = st.integers(-1, 4)
PREDICTIONS = st.one_of(st.none(), st.integers(-1, 5))


def published(labels: list[int], predictions: list[int | None]) -> tuple[float, float, float]:
    """The last lines of the benchmark's evaluation script: percent, numpy means over the two halves."""
    rows = [
        {"label": label, "match": prediction == label} for label, prediction in zip(labels, predictions, strict=True)
    ]
    acc1 = np.mean([row["match"] for row in rows if row["label"] != -1]) * 100
    acc2 = np.mean([row["match"] for row in rows if row["label"] == -1]) * 100
    return float(acc1), float(acc2), float(2 * acc1 * acc2 / (acc1 + acc2))


@given(st.lists(st.tuples(LABELS, PREDICTIONS), min_size=2, max_size=60))
def test_agrees_with_the_published_script(pairs: list[tuple[int, int | None]]) -> None:
    pairs += [(0, 0), (-1, -1)]  # the script divides by zero when a half is empty or nothing is right
    labels, predictions = [label for label, _ in pairs], [prediction for _, prediction in pairs]
    ours = first_error_metrics(labels, predictions)
    assert ours.error_acc is not None
    assert ours.correct_acc is not None
    assert ours.f1 is not None
    assert [100 * ours.error_acc, 100 * ours.correct_acc, 100 * ours.f1] == pytest.approx(
        published(labels, predictions)
    )
    assert ours.num_unscored == predictions.count(None)
    assert ours.num_error + ours.num_correct == len(labels)


@pytest.mark.parametrize(
    ("labels", "predictions", "error_acc", "correct_acc", "f1"),
    [
        ([0, 1, 2, -1], [0, 1, 2, -1], 1.0, 1.0, 1.0),
        ([0, 1, 2, 3, -1, -1], [0, 2, 2, -1, -1, 0], 0.5, 0.5, 0.5),
        ([0, 1, 2, 3, -1], [0, 1, 2, 0, -1], 0.75, 1.0, 6 / 7),
        ([2, 2, -1, -1], [-1, -1, -1, -1], 0.0, 1.0, 0.0),
        ([2, 2, -1, -1], [2, 2, 2, 2], 1.0, 0.0, 0.0),
        ([1, -1], [0, 0], 0.0, 0.0, 0.0),
        ([1, 1, -1, -1], [1, None, None, -1], 0.5, 0.5, 0.5),
        ([-1, -1, -1], [-1, 0, -1], None, 2 / 3, None),
        ([1, 0], [1, None], 0.5, None, None),
        ([], [], None, None, None),
    ],
)
def test_by_hand(
    labels: list[int],
    predictions: list[int | None],
    error_acc: float | None,
    correct_acc: float | None,
    f1: float | None,
) -> None:
    metrics = first_error_metrics(labels, predictions)
    assert metrics[:3] == (error_acc, correct_acc, f1)


def test_unscored_counts_against_the_judge_and_apart() -> None:
    metrics = first_error_metrics([0, -1, -1], [None, None, -1])
    assert (metrics.error_acc, metrics.correct_acc, metrics.num_unscored) == (0.0, 0.5, 2)


def test_one_prediction_per_label() -> None:
    with pytest.raises(ValueError, match="shorter"):
        first_error_metrics([0, 1], [0])
