"""One call of the judge, with everything that may go wrong turned into data.

A judge is a model or a service: it may raise or answer nonsense. None of that is an error of the request, and none of
it is a score.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
import traceback
from collections.abc import Sequence

from judge.backends.base import PromptTooLong
from judge.errors import BackendTimeout, DataError, JudgeError
from judge.judges.base import Judge
from judge.types import Solution, Unscored, UnscoredReason, Verdict
from reward_server.engine.tickets import Result
from reward_server.metrics import Metrics

logger = logging.getLogger(__name__)


class JudgeCaller:
    """Judges batches; raises nothing but `asyncio.CancelledError`.

    A batch that makes the judge raise is halved and tried again, down to single solutions, so that a bad one fails
    alone. An error that says that the judge is down is not: every part of the batch would fail as well.
    """

    def __init__(self, judge: Judge, metrics: Metrics) -> None:
        self._judge = judge
        self._metrics = metrics

    async def __call__(self, batch: Sequence[Solution]) -> list[Result]:
        """One result for each solution, in order."""
        try:
            return await self._attempt(batch)
        except BackendTimeout:
            return self._failed(batch, UnscoredReason.JUDGE_TIMEOUT, "the judge did not answer in time")
        except Exception as error:  # the edge to judges that others write: their bug is not a bad request
            self._log(error)
            if len(batch) > 1 and not says_down(error):
                self._metrics.engine.retried.labels(why="bisect").inc()
                half = len(batch) // 2
                return [*await self(batch[:half]), *await self(batch[half:])]
            if isinstance(error, PromptTooLong):
                return self._failed(batch, UnscoredReason.TOO_LONG, "longer than the judge's model reads")
            return self._failed(batch, UnscoredReason.JUDGE_UNAVAILABLE, "the judge failed")

    async def _attempt(self, batch: Sequence[Solution]) -> list[Result]:
        called = time.perf_counter()
        try:
            results = await self._judge.judge(batch)
        except asyncio.CancelledError:
            self._metrics.judge_calls.labels(result="abandoned").inc()
            raise
        finally:
            self._metrics.judge_seconds.observe(time.perf_counter() - called)
        if len(results) != len(batch):
            # Whose results these are, nobody can say; halves would only hide that.
            logger.error("judge %s gave %d results for %d solutions", self._judge.judge_id, len(results), len(batch))
            return self._failed(batch, UnscoredReason.JUDGE_UNAVAILABLE, "the judge answered for other solutions")
        self._metrics.judge_calls.labels(result="ok").inc()
        return [self._checked(result, solution) for result, solution in zip(results, batch, strict=True)]

    def _log(self, error: Exception) -> None:
        if isinstance(error, JudgeError):
            logger.warning("judge %s failed: %s", self._judge.judge_id, error)
            return
        # Without the exception's message, which may quote the response.
        frames = "".join(traceback.format_tb(error.__traceback__))
        logger.error("judge %s raised %s\n%s", self._judge.judge_id, type(error).__name__, frames)

    def _failed(self, batch: Sequence[Solution], reason: UnscoredReason, message: str) -> list[Result]:
        self._metrics.judge_calls.labels(result=reason.value).inc()
        return [Unscored(reason, message, self._judge.judge_id) for _ in batch]

    def _checked(self, result: Result, solution: Solution) -> Result:
        """The result, unless it is a verdict that cannot be right."""
        if isinstance(result, Unscored):
            return result
        num_steps = len(solution.steps)
        if not is_possible(result, num_steps):
            logger.error("judge %s gave an impossible verdict for %d steps", self._judge.judge_id, num_steps)
            message = f"the judge's verdict does not fit a response of {num_steps} steps"
            return Unscored(UnscoredReason.PARSE_ERROR, message, self._judge.judge_id)
        if result.first_error is None and solution.known_wrong:
            message = "the answer is wrong, but the judge found every step right"
            return Unscored(UnscoredReason.NO_ERROR_FOUND, message, self._judge.judge_id)
        return result


def says_down(error: Exception) -> bool:
    """Whether an error is about the judge, and not about what it was asked."""
    return isinstance(error, JudgeError) and not isinstance(error, PromptTooLong | DataError)


def is_possible(verdict: Verdict, num_steps: int) -> bool:
    """True when a verdict's step exists and each of its numbers is a share between 0 and 1."""
    if verdict.first_error is not None and not 0 <= verdict.first_error < num_steps:
        return False
    probs = verdict.step_error_probs
    if probs is not None and len(probs) != num_steps:
        return False
    shares = [*(probs or ()), verdict.expected_rts, verdict.confidence]
    return all(math.isfinite(share) and 0 <= share <= 1 for share in shares if share is not None)
