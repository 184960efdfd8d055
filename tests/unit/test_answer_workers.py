"""The processes of answer checks: when they start, what ends them, and whose item fails then."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from judge.answers import AnswerChecker, AnswerFailure, AnswerItem
from judge.errors import BackendError

HANGS = AnswerItem(r"\boxed{9^{9^{9^{9}}} + x}", "18+x")


def workers():
    """The processes of answer checks that this process started."""
    found = []
    for child in psutil.Process().children():
        try:
            if any("answer_worker" in part for part in child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue  # ended meanwhile
    return found


async def test_a_reference_without_content_is_a_failure_not_a_wrong_answer():
    checker = AnswerChecker()
    (result,) = await checker.check([AnswerItem("The answer is 18.", " ")])
    assert isinstance(result, AnswerFailure)
    assert "reference" in result.message
    assert not workers()
    await checker.aclose()


async def test_a_time_out_fails_one_item_only():
    checker = AnswerChecker(timeout_s=5)
    try:
        right = AnswerItem(r"\boxed{\frac{2}{4}}", "1/2")
        wrong = AnswerItem(r"\boxed{\frac{3}{4}}", "1/2")
        first, failed, last = await checker.check([right, HANGS, wrong])
        assert (first, last) == (True, False)
        assert isinstance(failed, AnswerFailure)
        assert "longer than 5 s" in failed.message
    finally:
        await checker.aclose()
    assert not workers()


async def until_busy(process):
    """Wait until the worker works on an item that does not end."""
    before = process.cpu_times().user
    while process.cpu_times().user < before + 0.3:  # noqa: ASYNC110 - another process has no event to wait for
        await asyncio.sleep(0.02)


async def test_a_worker_that_dies_fails_its_item_only():
    checker = AnswerChecker(timeout_s=60)
    try:
        await checker.warm_up()
        (process,) = workers()
        pending = asyncio.create_task(checker.check([HANGS, AnswerItem(r"\boxed{\frac{2}{4}}", "1/2")]))
        await until_busy(process)
        os.kill(process.pid, signal.SIGSEGV)
        failed, right = await pending
        assert isinstance(failed, AnswerFailure)
        assert "died" in failed.message
        assert right is True
    finally:
        await checker.aclose()


async def test_a_cancelled_item_does_not_answer_for_the_next():
    checker = AnswerChecker(timeout_s=60)
    try:
        await checker.warm_up()
        (process,) = workers()
        pending = asyncio.create_task(checker.check([HANGS]))
        await until_busy(process)
        pending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pending
        items = [AnswerItem(r"\boxed{\frac{2}{4}}", "1/2"), AnswerItem(r"\boxed{\frac{3}{4}}", "1/2")]
        assert await checker.check(items) == [True, False]
    finally:
        await checker.aclose()


async def test_concurrent_callers_each_get_their_own_answers():
    checker = AnswerChecker(timeout_s=60, num_workers=2)
    try:
        batches = [[AnswerItem(rf"\boxed{{\frac{{{n}}}{{7}}}}", f"{m}/7") for n in range(1, 6)] for m in range(1, 6)]
        results = await asyncio.gather(*(checker.check(batch) for batch in batches))
        assert results == [[n == m for n in range(1, 6)] for m in range(1, 6)]
        assert len(workers()) == 2
    finally:
        await checker.aclose()
    assert not workers()


async def test_closing_ends_items_in_flight_and_leaves_no_process():
    checker = AnswerChecker(timeout_s=60)
    starting = asyncio.create_task(checker.check([HANGS, HANGS]))
    while not workers():  # noqa: ASYNC110 - nothing tells that a process is being started
        await asyncio.sleep(0.01)
    await checker.aclose()
    assert not workers()
    assert all(isinstance(result, AnswerFailure) for result in await starting)
    await checker.aclose()
    (late,) = await checker.check([AnswerItem(r"\boxed{x}", "y")])
    assert isinstance(late, AnswerFailure)
    assert "closed" in late.message
    assert not workers()


async def test_a_worker_that_cannot_start_is_an_error_that_says_so(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    checker = AnswerChecker()
    with pytest.raises(BackendError, match="answer check"):
        await checker.warm_up()
    (result,) = await checker.check([AnswerItem(r"\boxed{x}", "y")])
    assert isinstance(result, AnswerFailure)
    await checker.aclose()


PARENT = r"""
import asyncio, os, signal
from judge.answers import AnswerChecker, AnswerItem

async def main():
    checker = AnswerChecker(timeout_s=2)
    await checker.warm_up()
    print(next(iter(checker._workers))._process.pid, flush=True)
    await asyncio.gather(checker.check([AnswerItem(r"\boxed{9^{9^{9^{9}}} + x}", "18+x")]), die())

async def die():
    await asyncio.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def test_a_worker_does_not_outlive_a_killed_parent():
    parent = subprocess.run([sys.executable, "-c", PARENT], capture_output=True, text=True, timeout=60)
    assert parent.returncode == -signal.SIGKILL, parent.stderr
    pid = int(parent.stdout)
    deadline = time.monotonic() + 60  # its CPU time is limited to a few seconds
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.1)
