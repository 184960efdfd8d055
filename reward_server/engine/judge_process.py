"""A judge in a process of its own: its work cannot stop the event loop, and its death is not the server's.

A process that dies is started again. What was in flight is tried once more in the new one, in two halves, so that what
killed it need not take the whole batch along; what is lost again is `judge_unavailable`.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from judge.errors import BackendError, JudgeError
from judge.types import Solution, Unscored, UnscoredReason, Verdict
from reward_server.edge.logs import LoggingSettings
from reward_server.engine.judge_frames import Build
from reward_server.engine.judge_link import JudgeDied, Link
from reward_server.engine.judge_start import DiedLoading, JudgeProcess, start
from reward_server.engine.settings import JudgeProcessSettings

logger = logging.getLogger(__name__)

FIRST_DELAY_S: Final = 0.1
MAX_DELAY_S: Final = 10.0
WINDOW_S: Final = 60.0


class RestartPolicy:
    """How long to wait before the next start, and whether the process dies too often.

    Args:
        max_per_minute: ends within a minute that are still bearable.
        clock: seconds, monotonic; for tests.
    """

    def __init__(self, max_per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max = max_per_minute
        self._clock = clock
        self._ends: deque[float] = deque()
        self._streak = 0

    def ended(self) -> None:
        """The process died, or did not start."""
        self._ends.append(self._clock())
        self._streak += 1

    def worked(self) -> None:
        """The process answered a call."""
        self._streak = 0

    def too_often(self) -> bool:
        """Whether it died too often within the last minute."""
        while self._ends and self._clock() - self._ends[0] > WINDOW_S:
            self._ends.popleft()
        return len(self._ends) > self._max

    def delay_s(self) -> float:
        """Nothing after the first end since the last answer, then longer and longer."""
        if self._streak <= 1:
            return 0.0
        return float(min(FIRST_DELAY_S * 2 ** min(self._streak - 2, 20), MAX_DELAY_S))


class ProcessJudge:
    """Implements `judge.judges.base.Judge`. Built outside of the event loop, used within one.

    Args:
        table: of the judge; the process builds it.
        where: what the reader calls the table.
        settings: time-outs, and how many deaths are bearable.
        logging_settings: how the process logs, to the server's own standard error.

    Raises:
        JudgeError: when the judge cannot be built, with the message that says why.
    """

    def __init__(
        self,
        table: Mapping[str, Any],
        where: str,
        settings: JudgeProcessSettings,
        logging_settings: LoggingSettings | None = None,
    ) -> None:
        self._build = Build(dict(table), where, logging_settings or LoggingSettings())
        self._settings = settings
        self._policy = RestartPolicy(settings.max_restarts_per_minute)
        self._process = start(self._build, settings.start_timeout_s)
        self._judge_id = self._process.judge_id
        self._starting: subprocess.Popen[bytes] | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._link: asyncio.Future[Link] | None = None
        self._fault: str | None = None
        self._closing = False
        self.on_restart: Callable[[], None] = lambda: None
        """Called whenever a process has been lost."""
        self.on_retry: Callable[[], None] = lambda: None
        """Called whenever a call is made again because its process died."""

    @property
    def judge_id(self) -> str:
        """The judge's own, as the first process told it."""
        return self._judge_id

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        return self._process.process.pid

    @property
    def is_busy(self) -> bool:
        """True while the process has work; if it hangs over it, `hang_timeout_s` ends that."""
        link = self._link
        if link is None or not link.done() or link.cancelled() or link.exception() is not None:
            return False
        return link.result().num_waiting > 0

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        """Judge every solution of the batch, in order.

        Raises:
            BackendError: while the process cannot be started, or dies too often.
            Exception: what the judge raised.
        """
        try:
            return await self._once(batch)
        except JudgeDied:
            self.on_retry()
        half = len(batch) // 2
        halves = [part for part in (batch[:half], batch[half:]) if part]
        return [result for part in halves for result in await self._again(part)]

    async def aclose(self) -> None:
        """End the process; calls in flight fail. Safe to call twice."""
        self._closing = True
        if self._starting is not None:
            self._starting.kill()
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.wait([self._supervisor])
        self._fail("the judge is closed")
        await asyncio.to_thread(self._process.end)

    async def _once(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        link = await self._current_link()
        results = await link.call(batch)
        self._policy.worked()
        return results

    async def _again(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        try:
            return await self._once(batch)
        except BackendError as error:
            message = f"the judge's process died, and the second attempt failed: {error}"
            return [Unscored(UnscoredReason.JUDGE_UNAVAILABLE, message, self._judge_id) for _ in batch]

    async def _current_link(self) -> Link:
        """The connection, as soon as there is one."""
        if self._fault is not None:
            raise BackendError(self._fault, retryable=True)
        if self._link is None:
            self._link = asyncio.get_running_loop().create_future()
            self._supervisor = asyncio.create_task(self._supervise())
        # A caller that gives up must not cancel the future that the others wait for.
        return await asyncio.shield(self._link)

    async def _supervise(self) -> None:
        """Keep one process alive, for ever."""
        while True:
            link = await Link.open(self._process.connection, self._down)
            self._up(link)
            await self._watch(link)
            self._lost(f"the judge's process {await asyncio.to_thread(self._process.end)}")
            await self._restart()

    async def _watch(self, link: Link) -> None:
        """Return when the process has gone; end it when it hangs."""
        receiving = asyncio.create_task(link.run())
        try:
            while not receiving.done():
                await asyncio.wait([receiving], timeout=min(1.0, self._settings.hang_timeout_s / 4))
                if link.silent_s() > self._settings.hang_timeout_s:
                    logger.error("the judge's process said nothing for %.0f s; it is ended", link.silent_s())
                    self._process.process.kill()
            error = receiving.exception()
            if error is not None:
                logger.error("the judge's process cannot be understood: %s", type(error).__name__)
        finally:
            receiving.cancel()

    async def _restart(self) -> None:
        """Start a process; does not give up."""
        while True:
            await asyncio.sleep(MAX_DELAY_S if self._policy.too_often() else self._policy.delay_s())
            try:
                process = await asyncio.to_thread(self._start)
            except (JudgeError, OSError) as error:
                self._lost(f"the judge's process cannot be started: {error}")
                if not isinstance(error, DiedLoading):
                    self._fail(str(error))
                continue
            if process.judge_id != self._judge_id:
                await asyncio.to_thread(process.end)
                change = f"the judge was changed on disk, from {self._judge_id} to {process.judge_id}"
                self._lost(f"{change}; restart the server to use it")
                self._fail(change)
                continue
            self._process = process
            return

    def _start(self) -> JudgeProcess:
        """Runs in a thread."""

        def begun(process: subprocess.Popen[bytes]) -> None:
            self._starting = process
            if self._closing:
                process.kill()

        try:
            return start(self._build, self._settings.start_timeout_s, begun)
        finally:
            self._starting = None

    def _up(self, link: Link) -> None:
        self._fault = None
        if self._link is None or self._link.done():
            self._down()
        assert self._link is not None
        self._link.set_result(link)

    def _down(self) -> None:
        """From now on callers wait for the next process."""
        self._link = asyncio.get_running_loop().create_future()

    def _lost(self, what: str) -> None:
        """Count an end or a failed start, and give up hope for a while where there were too many."""
        logger.error("%s", what)
        self._policy.ended()
        self.on_restart()
        if self._policy.too_often():
            limit = f"more than {self._settings.max_restarts_per_minute} times within a minute"
            self._fail(f"the judge's process died {limit} ([judge_process] max_restarts_per_minute)")

    def _fail(self, fault: str) -> None:
        """Tell those who wait, and those who come, that there will be no process soon."""
        self._fault = fault
        if self._link is not None and not self._link.done():
            self._link.set_exception(BackendError(fault, retryable=True))
            self._link.exception()  # read here, so that nobody complains when no one waits
