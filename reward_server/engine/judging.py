"""Where the server's parts ask the judge: what is known is not asked again, and what fails is data.

For each solution: the cache, then an equal solution already in flight, then the queue of the judge. Whatever happens,
the answer has the batch's length and order, and no failure is a score.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from judge.judges.base import Judge
from judge.types import Solution, Unscored, UnscoredReason, Verdict
from reward_server.batching import Batcher, Places
from reward_server.cache.base import VerdictStore
from reward_server.cache.keys import verdict_key
from reward_server.engine.breaker import Breaker
from reward_server.engine.dispatcher import results_by
from reward_server.engine.judge_calls import JudgeCaller, is_possible
from reward_server.engine.settings import BatchingSettings
from reward_server.engine.single_flight import SingleFlight
from reward_server.engine.tickets import Overloaded, Result, Ticket
from reward_server.errors import ApiError, invalid_request
from reward_server.metrics import Metrics

logger = logging.getLogger(__name__)

RETRY_OVERLOADED_S = 2


@dataclass(slots=True)
class Timing:
    """Seconds that a request spent at the judge: the longest of its waits and of its calls."""

    started: float = field(default_factory=time.perf_counter)
    queue: float = 0.0
    judge: float = 0.0

    def total(self) -> float:
        """Seconds since the request started."""
        return time.perf_counter() - self.started

    def spent(self, tickets: Sequence[Ticket]) -> None:
        """Take in what these solutions waited, and how long they were judged."""
        for ticket in tickets:
            self.queue = max(self.queue, ticket.wait_s)
            self.judge = max(self.judge, ticket.call_s)


@dataclass(frozen=True, slots=True)
class Errand:
    """For whom the judge is asked, and until when."""

    deadline: float
    """On the event loop's clock; waiting for the judge counts."""
    timing: Timing
    """Takes the wait and the call's duration."""
    tenant: str = ""
    """Whose work it is; tenants take turns."""


class Answer(NamedTuple):
    """What there is to say of one solution."""

    result: Result
    cached: bool = False
    """True when no judge was asked for it."""


