"""The edge of the application: request ids, one log line and one count a request, and no reply without a JSON error.

Plain ASGI: Starlette's BaseHTTPMiddleware hides a client's disconnect from the handlers.
"""

from __future__ import annotations

import logging
import re
import time
import traceback
import uuid
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reward_server.edge.logs import FIELDS, request_fields
from reward_server.edge.tracing import NoSpan, Tracing
from reward_server.errors import ApiError, error_body
from reward_server.metrics import Metrics

logger = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
RETRY_DRAINING_S = 5
QUIET_ROUTES = frozenset({"/livez", "/readyz", "/metrics", "/v1/activity"})
"""Polled all the time: logged at level DEBUG, answered while draining, no work that a shutdown waits for."""


METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
SAFE_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
)
"""Of every reply that does not bring its own: nothing here is to be run, framed, cached or read by another site."""
INTERNAL = ApiError(500, "internal", "the server failed; its log has the details under this request id")


@dataclass(slots=True)
class Lifecycle:
    """What the process is doing: requests in flight, and whether it is on its way out."""

    in_flight: int = 0
    started_at: float = field(default_factory=time.monotonic)
    on_drain: list[Callable[[], object]] = field(default_factory=list)
    """Called once when draining begins, perhaps from a signal handler."""
    _draining: bool = False

    @property
    def draining(self) -> bool:
        """Whether the process is on its way out."""
        return self._draining

    @draining.setter
    def draining(self, value: bool) -> None:
        begins = value and not self._draining
        self._draining = value
        for call in self.on_drain if begins else ():
            call()


class EdgeMiddleware:
    """Outermost layer. Labels and log lines carry routes from ``routes`` only, never a caller's path."""

    def __init__(
        self, app: ASGIApp, metrics: Metrics, lifecycle: Lifecycle, routes: Sequence[str], tracing: Tracing
    ) -> None:
        self.app = app
        self.metrics = metrics
        self.lifecycle = lifecycle
        self.routes = frozenset(routes)
        self.tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; every exception becomes a JSON error reply."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        route = scope["path"] if scope["path"] in self.routes else "other"
        counts_as_work = route not in QUIET_ROUTES
        with self.tracing.request(headers) if counts_as_work else nullcontext(NoSpan()) as span:
            exchange = Exchange(scope, receive, send, request_id(headers), route, span.trace_id, self.metrics)
            self.lifecycle.in_flight += counts_as_work
            token = request_fields.set(exchange.names)
            try:
                if counts_as_work and self.lifecycle.draining:
                    raise draining()
                await self.app(scope, exchange.receive, exchange.send)
            except ApiError as error:
                if not exchange.status:
                    await exchange.refuse(error)
            except Exception as error:  # the edge: nothing may leave as a bare 500 or with the caller's text in it
                # Not logger.exception: the message of an exception may quote a prompt.
                frames = "".join(traceback.format_tb(error.__traceback__))
                logger.error("request %s failed with %s\n%s", exchange.id, type(error).__name__, frames)
                if not exchange.status:
                    await exchange.refuse(INTERNAL)
            finally:
                self.lifecycle.in_flight -= counts_as_work
                exchange.finish()
                span.set("http.route", route)
                span.set("http.response.status_code", exchange.status)
                request_fields.reset(token)


class Exchange:
    """One request and its reply as they pass: status, sizes and time; headers that every reply gets."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        request_id: str,
        route: str,
        trace_id: str,
        metrics: Metrics,
    ) -> None:
        self.id = request_id
        self.status = 0
        self._scope, self._receive, self._send = scope, receive, send
        self._route = route
        self._metrics = metrics
        self._finished = False
        self._started = time.perf_counter()
        self._bytes_in = self._bytes_out = 0
        self.names = {"request_id": request_id} | ({"trace_id": trace_id} if trace_id else {})
        scope.setdefault("state", {})["request_id"] = request_id

    async def receive(self) -> Message:
        """Count what comes in."""
        message = await self._receive()
        self._bytes_in += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        """Count what goes out, and add the headers."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = list(message.get("headers", ()))
            names = {name for name, _ in given}
            added = [pair for pair in SAFE_HEADERS if pair[0] not in names]
            message["headers"] = [*given, (b"x-request-id", self.id.encode()), *added]
        self._bytes_out += len(message.get("body", b""))
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.finish()  # before it goes out: whoever has the reply finds it in the counts
        await self._send(message)

    async def refuse(self, error: ApiError) -> None:
        """Answer with an error."""
        await error_response(error, self.id)(self._scope, self._receive, self.send)

    def finish(self) -> None:
        """Count the request, and log a line about it, once; ``tenant`` is the label of a key."""
        if self._finished:
            return
        self._finished = True
        self._metrics.requests.labels(route=self._route, status=str(self.status)).inc()
        ms = (time.perf_counter() - self._started) * 1000
        fields = self.names | {
            "route": self._route,
            "method": self._scope["method"] if self._scope["method"] in METHODS else "other",
            "status": self.status,
            "ms": round(ms, 3),
            "bytes_in": self._bytes_in,
            "bytes_out": self._bytes_out,
            "tenant": self._scope["state"].get("tenant", ""),
        }
        message = "%s status=%d ms=%.0f id=%s"
        level = logging.DEBUG if self._route in QUIET_ROUTES else logging.INFO
        logger.log(level, message, self._route, self.status, ms, self.id, extra={FIELDS: fields})


def request_id(headers: Headers) -> str:
    """The caller's, when it is one that may stand in a log; else a new one."""
    given = headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def draining() -> ApiError:
    """503 of a server that is shutting down."""
    return ApiError(
        503, "draining", "this server is shutting down; ask again later", {"retry-after": str(RETRY_DRAINING_S)}
    )


def error_response(error: ApiError, request_id: str) -> Response:
    """The reply for a refusal."""
    body = error_body(error.code, error.message, request_id)
    return Response(body, status_code=error.status, headers=error.headers, media_type="application/json")
