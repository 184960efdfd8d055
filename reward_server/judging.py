"""One call of the judge, with everything that may go wrong turned into data.

A judge is a model or a service: it may raise, hang, or answer nonsense. None of that is an error of the request, and
none of it is a score.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field

from judge.errors import BackendTimeout, JudgeError
from judge.judges.base import Judge
from judge.types import Solution, Unscored, UnscoredReason, Verdict
from reward_server.metrics import Metrics

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Timing:
    """Seconds that a request spent at the judge: the longest of its waits and of its calls."""

    started: float = field(default_factory=time.perf_counter)
    queue: float = 0.0
    judge: float = 0.0

    def total(self) -> float:
        """Seconds since the request started."""
        return time.perf_counter() - self.started


class JudgeDesk:
    """Where the server's parts ask the judge: bounded, timed, counted, and never raising."""

    def __init__(self, judge: Judge, metrics: Metrics, max_concurrent_calls: int) -> None:
        self.judge = judge
        self.metrics = metrics
        self._places = asyncio.Semaphore(max_concurrent_calls)

    async def ask(self, batch: Sequence[Solution], deadline: float, timing: Timing) -> list[Verdict | Unscored]:
        """Judge ``batch``; the reply has its length and order.

        Args:
            batch: solutions with at least one step each.
            deadline: on the event loop's clock; waiting for a place counts.
            timing: takes the wait and the call's duration.
        """
        if not batch:
            return []
        entered = time.perf_counter()
        try:
            async with asyncio.timeout_at(deadline), self._places:
                timing.queue = max(timing.queue, time.perf_counter() - entered)
                called = time.perf_counter()
                try:
                    results = await self.judge.judge(batch)
                finally:
                    elapsed = time.perf_counter() - called
                    timing.judge = max(timing.judge, elapsed)
                    self.metrics.judge_seconds.observe(elapsed)
        except (TimeoutError, BackendTimeout):
            return self._failed(batch, UnscoredReason.JUDGE_TIMEOUT, "the judge did not answer in time")
        except JudgeError as error:
            logger.warning("judge %s failed: %s", self.judge.judge_id, error)
            return self._failed(batch, UnscoredReason.JUDGE_UNAVAILABLE, "the judge failed")
        except Exception as error:  # the edge to judges that others write: their bug is not a bad request
            # Without the exception's message, which may quote the response.
            frames = "".join(traceback.format_tb(error.__traceback__))
            logger.error("judge %s raised %s\n%s", self.judge.judge_id, type(error).__name__, frames)
            return self._failed(batch, UnscoredReason.JUDGE_UNAVAILABLE, "the judge failed")
        if len(results) != len(batch):
            judge_id, got, asked = self.judge.judge_id, len(results), len(batch)
            logger.error("judge %s gave %d results for %d solutions", judge_id, got, asked)
            return self._failed(batch, UnscoredReason.JUDGE_UNAVAILABLE, "the judge answered for other solutions")
        self.metrics.judge_calls.labels(result="ok").inc()
        return [self._checked(result, solution) for result, solution in zip(results, batch, strict=True)]

    def _failed(self, batch: Sequence[Solution], reason: UnscoredReason, message: str) -> list[Verdict | Unscored]:
        self.metrics.judge_calls.labels(result=reason.value).inc()
        return [Unscored(reason, message, self.judge.judge_id) for _ in batch]

    def _checked(self, result: Verdict | Unscored, solution: Solution) -> Verdict | Unscored:
        """The result, unless it is a verdict that cannot be right."""
        if isinstance(result, Unscored):
            return result
        num_steps = len(solution.steps)
        if not is_possible(result, num_steps):
            logger.error("judge %s gave an impossible verdict for %d steps", self.judge.judge_id, num_steps)
            message = f"the judge's verdict does not fit a response of {num_steps} steps"
            return Unscored(UnscoredReason.PARSE_ERROR, message, self.judge.judge_id)
        if result.first_error is None and solution.known_wrong:
            message = "the answer is wrong, but the judge found every step right"
            return Unscored(UnscoredReason.NO_ERROR_FOUND, message, self.judge.judge_id)
        return result


def is_possible(verdict: Verdict, num_steps: int) -> bool:
    """True when a verdict's step exists and each of its numbers is a share between 0 and 1."""
    if verdict.first_error is not None and not 0 <= verdict.first_error < num_steps:
        return False
    probs = verdict.step_error_probs
    if probs is not None and len(probs) != num_steps:
        return False
    shares = [*(probs or ()), verdict.expected_rts, verdict.confidence]
    return all(math.isfinite(share) and 0 <= share <= 1 for share in shares if share is not None)