class JudgeDesk:
    """The one way to the judge: admitted, cached, shared, batched, timed, and never raising.

    Args:
        judge: the one to ask.
        metrics: takes counts.
        max_concurrent_calls: calls at a time, where no ``batcher`` is given.
        batcher: how solutions get to the judge.
        store: finished verdicts; None keeps none.
        breaker: while it is open, nothing is queued.
        settings: bounds of the queue.
    """

    def __init__(
        self,
        judge: Judge,
        metrics: Metrics,
        max_concurrent_calls: int = 8,
        *,
        batcher: Batcher | None = None,
        store: VerdictStore | None = None,
        breaker: Breaker | None = None,
        settings: BatchingSettings | None = None,
    ) -> None:
        settings = settings or BatchingSettings()
        self.judge = judge
        self.metrics = metrics
        self._batcher = batcher or Places(
            JudgeCaller(judge, metrics),
            metrics.engine,
            lambda: judge.judge_id,
            max_calls=max_concurrent_calls,
            max_batch_items=settings.max_batch_items,
            max_queued_items=settings.max_queued_items,
        )
        self._store = store
        self._breaker = breaker
        self._max_admitted = settings.max_queued_items
        self._admitted = 0
        self._flights = SingleFlight()
        self._writes: set[asyncio.Task[None]] = set()
        metrics.engine.watch_admitted(lambda: self._admitted)

    @contextmanager
    def admit(self, num_items: int) -> Iterator[None]:
        """Let a request of so many responses in, whole, before any work on it begins.

        Raises:
            ApiError: 503 with Retry-After when the server is full, 422 when so many can never be let in.
        """
        if num_items > self._max_admitted:
            limit = f"at most {self._max_admitted} are accepted ([batching] max_queued_items); send fewer"
            raise invalid_request("body", f"{num_items} responses, {limit}")
        if self._admitted + num_items > self._max_admitted:
            self.metrics.engine.dropped.labels(why="queue_full").inc(num_items)
            raise overloaded()
        self._admitted += num_items
        try:
            yield
        finally:
            self._admitted -= num_items

    async def ask(
        self, batch: Sequence[Solution], deadline: float, timing: Timing, tenant: str = ""
    ) -> list[Verdict | Unscored]:
        """Judge ``batch``; the reply has its length and order.

        Args:
            batch: solutions with at least one step each.
            deadline: on the event loop's clock; waiting for the judge counts.
            timing: takes the wait and the call's duration.
            tenant: whose work it is; tenants take turns.
        """
        return [answer.result for answer in await self.answer(batch, Errand(deadline, timing, tenant))]

    async def answer(self, batch: Sequence[Solution], errand: Errand) -> list[Answer]:
        """Like `ask`, and says which results came from the cache."""
        judge_id = self.judge.judge_id
        keys = [verdict_key(judge_id, solution) for solution in batch]
        known = await self._known(keys, batch, errand.deadline)
        todo = [index for index, verdict in enumerate(known) if verdict is None]
        asked = await self._ask_judge([keys[i] for i in todo], [batch[i] for i in todo], errand)
        answers = dict(zip(todo, asked, strict=True))
        return [
            answers[index] if verdict is None else Answer(verdict, cached=True) for index, verdict in enumerate(known)
        ]

    async def aclose(self) -> None:
        """End all calls and finish writing to the cache. The judge and the store stay open."""
        await self._batcher.aclose()
        await asyncio.gather(*self._writes, return_exceptions=True)

    async def _known(self, keys: list[str], batch: Sequence[Solution], deadline: float) -> list[Verdict | None]:
        """What the cache says; a verdict that does not fit its solution counts as a miss."""
        if self._store is None or not keys:
            return [None] * len(keys)
        try:
            async with asyncio.timeout_at(deadline):
                found = await self._store.get_many(keys)
        except TimeoutError:
            return [None] * len(keys)
        return [
            verdict if verdict is not None and fits(verdict, solution) else None
            for verdict, solution in zip(found, batch, strict=True)
        ]

    async def _ask_judge(self, keys: list[str], batch: list[Solution], errand: Errand) -> list[Answer]:
        """What the judge says of solutions that the cache does not know."""
        if not batch:
            return []
        if self._breaker is not None and self._breaker.refuses():
            self.metrics.engine.dropped.labels(why="breaker").inc(len(batch))
            return self._unavailable(batch, "the judge is down, and is left alone for a while")
        mine: list[int] = []

        def begin(indices: Sequence[int]) -> list[Ticket]:
            mine.extend(indices)
            return self._batcher.enqueue([batch[index] for index in indices], errand.deadline, errand.tenant)

        try:
            tickets = self._flights.join(keys, errand.deadline, begin)
        except Overloaded as error:
            logger.warning("the judge's queue is full: %s", error)
            return self._unavailable(batch, "the judge's queue is full ([batching] max_queued_items)")
        self.metrics.engine.shared.inc(len(batch) - len(mine))
        finished = [ticket.verdict is not None for ticket in tickets]
        try:
            results = await results_by(errand.deadline, tickets, self.judge.judge_id)
            errand.timing.spent(tickets)
            return [Answer(result, cached) for result, cached in zip(results, finished, strict=True)]
        finally:
            # Also what was finished before its caller went away: the retry finds it.
            kept = self._keep({index: (keys[index], tickets[index]) for index in mine})
            others = [index for index in range(len(keys)) if index not in kept]
            self._flights.leave([keys[index] for index in others], [tickets[index] for index in others])

    def _keep(self, finished: dict[int, tuple[str, Ticket]]) -> set[int]:
        """Write verdicts to the cache beside the answer to the caller; which indices that concerns.

        Their tickets are left once they are written: in between, newcomers still share them.
        """
        kept = {index: pair for index, pair in finished.items() if pair[1].verdict is not None}
        if self._store is None or not kept:
            return set()
        keys, tickets = [key for key, _ in kept.values()], [ticket for _, ticket in kept.values()]
        verdicts = {key: verdict for key, ticket in kept.values() if (verdict := ticket.verdict) is not None}
        write = asyncio.create_task(self._store.put_many(verdicts))
        self._writes.add(write)

        def written(task: asyncio.Task[None]) -> None:
            self._writes.discard(task)
            self._flights.leave(keys, tickets)

        write.add_done_callback(written)
        return set(kept)

    def _unavailable(self, batch: Sequence[Solution], message: str) -> list[Answer]:
        reason = UnscoredReason.JUDGE_UNAVAILABLE
        return [Answer(Unscored(reason, message, self.judge.judge_id)) for _ in batch]


def fits(verdict: Verdict, solution: Solution) -> bool:
    """Whether a verdict can be one on this solution."""
    silent = verdict.first_error is None and solution.known_wrong
    return is_possible(verdict, len(solution.steps)) and not silent


def overloaded() -> ApiError:
    """503 of a server that has as much work as it holds."""
    message = "the server holds as many responses as it can; ask again later"
    return ApiError(503, "overloaded", message, {"retry-after": str(RETRY_OVERLOADED_S)})
