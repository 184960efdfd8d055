"""Reading worked solutions, and carrying a change through them: what comes out, word for word."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.data.labels.carry import Change, Number, Refused, carry
from judge.data.labels.slips import misread, slipped_result
from judge.data.labels.style import merge_steps
from judge.data.labels.worked import read_step
from judge.data.labels.written_numbers import given_values, write_like

EGGS = (
    "She has 3 * 4 = <<3*4=12>>12 eggs.",
    "With those 12 eggs and 5 more she has 12 + 5 = <<12+5=17>>17.",
    "At $2 each she gets 17 x $2 = $<<17*2=34>>34.",
)


def carried(
    steps: tuple[str, ...], change: Change, answer: Number, named: set[Number] = frozenset(), marks: bool = False
) -> list[str]:  # type: ignore[assignment]
    return list(carry([read_step(s) for s in steps], frozenset(named), answer, change, keep_marks=marks).steps)


def place(steps: tuple[str, ...], step: int, text: str) -> tuple[int, int]:
    return step, read_step(steps[step]).text.index(text)


def test_a_wrong_result_is_carried_through_prose_and_calculations() -> None:
    change = Change(0, results={place(EGGS, 0, "12"): 13})
    assert carried(EGGS, change, 34, {3, 4, 5, 2}) == [
        "She has 3 * 4 = 13 eggs.",
        "With those 13 eggs and 5 more she has 13 + 5 = 18.",
        "At $2 each she gets 18 x $2 = $36.",
    ]


def test_marks_are_written_anew() -> None:
    change = Change(1, results={place(EGGS, 1, "17"): 18})
    assert carried(EGGS, change, 34, {3, 4, 5, 2}, marks=True) == [
        EGGS[0],
        "With those 12 eggs and 5 more she has 12 + 5 = <<12+5=18>>18.",
        "At $2 each she gets 18 x $2 = $<<18*2=36>>36.",
    ]


def test_an_operand_and_a_sign() -> None:
    other = Change(1, operands={place(EGGS, 1, "5 ="): 4})
    assert carried(EGGS, other, 34)[1:] == [
        "With those 12 eggs and 5 more she has 12 + 4 = 16.",
        "At $2 each she gets 16 x $2 = $32.",
    ]
    minus = Change(1, signs={place(EGGS, 1, "+"): "-"})
    assert carried(EGGS, minus, 34)[1] == "With those 12 eggs and 5 more she has 12 - 5 = 7."


def test_a_misread_number_is_misread_from_there_on() -> None:
    steps = ("Tom has 20 cards.", "Of the 20 cards each of 4 gets some: 20 / 4 = 5.", "So 20 - 5 = 15 are left.")
    assert carried(steps, Change(0, values={20: 28}), 15, {20, 4}) == [
        "Tom has 28 cards.",
        "Of the 28 cards each of 4 gets some: 28 / 4 = 7.",
        "So 28 - 7 = 21 are left.",
    ]


def test_a_dropped_step_moves_the_label() -> None:
    steps = ("A has 3 + 4 = 7.", "B has 2 + 4 = 6.", "Now C: 6 + 1 = 7 too.", "All have 3 * 6 = 18.")
    result = carry(
        [read_step(s) for s in steps], frozenset({3, 4}), 18, Change(3, values={6: 2}, dropped=1), keep_marks=False
    )
    assert result.steps == ("A has 3 + 4 = 7.", "Now C: 6 + 1 = 7 too.", "All have 3 * 2 = 6.")
    assert (result.label, result.answer) == (2, 6)


def test_a_calculation_that_only_the_mark_holds() -> None:
    steps = ("He earns <<5*10=50>>50 dollars.", "After tax he has <<50*.8=40>>40 dollars.")
    assert carried(steps, Change(0, results={place(steps, 0, "50"): 60}), 40) == [
        "He earns 60 dollars.",
        "After tax he has 48 dollars.",
    ]


REFUSED = [
    # 5 is the problem's as well: which one is meant later?
    (("He has 2 + 3 = 5.", "Then 5 * 4 = 20."), {2, 3, 4, 5}, 20, "unclear number"),
    # Two results of 5, one of them changed.
    (("He has 2 + 3 = 5.", "She has 1 + 4 = 5.", "Then 5 * 4 = 20."), set(), 20, "unclear number"),
    (
        ("He has 2 + 3 = 5.", "Each of 2 gets 5 / 3 = 1.67.", "Then 5x = 20.", "So 4 * 5 = 20."),
        set(),
        20,
        "unread equation",
    ),
    (("He has 2 + 3 = 5.", "In week 2:5 he has 5 * 4 = 20."), set(), 20, "unread number"),
    (("He has 2 + 3 = 5.", "Others have 4 + 4 = 8."), set(), 8, "answer unchanged"),
    (("He has 2 + 3 = 5.", "He gives 5 - 5 = 0 away.", "So 5 * 4 = 20."), set(), 20, ""),
    (("He has 2 + 3 = 5.", "Then 16 / 5 = 3.2.", "Or 3.2 + 1 = 4.2."), set(), Fraction(21, 5), "odd number"),
    (("He has 2 + 3 = 5.", "Then 10 / 5 = 2."), set(), 2, "odd number"),
]


@pytest.mark.parametrize(("steps", "named", "answer", "reason"), REFUSED)
def test_what_does_not_hang_together_is_refused(
    steps: tuple[str, ...], named: set[Number], answer: Number, reason: str
) -> None:
    change = Change(0, results={place(steps, 0, "5"): 6})
    if reason:
        with pytest.raises(Refused, match=reason):
            carried(steps, change, answer, named)
    else:
        assert carried(steps, change, answer, named)[0] == "He has 2 + 3 = 6."


def test_other_readings_of_a_result() -> None:
    """A percentage written as a number, a rounded result, a chain, LaTeX, and a mark that says nothing."""
    for raw, results in {
        "5 / 20 * 100 = 25%": [25],
        "20% of 50 is 10": [10],
        "100 / 3 = <<100/3=33.33>>33.33": [Fraction(3333, 100)],
        "2 * 3 + 4 = 6 + 4 = 10": [10],
        r"$\frac{1}{2} \cdot 14 = 7$": [7],
        "x is <<1440=1440>>1440": [],
        "3 + 4 = 8": [],
        "5x = 20": [],
    }.items():
        assert [d.result.value for d in read_step(raw).derivations] == results, raw
    assert read_step("5x = 20").unread
    assert not read_step("7 bags/page * 6 pages = <<7*6=42>>42 bags").unread


@pytest.mark.parametrize(
    ("written", "value", "new"),
    [
        ("12", 13, "13"),
        ("1,148", 996, "996"),
        ("1,148", 12960, "12,960"),
        ("3.50", 4, "4.00"),
        ("3.5", 4, "4"),
        (".5", Fraction(1, 4), ".25"),
        ("35.00", Fraction(235, 2), "117.50"),
        ("7", Fraction(9, 4), "2.25"),
        ("7", Fraction(1, 3), None),
        ("7", 0, None),
        ("7", -1, None),
        ("half", 2, None),
        ("7", 10**9, None),
    ],
)
def test_writing_a_number_like_another(written: str, value: Number, new: str | None) -> None:
    assert write_like(written, value) == new


def test_numbers_of_a_problem() -> None:
    problem = "Two boys share 1,200 marbles; each of the 3 girls has $2.50, twice as much as before."
    assert sorted(given_values(problem)) == [2, 2, Fraction(5, 2), 3, 1200]


@given(st.fractions(Fraction(1, 100), 10**6, max_denominator=100), st.integers())
def test_a_slip_is_another_positive_number(value: Fraction, seed: int) -> None:
    for way in (slipped_result, misread):
        wrong = way(value, random.Random(seed))
        assert wrong is None or (wrong > 0 and wrong != value)
        assert value.denominator != 1 or wrong is None or Fraction(wrong).denominator == 1


@given(st.lists(st.integers(0, 99), min_size=1, max_size=12), st.data())
def test_merging_keeps_the_text_and_the_first_error(numbers: list[int], data: st.DataObject) -> None:
    steps = [f"Step {index} says {number}." for index, number in enumerate(numbers)]
    label = data.draw(st.integers(-1, len(steps) - 1))
    probability, at_most = data.draw(st.floats(0, 1)), data.draw(st.integers(1, 4))
    merged, new = merge_steps(steps, label, probability, at_most, random.Random(data.draw(st.integers())))
    assert " ".join(merged) == " ".join(steps)
    assert max(step.count("says") for step in merged) <= at_most
    assert (new == -1) == (label == -1)
    if label >= 0:
        assert steps[label] in merged[new]
    if probability == 0:
        assert (merged, new) == (steps, label)
    if probability == 1:
        assert len(merged) == -(-len(steps) // at_most)
