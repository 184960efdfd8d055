"""Any order of submits, cancellations, deadlines and answers: nothing lost, nothing swapped, no budget exceeded."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge.types import Unscored, UnscoredReason, Verdict
from reward_server.engine.dispatcher import Dispatcher
from tests.unit.batch_judges import FAR, HeldCall, cost_of, is_idle, name_of, places, solution, token_batcher, turns

MAX_TOKENS, MAX_ITEMS = 12, 4

submits = st.tuples(
    st.just("submit"),
    st.sampled_from(["ann", "bob", "cat"]),
    st.lists(st.tuples(st.integers(1, 14), st.sampled_from("pq")), min_size=1, max_size=7),
    st.sampled_from(["far", "far", "far", "past", "soon"]),
)
events = st.one_of(
    submits,
    submits,
    st.tuples(st.just("release")),
    st.tuples(st.just("turn")),
    st.tuples(st.just("cancel"), st.integers(0, 30)),
)


@dataclass
class Asked:
    names: list[str]
    costs: list[int]
    task: asyncio.Task[list[Any]]
    cancelled: bool = False


@dataclass
class Play:
    """Replays events on a batcher."""

    batcher: Dispatcher
    call: HeldCall
    asked: list[Asked] = field(default_factory=list)

    async def run(self, events: list[Any]) -> None:
        for number, (kind, *details) in enumerate(events):
            if kind == "submit":
                self.submit(number, *details)
            elif kind == "release":
                self.call.release()
            elif kind == "cancel" and self.asked:
                victim = self.asked[details[0] % len(self.asked)]
                victim.cancelled = victim.task.cancel() or victim.cancelled
            await asyncio.sleep(0)
        await turns()
        self.call.release_all()
        await asyncio.wait([asked.task for asked in self.asked] or [asyncio.ensure_future(turns())])
        await turns()

    def submit(self, number: int, tenant: str, items: list[tuple[int, str]], deadline: str) -> None:
        loop = asyncio.get_running_loop()
        until = {"far": FAR, "past": loop.time(), "soon": loop.time() + 0.002}[deadline]
        batch = [solution(f"{number}-{i}", cost, problem) for i, (cost, problem) in enumerate(items)]
        task = asyncio.create_task(self.batcher.submit(batch, until, tenant))
        self.asked.append(Asked([one.steps[0] for one in batch], [cost_of(one) for one in batch], task))


@pytest.mark.parametrize("kind", ["tokens", "places"])
@settings(max_examples=150)
@given(events=st.lists(events, max_size=30))
def test_every_interleaving_keeps_the_contract(kind: str, events: list[Any]) -> None:
    async def play() -> Play:
        call = HeldCall()
        if kind == "tokens":
            batcher: Dispatcher = token_batcher(call, max_batch_tokens=MAX_TOKENS, max_batch_items=MAX_ITEMS)
        else:
            batcher = places(call, max_calls=2, max_batch_items=MAX_ITEMS)
        one = Play(batcher, call)
        await one.run(events)
        assert is_idle(batcher)
        return one

    done = asyncio.run(play())
    limit = MAX_TOKENS if kind == "tokens" else 10**9
    judged = [name for names in done.call.names for name in names]
    assert len(judged) == len(set(judged))
    assert done.call.most <= (1 if kind == "tokens" else 2)
    for batch in done.call.batches:
        assert 1 <= len(batch) <= MAX_ITEMS
        assert max(map(cost_of, batch)) * len(batch) <= limit
    for asked in done.asked:
        if asked.task.cancelled():
            assert asked.cancelled
            continue
        results = asked.task.result()
        assert len(results) == len(asked.names)
        for name, cost, result in zip(asked.names, asked.costs, results, strict=True):
            if isinstance(result, Verdict):
                assert name_of(result) == name
                assert name in judged
            else:
                assert isinstance(result, Unscored)
                expected = UnscoredReason.TOO_LONG if cost > limit else UnscoredReason.JUDGE_TIMEOUT
                assert result.reason is expected
