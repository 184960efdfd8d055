"""The reward service when judging fails, ends without a finding or takes too long: unscored, never a score."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from judge.errors import BackendError
from judge.types import Solution, Unscored, Verdict
from tests.unit.service_calls import A, Ask, B, F, T, group, scripted, serving, text


@pytest.fixture
async def serve() -> AsyncIterator[Ask]:
    async with serving() as ask:
        yield ask


class Broken:
    """A judge that does what no judge may do."""

    judge_id = "broken"

    def __init__(self, reply: Any) -> None:
        self.reply = reply

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        if isinstance(self.reply, BaseException):
            raise self.reply
        return list(self.reply)

    async def aclose(self) -> None: ...


async def test_too_many_steps_are_not_judged(serve: Ask) -> None:
    reply = await serve(scripted(), group((text(6, 0), F), (A, F)), config={"limits": {"max_steps": 5}})
    [out, other] = reply.groups[0].responses
    assert (out.status, out.reward, out.num_steps) == ("unscored", None, 6)
    assert out.error is not None
    assert out.error.code == "too_long"
    assert other.status == "judged"


async def test_no_error_found_in_a_wrong_response_is_not_a_score(serve: Ask) -> None:
    reply = await serve(scripted(), group((text(3, None), F), (A, F)))
    [out, other] = reply.groups[0].responses
    assert (out.status, out.reward, out.acc) == ("unscored", None, 0)
    assert out.error is not None
    assert out.error.code == "no_error_found"
    assert other.status == "judged"


ONE = Verdict(first_error=0, judge_id="broken")


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (BackendError("down"), "judge_unavailable"),
        (RuntimeError("a bug"), "judge_unavailable"),
        ([], "judge_unavailable"),
        ([ONE], "judge_unavailable"),
        ([ONE, ONE, ONE], "judge_unavailable"),
        ([Verdict(4, "broken"), Verdict(-1, "broken")], "parse_error"),
        ([Verdict(0, "broken", expected_rts=math.nan), Verdict(0, "broken", confidence=1.5)], "parse_error"),
        ([Verdict(0, "broken", step_error_probs=(0.5,)), Verdict(0, "b", step_error_probs=(2.0,) * 4)], "parse_error"),
    ],
)
async def test_a_broken_judge_leaves_its_group_unscored(serve: Ask, fault: Any, code: str) -> None:
    reply = await serve(Broken(fault), group((A, F), (B, F)), group((A, T), (B, F), group_id="h"))
    assert [(r.status, r.reward, r.error and r.error.code) for r in reply.groups[0].responses] == [
        ("unscored", None, code)
    ] * 2
    assert [r.reward for r in reply.groups[1].responses] == [1, 0]


async def test_what_is_not_judged_by_the_deadline_is_unscored(serve: Ask) -> None:
    started = asyncio.get_running_loop().time()
    reply = await serve(
        scripted(delay_s=30), group((A, F)), group((A, T), group_id="h"), config={"server": {"request_timeout_s": 0.3}}
    )
    assert asyncio.get_running_loop().time() - started < 5
    [late] = reply.groups[0].responses
    assert (late.status, late.reward) == ("unscored", None)
    assert late.error is not None
    assert late.error.code == "judge_timeout"
    assert reply.groups[1].responses[0].reward == 1


async def test_texts_that_take_too_long_to_segment_do_not_hold_the_reply(serve: Ask) -> None:
    long = "\n".join(f"Line {n} is quite as right as can be." for n in range(5000))
    responses = [(f"Response {n}.\n{long}", F) for n in range(40)]  # the same text twice would be cut once
    reply = await serve(scripted(), group(*responses), config={"server": {"request_timeout_s": 0.2}})
    assert {out.error and out.error.code for out in reply.groups[0].responses} <= {"judge_timeout", "too_long"}
    last = reply.groups[0].responses[-1]
    assert (last.reward, last.num_steps, last.error and last.error.code) == (None, None, "judge_timeout")
