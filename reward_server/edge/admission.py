"""Who is let in: requests are counted, queued or refused before their bodies are read.

Three bounds, because they guard different things. `max_in_flight_requests` is how many requests are worked on at a
time. `max_waiting_requests` is how many more send their bodies or stand in line, each caller's key having its turn.
`max_held_body_bytes` is what all their bodies together may weigh.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable

from prometheus_client import Counter, Gauge
from pydantic import Field
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from judge.settings import Settings
from reward_server.edge.gate import Full, Gate, GateLimits, Gone, Place
from reward_server.edge.rates import Rate
from reward_server.errors import ApiError
from reward_server.metrics import Metrics

BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Never counted: nothing reads a body of theirs, and an overloaded server should still say how it is."""


class AdmissionSettings(Settings):
    """Table ``[admission]``: how many requests at a time, how many wait, and what one key may have of it."""

    max_in_flight_requests: int = Field(256, ge=1, le=1_000_000)
    """Requests worked on at a time."""
    max_waiting_requests: int = Field(16_384, ge=0, le=1_000_000)
    """Requests that still send their bodies, or wait in line. Beyond it: 503 at once, the body unread."""
    max_wait_s: float = Field(60.0, gt=0, le=3600)
    """A request that would stand in line for longer, going by the pace of the line, gets 503 at once; so does one that
    has stood there so long."""
    max_held_body_bytes: int = Field(1_073_741_824, ge=1_048_576)
    """Sum of the bodies of all those requests, as announced; one without a Content-Length counts as the largest."""
    requests_per_minute_per_key: int = Field(0, ge=0)
    """Beyond it a key gets 429; 0: no bound."""
    max_share_per_key: float = Field(1.0, gt=0, le=1)
    """Largest share of all places, in flight and in line, that one key may hold; beyond it 429."""

    @property
    def num_connections(self) -> int:
        """Clients that may be held at a time."""
        return self.max_in_flight_requests + self.max_waiting_requests

    def gate(self) -> Gate:
        """A gate with these bounds."""
        return Gate(
            GateLimits(
                max_working=self.max_in_flight_requests,
                max_waiting=self.max_waiting_requests,
                max_bytes=self.max_held_body_bytes,
                max_share=self.max_share_per_key,
                max_wait_s=self.max_wait_s,
            )
        )


class AdmissionMetrics:
    """What the gate shows of itself."""

    def __init__(self, metrics: Metrics, gate: Gate) -> None:
        registry = metrics.registry
        requests = Gauge(
            "sgpo_admitted_requests",
            "Requests that send their bodies, stand in line, are worked on, or are parked while they wait for others.",
            ("place",),
            registry=registry,
        )
        requests.labels(place="receiving").set_function(lambda: gate.receiving)
        requests.labels(place="working").set_function(lambda: gate.working)
        requests.labels(place="waiting").set_function(lambda: gate.waiting)
        requests.labels(place="parked").set_function(lambda: gate.parked)
        wait = Gauge(
            "sgpo_line_seconds", "About how long a new caller's request would stand in line.", registry=registry
        )
        wait.set_function(lambda: gate.wait_s(""))
        held = Gauge("sgpo_held_body_bytes", "Announced bytes of those requests' bodies.", registry=registry)
        held.set_function(lambda: gate.held_bytes)
        self.refused = Counter(
            "sgpo_refused", "Requests refused before their body was read, by reason.", ("reason",), registry=registry
        )


