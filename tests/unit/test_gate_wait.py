"""Who is sent away at once because the line, going by its pace, is too long."""

from __future__ import annotations

import asyncio

import pytest

from reward_server.edge.gate import Full, Gate, Place
from tests.unit.test_gate import enter, gate, is_empty, line_up


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


async def timed(door: Gate, step_s: float) -> Place:
    """A gate whose line moves once in so many seconds; the place that works."""
    clock = Clock()
    door._pace._clock = clock
    place = await enter(door, "", 0)
    for _ in range(30):
        [waiter] = await line_up(door, "")
        clock.now += step_s
        place.leave()
        place = await waiter
    return place


async def end(place: Place, waiters: list[asyncio.Task[Place]]) -> None:
    place.leave()
    for waiter in asyncio.as_completed(waiters):
        (await waiter).leave()


async def test_a_line_that_is_too_long_lets_nobody_in() -> None:
    door = gate(max_wait_s=10.0)
    place = await timed(door, 3.0)
    waiters = await line_up(door, "", "")
    assert door.wait_s("") == pytest.approx(9.0)
    waiters += await line_up(door, "")
    with pytest.raises(Full, match="max_wait_s") as full:
        door.admit("", 0)
    assert full.value.more_s == pytest.approx(2.0)
    assert not full.value.of_key
    await end(place, waiters)
    assert is_empty(door)


async def test_who_came_while_the_line_was_short_is_asked_again_when_the_body_is_there() -> None:
    door = gate(max_wait_s=10.0)
    place = await timed(door, 3.0)
    late = door.admit("", 7)
    waiters = await line_up(door, "", "", "")
    with pytest.raises(Full, match="max_wait_s"):
        await late.begin()
    assert door.held_bytes == 0
    await end(place, waiters)
    assert is_empty(door)


async def test_somebody_always_waits_so_that_the_pace_is_learnt_again() -> None:
    door = gate(max_wait_s=10.0)
    place = await timed(door, 1000.0)
    waiters = await line_up(door, "")
    assert door.waiting == 1
    with pytest.raises(Full, match="max_wait_s"):
        door.admit("", 0)
    await end(place, waiters)


async def test_without_a_line_nobody_is_sent_away() -> None:
    door = gate(max_wait_s=10.0, max_working=2)
    place = await enter(door, "", 0)
    assert door.wait_s("") == 0
    door.admit("", 0).leave()
    place.leave()


async def test_a_long_line_of_one_key_does_not_stand_in_the_way_of_another() -> None:
    door = gate(max_wait_s=10.0)
    place = await timed(door, 3.0)
    waiters = await line_up(door, "greedy", "greedy", "greedy")
    with pytest.raises(Full, match="max_wait_s"):
        door.admit("greedy", 0)
    assert door.wait_s("other") == pytest.approx(6.0)  # behind one of the other key
    waiters += await line_up(door, "other")
    await end(place, waiters)
    assert is_empty(door)
