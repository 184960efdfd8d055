"""A Ray of the command's own on this machine: started, served on until a signal, drained, ended."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from judge.errors import ConfigError
from reward_server.config import ServerConfig
from reward_server.edge.auth import KeyRing, check_exposure
from reward_server.edge.keys import Key
from reward_server.running.process import base_url, open_socket, write_atomically

if TYPE_CHECKING:
    from ray.serve import Application

logger = logging.getLogger(__name__)

APP: Final = "sgpo"
KEEP_ALIVE_S: Final = 60
POLL_S: Final = 0.2
CALL_S: Final = 10.0
NO_START: Final = "Ray did not start"
OPEN_PORTS: Final = ("RAY_SERVE_ENABLE_HA_PROXY", "RAY_SERVE_ENABLE_DIRECT_INGRESS", "RAY_SERVE_THROUGHPUT_OPTIMIZED")
"""With any of these set, Ray's replicas listen on every address of the machine."""


def check_start(config: ServerConfig, keys: tuple[Key, ...]) -> None:
    """What can be known before Ray is started, which takes a while.

    Raises:
        ConfigError: naming the setting to change.
    """
    if not keys and config.auth.api_keys_file is None:
        check_exposure(config.server.host, KeyRing(), config.auth)
        check_exposure_by_ray(config)
    check_cpus(config)


def serve_here(app: Application, config: ServerConfig, url_file: Path | None) -> None:
    """Start Ray on this machine, serve until a signal, and end both.

    Raises:
        ConfigError: when port, replicas or judge do not come up.
        OSError: when the URL file cannot be written.
    """
    if url_file is not None:
        if not url_file.absolute().parent.is_dir():
            raise ConfigError(f"--url-file {url_file}: its folder does not exist; make it first")
        url_file.unlink(missing_ok=True)
    # Closed again at once: Ray takes a port that is free now, not an open socket.
    with open_socket(config.server.host, config.server.port) as listener:
        port, url = int(listener.getsockname()[1]), base_url(listener)
    stop = Stop()
    try:
        start_ray(config)
        stop.listen()
        deploy(app, config.server.host, port)
        logger.info("serving on %s", url)
        if url_file is not None:
            write_atomically(url_file, url)
        stop.wait()
        drain(app_handle(), config.server.drain_timeout_s, stop)
    finally:
        stop_ray()
        if url_file is not None:
            url_file.unlink(missing_ok=True)


def check_exposure_by_ray(config: ServerConfig) -> None:
    """Ray has switches that open ports of their own.

    Raises:
        ConfigError: naming the one that is set.
    """
    for name in OPEN_PORTS:
        if os.environ.get(name, "0") == "1":
            raise ConfigError(
                f"refusing to start without an API key while ${name} is set: Ray's replicas would listen on every"
                f" address; unset it, or put a key into ${config.auth.api_keys_env}"
            )


def check_cpus(config: ServerConfig) -> None:
    """Ray would wait for ever for CPUs that no machine has.

    Raises:
        ConfigError: when the smallest number of replicas does not fit.
    """
    needed, there = config.ray.min_replicas * config.ray.num_cpus, os.cpu_count() or 1
    if needed > there:
        raise ConfigError(
            f"[ray] min_replicas = {config.ray.min_replicas} with num_cpus = {config.ray.num_cpus:g} needs {needed:g}"
            f" CPUs, this machine has {there}; lower one of them (num_cpus may be a fraction)"
        )


def own_ray_environment() -> dict[str, str]:
    """For a Ray of this command's own.

    Its internal ports are open on every address, and who may talk to them may run code: each run has a token of its
    own, whatever the environment says about Ray's authentication. Nothing is reported to Ray's makers.
    """
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def start_ray(config: ServerConfig) -> None:
    """Start Ray's processes; they end with this one.

    Raises:
        ConfigError: when they are not up within Ray's own 30 s.
    """
    import ray

    try:
        # "local": never the cluster that $RAY_ADDRESS names, whose Serve may listen anywhere already.
        ray.init(address="local", include_dashboard=False, object_store_memory=config.ray.object_store_bytes)
    except Exception as error:  # that is what it raises when the machine is too slow for it
        raise ConfigError(f"{NO_START}: {error}") from None


def deploy(app: Application, host: str, port: int) -> None:
    """Open the proxy and start the replicas.

    Raises:
        ConfigError: when the replicas do not come up.
    """
    from ray import serve

    serve.start(
        proxy_location="HeadOnly",
        http_options={"host": host, "port": port, "keep_alive_timeout_s": KEEP_ALIVE_S},
        logging_config={"enable_access_log": False},
    )
    try:
        serve.run(app, name=APP, route_prefix="/")
    except RuntimeError as error:
        raise ConfigError(f"the replicas did not start; the log above says why: {error}") from None


def drain(handle: Any, timeout_s: float, stop: Stop) -> None:
    """Have every replica refuse what is new, and wait for what is in flight, or for another signal.

    Args:
        handle: of the deployment.
        timeout_s: what is still in flight then is left to Ray's own shutdown.
        stop: asked whether it has become urgent.
    """
    give_up = time.monotonic() + timeout_s
    try:
        handle.broadcast("begin_drain").results(timeout_s=CALL_S)
        while time.monotonic() < give_up and not stop.urgent:
            if sum(handle.broadcast("num_in_flight").results(timeout_s=CALL_S)) == 0:
                break
            time.sleep(POLL_S)
    except Exception as error:  # a replica may die meanwhile; the shutdown goes on
        logger.warning("a replica did not answer while draining (%s)", type(error).__name__)


def app_handle() -> Any:
    """For calls to the replicas beside HTTP."""
    from ray import serve

    return serve.get_app_handle(APP)


def stop_ray() -> None:
    """End the replicas, then Ray."""
    import ray
    from ray import serve

    shutdown: Any = serve.shutdown
    try:
        if ray.is_initialized():
            shutdown()
    finally:
        ray.shutdown()


class Stop:
    """The first SIGTERM or SIGINT asks for the end, the second one is in a hurry."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self.urgent = False

    def listen(self) -> None:
        """Take the signals over, from Ray too, which would exit at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def wait(self) -> None:
        """Until the first signal."""
        self._asked.wait()

    def _on_signal(self, *_: object) -> None:
        self.urgent = self._asked.is_set()
        self._asked.set()
