"""The circuit breaker: when it opens, when it tries again, and whose failures count."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from judge.errors import BackendError
from judge.types import Solution, Unscored, UnscoredReason, Verdict
from reward_server.engine.breaker import Breaker, BreakerJudge, State
from tests.unit.batch_judges import solution, turns


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_so_many_failures_in_a_row_open_it_and_one_trial_is_let_through() -> None:
    clock = Clock()
    breaker = Breaker(3, 10.0, clock)
    for _ in range(2):
        assert breaker.admit()
        breaker.failed()
    breaker.succeeded()
    for _ in range(3):
        assert breaker.admit()
        breaker.failed()
    assert breaker.state is State.OPEN
    clock.now = 9.9
    assert not breaker.admit()
    clock.now = 10.0
    assert breaker.admit()
    assert breaker.state is State.HALF_OPEN
    assert not breaker.admit()
    breaker.failed()
    assert breaker.state is State.OPEN
    clock.now = 19.9
    assert not breaker.admit()
    clock.now = 20.0
    assert breaker.admit()
    breaker.succeeded()
    assert breaker.state is State.CLOSED
    assert breaker.admit()


def test_a_trial_that_says_nothing_makes_room_for_another() -> None:
    clock = Clock()
    breaker = Breaker(1, 10.0, clock)
    breaker.failed()
    clock.now = 10.0
    assert breaker.admit()
    breaker.undecided()
    assert breaker.admit()


class Changing:
    """A judge that does what a test tells it to."""

    judge_id = "changing"

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.reason: UnscoredReason | None = None
        self.hangs = False
        self.calls = 0

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        self.calls += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        if self.reason is not None:
            return [Unscored(self.reason, "", "changing") for _ in batch]
        return [Verdict(0, "changing") for _ in batch]

    async def aclose(self) -> None: ...


BATCH = [solution("a"), solution("b")]


async def ask(judge: BreakerJudge, batch: Sequence[Solution] = BATCH) -> None:
    with suppress(BackendError, RuntimeError):
        await judge.judge(batch)


@pytest.mark.parametrize(
    ("error", "reason", "batch", "opens"),
    [
        (BackendError("down"), None, BATCH, True),
        (RuntimeError("bug"), None, BATCH, False),
        (RuntimeError("bug"), None, BATCH[:1], True),
        (None, UnscoredReason.JUDGE_UNAVAILABLE, BATCH, True),
        (None, UnscoredReason.JUDGE_TIMEOUT, BATCH, True),
        (None, UnscoredReason.PARSE_ERROR, BATCH, False),
        (None, UnscoredReason.TOO_LONG, BATCH, False),
    ],
)
async def test_what_counts_as_down(
    error: Exception | None, reason: UnscoredReason | None, batch: list[Solution], opens: bool
) -> None:
    inner = Changing()
    inner.error, inner.reason = error, reason
    judge = BreakerJudge(inner, Breaker(2, 60.0), 60.0)
    for _ in range(4):
        await ask(judge, batch)
    assert (judge.breaker.state is State.OPEN) is opens
    assert inner.calls == (2 if opens else 4)


async def test_an_open_breaker_answers_without_the_judge_and_closes_when_it_works() -> None:
    clock, inner = Clock(), Changing()
    judge = BreakerJudge(inner, Breaker(1, 10.0, clock), 60.0)
    inner.error = BackendError("down")
    await ask(judge)
    inner.error = None
    with pytest.raises(BackendError, match=r"\[breaker\]"):
        await judge.judge(BATCH)
    assert inner.calls == 1
    clock.now = 10.0
    assert len(await judge.judge(BATCH)) == 2
    assert judge.breaker.state is State.CLOSED


@pytest.mark.parametrize(("patience_s", "state"), [(0.0, State.OPEN), (3600.0, State.CLOSED)])
async def test_only_a_patient_caller_can_say_that_the_judge_hangs(patience_s: float, state: State) -> None:
    inner = Changing()
    inner.hangs = True
    judge = BreakerJudge(inner, Breaker(1, 60.0), patience_s)
    call = asyncio.create_task(judge.judge(BATCH))
    await turns()
    call.cancel()
    await asyncio.wait([call])
    assert judge.breaker.state is state
