"""Pure Python work beside the event loop: in processes of its own, or in a thread where there are none.

A thread would share the interpreter with the event loop: each would wait for the other, in turns of milliseconds.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.util import Finalize
from typing import ParamSpec, TypeVar

logger = logging.getLogger(__name__)

EXIT_PRIORITY = 100
ParamT = ParamSpec("ParamT")
ResultT = TypeVar("ResultT")


class CpuPool:
    """Runs functions in the order in which they come, as many at a time as there are processes.

    A process that dies is started again. What it was working on is done once more, and given up when that ends the
    process again: it may be the work that kills.

    Args:
        num_processes: 0: one thread of this process.
    """

    def __init__(self, num_processes: int = 0) -> None:
        self._num_processes = num_processes
        self._executor = self._new()
        self.num_waiting = 0
        """Calls that have no result yet."""

    async def run(
        self, deadline: float, function: Callable[ParamT, ResultT], *args: ParamT.args, **kwargs: ParamT.kwargs
    ) -> ResultT | None:
        """The function's result; None when there is none by ``deadline`` (event loop's clock).

        Args:
            deadline: what has not begun by then is dropped.
            function: importable by name, arguments and result picklable, unless it is run in a thread.
        """
        self.num_waiting += 1
        try:
            for _ in range(2):
                executor = self._executor
                try:
                    return await self._once(executor, deadline, function, *args, **kwargs)
                except BrokenProcessPool:
                    self._replace(executor)
            logger.error("a process for CPU work died twice over the same work, which is given up")
            return None
        finally:
            self.num_waiting -= 1

    async def warm_up(self) -> None:
        """Start the processes; where that is not possible, fall back on a thread, and say so."""
        loop = asyncio.get_running_loop()
        try:
            await asyncio.gather(*(loop.run_in_executor(self._executor, os.getpid) for _ in range(self._num_processes)))
        except (OSError, BrokenProcessPool) as error:
            logger.warning("no processes for CPU work ([server] cpu_workers), a thread does it: %s", error)
            self._num_processes = 0
            self._replace(self._executor)

    def close(self) -> None:
        """Drop what has not begun, and see the processes end, once they have done what they are at."""
        self._executor.shutdown(cancel_futures=True)

    async def _once(
        self,
        executor: Executor,
        deadline: float,
        function: Callable[ParamT, ResultT],
        *args: ParamT.args,
        **kwargs: ParamT.kwargs,
    ) -> ResultT | None:
        loop = asyncio.get_running_loop()
        future = asyncio.wrap_future(executor.submit(function, *args, **kwargs))
        try:
            done, _ = await asyncio.wait([future], timeout=max(0.0, deadline - loop.time()))
        finally:
            future.cancel()
        return future.result() if done else None

    def _replace(self, broken: Executor) -> None:
        if self._executor is broken:  # nobody else has done it meanwhile
            broken.shutdown(wait=False, cancel_futures=True)
            self._executor = self._new()

    def _new(self) -> Executor:
        if not self._num_processes:
            return ThreadPoolExecutor(max_workers=1, thread_name_prefix="cpu")
        # Not forked: this process has threads.
        context = multiprocessing.get_context("spawn")
        executor = ProcessPoolExecutor(self._num_processes, context, initializer=begin_process)
        # A server that is one of several, and leaves without closing this, would wait for ever for ones that no one
        # has told to end. Ahead of the executor's own queue, which is closed at 10 and could not tell them any more.
        Finalize(self, executor.shutdown, kwargs={"cancel_futures": True}, exitpriority=EXIT_PRIORITY)
        return executor


def begin_process() -> None:
    """What a process does first: Ctrl-C is for its parent, whose end is its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(0)

    # An idle process waits on a pipe of which it holds both ends: it would never see that the other side is gone.
    threading.Thread(target=end_with_parent, daemon=True).start()
