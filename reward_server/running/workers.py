"""Several server processes on one socket, watched by the process that started them: a dead one is started again.

uvicorn's supervision with our server inside, which drains. Only light imports up here: a new process must be able to
answer the supervisor long before the server's own modules are loaded.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from socket import socket

from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.server import Server
from uvicorn.supervisors.multiprocess import Multiprocess, Process

logger = logging.getLogger(__name__)

HEALTH_TIMEOUT_S = 30
"""A worker whose threads do not answer for so long is killed and replaced."""
JOIN_POLL_S = 0.1


class Worker(Process):
    """One server process.

    Args:
        config: of the supervision only; the server's own is in the plan.
        sockets: bound, inherited by the process.
        plan: what the process is to serve, pickled, so that a process can begin without the modules that it needs.
    """

    def __init__(self, config: Config, sockets: list[socket], plan: bytes) -> None:
        self._plan = plan
        super().__init__(config, sockets)

    def pong(self) -> None:
        """Answer one question of the supervisor: does the server serve?"""
        self.child_conn.recv()
        self.child_conn.send(self._server is not None and self._server.started)

    def target(self, sockets: list[socket] | None = None) -> None:
        """What the new process does."""
        threading.Thread(target=self.always_pong, daemon=True).start()
        import pickle

        from judge.errors import JudgeError
        from reward_server.running.process import build_worker_server

        assert sockets is not None
        try:
            server: Server = build_worker_server(pickle.loads(self._plan))  # noqa: S301
        except JudgeError as error:
            sys.stderr.write(f"error: {error}\n")
            sys.exit(STARTUP_FAILURE)
        self._server = server
        server.run(sockets)


class Supervisor(Multiprocess):
    """Starts the workers, replaces dead ones, and takes them down.

    Args:
        num_workers: how many.
        sockets: bound; every worker accepts on them.
        plan: see `Worker`.
        on_ready: called once all of them serve.
    """

    def __init__(self, num_workers: int, sockets: list[socket], plan: bytes, on_ready: Callable[[], None]) -> None:
        config = Config("unused", workers=num_workers, log_config=None, timeout_worker_healthcheck=HEALTH_TIMEOUT_S)
        super().__init__(config, sockets)
        self._plan = plan
        self._on_ready = on_ready
        self._announced = False
        self.failed = False
        """A worker could not begin at all, for a reason that it has printed."""

    def init_processes(self) -> None:
        """Start all of them."""
        self.processes = [self._start() for _ in range(self.processes_num)]

    def keep_subprocess_alive(self) -> None:
        """Replace those that died or hang; called twice a second."""
        for index, process in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            if process.is_alive(timeout=HEALTH_TIMEOUT_S):
                continue
            process.kill()
            process.join()
            if process.exitcode == STARTUP_FAILURE:
                self.failed = True
                self.should_exit.set()
                return
            logger.error("worker %s ended with status %s; starting another", process.pid, process.exitcode)
            self.processes[index] = self._start()
        if not self._announced and all(process.is_ready(timeout=1) for process in self.processes):
            self._announced = True
            self._on_ready()

    def join_all(self) -> None:
        """Wait for their end; a further signal is passed on, so that it hurries them."""
        while any(process.process.is_alive() for process in self.processes):
            for process in self.processes:
                process.process.join(JOIN_POLL_S)
            if self.signal_queue:
                self.signal_queue.clear()
                self._signal_all()

    def handle_hup(self) -> None:
        """Nothing: keys are read again by themselves, everything else needs a restart."""

    def handle_ttin(self) -> None:
        """Nothing: the number of workers is a setting."""

    def handle_ttou(self) -> None:
        """Nothing."""

    def _start(self) -> Worker:
        worker = Worker(self.config, self.sockets, self._plan)
        worker.start()
        logger.info("worker %s started", worker.pid)
        return worker

    def _signal_all(self) -> None:
        for process in self.processes:
            if process.pid is not None and process.process.is_alive():
                os.kill(process.pid, signal.SIGTERM)
