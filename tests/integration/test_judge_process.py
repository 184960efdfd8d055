"""A judge in a process of its own, killed, blocked, poisoned and misconfigured."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from judge.errors import BackendError, ConfigError, ModelError
from judge.judges.base import Judge
from judge.judges.scripted import ScriptedJudge, ScriptedSettings, solution_digest
from judge.types import Solution, Unscored, UnscoredReason, Verdict
from reward_server.engine.judge_link import JudgeDied, Link
from reward_server.engine.judge_process import ProcessJudge, RestartPolicy
from reward_server.engine.settings import JudgeProcessSettings
from tests.integration.server_command import environment

HASH = {"kind": "scripted", "say": "hash"}
MANY = {"max_restarts_per_minute": 1000}


def solutions(count: int, mark: str = "") -> list[Solution]:
    return [Solution("p", (f"solution {index}{mark}", "then more", "and more")) for index in range(count)]


@asynccontextmanager
async def process(table: dict[str, Any], **settings: Any) -> AsyncIterator[ProcessJudge]:
    judge = await asyncio.to_thread(ProcessJudge, table, "[judge]", JudgeProcessSettings(**settings))
    try:
        yield judge
    finally:
        await judge.aclose()
        assert not alive(judge.pid)


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


async def until(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def in_flight(judge: ProcessJudge) -> set[int]:
    """Calls that the process has not done with."""
    link = judge._link
    return link.result()._unfinished if link is not None and link.done() else set()


def own(batch: list[Solution], results: list[Verdict | Unscored]) -> bool:
    """Whether every result is the verdict on its own solution."""
    return [getattr(result, "critique", None) for result in results] == [solution_digest(one) for one in batch]


async def test_it_says_what_the_same_judge_says_here() -> None:
    batch = [Solution("p\udcff", ("fine", "WRONG \x00\u202e"), "ref", "42", known_wrong=True), *solutions(3)]
    here = ScriptedJudge(ScriptedSettings())
    async with process({"kind": "scripted"}) as judge:
        assert isinstance(judge, Judge)
        assert judge.judge_id == here.judge_id
        assert await judge.judge(batch) == await here.judge(batch)
        assert await judge.judge([]) == []


async def test_a_judge_that_blocks_its_event_loop_does_not_block_ours() -> None:
    async with process({"kind": "scripted", "block_s": 3600.0}) as judge:
        call = asyncio.create_task(judge.judge(solutions(1)))
        # Run here, the judge would hold this loop, and nothing below would be reached.
        await until(lambda: bool(in_flight(judge)))
        await asyncio.sleep(0.1)
        assert not call.done()
        call.cancel()
        await asyncio.wait([call])


async def test_what_is_in_flight_when_it_dies_is_judged_by_the_next_one() -> None:
    batches = [solutions(5, f"-{number}") for number in range(8)]
    events: list[str] = []
    async with process({**HASH, "delay_s": 2.0}, **MANY) as judge:
        judge.on_restart, judge.on_retry = lambda: events.append("restart"), lambda: events.append("retry")
        calls = [asyncio.create_task(judge.judge(batch)) for batch in batches]
        await until(lambda: len(in_flight(judge)) == 8)
        first = judge.pid
        os.kill(first, signal.SIGKILL)
        for batch, call in zip(batches, calls, strict=True):
            assert own(batch, await call)
        assert judge.pid != first
    assert events.count("restart") == 1
    assert events.count("retry") == 8


async def test_a_caller_that_gives_up_during_a_restart_harms_nobody_else() -> None:
    async with process(HASH, **MANY) as judge:
        await judge.judge(solutions(1))
        os.kill(judge.pid, signal.SIGKILL)
        await until(lambda: judge._link is not None and not judge._link.done())
        hasty, patient = (asyncio.create_task(judge.judge(solutions(2))) for _ in range(2))
        await asyncio.sleep(0)
        hasty.cancel()
        assert own(solutions(2), await patient)
        assert hasty.cancelled()


class ClosedWriter:
    """As uvloop's transport is before the reader has heard of the end."""

    def write(self, data: bytes) -> None:
        raise RuntimeError("the handler is closed")

    def close(self) -> None: ...


async def test_a_connection_that_cannot_be_written_to_is_a_death_known_at_once() -> None:
    lost: list[bool] = []
    reader = asyncio.StreamReader()
    link = Link(reader, ClosedWriter(), lambda: lost.append(True))  # type: ignore[arg-type]
    running = asyncio.create_task(link.run())
    with pytest.raises(JudgeDied):
        await link.call(solutions(1))
    assert lost == [True]
    reader.feed_eof()
    await running
    assert lost == [True]


async def test_what_kills_it_twice_is_given_up_and_its_neighbours_are_judged() -> None:
    batch = [*solutions(4), Solution("p", ("a poison pill", "x")), *solutions(3, "-b")]
    async with process({**HASH, "fail": "die", "fail_on": "poison"}, **MANY) as judge:
        results = await judge.judge(batch)
        assert own(batch[:4], results[:4])
        lost = [result for result in results if isinstance(result, Unscored)]
        assert len(lost) == 4
        assert {result.reason for result in lost} == {UnscoredReason.JUDGE_UNAVAILABLE}
        assert own(batch[:4], await judge.judge(batch[:4]))


