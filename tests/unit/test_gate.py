"""The line before the server: bounds that hold at every moment, turns that are fair, places that all come back."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from reward_server.edge.gate import Full, Gate, GateLimits, Gone, Place


def gate(**changes: Any) -> Gate:
    limits = {"max_working": 1, "max_waiting": 100, "max_bytes": 1000, "max_share": 1.0, "max_wait_s": 60.0}
    return Gate(GateLimits(**limits | changes))


async def enter(door: Gate, tenant: str, num_bytes: int, gone: asyncio.Future[None] | None = None) -> Place:
    place = door.admit(tenant, num_bytes)
    await place.begin(gone)
    return place


async def line_up(gate: Gate, *tenants: str) -> list[asyncio.Task[Place]]:
    """One waiter for each, in that order."""
    tasks = []
    for tenant in tenants:
        tasks.append(asyncio.create_task(enter(gate, tenant, 0)))
        await asyncio.sleep(0)
    return tasks


def is_empty(gate: Gate) -> bool:
    counts = (gate.receiving, gate.working, gate.waiting, gate.parked, gate.held_bytes)
    return counts == (0, 0, 0, 0, 0) and not gate._lines and not gate._of_tenant


async def test_the_bound_holds_and_the_rest_wait_in_order() -> None:
    door = gate()
    first = await enter(door, "", 0)
    second, third = await line_up(door, "", "")
    assert (door.working, door.waiting) == (1, 2)
    first.leave()
    place = await second
    assert (door.working, door.waiting, third.done()) == (1, 1, False)
    place.leave()
    (await third).leave()
    assert is_empty(door)


async def test_beyond_the_line_there_is_no_room() -> None:
    door = gate(max_working=2, max_waiting=1)
    places = [await enter(door, "", 0), await enter(door, "", 0)]
    [waiting] = await line_up(door, "")
    with pytest.raises(Full, match="max_waiting_requests"):
        await enter(door, "", 0)
    assert door.total == 3
    places[0].leave()
    places.append(await waiting)
    for place in places:
        place.leave()
    assert is_empty(door)


async def test_a_newcomer_does_not_overtake_the_line() -> None:
    door = gate()
    first = await enter(door, "", 0)
    [waiting] = await line_up(door, "")
    first.leave()
    [newcomer] = await line_up(door, "")
    assert (await waiting) is not None
    assert not newcomer.done()
    newcomer.cancel()


async def test_keys_take_turns_whatever_their_lines_hold() -> None:
    door = gate()
    place = await enter(door, "many", 0)
    tasks = await line_up(door, "many", "many", "many", "few", "other")
    order = []
    for _ in tasks:
        place.leave()
        await asyncio.sleep(0)
        [task] = [task for task in tasks if task.done() and task not in order]
        order.append(task)
        place = task.result()
    assert [tasks.index(task) for task in order] == [0, 3, 4, 1, 2]


async def test_bodies_are_bounded_but_a_lone_one_passes() -> None:
    door = gate(max_working=9)
    large = await enter(door, "", 5000)
    with pytest.raises(Full, match="max_held_body_bytes"):
        await enter(door, "", 1)
    large.leave()
    small = await enter(door, "", 1000)
    with pytest.raises(Full, match="max_held_body_bytes"):
        await enter(door, "", 1)
    small.leave()
    assert is_empty(door)


async def test_one_key_has_no_more_than_its_share() -> None:
    door = gate(max_working=10, max_waiting=10, max_share=0.1)
    places = [await enter(door, "greedy", 0), await enter(door, "greedy", 0)]
    with pytest.raises(Full, match="max_share_per_key") as full:
        await enter(door, "greedy", 0)
    assert full.value.of_key
    places.append(await enter(door, "other", 0))
    for place in places:
        place.leave()
    assert is_empty(door)


async def test_whoever_waits_too_long_is_sent_away() -> None:
    door = gate(max_wait_s=0.01)
    place = await enter(door, "", 0)
    with pytest.raises(Full, match="max_wait_s"):
        await enter(door, "", 7)
    assert (door.waiting, door.held_bytes) == (0, 0)
    place.leave()
    assert is_empty(door)


async def test_whoever_hangs_up_loses_the_place_in_line_at_once() -> None:
    door = gate()
    place = await enter(door, "", 0)
    gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(enter(door, "", 7, gone))
    await asyncio.sleep(0)
    gone.set_result(None)
    with pytest.raises(Gone):
        await waiting
    assert (door.waiting, door.held_bytes) == (0, 0)
    place.leave()
    assert is_empty(door)


async def test_a_parked_request_lets_the_next_one_work_and_still_counts() -> None:
    door = gate(max_waiting=1)
    parked = await enter(door, "", 0)
    parked.park()
    parked.park()
    working = await enter(door, "", 0)
    assert (door.working, door.parked, door.total) == (1, 1, 2)
    with pytest.raises(Full, match="max_waiting_requests"):
        await enter(door, "", 0)
    parked.leave()
    parked.leave()
    working.leave()
    assert is_empty(door)


async def test_a_body_on_its_way_keeps_nobody_from_working_and_still_counts() -> None:
    door = gate(max_waiting=2)
    slow = [door.admit("", 10), door.admit("", 10)]
    quick = await enter(door, "", 10)
    assert (door.receiving, door.working, door.held_bytes) == (2, 1, 30)
    with pytest.raises(Full, match="max_waiting_requests"):
        door.admit("", 0)
    for place in (*slow, quick, *slow):
        place.leave()
    assert is_empty(door)


async def test_a_turn_that_comes_as_its_owner_is_cancelled_is_passed_on() -> None:
    door = gate()
    place = await enter(door, "", 0)
    first, second = await line_up(door, "", "")
    place.leave()  # hands the place to `first` ...
    first.cancel()  # ... which has not run since
    (await second).leave()
    assert is_empty(door)


@pytest.mark.parametrize("seed", range(20))
async def test_no_order_of_events_overshoots_or_loses_a_place(seed: int) -> None:
    rng = random.Random(seed)
    door = gate(max_working=3, max_waiting=5, max_bytes=40, max_share=0.8)
    tasks: list[asyncio.Task[None]] = []

    async def visit() -> None:
        try:
            place = door.admit(rng.choice("abc"), rng.randrange(12))
        except Full:
            return
        try:
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0)
            await place.begin()
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(0)
                if rng.random() < 0.3:
                    place.park()
        finally:
            place.leave()

    for _ in range(300):
        tasks.append(asyncio.create_task(visit()))
        if rng.random() < 0.3:
            rng.choice(tasks).cancel()
        await asyncio.sleep(0)
        assert door.working <= 3
        assert door.total <= 8
        assert door.held_bytes <= 40
    await asyncio.gather(*tasks, return_exceptions=True)
    assert is_empty(door)
