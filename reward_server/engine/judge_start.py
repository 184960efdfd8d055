"""Starts the judge's process, and waits until it has loaded its judge."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from judge.errors import ModelError
from reward_server.engine.judge_frames import Build, Failed, Ready, pack, receive

BOOT: Final = (
    "import sys; sys.path[:] = sys.argv[2:]; from reward_server.engine.judge_child import main; main(int(sys.argv[1]))"
)
"""The search path is the server's own, not one that starts with the working folder, whose files are not to be run."""
EXIT_WAIT_S: Final = 5.0


class DiedLoading(ModelError):
    """The process was gone before its judge was loaded; another attempt may work."""


@dataclass(slots=True)
class JudgeProcess:
    """A process with a loaded judge."""

    process: subprocess.Popen[bytes]
    connection: socket.socket
    judge_id: str

    def end(self) -> str:
        """See that it is gone, and say how it went. Blocks for a few seconds at most."""
        self.connection.close()
        return reap(self.process)


def start(
    build: Build,
    timeout_s: float,
    begun: Callable[[subprocess.Popen[bytes]], None] = lambda _: None,
) -> JudgeProcess:
    """Start a process and have it build the judge. Blocks until the judge is loaded.

    Args:
        build: which judge.
        timeout_s: for all of it.
        begun: is given the process at once, so that someone else may kill it.

    Raises:
        JudgeError: what building the judge raised there; ModelError when the process died or took too long.
    """
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-P", "-c", BOOT, str(theirs.fileno()), *sys.path]
    with theirs:
        # A session of its own: Ctrl-C reaches the server only, which drains first.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True
        )
    try:
        begun(process)
        ours.settimeout(timeout_s)
        answer = introduce(ours, build)
        ours.settimeout(None)
        return JudgeProcess(process, ours, answer.judge_id)
    except TimeoutError:
        ours.close()
        process.kill()
        process.wait()
        limit = f"within {timeout_s:g} s ([judge_process] start_timeout_s)"
        raise ModelError(f"{build.where}: the judge was not loaded {limit}") from None
    except (EOFError, ConnectionError):
        ours.close()
        raise DiedLoading(f"{build.where}: the judge's process {reap(process)} while it loaded the judge") from None
    except BaseException:
        # A judge that cannot be built leaves by itself; whatever else it is, the process must not stay behind.
        ours.close()
        reap(process)
        raise


def introduce(connection: socket.socket, build: Build) -> Ready:
    """Tell the process which judge it is, and wait until it is.

    Raises:
        Exception: as `start`.
    """
    connection.sendall(pack(build))
    answer = receive(connection)
    if isinstance(answer, Failed):
        raise answer.error()
    assert isinstance(answer, Ready)
    return answer


def reap(process: subprocess.Popen[bytes]) -> str:
    """Wait for a process whose socket is closed, kill it if it stays, and say how it ended."""
    try:
        code = process.wait(EXIT_WAIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    if code >= 0:
        return f"ended with status {code}"
    hint = " (out of memory?)" if -code == signal.SIGKILL else ""
    return f"was ended by {signal.Signals(-code).name}{hint}"
