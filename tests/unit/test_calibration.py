import math
import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from judge.calibration import Calibration, Decoding
from judge.errors import DataError
from judge.train.calibrate import Curve, conditional_accuracy, f1_curve, fit_calibration, fit_decoding, step_targets
from judge.train.measures import first_error_measures

PROB = st.floats(0, 1, allow_nan=False)


def rows(num: int, seed: int = 0) -> tuple[list[list[float]], list[int]]:
    """Scores that know something: the first wrong step tends to score higher."""
    rng = random.Random(seed)
    scores, labels = [], []
    for _ in range(num):
        steps = rng.randint(1, 7)
        label = rng.randrange(-1, steps)
        scores.append([rng.betavariate(4, 3) if step == label else rng.betavariate(2, 6) for step in range(steps)])
        labels.append(label)
    return scores, labels


def test_targets_end_at_the_first_error() -> None:
    assert step_targets([[0.1, 0.2, 0.3], [0.4, 0.5]], [1, -1]) == ([0.1, 0.2, 0.4, 0.5], [0, 1, 0, 0])


def test_platt_is_a_logistic_regression_on_log_odds() -> None:
    scores, labels = rows(80)
    flat, targets = step_targets(scores, labels)
    odds = np.log(np.array(flat) / (1 - np.array(flat)))[:, None]
    reference = LogisticRegression(C=1e6).fit(odds, targets)
    fitted = fit_calibration(scores, labels, "platt")
    expected = reference.predict_proba(odds)[:, 1]
    assert [fitted.apply(value) for value in flat] == pytest.approx(expected, abs=1e-6)


def test_isotonic_is_scikit_learns() -> None:
    scores, labels = rows(80)
    flat, targets = step_targets(scores, labels)
    reference = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(flat, targets)
    fitted = fit_calibration(scores, labels, "isotonic")
    values = [0.0, 1.0, *flat, *np.linspace(0, 1, 50)]
    assert [fitted.apply(float(value)) for value in values] == pytest.approx(reference.predict(values), abs=1e-9)


@given(PROB, PROB)
def test_platt_is_monotone_and_stays_a_probability(a: float, b: float) -> None:
    fitted = Calibration(method="platt", slope=2.5, intercept=-40.0)
    low, high = sorted((a, b))
    assert 0 <= fitted.apply(low) <= fitted.apply(high) <= 1


def test_threshold_is_the_best_of_a_brute_force_search() -> None:
    scores, labels = rows(150, seed=3)
    decoding, metrics = fit_decoding(scores, labels, "none")

    def f1(rule: str, threshold: float) -> float:
        found = []
        for probs in scores:
            if rule == "first_above":
                found.append(next((i for i, prob in enumerate(probs) if prob > threshold), -1))
            else:
                some = 1 - math.prod(1 - prob for prob in probs)
                share = [prob * math.prod(1 - other for other in probs[:i]) for i, prob in enumerate(probs)]
                found.append(share.index(max(share)) if some > threshold else -1)
        error = [a == b for a, b in zip(found, labels, strict=True) if b >= 0]
        correct = [a == b for a, b in zip(found, labels, strict=True) if b < 0]
        a, b = sum(error) / len(error), sum(correct) / len(correct)
        return 2 * a * b / (a + b) if a + b else 0.0

    assert metrics["f1"] == pytest.approx(f1(decoding.rule, decoding.threshold))
    every = [f1(rule, t / 1000) for rule in ("first_above", "any_error") for t in range(1001)]
    # Quantiles are not every threshold: what the search misses is little.
    assert float(str(metrics["f1"])) > max(every) - 0.02


def test_scores_in_a_narrow_band_get_a_threshold_inside_it() -> None:
    scores, labels = rows(100, seed=5)
    narrow = [[0.31 + prob / 1e4 for prob in probs] for probs in scores]
    wide_f1 = fit_decoding(scores, labels, "none")[1]["f1"]
    decoding, metrics = fit_decoding(narrow, labels, "none")
    if decoding.rule == "first_above":
        assert 0.31 <= decoding.threshold <= 0.3101
    assert float(str(metrics["f1"])) >= float(str(wide_f1)) - 0.05


