"""One reply for each key: replayed, waited for, refused for another request, and kept only when final."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import Response

from judge.types import UnscoredReason
from reward_server.errors import ApiError
from reward_server.idempotency.replies import ENTRY_BYTES, LASTING, Idempotency, Reply
from reward_server.idempotency.settings import IdempotencySettings
from reward_server.schemas import (
    ErrorOut,
    GroupOut,
    JudgeOut,
    JudgeReply,
    ResponseOut,
    RewardReply,
    TimingOut,
    VerdictOut,
)

JUDGE, TIMING = JudgeOut(id="j"), TimingOut(queue=0, judge=0, total=0.25)


def reward_reply(*codes: str, name: str = "g") -> RewardReply:
    responses = [
        ResponseOut(id=str(n), reward=None, acc=0, status="unscored", error=ErrorOut(code=code, message="m"))
        for n, code in enumerate(codes)
    ]
    scored = ResponseOut(id="scored", reward=1.0, acc=1, status="correct")
    groups = [GroupOut(group_id=name, all_negative=False, responses=[scored, *responses])]
    return RewardReply(groups=groups, judge=JUDGE, timing_s=TIMING)


def judge_reply(code: str) -> JudgeReply:
    item = VerdictOut(id="x", status="unscored", num_steps=1, error=ErrorOut(code=code, message="m"))
    return JudgeReply(items=[item], judge=JUDGE, timing_s=TIMING)


def request(key: str | None = "k", tenant: str = "", path: str = "/v1/rewards") -> Request:
    headers = [] if key is None else [(b"idempotency-key", key.encode("latin-1"))]
    return Request({"type": "http", "path": path, "headers": headers, "state": {"tenant": tenant} if tenant else {}})


class Desk:
    """Counts how often the work is done; may fail, or wait for ``gate``."""

    def __init__(self, **settings: Any) -> None:
        self.now = 0.0
        self.registry = CollectorRegistry()
        self.replies = Idempotency(IdempotencySettings(**settings), self.registry, lambda: self.now)
        self.made = 0
        self.gate: asyncio.Event | None = None
        self.begun = asyncio.Event()
        self.outcome: Callable[[], Reply] = lambda: reward_reply(name=f"made {self.made}")

    async def _make(self) -> Reply:
        self.made += 1
        self.begun.set()
        if self.gate is not None:
            await self.gate.wait()
        return self.outcome()

    async def ask(self, body: bytes = b"{}", **of_request: Any) -> Response:
        return await self.replies.answer(request(**of_request), body, self._make)

    def count(self, name: str) -> float:
        return self.registry.get_sample_value(f"sgpo_idempotent_{name}") or 0.0


def is_replay(response: Response) -> bool:
    return response.headers.get("idempotency-replayed") == "true"


async def test_a_retry_gets_the_same_bytes_and_no_work_is_done() -> None:
    desk = Desk()
    first, second = await desk.ask(), await desk.ask()
    assert first.body == second.body
    assert (is_replay(first), is_replay(second)) == (False, True)
    assert second.headers["content-type"] == "application/json"
    assert desk.made == 1
    assert desk.count("replays_total") == 1
    assert (desk.count("entries"), desk.count("bytes")) == (1, len(first.body) + ENTRY_BYTES)


async def test_without_a_key_every_request_is_new() -> None:
    desk = Desk()
    first, second = await desk.ask(key=None), await desk.ask(key=None)
    assert first.body != second.body
    assert desk.made == 2
    assert desk.count("entries") == 0


@pytest.mark.parametrize("other", [{"key": "other"}, {"tenant": "someone"}])
async def test_other_keys_and_other_callers_do_not_meet(other: dict[str, str]) -> None:
    desk = Desk()
    await desk.ask()
    # Not even with another body: whether a key is in use is nobody else's business.
    assert not is_replay(await desk.ask(b"[]", **other))
    assert desk.made == 2


async def refusal(attempt: Any) -> tuple[int, str]:
    with pytest.raises(ApiError) as caught:
        await attempt
    return caught.value.status, caught.value.code


@pytest.mark.parametrize("change", [{"body": b"{} "}, {"path": "/v1/judge"}])
async def test_a_key_that_stands_for_another_request_is_refused(change: dict[str, Any]) -> None:
    desk = Desk()
    await desk.ask()
    assert await refusal(desk.ask(**change)) == (422, "idempotency_key_reused")
    desk.gate = asyncio.Event()
    under_way = asyncio.create_task(desk.ask(key="k2"))
    while desk.made < 2:  # noqa: ASYNC110 - one turn of the loop
        await asyncio.sleep(0)
    assert await refusal(desk.ask(key="k2", **change)) == (422, "idempotency_key_reused")
    desk.gate.set()
    assert not is_replay(await under_way)


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é", "a\tb", "\x7f"])
async def test_what_is_no_key(key: str) -> None:
    desk = Desk()
    assert await refusal(desk.ask(key=key)) == (422, "invalid_idempotency_key")
    assert desk.made == 0


async def test_a_retry_waits_for_the_attempt_under_way() -> None:
    desk = Desk()
    desk.gate = asyncio.Event()
    tasks = [asyncio.create_task(desk.ask()) for _ in range(5)]
    await desk.begun.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    desk.gate.set()
    replies = await asyncio.gather(*tasks)
    assert len({reply.body for reply in replies}) == 1
    assert [is_replay(reply) for reply in replies] == [False, True, True, True, True]
    assert desk.made == 1


async def test_those_who_wait_share_a_refusal_and_later_ones_try_again() -> None:
    desk = Desk()

    def refuse() -> Reply:
        raise ApiError(503, "overloaded", "full")

    desk.gate, desk.outcome = asyncio.Event(), refuse
    tasks = [asyncio.create_task(desk.ask()) for _ in range(3)]
    await desk.begun.wait()
    await asyncio.sleep(0)
    desk.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [getattr(result, "code", None) for result in results] == ["overloaded"] * 3
    assert desk.made == 1
    desk.outcome = reward_reply
    assert not is_replay(await desk.ask())
    assert desk.made == 2


async def test_when_the_first_client_leaves_the_next_one_does_the_work() -> None:
    desk = Desk()
    desk.gate = asyncio.Event()
    first, second, third = (asyncio.create_task(desk.ask()) for _ in range(3))
    await desk.begun.wait()
    await asyncio.sleep(0)
    first.cancel()
    while desk.made < 2:  # noqa: ASYNC110 - one turn of the loop
        await asyncio.sleep(0)
    desk.gate.set()
    assert (await second).body == (await third).body
    assert desk.made == 2
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_retry_that_leaves_does_not_take_the_first_attempt_along() -> None:
    desk = Desk()
    desk.gate = asyncio.Event()
    first = asyncio.create_task(desk.ask())
    await desk.begun.wait()
    retry = asyncio.create_task(desk.ask())
    await asyncio.sleep(0)
    retry.cancel()
    await asyncio.gather(retry, return_exceptions=True)
    desk.gate.set()
    assert (await first).status_code == 200
    assert is_replay(await desk.ask())


@pytest.mark.parametrize("code", [*UnscoredReason, "a_reason_of_next_year"])
@pytest.mark.parametrize("of", [reward_reply, judge_reply])
async def test_only_what_a_new_attempt_cannot_better_is_kept(of: Callable[[str], Reply], code: str) -> None:
    desk = Desk()
    desk.outcome = lambda: of(code)
    await desk.ask()
    await desk.ask()
    assert desk.made == (1 if code in LASTING else 2)


def test_an_outage_is_never_lasting() -> None:
    outages = {UnscoredReason.JUDGE_UNAVAILABLE, UnscoredReason.JUDGE_TIMEOUT, UnscoredReason.OUTCOME_ERROR}
    assert not outages & LASTING


async def test_one_passing_failure_among_many_items_is_enough() -> None:
    desk = Desk()
    desk.outcome = lambda: reward_reply("no_evidence", "judge_timeout", "too_long")
    await desk.ask()
    desk.outcome = lambda: reward_reply("no_evidence", "too_long")
    assert not is_replay(await desk.ask())
    assert is_replay(await desk.ask())


async def test_replies_are_forgotten_after_a_while() -> None:
    desk = Desk(ttl_s=10)
    await desk.ask()
    desk.now = 9.9
    assert is_replay(await desk.ask())
    desk.now = 10.1
    assert not is_replay(await desk.ask())
    # And the key may then stand for something else.
    desk.now = 30
    assert not is_replay(await desk.ask(b"[]"))


async def test_replies_are_bounded_in_number_and_bytes() -> None:
    desk = Desk(max_entries=3)
    for n in range(5):
        await desk.ask(key=f"k{n}")
    assert desk.count("entries") == 3
    assert [is_replay(await desk.ask(key=f"k{n}")) for n in (4, 3, 2)] == [True] * 3
    size = len((await desk.ask(key=None)).body) + ENTRY_BYTES
    desk = Desk(max_bytes=2 * size)
    for n in range(5):
        await desk.ask(key=f"k{n}")
    assert desk.count("entries") == 2
    assert desk.count("bytes") <= 2 * size
    desk = Desk(max_bytes=1024)
    await desk.ask()
    assert not is_replay(await desk.ask())


async def test_nothing_is_left_under_way() -> None:
    desk = Desk()
    await desk.ask()
    desk.outcome = lambda: 1 // 0  # type: ignore[return-value]
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await desk.ask(key="other")
    assert desk.replies._under_way == {}
