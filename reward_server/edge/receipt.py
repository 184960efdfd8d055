"""How long a request may take to arrive, and how large its head may be. uvicorn has neither bound.

Two parts: a protocol, which sees the connection (request heads, and bodies that nobody reads any more), and a
middleware, which knows when somebody began to read the body. Time that the server itself
lets pass is nobody's fault: the body's clock starts with the first read, and a loop that stood still looks once more
before it closes anything.
"""

from __future__ import annotations

import asyncio
import uuid
from enum import Enum
from typing import Any

from pydantic import Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from judge.settings import Settings
from reward_server.errors import ApiError, error_body

GRACE_S = 0.5
"""A second look this much later: what lay unread while the loop was busy has been read by then."""


class ReceiptSettings(Settings):
    """Table ``[receipt]``: how a request must arrive."""

    header_timeout_s: float = Field(10.0, gt=0, le=600)
    """A connection is closed whose request line and headers are not whole so long after their first byte."""
    body_timeout_s: float = Field(10.0, gt=0, le=600)
    """A body that is not whole so long after its first read gets 400 (`body_timeout`), and the connection is closed."""
    max_header_bytes: int = Field(32_768, ge=1024, le=1_048_576)
    """A larger head gets 431."""


class ReceiptMiddleware:
    """Gives up on a body that is not whole in time. 408 would make proxies send it again at once."""

    def __init__(self, app: ASGIApp, settings: ReceiptSettings) -> None:
        self.app = app
        self.timeout_s = settings.body_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on with a `receive` that raises `ApiError` 400 when the time is up."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        deadline: float | None = None
        whole = False

        async def timed_receive() -> Message:
            nonlocal deadline, whole
            if whole:  # a handler that listens for the client's leaving may wait as long as it likes
                return await receive()
            if deadline is None:
                deadline = asyncio.get_running_loop().time() + self.timeout_s
            message = await receive_by(receive, deadline)
            whole = message["type"] != "http.request" or not message.get("more_body", False)
            return message

        await self.app(scope, timed_receive, send)


async def receive_by(receive: Receive, deadline: float) -> Message:
    """The next message.

    Raises:
        ApiError: 400, when there is none by ``deadline`` (event loop's clock).
    """
    for until in (deadline, max(deadline, asyncio.get_running_loop().time()) + GRACE_S):
        try:
            async with asyncio.timeout_at(until):
                return await receive()
        except TimeoutError:
            continue
    raise ApiError(
        400,
        "body_timeout",
        "the body did not arrive in time ([receipt] body_timeout_s)",
        {"connection": "close"},
    )


class Stage(Enum):
    """What of a request is being received."""

    IDLE = "idle"
    HEAD = "head"
    BODY = "body"


class ReceiptProtocol(HttpToolsProtocol):
    """uvicorn's protocol with bounds on the head, and an end to bodies that go on after their reply.

    For the layers above, ``scope["state"]["connection_lost"]`` is done once the client has hung up.
    """

    receipt = ReceiptSettings()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stage = Stage.IDLE
        self._head_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._lost: asyncio.Future[None] = self.loop.create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A new connection may be silent as long as an old one: in a rush, clients connect long before they send."""
        super().connection_made(transport)
        self._start_timer(self.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock, and tell whoever waits for this client."""
        self._stop_timer()
        if not self._lost.done():
            self._lost.set_result(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; refuse a head that grows too long."""
        if self._stage is Stage.IDLE:
            # Any byte ends the keep-alive time, so any byte must start the next clock: a line break would do as well.
            self._await_head()
        super().data_received(data)
        if self._stage is Stage.HEAD and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > self.receipt.max_header_bytes:
                self._refuse_head()

    def on_message_begin(self) -> None:
        """A request's first byte."""
        super().on_message_begin()
        if self._stage is Stage.IDLE:  # it came together with the end of the one before
            self._await_head()
        self.scope["state"]["connection_lost"] = self._lost

    def on_headers_complete(self) -> None:
        """The head is whole: nothing is due until somebody reads the body."""
        head_bytes = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if head_bytes > self.receipt.max_header_bytes:
            self._refuse_head()
            return
        self._stop_timer()
        self._stage = Stage.BODY
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Part of a body; of none of ours when its head was refused."""
        if self._stage is Stage.BODY:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._stage is Stage.BODY:
            super().on_message_complete()
            self._stop_timer()
            self._stage, self._head_bytes = Stage.IDLE, 0

    def on_response_complete(self) -> None:
        """What a refused client still sends is dropped, so that it gets to read the refusal; but not for ever."""
        super().on_response_complete()
        if self._stage is Stage.BODY and self.cycle.response_complete and not self.transport.is_closing():
            self._start_timer(self.receipt.body_timeout_s)

    def timeout_keep_alive_handler(self) -> None:
        """An idle connection is closed; at once when its client does not even read our reply."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """What is no HTTP gets the shape of our other errors."""
        self._send_error(400, "invalid_http", "this is not a valid HTTP request")

    def _await_head(self) -> None:
        self._stage = Stage.HEAD
        self._start_timer(self.receipt.header_timeout_s)

    def _start_timer(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, self._time_up)

    def _time_up(self) -> None:
        self._timer = self.loop.call_later(GRACE_S, self._time_up_again)

    def _time_up_again(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            # A request before this one is still being answered, and must not be cut off.
            self._start_timer(self.receipt.header_timeout_s)
        elif not self.transport.is_closing():
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse_head(self) -> None:
        self._send_error(
            431, "headers_too_large", f"more than {self.receipt.max_header_bytes} bytes ([receipt] max_header_bytes)"
        )

    def _send_error(self, status: int, code: str, message: str) -> None:
        if self.transport.is_closing():
            return
        request_id = uuid.uuid4().hex
        body = error_body(code, message, request_id)
        head = (
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\nx-request-id: {request_id}\r\n"
            "x-content-type-options: nosniff\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(STATUS_LINE[status] + head.encode() + body)
        self.transport.close()


def receipt_protocol(settings: ReceiptSettings) -> type[ReceiptProtocol]:
    """The protocol with these settings; uvicorn makes one for each connection and hands over none of ours."""

    class Configured(ReceiptProtocol):
        receipt = settings

    return Configured
