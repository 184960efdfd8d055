"""The layers between the socket and the routes, put together; everything here happens before a body is read.

From the outside: request id, log and headers; key; receipt deadline; room.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Match

from judge.judges.base import Judge
from reward_server.config import ServerConfig
from reward_server.edge.admission import AdmissionMetrics, AdmissionMiddleware
from reward_server.edge.auth import AuthMiddleware, KeyRing
from reward_server.edge.middleware import EdgeMiddleware, Lifecycle
from reward_server.edge.rates import Rate
from reward_server.edge.receipt import ReceiptMiddleware
from reward_server.edge.tracing import NoTracing, TracedJudge, build_tracing
from reward_server.edge.watchdog import Watchdog
from reward_server.metrics import Metrics


class Edge:
    """What the layers share; one per app, in ``app.state.edge``.

    Raises:
        ConfigError: when tracing is asked for and cannot be had.
    """

    def __init__(self, config: ServerConfig, keys: KeyRing, metrics: Metrics, lifecycle: Lifecycle) -> None:
        self._config = config
        self._metrics = metrics
        self._lifecycle = lifecycle
        self.keys = keys
        self.gate = config.admission.gate()
        self.tracing = build_tracing(config.tracing)
        self.watchdog = Watchdog(metrics.registry)

    def traced(self, judge: Judge) -> Judge:
        """The judge, with a span for each call where tracing is on."""
        return judge if isinstance(self.tracing, NoTracing) else TracedJudge(judge, self.tracing)

    def install(self, app: FastAPI) -> None:
        """Put the layers around an app that has all its routes."""
        config, metrics = self._config, self._metrics
        paths = [route.path for route in app.routes if isinstance(route, APIRoute)]
        app.state.edge = self
        # The last one added is the outermost.
        app.add_middleware(
            AdmissionMiddleware,
            settings=config.admission,
            gate=self.gate,
            metrics=AdmissionMetrics(metrics, self.gate),
            max_body_bytes=config.limits.max_body_bytes,
            has_route=lambda scope: any(route.matches(scope)[0] is Match.FULL for route in app.router.routes),
        )
        app.add_middleware(ReceiptMiddleware, settings=config.receipt)
        app.add_middleware(AuthMiddleware, keys=self.keys, failures=Rate(config.auth.max_failures_per_minute))
        app.add_middleware(
            EdgeMiddleware, metrics=metrics, lifecycle=self._lifecycle, routes=paths, tracing=self.tracing
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch the event loop for as long as the app runs."""
        watching = asyncio.create_task(self.watchdog.run())
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            await asyncio.to_thread(self.tracing.close)
