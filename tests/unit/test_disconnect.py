"""A client that goes away ends its handler; one that has its reply does not. (Real sockets: test_server_faults.)"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from reward_server.edge.disconnect import DisconnectMiddleware
from reward_server.errors import ApiError

SCOPE = {"type": "http"}
BODY = {"type": "http.request", "body": b"x", "more_body": False}


class Client:
    """Sends its body in parts, and hangs up when told to."""

    def __init__(self, *messages: Message) -> None:
        self.messages = list(messages)
        self.hangs_up = asyncio.Event()
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        if self.messages:
            return self.messages.pop(0)
        await self.hangs_up.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        if message["type"] == "http.response.body":
            self.hangs_up.set()  # as uvicorn does: nothing more will come


async def read(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return body


async def reply(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok", "more_body": False})


async def test_a_handler_whose_client_goes_is_cancelled() -> None:
    events: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        events.append(await read(receive))
        client.hangs_up.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            events.append("cancelled")
            raise

    client = Client({"type": "http.request", "body": b"a", "more_body": True}, BODY)
    with pytest.raises(ApiError) as gone:
        await DisconnectMiddleware(app)(SCOPE, client.receive, client.send)
    assert gone.value.code == "disconnected"
    assert events == [b"ax", "cancelled"]


async def test_what_a_handler_does_after_its_reply_is_not_cancelled() -> None:
    events: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read(receive)
        await reply(send)
        for _ in range(10):
            await asyncio.sleep(0)
        events.append("done")

    client = Client(BODY)
    await DisconnectMiddleware(app)(SCOPE, client.receive, client.send)
    assert events == ["done"]
    assert [message["type"] for message in client.sent] == ["http.response.start", "http.response.body"]


async def test_errors_of_the_handler_go_through() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read(receive)
        raise ApiError(422, "invalid_request", "no")

    with pytest.raises(ApiError) as error:
        await DisconnectMiddleware(app)(SCOPE, Client(BODY).receive, Client().send)
    assert error.value.status == 422


async def test_a_cancelled_request_ends_its_handler() -> None:
    ended = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    request = asyncio.create_task(DisconnectMiddleware(app)(SCOPE, Client().receive, Client().send))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    request.cancel()
    await asyncio.wait([request])
    assert request.cancelled()
    assert ended.is_set()
