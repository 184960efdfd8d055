"""Equal work in flight is done once, and nobody's leaving harms the others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.types import Unscored, UnscoredReason, Verdict
from reward_server.engine.single_flight import SingleFlight
from reward_server.engine.tickets import Overloaded, Ticket
from tests.unit.batch_judges import solution


class Work:
    """Begins tickets, and remembers for which keys."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.tickets: dict[str, Ticket] = {}

    def join(self, flights: SingleFlight, keys: Sequence[str], deadline: float = 1.0) -> list[Ticket]:
        def begin(indices: Sequence[int]) -> list[Ticket]:
            return [self.begin(keys[index], deadline) for index in indices]

        return flights.join(keys, deadline, begin)

    def begin(self, key: str, deadline: float) -> Ticket:
        self.begun.append(key)
        future = asyncio.get_running_loop().create_future()
        self.tickets[key] = Ticket(solution(key), 1, deadline, "", None, 0.0, future)
        return self.tickets[key]


async def test_equal_keys_share_a_ticket_within_a_batch_and_between_batches() -> None:
    flights, work = SingleFlight(), Work()
    first = work.join(flights, ["a", "b", "a"])
    second = work.join(flights, ["b", "c"], deadline=5.0)
    assert work.begun == ["a", "b", "c"]
    assert first[0] is first[2]
    assert second[0] is first[1]
    assert first[1].deadline == 5.0
    assert first[0].deadline == 1.0


async def test_the_last_waiter_that_leaves_cancels() -> None:
    flights, work = SingleFlight(), Work()
    first, second = work.join(flights, ["a"]), work.join(flights, ["a"])
    flights.leave(["a"], first)
    assert not work.tickets["a"].future.cancelled()
    flights.leave(["a"], second)
    assert work.tickets["a"].future.cancelled()
    assert len(flights) == 0
    work.join(flights, ["a"])
    assert work.begun == ["a", "a"]


async def test_a_finished_verdict_is_handed_on_and_a_failure_is_not() -> None:
    flights, work = SingleFlight(), Work()
    first = work.join(flights, ["good", "bad"])
    first[0].future.set_result(Verdict(0, "j"))
    first[1].future.set_result(Unscored(UnscoredReason.JUDGE_TIMEOUT, "", "j"))
    second = work.join(flights, ["good", "bad"])
    assert second[0] is first[0]
    assert second[1] is not first[1]
    flights.leave(["good", "bad"], first)
    assert not second[1].future.cancelled()
    flights.leave(["good", "bad"], second)
    assert second[1].future.cancelled()


async def test_nothing_is_joined_when_the_work_cannot_begin() -> None:
    flights, work = SingleFlight(), Work()
    work.join(flights, ["a"])

    def full(_: Sequence[int]) -> list[Ticket]:
        raise Overloaded(1, 1, 1)

    with pytest.raises(Overloaded):
        flights.join(["a", "b"], 1.0, full)
    flights.leave(["a"], [work.tickets["a"]])
    assert len(flights) == 0


@given(st.lists(st.tuples(st.sampled_from(["join", "leave", "end"]), st.integers(0, 9), st.sampled_from("abc"))))
async def test_no_sequence_leaves_a_flight_behind_or_cancels_one_that_is_wanted(
    moves: list[tuple[str, int, str]],
) -> None:
    flights, work = SingleFlight(), Work()
    waiting: list[tuple[str, Ticket]] = []
    for move, number, key in moves:
        if move == "join":
            waiting.append((key, work.join(flights, [key])[0]))
        elif move == "leave" and waiting:
            left, ticket = waiting.pop(number % len(waiting))
            flights.leave([left], [ticket])
        elif move == "end" and key in work.tickets and not work.tickets[key].future.done():
            work.tickets[key].future.set_result(Verdict(0, "j"))
        assert all(not ticket.future.cancelled() for _, ticket in waiting)
    for key, ticket in waiting:
        flights.leave([key], [ticket])
    assert len(flights) == 0
    assert all(ticket.future.done() for ticket in work.tickets.values())
