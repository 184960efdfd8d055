"""``/readyz`` proves that the judge works: it asks it about a solution whose fault is known."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from judge.judges.base import Judge
from judge.types import Solution, Unscored, UnscoredReason
from reward_server.engine.breaker import Breaker
from reward_server.engine.judging import JudgeDesk, Timing
from reward_server.metrics import Metrics
from reward_server.watch.canary import CanaryWatch

CANARY = Solution(
    problem="Tom has 3 bags with 4 apples each. He eats 2 apples. How many apples are left?",
    steps=(
        "There are 3 * 4 = 12 apples in the bags.",
        "He eats 2 of them: 12 - 2 = 11.",
        "The answer is 11.",
    ),
    reference_answer="10",
    known_wrong=True,
)
CANARY_FIRST_ERROR = 1
NOT_WORKING = frozenset({UnscoredReason.JUDGE_UNAVAILABLE, UnscoredReason.JUDGE_TIMEOUT})


class Readiness:
    """Asks the canary question, one call at a time, and remembers the finding for a while.

    Args:
        judge: the one to ask.
        strict: the judge must find the arithmetic slip. A judge that recomputes and misses it is broken; a language
            model may be wrong about it and still work.
        timeout_s: how long to wait for the judge.
        cache_s: how long a finding holds.
        breaker: the one that the judge stands behind, if any; only told of.
        canary: what else may be wrong with the judge, found out in the background.
        is_busy: whether the judge works on something else, one thing at a time, and somebody else sees to it when it
            hangs over it; the question then waits its turn.
    """

    def __init__(
        self,
        judge: Judge,
        *,
        strict: bool,
        timeout_s: float,
        cache_s: float,
        breaker: Breaker | None = None,
        canary: CanaryWatch | None = None,
        is_busy: Callable[[], bool] = lambda: False,
    ) -> None:
        # A desk of its own: a server whose places are all taken is busy, not broken. Its calls are in nobody's counts.
        self._desk = JudgeDesk(judge, Metrics(), max_concurrent_calls=1)
        self._strict = strict
        self._timeout_s = timeout_s
        self._cache_s = cache_s
        self._breaker = breaker
        self._canary = canary
        self._is_busy = is_busy
        self._lock = asyncio.Lock()
        self._checked_at = float("-inf")
        self._fault: str | None = None

    @property
    def breaker_state(self) -> str:
        """``closed``, ``half_open`` or ``open``: the judge was down a moment ago, and is being left alone."""
        return "closed" if self._breaker is None else self._breaker.state.name.lower()

    async def fault(self) -> str | None:
        """What is wrong with the judge, or None when it works."""
        async with self._lock:
            if time.monotonic() - self._checked_at >= self._cache_s:
                self._fault = await self._ask()
                self._checked_at = time.monotonic()
        degraded = None if self._canary is None else self._canary.fault()
        return self._fault if degraded is None else f"degraded: {degraded}"

    def _num_succeeded(self) -> int:
        return 0 if self._breaker is None else self._breaker.num_succeeded

    async def _ask(self) -> str | None:
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        before, was_busy = self._num_succeeded(), self._is_busy()
        [result] = await self._desk.ask([CANARY], deadline, Timing())
        if isinstance(result, Unscored):
            went_on = was_busy or self._num_succeeded() > before
            if result.reason is UnscoredReason.JUDGE_TIMEOUT and went_on:
                # The question waited behind real work that was being done: busy, not broken.
                return None
            if self._strict or result.reason in NOT_WORKING:
                return f"the judge could not judge a known solution: {result.reason.value}"
            return None
        if self._strict and result.first_error != CANARY_FIRST_ERROR:
            return f"the judge missed the wrong step {CANARY_FIRST_ERROR} of a known solution"
        return None
