"""Which rows ``--limit`` takes."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from eval.benchmarks.draw import draw
from eval.benchmarks.example import Example


def make(subset: str, num_problems: int, rows_of_each: int = 1) -> list[Example]:
    return [
        Example(
            f"{subset}{problem}", ("a",), 0, id=f"{subset}{problem}-{row}", subset=subset, cluster=f"{subset}{problem}"
        )
        for problem in range(num_problems)
        for row in range(rows_of_each)
    ]


ROWS = make("x", 50) + make("y", 6) + make("z", 20, rows_of_each=3)


def names(rows: list[Example]) -> list[str]:
    return [row.id for row in rows]


def test_every_subset_gives_in_turn() -> None:
    assert Counter(row.subset for row in draw(ROWS, 15, 0)) == {"x": 5, "y": 5, "z": 5}
    assert Counter(row.subset for row in draw(ROWS, 3, 0)) == {"x": 1, "y": 1, "z": 1}
    assert Counter(row.subset for row in draw(ROWS, 60, 0))["y"] == 6


def test_the_rows_are_not_the_first_ones_and_keep_their_order() -> None:
    drawn = names(draw(ROWS, 30, 0))
    assert drawn == [name for name in names(ROWS) if name in set(drawn)]
    assert drawn[:6] != names(ROWS)[:6]


@pytest.mark.parametrize("limit", [1, 7, 30, 115])
def test_more_rows_hold_fewer_rows(limit: int) -> None:
    assert len(draw(ROWS, limit, 0)) == limit
    assert set(names(draw(ROWS, limit, 0))) < set(names(draw(ROWS, limit + 1, 0)))


def test_the_seed_and_the_problems_decide_alone() -> None:
    shuffled = random.Random(0).sample(ROWS, len(ROWS))
    problems = [{row.cluster for row in draw(rows, 15, seed)} for rows, seed in ((ROWS, 0), (shuffled, 0), (ROWS, 1))]
    assert {row for row in problems[0] if row[0] == "x"} == {row for row in problems[1] if row[0] == "x"}
    assert problems[0] != problems[2]


def test_whole_problems_but_for_the_last() -> None:
    drawn = Counter(row.cluster for row in draw(make("z", 20, rows_of_each=3), 10, 0))
    assert sorted(drawn.values()) == [1, 3, 3, 3]


def test_without_a_limit_or_with_a_large_one() -> None:
    assert draw(ROWS, None, 0) == draw(ROWS, 1000, 0) == ROWS
