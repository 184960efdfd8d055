"""The server as a process: its socket, its signals, its file with the URL, and the watch on its parent."""

from __future__ import annotations

import atexit
import errno
import gc
import logging
import os
import pickle
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from judge.errors import ConfigError
from judge.registry import judge_table
from reward_server.app import create_app
from reward_server.config import ServerConfig, load_config
from reward_server.edge.auth import KeyRing, check_exposure, load_keys
from reward_server.edge.descriptors import raise_descriptor_limit
from reward_server.edge.logs import set_up_logging
from reward_server.edge.middleware import Lifecycle
from reward_server.edge.receipt import receipt_protocol
from reward_server.engine.judge_placing import place_judge
from reward_server.running.worker_metrics import SharedMetrics
from reward_server.running.worker_plan import check_workers
from reward_server.running.workers import Supervisor

logger = logging.getLogger(__name__)

PARENT_POLL_S = 0.5
KEEP_ALIVE_S = 60
"""Longer than clients keep an idle connection (aiohttp: 15 s), so that it is never us who closes it under a request."""
BACKLOG = 16_384
"""Connections that the system may hold for us; it takes less when its own bound is lower (net.core.somaxconn)."""
CANCEL_GRACE_S = 2
"""What is left of a connection when the drain time-out is over gets this many seconds more."""


class GracefulServer(uvicorn.Server):
    """uvicorn, but it keeps listening while it drains, so that ``/readyz`` can say so, and then exits with status 0."""

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle, drain_timeout_s: float, url_file: Path | None):
        super().__init__(config)
        self._lifecycle = lifecycle
        self._drain_timeout_s = drain_timeout_s
        self._drain_until = float("inf")
        self._url_file = url_file
        self.is_worker = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then tell where; one of several workers leaves that to its supervisor."""
        await super().startup(sockets)
        # What is loaded by now stays: to look through it again and again would stop everything for 50 ms each time.
        gc.collect()
        gc.freeze()
        if self.started and sockets and not self.is_worker:
            tell_address(base_url(sockets[0]), self._url_file)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ours are kept to the end of the process: a signal during its last steps must not change the exit status."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.handle_exit)
            # Ctrl-C reaches every process of a terminal; of several the supervisor alone acts on it.
            signal.signal(signal.SIGINT, signal.SIG_IGN if self.is_worker else self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """First signal: drain. Second: drop everything. Never re-raised, so the exit status is 0."""
        if self._lifecycle.draining:
            self.should_exit = self.force_exit = True
        else:
            self._lifecycle.draining = True
            self._drain_until = time.monotonic() + self._drain_timeout_s

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second: leave when nothing is in flight, or when the time is up."""
        drained = self._lifecycle.in_flight == 0 or time.monotonic() >= self._drain_until
        if self._lifecycle.draining and drained:
            self.should_exit = True
        return await super().on_tick(counter)


def serve(
    config_path: Path | None, *, host: str | None, port: int | None, judge: str | None, url_file: Path | None
) -> None:
    """Build the judge and the app, and serve until a signal.

    Raises:
        judge.errors.JudgeError: when settings, model or keys do not allow a start.
        OSError: when the URL file cannot be written.
    """
    config = override(load_config(config_path), host, port, judge)
    set_up_logging(config.logging)
    keys = load_keys(config.auth, os.environ)
    check_exposure(config.server.host, keys, config.auth)
    check_workers(config.server.workers, config.judge)
    if url_file is not None and not url_file.absolute().parent.is_dir():
        raise ConfigError(f"--url-file {url_file}: its folder does not exist; make it first")
    plan = Plan(config, judge_where(config_path, judge))
    raise_descriptor_limit(config.admission.num_connections)
    with open_socket(config.server.host, config.server.port) as listener:
        if url_file is not None:
            # A leftover of an earlier run would send clients to a dead address.
            url_file.unlink(missing_ok=True)
        try:
            if config.server.workers > 1:
                serve_workers(plan, listener, url_file)
            else:
                build_server(plan, keys, url_file).run(sockets=[listener])
            # Nothing is left to drain: from now on a signal may only hurry the end.
            end_at_once_on_signals()
        finally:
            if url_file is not None:
                url_file.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a server process is to serve; ``where`` names the judge's table in messages."""

    config: ServerConfig
    where: str
    supervisor: int = 0
    """Process id, when there are several workers."""
    metrics_folder: Path = Path()
    """Where they leave their counts."""


