"""First-error figures by hand, against ProcessBench's formula and scikit-learn; random flags by all patterns."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import matthews_corrcoef

from eval import first_error
from eval.baselines import baselines
from eval.families import FAMILIES
from eval.first_error import Column
from eval.judged import JudgedRow
from judge.measures import first_error_metrics
from judge.types import NO_ERROR

PAIRS = st.lists(st.tuples(st.integers(-1, 4), st.one_of(st.none(), st.integers(-1, 6))), min_size=1, max_size=40)


def rows_of(pairs: Sequence[tuple[int, int | None]], num_steps: int = 5) -> list[JudgedRow]:
    return [JudgedRow(f"p{i}", label, num_steps, said) for i, (label, said) in enumerate(pairs)]


def figures_of(pairs: Sequence[tuple[int, int | None]]) -> dict[str, float]:
    found = first_error.figures(first_error.counts(rows_of(pairs)).sum(axis=0))
    return {name: float(value) for name, value in found.items()}


@given(PAIRS)
def test_agrees_with_the_measures_of_single_runs(pairs: list[tuple[int, int | None]]) -> None:
    expected = first_error_metrics([label for label, _ in pairs], [said for _, said in pairs])
    found = figures_of(pairs)
    for name in ("error_acc", "correct_acc", "f1"):
        value = getattr(expected, name)
        assert math.isnan(found[name]) if value is None else found[name] == value


@given(PAIRS)
def test_mcc_is_scikit_learns(pairs: list[tuple[int, int | None]]) -> None:
    """No verdict is the wrong one; scikit-learn gives 0 where the correlation is not defined, too."""
    truth = [label == NO_ERROR for label, _ in pairs]
    said = [(label != NO_ERROR) if answer is None else answer == NO_ERROR for label, answer in pairs]
    assert figures_of(pairs)["mcc"] == pytest.approx(matthews_corrcoef(truth, said), abs=1e-12)


def test_by_hand() -> None:
    # label, said: exact; one late; one early; two late; missed; unscored; right; false alarm; unscored
    pairs = [(1, 1), (1, 2), (3, 2), (0, 2), (4, -1), (2, None), (-1, -1), (-1, 0), (-1, None)]
    found = figures_of(pairs)
    assert found["error_acc"] == 1 / 6
    assert found["correct_acc"] == 1 / 3
    assert found["f1"] == pytest.approx(2 / 9)
    assert found["accuracy"] == 2 / 9
    assert found["within_one_acc"] == 3 / 6
    assert found["detected_acc"] == 4 / 6
    assert found["mean_offset"] == (0 + 1 - 1 + 2) / 4
    assert found["coverage"] == 7 / 9
    # right and called right 1, wrong and called wrong 4, wrong otherwise 2, right otherwise 2
    assert found["mcc"] == pytest.approx((1 * 4 - 2 * 2) / math.sqrt(3 * 3 * 6 * 6))


def test_a_step_that_is_not_there_is_no_detection() -> None:
    """It still says that the solution is wrong, which is all that the correlation asks."""
    found = figures_of([(4, 5), (4, 9), (1, 1), (-1, -1)])
    assert (found["within_one_acc"], found["detected_acc"], found["mean_offset"]) == (1 / 3, 1 / 3, 0)
    assert (found["error_acc"], found["mcc"]) == (1 / 3, 1.0)


@pytest.mark.parametrize(
    ("pairs", "undefined", "mcc"),
    [
        ([(0, 0), (1, 0)], {"correct_acc", "f1"}, 0.0),
        ([(-1, -1), (-1, 0)], {"error_acc", "f1", "within_one_acc", "detected_acc", "mean_offset"}, 0.0),
        ([(0, None), (-1, None)], {"mean_offset"}, -1.0),
        ([(0, -1), (-1, -1)], {"mean_offset"}, 0.0),
    ],
)
def test_undefined_figures(pairs: list[tuple[int, int | None]], undefined: set[str], mcc: float) -> None:
    found = figures_of(pairs)
    assert {name for name, value in found.items() if math.isnan(value)} == undefined
    assert found["mcc"] == mcc


@pytest.mark.parametrize("rate", [0.01, 0.3, 0.5, 0.99])
@pytest.mark.parametrize(("label", "num_steps"), [(-1, 4), (0, 4), (2, 4), (3, 4), (0, 1), (-1, 1)])
def test_random_flags_are_the_mean_over_all_patterns(rate: float, label: int, num_steps: int) -> None:
    expected = np.zeros(len(Column))
    for flags in itertools.product((False, True), repeat=num_steps):
        chance = math.prod(rate if flag else 1 - rate for flag in flags)
        said = flags.index(True) if any(flags) else NO_ERROR
        expected += chance * first_error.counts([JudgedRow("p", label, num_steps, said)])[0]
    found = first_error.random_flag_sums([JudgedRow("p", label, num_steps, None)], np.array([0.2, rate]))[1]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_trivial_judges_by_hand() -> None:
    pairs = [(0, None), (1, None), (1, None), (4, None), (-1, None)]
    found = baselines(rows_of(pairs), [FAMILIES["first_error"]], ("f1",))
    assert (found["constant_index"]["index"], found["constant_index"]["error_acc"]) == (1, 0.5)
    assert (found["constant_index"]["correct_acc"], found["constant_index"]["f1"]) == (0.0, 0.0)
    assert (found["last_step"]["error_acc"], found["last_step"]["within_one_acc"]) == (0.25, 0.25)
    assert (found["always_correct"]["error_acc"], found["always_correct"]["correct_acc"]) == (0.0, 1.0)
    assert (found["always_correct"]["accuracy"], found["always_correct"]["mcc"]) == (0.2, 0.0)


def test_the_best_rate_of_random_flags_is_found_on_the_grid() -> None:
    pairs = [(0, None), (1, None), (3, None), (-1, None), (-1, None)]
    best = 0.0
    for rate in [percent / 100 for percent in range(1, 100)]:
        error = sum(rate * (1 - rate) ** label for label, _ in pairs[:3]) / 3
        correct = (1 - rate) ** 5
        best = max(best, 2 * error * correct / (error + correct))
    found = baselines(rows_of(pairs), [FAMILIES["first_error"]], ("f1",))["random_flag"]
    assert found["f1"] == pytest.approx(best)
    assert found["best_at"] == "f1"


@pytest.mark.parametrize(
    ("pairs", "best_at", "rate"), [([(0, 0), (0, 1)], "error_acc", 0.99), ([(-1, 0)], "correct_acc", 0.01)]
)
def test_random_flags_with_an_empty_half(pairs: list[tuple[int, int | None]], best_at: str, rate: float) -> None:
    found = baselines(rows_of(pairs), [FAMILIES["first_error"]], ("f1",))["random_flag"]
    assert (found["best_at"], found["rate"], found["f1"]) == (best_at, rate, None)


def test_a_tie_for_the_constant_goes_to_the_earlier_step() -> None:
    found = baselines(rows_of([(3, None), (1, None)]), [FAMILIES["first_error"]], ("f1",))
    assert found["constant_index"]["index"] == 1
