"""A judge call under a test's control: it waits to be let go, and its verdicts tell whose they are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from prometheus_client import CollectorRegistry

from judge.types import Solution, Verdict
from reward_server.batching import Places, TokenBudgetBatcher
from reward_server.engine.dispatcher import Dispatcher
from reward_server.engine.metrics import EngineMetrics
from reward_server.engine.tickets import Result

FAR = 1e9
"""A deadline that no test waits for."""


def solution(name: str, cost: int = 1, problem: str = "p") -> Solution:
    """A solution that ``cost_of`` finds to be of so many tokens."""
    return Solution(problem, (name, "x" * cost))


def cost_of(one: Solution) -> int:
    return len(one.steps[1])


def name_of(result: Result) -> str | None:
    return result.critique if isinstance(result, Verdict) else None


class HeldCall:
    """Batches in the order in which they were called for; each waits until it is let go."""

    def __init__(self, *, held: bool = True) -> None:
        self.batches: list[list[Solution]] = []
        self.cancelled: list[int] = []
        self.now = self.most = 0
        self._held = held
        self._gates: list[asyncio.Event] = []

    async def __call__(self, batch: Sequence[Solution]) -> list[Result]:
        number = len(self.batches)
        self.batches.append(list(batch))
        self._gates.append(asyncio.Event())
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if self._held:
                await self._gates[number].wait()
            return [Verdict(0, "held", critique=one.steps[0]) for one in batch]
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        finally:
            self.now -= 1

    def release(self) -> None:
        """Let the first call go that still waits."""
        gate = next((gate for gate in self._gates if not gate.is_set()), None)
        if gate is not None:
            gate.set()

    def release_all(self) -> None:
        self._held = False
        for gate in self._gates:
            gate.set()

    @property
    def names(self) -> list[list[str]]:
        return [[one.steps[0] for one in batch] for batch in self.batches]


def new_metrics() -> tuple[CollectorRegistry, EngineMetrics]:
    registry = CollectorRegistry()
    return registry, EngineMetrics(registry)


def token_batcher(call: Any, metrics: EngineMetrics | None = None, **changes: int) -> TokenBudgetBatcher:
    bounds = {"max_batch_tokens": 8, "max_batch_items": 4, "max_queued_items": 100_000} | changes
    return TokenBudgetBatcher(call, metrics or new_metrics()[1], lambda: "held", count_tokens=cost_of, **bounds)


def places(call: Any, metrics: EngineMetrics | None = None, **changes: int) -> Places:
    bounds = {"max_calls": 2, "max_batch_items": 4, "max_queued_items": 100_000} | changes
    return Places(call, metrics or new_metrics()[1], lambda: "held", **bounds)


async def turns(count: int = 5) -> None:
    """Let everything run that can."""
    for _ in range(count):
        await asyncio.sleep(0)


def is_idle(batcher: Dispatcher) -> bool:
    return not batcher._queue and not batcher._running and not batcher._calls