@pytest.mark.parametrize("labels", [[0] * 20, [-1] * 20, [0, -1]])
def test_a_calibration_split_of_one_kind_or_few_rows_is_refused(labels: list[int]) -> None:
    with pytest.raises(DataError, match="calibration split holds"):
        fit_decoding([[0.5]] * len(labels), labels)


def test_curve_points_are_what_the_decoding_gives() -> None:
    scores, labels = rows(60, seed=9)
    decoding = Decoding(rule="first_above")
    curve = f1_curve(scores, labels, decoding)
    assert all(a < b for a, b in pairwise(curve.thresholds))
    point = len(curve.thresholds) // 2
    chosen = decoding.model_copy(update={"threshold": curve.thresholds[point]})
    measures = first_error_measures(scores, labels, [len(row) for row in scores], chosen)
    assert measures["error_acc"] == pytest.approx(curve.error_acc[point])
    assert measures["correct_acc"] == pytest.approx(curve.correct_acc[point])
    assert measures["f1"] == pytest.approx(curve.f1[point])
    assert measures["conditional_acc"] == pytest.approx(conditional_accuracy(scores, labels, chosen))


def test_measures_by_hand() -> None:
    scores = [[0.1, 0.9, 0.1], [0.2, 0.1], [0.8, 0.1], [0.1]]
    measures = first_error_measures(scores, [1, 1, -1, -1], [4, 2, 2, 1], Decoding(threshold=0.5))
    assert measures["error_acc"] == 0.5
    assert measures["correct_acc"] == 0.5
    assert measures["f1"] == 0.5
    assert measures["conditional_acc"] == 0.5
    assert measures["rts_mae"] == pytest.approx((0 + 0.5) / 2)


@pytest.mark.parametrize(
    "fault",
    [
        {"method": "isotonic"},
        {"method": "isotonic", "knots_x": (0.2, 0.1), "knots_y": (0.0, 1.0)},
        {"method": "isotonic", "knots_x": (0.1,), "knots_y": (0.0, 1.0)},
    ],
)
def test_damaged_calibrations_are_refused(fault: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="knots"):
        Calibration.model_validate(fault)


def test_first_above_and_any_error() -> None:
    hazards = [0.3, 0.4, 0.2]
    first = Decoding(rule="first_above", threshold=0.25).decode(hazards, known_wrong=False)[1]
    assert first.first_error == 0
    some = Decoding(rule="any_error", threshold=0.6).decode(hazards, known_wrong=False)[1]
    assert some.first_error == 0  # .3, .28, .084: P(some) = .664
    none = Decoding(rule="any_error", threshold=0.7).decode(hazards, known_wrong=False)[1]
    assert none.first_error is None
    assert none.confidence == pytest.approx(0.336)
    known = Decoding(rule="first_above", threshold=0.99).decode([0.1, 0.5], known_wrong=True)[1]
    assert known.first_error == 1


def test_scores_that_rank_steps_the_wrong_way_are_not_turned_around(caplog: pytest.LogCaptureFixture) -> None:
    scores, labels = rows(80)
    upside_down = [[1 - prob for prob in probs] for probs in scores]
    assert fit_calibration(upside_down, labels, "platt") == Calibration()
    assert "do not mean more errors" in caplog.text
    with pytest.raises(ValueError, match="greater than 0"):
        Calibration(method="platt", slope=-1.0)


def test_the_best_threshold_lies_inside_the_longest_plateau() -> None:
    f1 = (0.5, 0.2, 0.5, 0.5, 0.5, 0.1, 0.5)
    thresholds = tuple(i / 10 for i in range(7))
    assert Curve("first_above", thresholds, f1, f1, f1).best == 3
