"""The judge's process: builds the judge and answers for it until the server has gone.

The socket is read in a thread of its own, so that the end of the server is noticed even while the judge blocks the
event loop; then everything ends, in-flight work included.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
import traceback
from contextlib import suppress
from typing import Final

from judge.backends.base import PromptTooLong
from judge.errors import BackendError, BackendTimeout, ConfigError, DataError, JudgeError, ModelError
from judge.judges.base import Judge
from judge.registry import build_judge
from reward_server.edge.logs import set_up_logging
from reward_server.engine.judge_frames import (
    Ask,
    Build,
    Cancel,
    Cancelled,
    ErrorKind,
    Failed,
    FromJudge,
    Ready,
    Results,
    pack,
    receive,
)

CLOSE_GRACE_S: Final = 3.0
"""Time for the judge to close its own connections and processes once the server has gone."""


def main(fd: int) -> None:
    """Serve the judge on an inherited socket."""
    # Signals to the whole service are the server's business: it drains first, and then closes the socket. Not SIG_IGN,
    # which processes that the judge starts would inherit.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    # Whatever libraries print must not end up in the server's standard output.
    os.dup2(2, 1)
    connection = socket.socket(fileno=fd)
    connection.set_inheritable(False)
    first = receive(connection)
    assert isinstance(first, Build)
    set_up_logging(first.logging)
    child = Child(connection)
    threading.Thread(target=child.listen, name="listen", daemon=True).start()
    try:
        judge = build_judge(first.table, first.where)
    except Exception as error:
        child.send(failure(0, error))
        return
    asyncio.run(child.serve(judge))


class Child:
    """Calls under way, and the socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server_gone = threading.Event()
        self._stop: asyncio.Event | None = None
        self._started = threading.Event()

    def listen(self) -> None:
        """Hand messages to the event loop; end the process when there will be no more. Runs in a thread."""
        with suppress(EOFError):
            while True:
                message = receive(self._connection)
                self._started.wait()
                assert self._loop is not None
                self._loop.call_soon_threadsafe(self._take, message)
        if self._started.is_set():
            assert self._loop is not None
            assert self._stop is not None
            with suppress(RuntimeError):  # the loop is closed already
                self._loop.call_soon_threadsafe(self._stop.set)
            time.sleep(CLOSE_GRACE_S)
        os._exit(0)

    async def serve(self, judge: Judge) -> None:
        """Answer calls until the server has gone."""
        self._judge = judge
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self.send(Ready(judge.judge_id))
        self._started.set()
        await self._stop.wait()
        for task in self._calls.values():
            task.cancel()
        await asyncio.gather(*self._calls.values(), return_exceptions=True)
        await judge.aclose()

    def send(self, message: FromJudge) -> None:
        """Say something to the server. Blocks only as long as the server does not read."""
        with suppress(ConnectionError):
            self._connection.sendall(pack(message))

    def _take(self, message: Ask | Cancel) -> None:
        if isinstance(message, Cancel):
            task = self._calls.get(message.call_id)
            if task is not None:
                task.cancel()
            return
        task = asyncio.create_task(self._answer(message))
        self._calls[message.call_id] = task
        task.add_done_callback(lambda _: self._calls.pop(message.call_id, None))

    async def _answer(self, ask: Ask) -> None:
        try:
            results = await self._judge.judge(ask.batch)
            reply = pack(Results(ask.call_id, list(results)))
        except asyncio.CancelledError:
            reply = pack(Cancelled(ask.call_id))
        except Exception as error:
            reply = pack(failure(ask.call_id, error))
        with suppress(ConnectionError):
            self._connection.sendall(reply)


def failure(call_id: int, error: Exception) -> Failed:
    """An error as a message."""
    if isinstance(error, JudgeError):
        return Failed(call_id, kind_of(error), str(error), isinstance(error, BackendError) and error.retryable)
    if call_id == 0:
        # Building has seen nobody's text yet.
        return Failed(call_id, "model", f"the judge cannot be built: {type(error).__name__}: {error}")
    # Without the exception's message, which may quote a response.
    frames = "".join(traceback.format_tb(error.__traceback__))
    return Failed(call_id, "bug", f"{type(error).__name__} in the judge's process\n{frames}")


def kind_of(error: JudgeError) -> ErrorKind:
    """The name under which an error crosses the socket."""
    kinds: list[tuple[type[JudgeError], ErrorKind]] = [
        (ConfigError, "config"),
        (ModelError, "model"),
        (DataError, "data"),
        (BackendTimeout, "timeout"),
        (PromptTooLong, "too_long"),
        (BackendError, "backend"),
    ]
    return next((name for kind, name in kinds if isinstance(error, kind)), "judge")
