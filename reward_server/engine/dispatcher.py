"""The engine of both batchers: batches from the fair queue whenever the judge has a place, and results back.

A ticket whose waiter has gone is not judged; a call that nobody waits for any more is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from judge.types import Solution, Unscored, UnscoredReason
from reward_server.engine.metrics import EngineMetrics
from reward_server.engine.tickets import Budget, FairQueue, Overloaded, Result, Ticket, in_batch_order

Call = Callable[[Sequence[Solution]], Awaitable[list[Result]]]
"""Judges a batch; raises nothing but `asyncio.CancelledError`."""
Counter = Callable[[Solution], int]
"""Tokens of a solution."""


@dataclass(slots=True)
class Running:
    """A call under way."""

    tickets: list[Ticket]
    call: asyncio.Future[list[Result]] | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """What calls look like, and how many there may be at a time."""

    max_calls: int
    max_batch_items: int
    max_batch_tokens: float
    """Bound of the longest solution of a batch times their number."""
    max_queued_items: int
    max_turns: int | None
    """Bundles in one call; None for as many as fit."""
    by_problem: bool
    """A bundle is: the solutions of one problem; otherwise: what was queued together."""


class Dispatcher:
    """The queue, the calls under way, and who has gone. Belongs to one event loop.

    Args:
        call: judges a batch.
        metrics: takes counts.
        judge_id: of the judge at this moment.
        shape: of the calls.
        count_tokens: of one solution.
    """

    def __init__(
        self, call: Call, metrics: EngineMetrics, judge_id: Callable[[], str], shape: Shape, count_tokens: Counter
    ) -> None:
        self._call = call
        self._metrics = metrics
        self._judge_id = judge_id
        self._shape = shape
        self._count_tokens = count_tokens
        self._queue = FairQueue()
        self._running: dict[int, Running] = {}
        """Calls under way, by identity."""
        self._calls: dict[int, Running] = {}
        """The call of every ticket at the judge, by the ticket's identity."""
        self._closed = False
        metrics.watch_queue(lambda: len(self._queue), lambda: len(self._calls))

    def enqueue(self, solutions: Sequence[Solution], deadline: float, tenant: str = "") -> list[Ticket]:
        """See `reward_server.batching.Batcher`."""
        queued = len(self._queue)
        if queued + len(solutions) > self._shape.max_queued_items:
            self._metrics.dropped.labels(why="queue_full").inc(len(solutions))
            raise Overloaded(len(solutions), queued, self._shape.max_queued_items)
        loop = asyncio.get_running_loop()
        bundle = object()
        tickets = []
        for solution in solutions:
            future: asyncio.Future[Result] = loop.create_future()
            own_bundle = solution.problem if self._shape.by_problem else bundle
            cost = self._count_tokens(solution)
            ticket = Ticket(solution, cost, deadline, tenant, own_bundle, loop.time(), future)
            tickets.append(ticket)
            refusal = self._refusal(cost)
            if refusal is not None:
                future.set_result(refusal)
                continue
            future.add_done_callback(partial(self._gone, ticket))
            self._queue.append(ticket)
        # Not at once: what else becomes ready in this turn of the event loop may share the batch.
        loop.call_soon(self._pump)
        return tickets

    async def submit(self, solutions: Sequence[Solution], deadline: float, tenant: str = "") -> list[Result]:
        """See `reward_server.batching.Batcher`."""
        tickets = self.enqueue(solutions, deadline, tenant)
        try:
            return await results_by(deadline, tickets, self._judge_id())
        finally:
            for ticket in tickets:
                ticket.cancel()

    async def aclose(self) -> None:
        """See `reward_server.batching.Batcher`."""
        self._closed = True
        for ticket in self._queue.drain():
            self._end(ticket, Unscored(UnscoredReason.JUDGE_UNAVAILABLE, "the server shuts down", self._judge_id()))
        calls = [running.call for running in self._running.values() if running.call is not None]
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    def _pump(self) -> None:
        """Begin calls while there are places and work."""
        while self._queue and len(self._running) < self._shape.max_calls and not self._closed:
            room = Budget(self._shape.max_batch_tokens, self._shape.max_batch_items)
            taken = self._queue.take(room, max_turns=self._shape.max_turns)
            assert taken, "what fits no empty batch was refused at the door"
            batch = [ticket for ticket in taken if self._is_wanted(ticket)]
            if not batch:
                continue
            running = Running(in_batch_order(batch))
            now = asyncio.get_running_loop().time()
            for ticket in running.tickets:
                ticket.begun_at = now
                self._metrics.queue_seconds.observe(ticket.wait_s)
                self._calls[id(ticket)] = running
            self._metrics.batch_items.observe(len(batch))
            self._metrics.batch_tokens.observe(max(ticket.cost for ticket in batch) * len(batch))
            self._running[id(running)] = running
            running.call = asyncio.ensure_future(self._call([ticket.solution for ticket in running.tickets]))
            running.call.add_done_callback(partial(self._finished, running))

    def _refusal(self, cost: int) -> Unscored | None:
        """Why a solution of so many tokens can never be judged, or None."""
        if self._closed:
            return Unscored(UnscoredReason.JUDGE_UNAVAILABLE, "the server shuts down", self._judge_id())
        limit = self._shape.max_batch_tokens
        if cost <= limit:
            return None
        self._metrics.dropped.labels(why="too_long").inc()
        message = f"about {cost} tokens, at most {limit:g} are judged ([batching] max_batch_tokens)"
        return Unscored(UnscoredReason.TOO_LONG, message, self._judge_id())

    def _finished(self, running: Running, call: asyncio.Future[list[Result]]) -> None:
        """A call is over, however it ended: no waiter is left behind, and its place is free."""
        results: Sequence[Result] = ()
        if not call.cancelled() and call.exception() is None:
            results = call.result()
        lost = Unscored(UnscoredReason.JUDGE_UNAVAILABLE, "the judge's call was ended", self._judge_id())
        if len(results) != len(running.tickets):
            results = [lost] * len(running.tickets)
        for ticket, result in zip(running.tickets, results, strict=True):
            self._calls.pop(id(ticket), None)
            self._end(ticket, result)
        del self._running[id(running)]
        self._pump()

    def _is_wanted(self, ticket: Ticket) -> bool:
        """Whether a ticket from the queue still has a waiter; counts and ends it otherwise."""
        if ticket.future.done():
            self._metrics.dropped.labels(why="cancelled").inc()
            return False
        if ticket.deadline <= asyncio.get_running_loop().time():
            self._metrics.dropped.labels(why="deadline").inc()
            self._end(ticket, late(self._judge_id()))
            return False
        return True

    def _gone(self, ticket: Ticket, future: asyncio.Future[Result]) -> None:
        """A ticket has its result, or its last waiter has left."""
        if not future.cancelled():
            return
        if self._queue.remove(ticket):
            self._metrics.dropped.labels(why="cancelled").inc()
            return
        running = self._calls.get(id(ticket))
        if running is not None and running.call is not None and all(t.future.done() for t in running.tickets):
            running.call.cancel()

    def _end(self, ticket: Ticket, result: Result) -> None:
        if not ticket.future.done():
            ticket.ended_at = asyncio.get_running_loop().time()
            ticket.future.set_result(result)


async def results_by(deadline: float, tickets: Sequence[Ticket], judge_id: str) -> list[Result]:
    """The results of the tickets, in order, `judge_timeout` for those without one at the deadline."""
    waiting = [ticket.future for ticket in tickets if not ticket.future.done()]
    if waiting:
        await asyncio.wait(waiting, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
    return [
        ticket.future.result() if ticket.future.done() and not ticket.future.cancelled() else late(judge_id)
        for ticket in tickets
    ]


def late(judge_id: str) -> Unscored:
    """What there is to say of a solution that was not judged in time."""
    return Unscored(UnscoredReason.JUDGE_TIMEOUT, "the judge did not answer in time", judge_id)
