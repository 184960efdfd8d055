"""PRMScore against PRMBench's own counting, written out, and scikit-learn's F1; random flags by all patterns."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
from sklearn.metrics import f1_score

from eval import prm_score
from eval.judged import JudgedRow


def make_row(num_steps: int, wrong: tuple[int, ...], flagged: tuple[int, ...] | None, subset: str = "x") -> JudgedRow:
    return JudgedRow(
        "p", min(wrong, default=-1), num_steps, None, subset=subset, wrong_steps=wrong, flagged_steps=flagged
    )


def figures_of(rows: list[JudgedRow]) -> dict[str, float]:
    found = prm_score.figures(prm_score.counts(rows).sum(axis=0))
    return {name: float(value) for name, value in found.items()}


def published(rows: list[JudgedRow]) -> tuple[float, float]:
    """F1 and negative F1 as upstream's task counts them: positive is a right step, over all steps together."""
    tp = fp = tn = fn = 0
    for row in rows:
        for step in range(row.num_steps):
            said_right = step not in (row.flagged_steps or ())
            if step in (row.wrong_steps or ()):
                fp, tn = fp + said_right, tn + (not said_right)
            else:
                tp, fn = tp + said_right, fn + (not said_right)
    precision, recall = tp / (tp + fp), tp / (tp + fn)
    negative_precision, negative_recall = tn / (tn + fn), tn / (tn + fp)
    return (
        2 * precision * recall / (precision + recall),
        2 * negative_precision * negative_recall / (negative_precision + negative_recall),
    )


def random_rows(seed: int) -> list[JudgedRow]:
    rng = random.Random(seed)

    def some(num_steps: int) -> tuple[int, ...]:
        return tuple(step for step in range(num_steps) if rng.random() < 0.4)

    return [make_row(n := rng.randint(2, 8), some(n), some(n)) for _ in range(30)]


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_the_published_counting_and_scikit_learn(seed: int) -> None:
    rows = random_rows(seed)
    found = figures_of(rows)
    positive, negative = published(rows)
    assert found["step_f1"] == pytest.approx(positive)
    assert found["step_negative_f1"] == pytest.approx(negative)
    assert found["prm_score"] == pytest.approx((positive + negative) / 2)
    truth = [step in (row.wrong_steps or ()) for row in rows for step in range(row.num_steps)]
    said = [step in (row.flagged_steps or ()) for row in rows for step in range(row.num_steps)]
    assert found["prm_score"] == pytest.approx(f1_score(truth, said, average="macro"))


def test_by_hand() -> None:
    # right steps: 0 1 4 of the first, 0 1 of the second; said wrong: 2 4 of the first, none of the second
    found = figures_of([make_row(5, (2, 3), (2, 4)), make_row(2, (), ())])
    assert found["step_f1"] == 2 * 4 / (2 * 4 + 1 + 1)
    assert found["step_negative_f1"] == 2 * 1 / (2 * 1 + 1 + 1)
    assert found["prm_score"] == pytest.approx((0.8 + 0.5) / 2)


def test_a_judge_that_finds_nothing_has_no_negative_f1_at_all() -> None:
    found = figures_of([make_row(4, (3,), ())])
    assert (found["step_f1"], found["step_negative_f1"], found["prm_score"]) == (6 / 7, 0.0, 3 / 7)


def test_rows_without_wrong_steps() -> None:
    multi = figures_of([make_row(4, (), (1,), subset="multi_solutions")])
    assert (multi["step_f1"], multi["prm_score"]) == (6 / 7, 6 / 7)
    assert math.isnan(multi["step_negative_f1"])
    other = figures_of([make_row(4, (), (1,))])
    assert math.isnan(other["prm_score"])
    mixed = figures_of([make_row(4, (), (1,), subset="multi_solutions"), make_row(2, (0, 1), (0,))])
    assert mixed["prm_score"] == pytest.approx((2 * 3 / (2 * 3 + 1 + 1) + 2 * 1 / (2 * 1 + 1 + 1)) / 2)


def test_only_wrong_steps_have_no_f1() -> None:
    found = figures_of([make_row(2, (0, 1), (0,))])
    assert math.isnan(found["step_f1"])
    assert found["step_negative_f1"] == pytest.approx(2 / 3)


def test_rows_without_a_verdict_are_left_out() -> None:
    rows = [make_row(5, (2, 3), (2, 4)), make_row(2, (), ())]
    assert figures_of([*rows, make_row(6, (1,), None)]) == figures_of(rows)
    assert all(math.isnan(value) for value in figures_of([make_row(6, (1,), None)]).values())


def test_a_flag_beyond_the_last_step_is_none() -> None:
    assert figures_of([make_row(3, (1,), (1, 3))]) == figures_of([make_row(3, (1,), (1,))])


def test_random_flags_are_the_mean_over_all_patterns() -> None:
    rate, row = 0.3, make_row(4, (1, 2), None)
    expected = np.zeros(5)
    for flags in itertools.product((False, True), repeat=4):
        chance = math.prod(rate if flag else 1 - rate for flag in flags)
        flagged = tuple(step for step, flag in enumerate(flags) if flag)
        expected += chance * prm_score.counts([make_row(4, (1, 2), flagged)])[0]
    found = prm_score.random_flag_sums([row], np.array([rate, 0.9]))
    np.testing.assert_allclose(found[0], expected)
