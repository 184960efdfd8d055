"""Work beside the event loop, in real processes: results, deadlines, death, and the end of the parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from unittest import mock

import pytest

from reward_server.cpu_pool import CpuPool

FAR = 120.0


@pytest.fixture
async def pool() -> AsyncIterator[CpuPool]:
    pool = CpuPool(1)
    yield pool
    pool.close()


def soon() -> float:
    return asyncio.get_running_loop().time() + FAR


def die_once(marker: str) -> str:
    """Ends its process the first time."""
    if not Path(marker).exists():
        Path(marker).write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def die() -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return "unreachable"


def fail(message: str) -> str:
    raise ValueError(message)


@pytest.mark.parametrize("num_processes", [0, 1])
async def test_results_come_from_beside_the_event_loop(num_processes: int) -> None:
    pool = CpuPool(num_processes)
    await pool.warm_up()
    assert await pool.run(soon(), sum, [1, 2, 3]) == 6
    pid = await pool.run(soon(), os.getpid)
    assert (pid == os.getpid()) == (num_processes == 0)
    assert pool.num_waiting == 0
    pool.close()


async def test_an_exception_is_the_callers(pool: CpuPool) -> None:
    with pytest.raises(ValueError, match="seven"):
        await pool.run(soon(), fail, "seven")


async def test_what_has_not_begun_by_the_deadline_is_dropped() -> None:
    pool = CpuPool()
    release = asyncio.Event()
    loop = asyncio.get_running_loop()
    first = asyncio.create_task(
        pool.run(soon(), lambda: asyncio.run_coroutine_threadsafe(release.wait(), loop).result(FAR))
    )
    await asyncio.sleep(0)
    never = mock.Mock()
    assert await pool.run(loop.time(), never) is None
    release.set()
    assert await first is True
    assert await pool.run(soon(), sum, [1]) == 1  # behind what was dropped
    never.assert_not_called()
    pool.close()


async def test_work_is_done_again_when_its_process_dies(pool: CpuPool, tmp_path: Path) -> None:
    assert await pool.run(soon(), die_once, str(tmp_path / "died")) == "done"


async def test_work_that_kills_its_process_is_given_up_and_the_next_is_done(pool: CpuPool) -> None:
    assert await pool.run(soon(), die) is None
    assert await pool.run(soon(), sum, [4, 5]) == 9


async def test_where_no_process_can_be_had_a_thread_does_it(caplog: pytest.LogCaptureFixture) -> None:
    pool = CpuPool(1)
    with mock.patch("multiprocessing.context.SpawnProcess.start", side_effect=OSError("no more processes")):
        await pool.warm_up()
    assert "cpu_workers" in caplog.text
    assert await pool.run(soon(), os.getpid) == os.getpid()
    pool.close()


PARENT = """
import asyncio, os, sys, time
from reward_server.cpu_pool import CpuPool
if __name__ == "__main__":
    async def main():
        pool = CpuPool(1)
        print(await pool.run(asyncio.get_running_loop().time() + 100, os.getpid), flush=True)
        time.sleep(600)
    asyncio.run(main())
"""


def test_a_process_ends_with_its_parent_even_when_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    give_up = time.monotonic() + FAR
    while alive(child):
        assert time.monotonic() < give_up
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Not a zombie either: whoever inherited it may be slow to collect it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