@pytest.mark.slow
async def test_one_that_dies_all_the_time_is_unavailable_and_comes_back() -> None:
    async with process({**HASH, "fail": "die", "fail_on": "poison"}, max_restarts_per_minute=2) as judge:
        poison = [Solution("p", ("poison",))]
        for _ in range(2):
            await asyncio.gather(judge.judge(poison), return_exceptions=True)
        with pytest.raises(BackendError, match="max_restarts_per_minute"):
            await judge.judge(solutions(1))
        await until(lambda: judge._fault is None)
        assert own(solutions(1), await judge.judge(solutions(1)))


@pytest.mark.parametrize(
    ("fail", "error", "message"),
    [("raise", BackendError, "told to fail"), ("bug", RuntimeError, "RuntimeError in the judge's process")],
)
async def test_what_the_judge_raises_arrives(fail: str, error: type[Exception], message: str) -> None:
    async with process({"kind": "scripted", "fail": fail, "fail_on": "bad"}) as judge:
        with pytest.raises(error, match=message) as raised:
            await judge.judge([Solution("p", ("bad quokka",))])
        assert "quokka" not in str(raised.value)
        assert getattr(raised.value, "retryable", True)
        assert len(await judge.judge(solutions(2))) == 2


async def test_a_cancelled_call_is_cancelled_there_as_well() -> None:
    async with process({"kind": "scripted", "delay_s": 3600.0}) as judge:
        call = asyncio.create_task(judge.judge(solutions(1)))
        await until(lambda: bool(in_flight(judge)))
        call.cancel()
        await asyncio.wait([call])
        await until(lambda: not in_flight(judge))


async def test_it_is_busy_while_somebody_waits_for_it() -> None:
    async with process({"kind": "scripted", "delay_s": 3600}) as judge:
        assert not judge.is_busy
        call = asyncio.create_task(judge.judge(solutions(1)))
        await until(lambda: judge.is_busy)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not judge.is_busy, "though the process may not have heard of that yet"


async def test_a_process_that_hangs_is_replaced() -> None:
    async with process({**HASH, "block_s": 3600.0}, hang_timeout_s=0.5, **MANY) as judge:
        first = judge.pid
        call = asyncio.create_task(judge.judge(solutions(1)))
        await until(lambda: judge.pid != first)
        call.cancel()
        await asyncio.wait([call])


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        ({"kind": "ruled"}, ConfigError, r"\[judge\]: unknown judge kind 'ruled'; did you mean 'rules'"),
        ({"kind": "scripted", "first_eror": 1}, ConfigError, "unknown key 'first_eror'"),
        ({"kind": "probe", "folder": "/nowhere"}, ModelError, "/nowhere"),
    ],
)
def test_a_judge_that_cannot_be_built_says_why(table: dict[str, Any], error: type[Exception], message: str) -> None:
    before = set(psutil.Process().children())
    with pytest.raises(error, match=message):
        ProcessJudge(table, "[judge]", JudgeProcessSettings())
    assert set(psutil.Process().children()) == before


def test_a_start_that_takes_too_long_names_its_setting() -> None:
    with pytest.raises(ModelError, match="start_timeout_s"):
        ProcessJudge(HASH, "[judge]", JudgeProcessSettings(start_timeout_s=0.001))


PARENT = """
import time
from reward_server.engine.settings import JudgeProcessSettings
from reward_server.engine.judge_link import JudgeDied, Link
from reward_server.engine.judge_process import ProcessJudge
import asyncio
from judge.types import Solution

async def main():
    judge = ProcessJudge({"kind": "scripted", "block_s": 3600.0}, "[judge]", JudgeProcessSettings())
    call = asyncio.create_task(judge.judge([Solution("p", ("a",))]))
    while not (judge._link and judge._link.done() and judge._link.result()._unfinished):
        await asyncio.sleep(0.05)
    print(judge.pid, flush=True)
    await call

asyncio.run(main())
"""


def test_it_dies_with_its_parent_even_while_it_works(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], text=True, stdout=subprocess.PIPE, env=environment()
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
        parent.wait(timeout=10)
    give_up = time.monotonic() + 60
    while alive(pid):
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_restarts_wait_longer_and_longer_until_a_call_works() -> None:
    now = 0.0
    policy = RestartPolicy(3, lambda: now)
    delays = []
    for _ in range(12):
        policy.ended()
        delays.append(policy.delay_s())
    assert delays[:4] == [0.0, 0.1, 0.2, 0.4]
    assert delays[-1] == 10.0
    assert policy.too_often()
    policy.worked()
    assert policy.delay_s() == 0.0
    assert policy.too_often()
    now = 61.0
    assert not policy.too_often()
