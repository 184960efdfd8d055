"""A reward server of one's own: started as a separate process on a free loopback port, and stopped with the run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sgpo_client.client_settings import ClientSettings
from sgpo_client.errors import RewardUnavailable
from sgpo_client.reward_client import RewardClient

LOG_NAME: Final = "reward_server.log"
URL_NAME: Final = "reward_server.url"
POLL_S: Final = 0.1
STOP_GRACE_S: Final = 10.0
LOG_TAIL_LINES: Final = 15


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A running reward server."""

    url: str
    pid: int
    log_path: Path


@contextmanager
def start_server(
    *, run_dir: Path, timeout_s: float, config_path: Path | None = None, judge: str | None = None
) -> Iterator[ServerProcess]:
    """Start a reward server, wait until it can judge, and stop it at the end of the block.

    It writes its log to ``reward_server.log`` in ``run_dir``, and ends by itself when this process dies.

    Args:
        run_dir: folder for the log; made when it is not there.
        timeout_s: longest wait for the server to be ready, loading a judge's model included.
        config_path: the server's TOML file; None takes the server's defaults.
        judge: kind of judge, over the one in the file.

    Raises:
        RewardUnavailable: when the server ended or was not ready in time, with the last lines of its log.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    log_path = run_dir / LOG_NAME
    url_file = run_dir / URL_NAME
    url_file.unlink(missing_ok=True)  # of a server that was killed
    with log_path.open("ab") as log_file:
        process = subprocess.Popen(
            _command(url_file, config_path, judge),
            stdin=subprocess.DEVNULL,
            stdout=log_file,
            stderr=subprocess.STDOUT,
            # Ctrl-C in the terminal goes to the trainer only, which still needs the server to end its step.
            start_new_session=True,
        )
        startup = _Startup(process, log_path, log_start=log_file.tell(), ends=time.monotonic() + timeout_s)
        try:
            url = startup.wait_for_url(url_file)
            startup.wait_ready(url)
            yield ServerProcess(url=url, pid=process.pid, log_path=log_path)
        finally:
            _stop(process)


def _command(url_file: Path, config_path: Path | None, judge: str | None) -> list[str]:
    command = [sys.executable, "-m", "reward_server", "--host", "127.0.0.1", "--port", "0"]
    command += ["--url-file", str(url_file), "--exit-with-parent"]
    if config_path is not None:
        command += ["--config", str(config_path)]
    if judge is not None:
        command += ["--judge", judge]
    return command


@dataclass(frozen=True, slots=True)
class _Startup:
    """The wait for a server process to become ready."""

    process: subprocess.Popen[bytes]
    log_path: Path
    log_start: int
    """Size of the log before this process; a resumed run writes on in the same file."""
    ends: float
    """In `time.monotonic` seconds."""

    def wait_for_url(self, url_file: Path) -> str:
        """The URL that the server writes once it listens."""
        while not url_file.exists():
            self._check("does not listen yet")
            time.sleep(POLL_S)
        return url_file.read_text(encoding="utf-8").strip()

    def wait_ready(self, url: str) -> None:
        """Until the server's judge works. A server that ends meanwhile closes the connection, which ends the probe."""
        left_s = max(self.ends - time.monotonic(), POLL_S)
        with RewardClient(ClientSettings(url=url, timeout_s=left_s)) as client:
            while (reason := client.not_ready_reason()) is not None:
                self._check(reason)
                time.sleep(POLL_S)

    def _check(self, state: str) -> None:
        """Raise when the process has ended or the time is up."""
        status = self.process.poll()
        if status is not None:
            raise RewardUnavailable(f"the reward server ended at its start with exit status {status}; {self._log()}")
        if time.monotonic() >= self.ends:
            raise RewardUnavailable(f"the reward server was not ready in time ({state}); {self._log()}")

    def _log(self) -> str:
        with self.log_path.open("rb") as file:
            file.seek(self.log_start)
            lines = file.read().decode("utf-8", "replace").splitlines()
        tail = "\n  ".join(lines[-LOG_TAIL_LINES:]) or "(nothing)"
        return f"check its judge and configuration; the last lines of {self.log_path}:\n  {tail}"


def _stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM lets the server finish what it is at; after a while its whole process group is killed."""
    process.terminate()
    try:
        process.wait(STOP_GRACE_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
