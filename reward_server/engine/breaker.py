"""A circuit breaker: a judge that is down is not asked for a while, so that callers learn it at once.

Closed: every call goes through. After so many failed calls in a row: open, every call fails at once. After a while one
trial call is let through (half-open): it closes the breaker or opens it again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from enum import IntEnum

from judge.errors import BackendError
from judge.judges.base import Judge
from judge.types import Solution, Unscored, UnscoredReason, Verdict
from reward_server.engine.judge_calls import says_down

DOWN = frozenset({UnscoredReason.JUDGE_UNAVAILABLE, UnscoredReason.JUDGE_TIMEOUT})


class State(IntEnum):
    """Also the value of the metric ``sgpo_breaker_state``."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Breaker:
    """Counts failures in a row. Pure but for the clock.

    Args:
        failures: so many in a row open it.
        reset_s: seconds until a trial call.
        clock: seconds, monotonic; for tests.
    """

    def __init__(self, failures: int, reset_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = failures
        self._reset_s = reset_s
        self._clock = clock
        self._failures = 0
        self._opened_at: float | None = None
        self._trial = False
        self.num_succeeded = 0
        """Calls that worked, so far."""

    @property
    def state(self) -> State:
        """Where it stands."""
        if self._opened_at is None:
            return State.CLOSED
        return State.HALF_OPEN if self._trial else State.OPEN

    def refuses(self) -> bool:
        """Whether a call made now would fail at once. Changes nothing."""
        if self._opened_at is None:
            return False
        return self._trial or self._clock() - self._opened_at < self._reset_s

    def admit(self) -> bool:
        """Whether this call may be made; while half-open, only one may."""
        if self.refuses():
            return False
        self._trial = self._opened_at is not None
        return True

    def succeeded(self) -> None:
        """A call worked."""
        self.num_succeeded += 1
        self._failures, self._opened_at, self._trial = 0, None, False

    def failed(self) -> None:
        """A call found the judge down."""
        self._failures += 1
        if self._trial or self._failures >= self._limit:
            self._opened_at, self._trial = self._clock(), False

    def undecided(self) -> None:
        """A call ended without saying anything about the judge: another one may be the trial."""
        self._trial = False


class BreakerJudge:
    """Any judge behind a breaker.

    A call counts as failed when it raises an error that says that the judge is down, raises whatever it may about a
    single solution, or when every one of its results is `judge_unavailable` or `judge_timeout`. A call that the
    server gave up says something only when it had been under way for `patience_s`: a caller in a hurry must not close
    the judge to the others.

    Args:
        judge: the one to ask.
        breaker: its state, which readiness and metrics read as well.
        patience_s: a call that has not ended after so long counts as failed when it is cancelled.
    """

    def __init__(self, judge: Judge, breaker: Breaker, patience_s: float) -> None:
        self._judge = judge
        self.breaker = breaker
        self._patience_s = patience_s

    @property
    def judge_id(self) -> str:
        """The judge's own."""
        return self._judge.judge_id

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        """Judge every solution of the batch, in order.

        Raises:
            BackendError: at once, while the breaker is open.
        """
        if not self.breaker.admit():
            raise BackendError("the judge is down, and is left alone for a while ([breaker])", retryable=True)
        started = time.monotonic()
        try:
            results = await self._judge.judge(batch)
        except asyncio.CancelledError:
            patient = time.monotonic() - started >= self._patience_s
            self.breaker.failed() if patient else self.breaker.undecided()
            raise
        except Exception as error:
            down = says_down(error) or len(batch) == 1
            self.breaker.failed() if down else self.breaker.undecided()
            raise
        if results and all(isinstance(result, Unscored) and result.reason in DOWN for result in results):
            self.breaker.failed()
        else:
            self.breaker.succeeded()
        return results

    async def aclose(self) -> None:
        """Close the judge."""
        await self._judge.aclose()
