"""A client that goes away cancels its work: what it queued is dropped, and calls made for it alone are ended.

Plain ASGI, innermost of the layers: the handler runs as a task, and once the body has been read someone else listens
for the end of the connection.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reward_server.errors import ApiError

CLIENT_GONE: Final = 499
"""Never sent, for nobody is there; it keeps such requests apart in logs and counts."""


class DisconnectMiddleware:
    """Cancels the handler when its client has gone."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request.

        Raises:
            ApiError: when the client went away before the reply.
        """
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body_read = asyncio.Event()

        async def receive_body() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                body_read.set()
            return message

        async def gone() -> None:
            await body_read.wait()
            while (await receive())["type"] != "http.disconnect":
                pass

        replied = False

        async def send_reply(message: Message) -> None:
            nonlocal replied
            replied = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        work = asyncio.ensure_future(self.app(scope, receive_body, send_reply))
        watcher = asyncio.ensure_future(gone())
        try:
            await asyncio.wait([work, watcher], return_when=asyncio.FIRST_COMPLETED)
            if replied:
                # The end of the exchange, not of the client.
                await asyncio.wait([work])
        finally:
            cancelled = not work.done()
            for task in (watcher, work):
                task.cancel()
                await settled(task)
        if cancelled and work.cancelled():
            raise ApiError(CLIENT_GONE, "disconnected", "the client went away before its reply was ready")
        await work


async def settled(task: asyncio.Future[None]) -> None:
    """Wait for the end of a task, however it ends."""
    with suppress(asyncio.CancelledError):
        await asyncio.wait([task])