def judge_where(config_path: Path | None, judge: str | None) -> str:
    """What the reader calls the judge's table."""
    if judge is not None:
        return f"--judge {judge}"
    return "[judge]" if config_path is None else f"{config_path}: [judge]"


def build_server(plan: Plan, keys: KeyRing, url_file: Path | None) -> GracefulServer:
    """The server of one process, with its judge loaded.

    Raises:
        judge.errors.JudgeError: when settings or model do not allow a start.
    """
    config = plan.config
    app = create_app(config, place_judge(config, plan.where), keys)
    return GracefulServer(uvicorn_config(app, config), app.state.lifecycle, config.server.drain_timeout_s, url_file)


def build_worker_server(plan: Plan) -> GracefulServer:
    """The server of one of several processes; it leaves with its supervisor.

    Raises:
        judge.errors.JudgeError: as `build_server`.
    """
    set_up_logging(plan.config.logging)
    watch_parent(plan.supervisor)
    server = build_server(plan, load_keys(plan.config.auth, os.environ), None)
    server.is_worker = True
    app: Any = server.config.app
    SharedMetrics(app.state.services.metrics, plan.metrics_folder).start()
    return server


def serve_workers(plan: Plan, listener: socket.socket, url_file: Path | None) -> None:
    """Serve with several processes until a signal.

    Raises:
        ConfigError: when a worker could not begin.
    """
    url = base_url(listener)
    num_workers = plan.config.server.workers
    with tempfile.TemporaryDirectory(prefix="sgpo-metrics-") as folder:
        plan = replace(plan, supervisor=os.getpid(), metrics_folder=Path(folder))
        supervisor = Supervisor(num_workers, [listener], pickle.dumps(plan), lambda: tell_address(url, url_file))
        supervisor.run()
    if supervisor.failed:
        raise ConfigError("a worker could not start; its error stands above")


def tell_address(url: str, url_file: Path | None) -> None:
    """Say where the server is, in the log and in the file that was asked for."""
    logger.info("serving on %s", url)
    if url_file is not None:
        write_atomically(url_file, url)


def end_at_once_on_signals() -> None:
    """A further signal ends the process at once, with status 0; in the interpreter's last moments it does nothing."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: os._exit(0))
            atexit.register(signal.signal, number, signal.SIG_IGN)


def uvicorn_config(app: FastAPI, config: ServerConfig) -> uvicorn.Config:
    """How every server of ours runs, in whichever process."""
    return uvicorn.Config(
        app,
        http=receipt_protocol(config.receipt),
        # No route speaks WebSocket; uvicorn would log the caller's path.
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        # Whoever comes through a proxy is the proxy: a forwarded address is the caller's own claim.
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=CANCEL_GRACE_S,
    )


def override(config: ServerConfig, host: str | None, port: int | None, judge: str | None) -> ServerConfig:
    """The configuration with what the command line says.

    Raises:
        ConfigError: when the port does not exist.
    """
    if port is not None and not 0 <= port <= 65535:
        raise ConfigError(f"--port {port}: give a port from 0 (the system chooses) to 65535")
    given = {"host": host, "port": port}
    server = config.server.model_copy(update={key: value for key, value in given.items() if value is not None})
    # The settings of another kind of judge would be unknown keys to this one.
    table = config.judge if judge in (None, config.judge.get("kind")) else judge_table(str(judge))
    return config.model_copy(update={"server": server, "judge": table})


def open_socket(host: str, port: int) -> socket.socket:
    """Bind before any model is loaded, so that a port in use is known at once.

    Raises:
        ConfigError: when the address cannot be had.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise ConfigError(f"host '{host}' is not an address of this machine: {error.strerror}") from None
    listener = socket.socket(family, kind, proto)
    try:
        # Lets a restarted server have its port back at once; a port that someone listens on stays refused.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"port {port} on {host} is in use; choose another with --port or [server] port (0: the system chooses)"
            ) from None
        raise ConfigError(f"cannot listen on {host} port {port}: {error.strerror}; see --host and --port") from None
    return listener


def base_url(listener: socket.socket) -> str:
    """Where a client on this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def write_atomically(path: Path, text: str) -> None:
    """Write a file that a reader sees either not at all or whole."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def watch_parent(parent: int) -> None:
    """Send ourselves SIGTERM once ``parent`` is not our parent any more.

    Polled rather than left to Linux's PR_SET_PDEATHSIG: that one fires when the *thread* that started us ends, and a
    trainer may well start its server from a thread.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_POLL_S)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="watch-parent", daemon=True).start()
