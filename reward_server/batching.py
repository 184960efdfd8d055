"""From single solutions to judge calls. Pure asyncio: no HTTP, no timer.

Whenever the judge is free it gets what is waiting: nobody waits for a batch to fill up. Two ways, one interface:

- `TokenBudgetBatcher` for a judge that runs its own model: one call at a time, as many solutions as a budget holds;
- `Places` for a judge that batches by itself, such as a remote inference server: so many calls at a time, each with
  what one caller asked together.

A solution whose waiter has gone (cancelled, or past its deadline) is not judged; a call that nobody waits for any more
is cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from judge.types import Solution
from reward_server.engine.dispatcher import Call, Counter, Dispatcher, Shape
from reward_server.engine.metrics import EngineMetrics
from reward_server.engine.tickets import Result, Ticket

CHARS_PER_TOKEN = 3
"""Fewer than most tokenizers need for English and mathematics (about 4), so that a budget is seldom exceeded."""


class Batcher(Protocol):
    """Where solutions are handed in to be judged."""

    def enqueue(self, solutions: Sequence[Solution], deadline: float, tenant: str = "") -> list[Ticket]:
        """Queue solutions, all or none; one ticket for each, in order.

        Args:
            solutions: of one problem or of several.
            deadline: on the event loop's clock; what has not begun by then is dropped.
            tenant: whose work it is; tenants take turns.

        Raises:
            Overloaded: when the queue has no room for all of them.
        """
        ...

    async def submit(self, solutions: Sequence[Solution], deadline: float, tenant: str = "") -> list[Result]:
        """Queue solutions and wait; results in order, `judge_timeout` for what is not judged by the deadline.

        Raises:
            Overloaded: as `enqueue`.
        """
        ...

    async def aclose(self) -> None:
        """End all calls; what still waits is unscored (`judge_unavailable`)."""
        ...


def estimated_tokens(solution: Solution) -> int:
    """Characters of problem, steps and reference solution, divided by 3 and rounded up.

    >>> estimated_tokens(Solution("1+1?", ("It is 2.",)))
    4
    """
    num_chars = len(solution.problem) + sum(map(len, solution.steps)) + len(solution.reference_solution or "")
    return -(-num_chars // CHARS_PER_TOKEN)


class TokenBudgetBatcher(Dispatcher):
    """One call at a time; each takes what waits, until the padded tokens or the number of solutions reach the bound.

    Args:
        call: judges a batch.
        metrics: takes counts.
        judge_id: of the judge at this moment.
        max_batch_tokens: bound of the longest solution times their number.
        max_batch_items: bound of their number.
        max_queued_items: bound of what waits.
        count_tokens: of one solution; estimated from its characters where nobody says better.
    """

    def __init__(
        self,
        call: Call,
        metrics: EngineMetrics,
        judge_id: Callable[[], str],
        *,
        max_batch_tokens: int,
        max_batch_items: int,
        max_queued_items: int,
        count_tokens: Counter = estimated_tokens,
    ) -> None:
        shape = Shape(1, max_batch_items, max_batch_tokens, max_queued_items, max_turns=None, by_problem=True)
        super().__init__(call, metrics, judge_id, shape, count_tokens)


class Places(Dispatcher):
    """So many calls at a time; each carries what one caller asked together, up to a number of solutions.

    Args:
        call: judges a batch.
        metrics: takes counts.
        judge_id: of the judge at this moment.
        max_calls: calls at a time.
        max_batch_items: solutions in one call.
        max_queued_items: bound of what waits.
    """

    def __init__(
        self,
        call: Call,
        metrics: EngineMetrics,
        judge_id: Callable[[], str],
        *,
        max_calls: int,
        max_batch_items: int,
        max_queued_items: int,
    ) -> None:
        shape = Shape(max_calls, max_batch_items, float("inf"), max_queued_items, max_turns=1, by_problem=False)
        super().__init__(call, metrics, judge_id, shape, estimated_tokens)
