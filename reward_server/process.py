"""The server as a process: its socket, its signals, its file with the URL, and the watch on its parent."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import threading
import time
from pathlib import Path
from types import FrameType

import uvicorn

from judge.errors import ConfigError
from judge.registry import build_judge, judge_table
from reward_server.app import create_app
from reward_server.auth import check_exposure, load_keys
from reward_server.config import ServerConfig, load_config
from reward_server.middleware import Lifecycle

logger = logging.getLogger(__name__)

PARENT_POLL_S = 0.5
KEEP_ALIVE_S = 60
"""Longer than clients keep an idle connection (aiohttp: 15 s), so that it is never us who closes it under a request."""
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

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then tell where."""
        await super().startup(sockets)
        if self.started and sockets:
            url = base_url(sockets[0])
            logger.info("serving on %s", url)
            if self._url_file is not None:
                write_atomically(self._url_file, url)

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
    keys = load_keys(config.auth, os.environ)
    check_exposure(config.server.host, keys, config.auth)
    if url_file is not None and not url_file.absolute().parent.is_dir():
        raise ConfigError(f"--url-file {url_file}: its folder does not exist; make it first")
    where = f"--judge {judge}" if judge is not None else "[judge]" if config_path is None else f"{config_path}: [judge]"
    with open_socket(config.server.host, config.server.port) as listener:
        if url_file is not None:
            # A leftover of an earlier run would send clients to a dead address.
            url_file.unlink(missing_ok=True)
        app = create_app(config, build_judge(config.judge, where), keys)
        server = GracefulServer(
            uvicorn.Config(
                app,
                # No route speaks WebSocket; uvicorn would log the caller's path.
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=CANCEL_GRACE_S,
            ),
            app.state.lifecycle,
            config.server.drain_timeout_s,
            url_file,
        )
        try:
            server.run(sockets=[listener])
        finally:
            if url_file is not None:
                url_file.unlink(missing_ok=True)


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
