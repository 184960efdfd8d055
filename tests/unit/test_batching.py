"""The batchers, one situation at a time; `test_batching_interleaved` has all the others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from judge.types import Solution, Unscored, UnscoredReason
from reward_server.batching import estimated_tokens
from reward_server.engine.tickets import Overloaded, Result
from tests.unit.batch_judges import FAR, HeldCall, is_idle, name_of, new_metrics, places, solution, token_batcher, turns


async def test_a_free_judge_is_asked_at_once_and_the_next_batch_is_what_came_meanwhile() -> None:
    call = HeldCall()
    batcher = token_batcher(call)
    first = asyncio.create_task(batcher.submit([solution("a")], FAR))
    await turns()
    assert call.names == [["a"]]
    others = [asyncio.create_task(batcher.submit([solution(name)], FAR)) for name in "bcd"]
    await turns()
    assert call.names == [["a"]]
    call.release()
    await turns()
    assert call.names == [["a"], ["b", "c", "d"]]
    call.release_all()
    results = await asyncio.gather(first, *others)
    assert [[name_of(result) for result in part] for part in results] == [["a"], ["b"], ["c"], ["d"]]
    assert is_idle(batcher)


async def test_batches_are_sorted_by_length_within_problems_and_results_are_not() -> None:
    call = HeldCall(held=False)
    batcher = token_batcher(call, max_batch_tokens=1000, max_batch_items=100)
    batch = [
        solution("p-short", 1, "p"),
        solution("q-middle", 5, "q"),
        solution("p-long", 9, "p"),
        solution("q-short", 2, "q"),
    ]
    results = await batcher.submit(batch, FAR)
    assert call.names == [["p-long", "p-short", "q-middle", "q-short"]]
    assert [name_of(result) for result in results] == ["p-short", "q-middle", "p-long", "q-short"]


async def test_the_budget_is_the_longest_times_the_number() -> None:
    call = HeldCall(held=False)
    batcher = token_batcher(call, max_batch_tokens=8, max_batch_items=100)
    await batcher.submit([solution("a", 3), solution("b", 1), solution("c", 1), solution("d", 8)], FAR)
    # a and b cost 2 x 3; with c it would be 9.
    assert call.names == [["a", "b"], ["c"], ["d"]]


async def test_responses_of_a_problem_stay_together_where_they_fit() -> None:
    call = HeldCall(held=False)
    batcher = token_batcher(call, max_batch_tokens=100, max_batch_items=4)
    batch = [solution(f"{problem}{i}", problem=problem) for problem in "pqr" for i in range(3)]
    await batcher.submit(batch, FAR)
    assert [sorted(names) for names in call.names] == [[f"{p}{i}" for i in range(3)] for p in "pqr"]


async def test_what_can_never_fit_is_refused_at_once_and_the_rest_is_judged() -> None:
    registry, metrics = new_metrics()
    call = HeldCall(held=False)
    batcher = token_batcher(call, metrics, max_batch_tokens=8)
    results = await batcher.submit([solution("a"), solution("giant", 9), solution("b", 8)], FAR)
    assert [name_of(result) for result in results] == ["a", None, "b"]
    assert isinstance(results[1], Unscored)
    assert results[1].reason is UnscoredReason.TOO_LONG
    assert "max_batch_tokens" in results[1].message
    assert registry.get_sample_value("sgpo_dropped_items_total", {"why": "too_long"}) == 1


@pytest.mark.parametrize("make", [token_batcher, places])
async def test_a_full_queue_takes_all_or_nothing(make: Any) -> None:
    registry, metrics = new_metrics()
    call = HeldCall()
    batcher = make(call, metrics, max_queued_items=3)
    tickets = batcher.enqueue([solution(name) for name in "abc"], FAR)
    with pytest.raises(Overloaded):
        batcher.enqueue([solution("d")], FAR)
    await turns()
    assert call.names == [["a", "b", "c"]]
    batcher.enqueue([solution("e")], FAR)
    with pytest.raises(Overloaded):
        batcher.enqueue([solution(name) for name in "fgh"], FAR)
    call.release_all()
    await asyncio.wait([ticket.future for ticket in tickets])
    await turns()
    assert "f" not in str(call.names)
    assert registry.get_sample_value("sgpo_dropped_items_total", {"why": "queue_full"}) == 4


@pytest.mark.parametrize("make", [token_batcher, places])
async def test_a_waiter_that_leaves_takes_its_work_out_of_the_queue(make: Any) -> None:
    registry, metrics = new_metrics()
    call = HeldCall()
    batcher = make(call, metrics, **({"max_calls": 1} if make is places else {}))
    stays = asyncio.create_task(batcher.submit([solution("a")], FAR))
    await turns()
    leaves = asyncio.create_task(batcher.submit([solution("b"), solution("c")], FAR))
    await turns()
    assert registry.get_sample_value("sgpo_queue_items") == 2
    leaves.cancel()
    await turns()
    assert registry.get_sample_value("sgpo_queue_items") == 0
    assert registry.get_sample_value("sgpo_dropped_items_total", {"why": "cancelled"}) == 2
    call.release_all()
    await stays
    await turns()
    assert call.names == [["a"]]
    assert is_idle(batcher)


@pytest.mark.parametrize("make", [token_batcher, places])
async def test_a_call_that_nobody_waits_for_is_cancelled_and_others_are_not(make: Any) -> None:
    registry, metrics = new_metrics()
    call = HeldCall()
    batcher = make(call, metrics)
    alone = asyncio.create_task(batcher.submit([solution("a"), solution("b")], FAR))
    await turns()
    assert registry.get_sample_value("sgpo_judge_items_in_flight") == 2
    alone.cancel()
    await turns()
    assert call.cancelled == [0]
    assert registry.get_sample_value("sgpo_judge_items_in_flight") == 0
    tickets = batcher.enqueue([solution("c"), solution("d")], FAR)
    await turns()
    tickets[0].cancel()
    await turns()
    assert call.cancelled == [0]
    call.release_all()
    await asyncio.wait([tickets[1].future])
    assert name_of(tickets[1].future.result()) == "d"


async def test_what_is_past_its_deadline_is_not_judged() -> None:
    registry, metrics = new_metrics()
    call = HeldCall(held=False)
    batcher = token_batcher(call, metrics)
    [ticket] = batcher.enqueue([solution("late")], asyncio.get_running_loop().time())
    await asyncio.wait([ticket.future])
    result = ticket.future.result()
    assert isinstance(result, Unscored)
    assert result.reason is UnscoredReason.JUDGE_TIMEOUT
    assert call.names == []
    assert registry.get_sample_value("sgpo_dropped_items_total", {"why": "deadline"}) == 1


async def test_a_hanging_judge_gives_typed_time_outs_at_the_deadline() -> None:
    call = HeldCall()
    batcher = token_batcher(call)
    results = await batcher.submit([solution("a"), solution("b")], asyncio.get_running_loop().time() + 0.05)
    assert [getattr(result, "reason", None) for result in results] == [UnscoredReason.JUDGE_TIMEOUT] * 2
    await turns()
    assert call.cancelled == [0]
    assert is_idle(batcher)


@pytest.mark.parametrize("make", [token_batcher, places])
async def test_ten_thousand_items_delay_a_single_one_by_two_batches_at_most(make: Any) -> None:
    call = HeldCall()
    batcher = make(call, **({"max_calls": 1} if make is places else {}))
    big = batcher.enqueue([solution(f"big{i}", problem=str(i // 8)) for i in range(10_000)], FAR, "big")
    await turns()
    begun = len(call.batches)
    [small] = batcher.enqueue([solution("small")], FAR, "small")
    for _ in range(2):
        call.release()
        await turns()
    assert "small" in [name for names in call.names[begun : begun + 2] for name in names]
    call.release_all()
    await asyncio.wait([ticket.future for ticket in [*big, small]])


async def test_every_waiting_tenant_is_in_the_next_batch() -> None:
    call = HeldCall()
    batcher = token_batcher(call, max_batch_tokens=100, max_batch_items=4)
    tickets = batcher.enqueue([solution(f"a{i}") for i in range(12)], FAR, "a")
    await turns()
    for tenant in "bcd":
        tickets += batcher.enqueue([solution(f"{tenant}{i}") for i in range(3)], FAR, tenant)
    call.release()
    await turns()
    assert sorted(name[0] for name in call.names[1]) == ["a", "b", "c", "d"]
    call.release_all()
    await asyncio.wait([ticket.future for ticket in tickets])


async def test_a_long_solution_is_not_starved_by_short_ones_of_others() -> None:
    call = HeldCall()
    batcher = token_batcher(call, max_batch_tokens=8, max_batch_items=8)
    tickets = batcher.enqueue([solution(f"short{i}", problem=str(i)) for i in range(100)], FAR, "many")
    await turns()
    tickets += batcher.enqueue([solution("long", 8)], FAR, "one")
    for _ in range(3):
        call.release()
        await turns()
    assert ["long"] in call.names[:4]
    call.release_all()
    await asyncio.wait([ticket.future for ticket in tickets])


async def test_places_are_so_many_calls_of_what_was_asked_together() -> None:
    call = HeldCall()
    batcher = places(call, max_calls=3, max_batch_items=4)
    tickets = [
        ticket
        for part in range(5)
        for ticket in batcher.enqueue([solution(f"{part}-{i}", problem=str(i)) for i in range(6)], FAR)
    ]
    await turns()
    assert [len(batch) for batch in call.batches] == [4, 2, 4]
    call.release_all()
    await asyncio.wait([ticket.future for ticket in tickets])
    assert call.most == 3
    assert all(len({name.split("-")[0] for name in names}) == 1 for names in call.names)


async def test_closing_ends_what_waits_and_what_runs() -> None:
    call = HeldCall()
    batcher = token_batcher(call, max_batch_items=1)
    waiting = asyncio.create_task(batcher.submit([solution("a"), solution("b")], FAR))
    await turns()
    await batcher.aclose()
    results = [*await waiting, *await batcher.submit([solution("c")], FAR)]
    assert [getattr(result, "reason", None) for result in results] == [UnscoredReason.JUDGE_UNAVAILABLE] * 3
    assert call.cancelled == [0]


def test_tokens_are_estimated_from_all_that_is_read() -> None:
    assert estimated_tokens(Solution("abc", ("defg", "h"), reference_solution="ijk")) == 4
    assert estimated_tokens(Solution("", ("a",))) == 1


async def test_a_call_that_is_ended_before_it_began_leaves_nobody_waiting() -> None:
    call = HeldCall()
    batcher = token_batcher(call)
    tickets = batcher.enqueue([solution("a")], FAR)
    batcher._pump()
    await batcher.aclose()
    assert call.names == []
    assert isinstance(tickets[0].future.result(), Unscored)
    assert is_idle(batcher)


async def test_a_call_that_raises_all_the_same_is_unscored() -> None:
    async def broken(batch: Sequence[Solution]) -> list[Result]:
        raise RuntimeError

    batcher = token_batcher(broken)
    results = await batcher.submit([solution("a"), solution("b")], FAR)
    assert [getattr(result, "reason", None) for result in results] == [UnscoredReason.JUDGE_UNAVAILABLE] * 2
    assert is_idle(batcher)
