from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge.features.matrix import Surprisals, feature_names, feature_table
from judge.features.surprise import NAMES as SURPRISE_NAMES
from judge.features.surprise import surprise_features
from judge.features.text import NAMES, UNKNOWN, numbers, text_features
from judge.types import Solution

PROBLEM = "Ann has 12 apples and buys 30 more at $0.50 each. How many has she?"


def column(name: str, *steps: str, **more: str) -> list[float]:
    solution = Solution(PROBLEM, steps, **more)  # type: ignore[arg-type]
    return [row[NAMES.index(name)] for row in text_features(solution)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1,250 and 3", ["1250", "3"]), ("x1 2.5", ["1", "5/2"]), ("none", []), (".5%", ["1/2"]), ("3.", ["3"])],
)
def test_numbers(text: str, expected: list[str]) -> None:
    found = [str(value) for value in numbers(text)]
    assert found == expected or (text == "x1 2.5" and found in (["5/2"], ["1", "5/2"]))


def test_wrong_arithmetic_is_counted_and_remembered() -> None:
    steps = ("12 + 30 = 42.", "42 * 2 = 85.", "So 85.")
    assert column("num_wrong_claims", *steps) == [0, 1, 0]
    assert column("wrong_claims_before", *steps) == [0, 0, 1]
    assert column("num_claims", *steps) == [1, 1, 0]


@pytest.mark.parametrize(
    ("step", "new"),
    [
        ("She has 12 + 30 = 42.", 0),  # a sum of two that are known
        ("30 * 0.5 costs 15.", 0),
        ("30 / 12 is 2.5", 0),
        ("There are 17 pears.", 1),  # comes from nowhere
        ("Half is 6.", 0),  # 12 / 2
    ],
)
def test_numbers_that_come_from_nowhere(step: str, new: int) -> None:
    assert column("new_numbers", step) == [new]


def test_repetition_and_reference() -> None:
    assert column("repetition", "Add the apples.", "Add the apples.", "Zyx 9")[1] == 1
    assert column("reference_share", "It is 42.", reference_solution="12 + 30 = 42") == [1]
    assert column("reference_share", "It is 41.", reference_solution="12 + 30 = 42") == [0]
    assert column("reference_share", "It is 42.") == [UNKNOWN]
    assert column("answer_agrees", "The answer is 42.", reference_answer="42") == [1]
    assert column("answer_agrees", "The answer is 41.", reference_answer="42") == [0]
    assert column("answer_agrees", "12 + 30 = 42", reference_answer="42") == [UNKNOWN]


STEP = st.sampled_from(
    ["12 + 30 = 42.", "42 - 1 = 40", "So the answer is 40.", "Wait, 17 pears.", "She buys more.", "\\boxed{40}", "-"]
)


@settings(max_examples=50)
@given(st.lists(STEP, min_size=1, max_size=6), st.lists(STEP, max_size=4))
def test_no_feature_knows_what_follows(steps: list[str], later: list[str]) -> None:
    alone = text_features(Solution(PROBLEM, tuple(steps)))
    assert text_features(Solution(PROBLEM, (*steps, *later)))[: len(steps)] == alone


@settings(max_examples=30)
@given(st.text(max_size=300))
def test_any_text_has_finite_features(text: str) -> None:
    table = feature_table(Solution(text, (text or "x", text[::-1] or "y")), [0.1, -3.0], None)
    assert table.shape == (2, len(feature_names(probe=True, surprisal=False)))
    assert np.isfinite(table).all()


def test_hostile_steps_are_read_in_bounded_time() -> None:
    steps = tuple(" ".join(str(n * 7919 % 100_003) for n in range(20_000)) for _ in range(3))
    assert len(text_features(Solution("p " + steps[0], steps))) == 3


def test_surprise_statistics_by_hand() -> None:
    nats = np.array([1, 2, 3, 10, 4], np.float32)
    digit = np.array([False, True, False, True, True])
    first, second = (dict(zip(SURPRISE_NAMES, row, strict=True)) for row in surprise_features(nats, digit, [3, 2]))
    assert first["surprisal_mean"] == 2
    assert first["surprisal_max"] == 3
    assert first["digit_surprisal_mean"] == 2
    assert first["surprisal_mean_change"] == 0
    assert second["num_tokens"] == 2
    assert second["surprisal_top3"] == 7
    assert second["digit_surprisal_top3"] == 7
    assert second["surprisal_mean_before"] == 2
    assert second["surprisal_mean_change"] == 5
    assert second["digit_max_change"] == 8


def test_columns_have_names() -> None:
    surprisals = Surprisals(np.ones(3, np.float32), np.array([True, False, True]), [1, 2])
    table = feature_table(Solution(PROBLEM, ("a b", "c d")), [0.5, 1.5], surprisals)
    names = feature_names(probe=True, surprisal=True)
    assert table.shape == (2, len(names))
    assert len(set(names)) == len(names)
    assert table[1, names.index("probe")] == 1.5
    assert table[1, names.index("probe_max_before")] == 0.5
    assert Fraction(1, 2) in numbers("0.5")
