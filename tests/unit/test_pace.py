"""How fast a line moves: values by hand, on a clock of the test's own."""

from __future__ import annotations

from itertools import pairwise

import pytest

from reward_server.edge.pace import WEIGHT, Pace


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_nothing_is_known_before_the_first_turn(clock: Clock) -> None:
    pace = Pace(60, clock)
    pace.begins()
    assert pace.wait_s(1000) == 0


def test_the_first_turns_give_their_mean(clock: Clock) -> None:
    pace = Pace(60, clock)
    pace.begins()
    for seconds in (0.1, 0.5, 0.0):
        clock.now += seconds
        pace.moves()
    assert pace.wait_s(0) == pytest.approx(0.2)
    assert pace.wait_s(9) == pytest.approx(2.0)


def test_later_turns_weigh_the_same_each_and_the_old_ones_fade(clock: Clock) -> None:
    pace = Pace(60, clock)
    pace.begins()
    steps = []
    for _ in range(200):
        clock.now += 1.0
        pace.moves()
    for _ in range(10):
        steps.append(pace.wait_s(0))
        clock.now += 3.0
        pace.moves()
    assert all(new == pytest.approx(old + (3.0 - old) * WEIGHT) for old, new in pairwise(steps))


def test_time_without_a_line_does_not_count(clock: Clock) -> None:
    pace = Pace(60, clock)
    pace.begins()
    clock.now += 2.0
    pace.moves()
    clock.now += 50.0
    pace.begins()
    clock.now += 2.0
    pace.moves()
    assert pace.wait_s(0) == pytest.approx(2.0)


def test_what_was_long_ago_is_forgotten(clock: Clock) -> None:
    pace = Pace(60, clock)
    pace.begins()
    clock.now += 30.0
    pace.moves()
    clock.now += 61.0
    assert pace.wait_s(0) == pytest.approx(30.0)
    pace.begins()
    assert pace.wait_s(0) == 0
