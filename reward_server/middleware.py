"""The edge of the application: request ids, one log line and one count a request, and no reply without a JSON error.

Plain ASGI: Starlette's BaseHTTPMiddleware hides a client's disconnect from the handlers.
"""

from __future__ import annotations

import logging
import re
import time
import traceback
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reward_server.errors import ApiError, error_body
from reward_server.metrics import Metrics

logger = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
RETRY_DRAINING_S = 5
QUIET_ROUTES = frozenset({"/livez", "/readyz", "/metrics"})
"""Polled all the time: logged at level DEBUG, answered while draining, no work that a shutdown waits for."""


@dataclass(slots=True)
class Lifecycle:
    """What the process is doing: requests in flight, and whether it is on its way out."""

    draining: bool = False
    in_flight: int = 0


class EdgeMiddleware:
    """Outermost layer. Labels and log lines carry routes from ``routes`` only, never a caller's path."""

    def __init__(self, app: ASGIApp, metrics: Metrics, lifecycle: Lifecycle, routes: Sequence[str]) -> None:
        self.app = app
        self.metrics = metrics
        self.lifecycle = lifecycle
        self.routes = frozenset(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; every exception becomes a JSON error reply."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        route = scope["path"] if scope["path"] in self.routes else "other"
        counts_as_work = route not in QUIET_ROUTES
        started = time.perf_counter()
        status = 0

        async def send_tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        self.lifecycle.in_flight += counts_as_work
        try:
            if counts_as_work and self.lifecycle.draining:
                raise draining()
            await self.app(scope, receive, send_tagged)
        except ApiError as error:
            await error_response(error, request_id)(scope, receive, send_tagged)
        except Exception as error:  # the edge: nothing may leave as a bare 500 or with the caller's text in it
            # Not logger.exception: the message of an exception may quote a prompt.
            frames = "".join(traceback.format_tb(error.__traceback__))
            logger.error("request %s failed with %s\n%s", request_id, type(error).__name__, frames)
            if not status:
                internal = ApiError(500, "internal", "the server failed; its log has the details under this request id")
                await error_response(internal, request_id)(scope, receive, send_tagged)
        finally:
            self.lifecycle.in_flight -= counts_as_work
            self.metrics.requests.labels(route=route, status=str(status)).inc()
            level = logging.INFO if counts_as_work else logging.DEBUG
            elapsed_ms = (time.perf_counter() - started) * 1000
            logger.log(level, "%s status=%d ms=%.0f id=%s", route, status, elapsed_ms, request_id)


def draining() -> ApiError:
    """503 of a server that is shutting down."""
    return ApiError(
        503, "draining", "this server is shutting down; ask again later", {"retry-after": str(RETRY_DRAINING_S)}
    )


def error_response(error: ApiError, request_id: str) -> Response:
    """The reply for a refusal."""
    body = error_body(error.code, error.message, request_id)
    return Response(body, status_code=error.status, headers=error.headers, media_type="application/json")
