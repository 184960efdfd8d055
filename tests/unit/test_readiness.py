"""What /readyz says of a judge that does not answer in time: busy with other work, or broken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from judge.types import Solution, Unscored, Verdict
from reward_server.engine.breaker import Breaker
from reward_server.readiness import Readiness


class Queued:
    """Never comes to the canary; ``meanwhile`` is what else it does."""

    judge_id = "queued"

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self._meanwhile = meanwhile

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        self._meanwhile()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def aclose(self) -> None: ...


def nothing() -> None: ...


@pytest.mark.parametrize("strict", [False, True])
async def test_a_judge_that_finishes_other_work_meanwhile_is_ready(strict: bool) -> None:
    breaker = Breaker(failures=5, reset_s=15)
    busy = Readiness(Queued(breaker.succeeded), strict=strict, timeout_s=0.05, cache_s=0, breaker=breaker)
    assert await busy.fault() is None


async def test_a_judge_that_finishes_nothing_is_not_ready() -> None:
    breaker = Breaker(failures=5, reset_s=15)
    breaker.succeeded()  # that was before
    hung = Readiness(Queued(nothing), strict=False, timeout_s=0.05, cache_s=0, breaker=breaker)
    assert await hung.fault() == "the judge could not judge a known solution: judge_timeout"


async def test_a_judge_that_had_other_work_when_it_was_asked_is_ready() -> None:
    # Its batch takes longer than the question may: nothing is finished meanwhile.
    working = [True]
    judge = Queued(working.clear)
    busy = Readiness(judge, strict=True, timeout_s=0.05, cache_s=0, is_busy=lambda: bool(working))
    assert await busy.fault() is None
    assert await busy.fault() == "the judge could not judge a known solution: judge_timeout"