class AdmissionMiddleware:
    """Plain ASGI, outside of everything that reads a body.

    A request's place stands in ``scope["state"]["place"]``: a handler that only waits for others may `Place.park` it.
    ``scope["state"]["arrived"]`` is the event loop's time at which the request came.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: AdmissionSettings,
        gate: Gate,
        metrics: AdmissionMetrics,
        max_body_bytes: int,
        has_route: Callable[[Scope], bool] = lambda _: True,
    ) -> None:
        self.app = app
        self.gate = gate
        self.metrics = metrics
        self.rate = Rate(settings.requests_per_minute_per_key)
        self.max_body_bytes = max_body_bytes
        self.has_route = has_route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in when there is room, or raise `ApiError` 413, 429 or 503."""
        if scope["type"] != "http" or scope["method"] in BODILESS or not self.has_route(scope):
            # Without a route, 404 or 405 from within: nothing there reads the body.
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["arrived"] = asyncio.get_running_loop().time()
        tenant = state.get("tenant", "")
        try:
            num_bytes = announced_bytes(Headers(scope=scope), self.max_body_bytes)
            wait_s = self.rate.hit(tenant)
            if wait_s:
                raise over_quota("requests_per_minute_per_key", wait_s)
            place = self._admit(tenant, num_bytes)
        except ApiError as error:
            self.metrics.refused.labels(reason=error.code).inc()
            raise
        state["place"] = place
        try:
            # Read before the turn, within the bound of all bodies together: a slow sender keeps no one from working.
            body = await whole_body(receive, self.max_body_bytes)
            await self._begin(place, state.get("connection_lost"))
            await self.app(scope, Replay(body, receive), send)
        finally:
            place.leave()

    def _admit(self, tenant: str, num_bytes: int) -> Place:
        try:
            return self.gate.admit(tenant, num_bytes)
        except Full as full:
            if full.of_key:
                raise over_quota("max_share_per_key", retry_after_s()) from None
            raise overloaded(full) from None

    async def _begin(self, place: Place, gone: asyncio.Future[None] | None) -> None:
        try:
            await place.begin(gone)
        except Full as full:
            self.metrics.refused.labels(reason="overloaded").inc()
            raise overloaded(full) from None
        except Gone:
            raise hung_up() from None


class Replay:
    """The body that has been read, then whatever the client does next."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        """The next ASGI message."""
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def whole_body(receive: Receive, max_bytes: int) -> bytes:
    """The body.

    Raises:
        ApiError: 413 when it is larger than was announced, 400 when the client hangs up.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise hung_up()
        body += message.get("body", b"")
        if len(body) > max_bytes:
            raise body_too_large(max_bytes)
        if not message.get("more_body", False):
            return bytes(body)


def hung_up() -> ApiError:
    """400 that nobody reads; it is counted and logged."""
    return ApiError(400, "disconnected", "the client went away before its turn")


def overloaded(full: Full) -> ApiError:
    """503 that names the bound."""
    headers = {"retry-after": str(retry_after_s(full.more_s))}
    return ApiError(503, "overloaded", f"this server is full ({full}); ask again later", headers)


def over_quota(setting: str, wait_s: float) -> ApiError:
    """429 for a key that has had its part."""
    return ApiError(
        429,
        "quota_exceeded",
        f"this key is over its quota ([admission] {setting}); ask again later",
        {"retry-after": str(math.ceil(wait_s))},
    )


def retry_after_s(least_s: float = 0.0) -> int:
    """Seconds, spread, so that those refused together do not come back together; at most half a minute."""
    return random.randint(1, 4) + min(26, int(least_s))  # noqa: S311


def announced_bytes(headers: Headers, max_body_bytes: int) -> int:
    """The weight of a body that has not come yet.

    Raises:
        ApiError: 413 when it is larger than any may be.
    """
    length = headers.get("content-length", "")
    if not length.isdecimal():
        return 0 if "transfer-encoding" not in headers else max_body_bytes
    if int(length[:20]) > max_body_bytes:
        raise body_too_large(max_body_bytes)
    return int(length)


def body_too_large(max_body_bytes: int) -> ApiError:
    """413, for what is announced and for what is sent."""
    return ApiError(
        413,
        "body_too_large",
        f"the body is larger than {max_body_bytes} bytes ([limits] max_body_bytes); send fewer groups",
    )
