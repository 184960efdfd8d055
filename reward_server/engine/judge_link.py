"""The server's end of the socket to the judge's process: many calls at a time, each answered under its number."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections.abc import Callable, Sequence

from judge.errors import BackendError
from judge.types import Solution, Unscored, Verdict
from reward_server.engine.judge_frames import HEADER, Ask, Cancel, Cancelled, Failed, Results, ToJudge, pack, unpack


class JudgeDied(BackendError):
    """The judge's process ended before it answered."""

    def __init__(self) -> None:
        super().__init__("the judge's process died", retryable=True)


class Link:
    """One connection, for the life of one process. Belongs to one event loop.

    Args:
        reader: from the process.
        writer: to the process.
        lost: called once, when the process has gone, before any caller learns of it.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: Callable[[], None]) -> None:
        self._reader = reader
        self._writer = writer
        self._lost = lost
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[list[Verdict | Unscored]]] = {}
        self._unfinished: set[int] = set()
        """Calls that the process has not done with, those that were cancelled here among them."""
        self._heard_at = time.monotonic()
        self._closed = False

    @classmethod
    async def open(cls, connection: socket.socket, lost: Callable[[], None]) -> Link:
        """Take over the socket of a process that is ready."""
        connection.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=connection)
        return cls(reader, writer, lost)

    async def call(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        """Have the process judge a batch.

        Raises:
            JudgeDied: when the process ends first.
            Exception: what the judge raised; see `reward_server.engine.judge_frames.Failed`.
        """
        if self._closed:
            raise JudgeDied
        number = next(self._numbers)
        future: asyncio.Future[list[Verdict | Unscored]] = asyncio.get_running_loop().create_future()
        if not self._unfinished:
            self._heard_at = time.monotonic()
        self._waiting[number] = future
        self._unfinished.add(number)
        try:
            self._send(Ask(number, tuple(batch)))
            return await future
        except asyncio.CancelledError:
            self._send(Cancel(number))
            raise
        finally:
            self._waiting.pop(number, None)

    async def run(self) -> None:
        """Receive answers until the process has gone; then every open call fails."""
        try:
            while True:
                (length,) = HEADER.unpack(await self._reader.readexactly(HEADER.size))
                self._take(unpack(await self._reader.readexactly(length)))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._break()

    @property
    def num_waiting(self) -> int:
        """Calls whose results somebody waits for."""
        return len(self._waiting)

    def silent_s(self) -> float:
        """For how long the process has had work and said nothing; 0 when it has none."""
        return time.monotonic() - self._heard_at if self._unfinished else 0.0

    def _send(self, message: ToJudge) -> None:
        if self._closed:
            return
        try:
            # Not drained: what waits here is bounded by the calls that the batcher lets through.
            self._writer.write(pack(message))
        except (OSError, RuntimeError):
            # The transport knows before `run` does; uvloop raises RuntimeError then, asyncio drops the message.
            self._break()

    def _break(self) -> None:
        """Hang up: the process ends, if it has not yet, and every open call fails."""
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        self._lost()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(JudgeDied())

    def _take(self, message: Results | Failed | Cancelled) -> None:
        self._heard_at = time.monotonic()
        self._unfinished.discard(message.call_id)
        future = self._waiting.get(message.call_id)
        if future is None or future.done():
            return
        if isinstance(message, Results):
            future.set_result(message.results)
        elif isinstance(message, Failed):
            future.set_exception(message.error())
