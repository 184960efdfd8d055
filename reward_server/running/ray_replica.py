"""One replica: the whole server, built where it runs.

The class is plain; `application` hands it to Ray Serve, which builds one object a replica. Settings and digests of keys
travel there, nothing else: judge, answer checker, cache and event loop are the replica's own. The application's start
and end run in the replica too.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from prometheus_client.metrics_core import Metric
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reward_server.app import create_app
from reward_server.config import ServerConfig
from reward_server.edge.keys import Key, KeyFile, KeyRing
from reward_server.edge.logs import set_up_logging
from reward_server.engine.judge_placing import place_judge
from reward_server.running.replica_metrics import render_replicas

if TYPE_CHECKING:
    from ray.serve import Application

logger = logging.getLogger(__name__)

DEPLOYMENT: Final = "RewardReplica"
GATHER_S: Final = 5.0
"""How long a scrape waits for the other replicas; Prometheus gives up after 10 s."""
STOP_SPARE_S: Final = 10.0
"""Time for the application's own shutdown, after the requests in flight are done."""
START_TRIES: Final = 3


class RewardReplica:
    """What Ray Serve makes a replica from.

    Args:
        config: the server's.
        keys: digests of the keys from the environment; a file of keys is read here, and again when it changes.
    """

    def __init__(self, config: ServerConfig, keys: tuple[Key, ...]) -> None:
        self._config = config
        self._keys = keys
        self._app: FastAPI | None = None

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Called by Ray Serve once, on the replica's event loop."""
        set_up_logging(self._config.logging)
        file = self._config.auth.api_keys_file
        ring = KeyRing(self._keys, None if file is None else KeyFile(file))
        app = create_app(self._config, place_judge(self._config, "[judge]"), ring)
        # In front of the app's own route, which knows only this replica; the layers around it (keys!) stay.
        app.router.routes.insert(0, Route("/metrics", self._all_metrics))
        self._app = app
        return app

    def own_metrics(self) -> tuple[str, list[Metric]]:
        """This replica's name and counts."""
        from ray import serve

        return serve.get_replica_context().replica_id.unique_id, list(self._services.metrics.registry.collect())

    def begin_drain(self) -> None:
        """Answer 503 to what is new from now on."""
        self._services.lifecycle.draining = True

    def num_in_flight(self) -> int:
        """Requests that a shutdown should wait for."""
        return int(self._services.lifecycle.in_flight)

    @property
    def _services(self) -> Any:
        assert self._app is not None, "Ray Serve builds the app before it sends anything"
        return self._app.state.services

    async def _all_metrics(self, _: Request) -> Response:
        """Counts of all replicas; of this one alone while the others cannot be reached."""
        from ray import serve

        me = serve.get_replica_context()
        handle: Any = serve.get_deployment_handle(me.deployment, me.app_name)
        try:
            async with asyncio.timeout(GATHER_S):
                counts = await handle.broadcast("own_metrics").results_async()
        except Exception as error:  # a dying replica fails the call in many ways
            logger.warning("metrics of this replica only: the others did not answer (%s)", type(error).__name__)
            counts = [self.own_metrics()]
        content_type = self._services.metrics.content_type
        return Response(render_replicas(dict(counts)), headers={"content-type": content_type})


def application(config: ServerConfig, keys: tuple[Key, ...]) -> Application:
    """The server as a Ray Serve application; needs Ray, and starts nothing."""
    from ray import serve
    from ray.serve.config import AutoscalingConfig, BackpressureConfig

    ray = config.ray
    deployment = serve.deployment(
        name=DEPLOYMENT,
        ray_actor_options={"num_cpus": ray.num_cpus, "num_gpus": ray.num_gpus},
        autoscaling_config=AutoscalingConfig(
            min_replicas=ray.min_replicas,
            max_replicas=ray.max_replicas,
            target_ongoing_requests=ray.target_ongoing_requests,
            downscale_delay_s=ray.downscale_delay_s,
        ),
        max_ongoing_requests=ray.max_ongoing_requests,
        max_queued_requests=ray.max_queued_requests,
        backpressure_config=BackpressureConfig(status_code=503, retry_after_s=ray.retry_after_s),
        graceful_shutdown_timeout_s=config.server.drain_timeout_s + STOP_SPARE_S,
        max_constructor_retry_count=START_TRIES,
        # The server logs its requests itself.
        logging_config={"enable_access_log": False},
    )
    return deployment(serve.ingress()(RewardReplica)).bind(config, keys)
