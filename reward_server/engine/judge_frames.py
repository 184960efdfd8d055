"""What the server and the judge's process say to each other: length-prefixed pickles over a private socket.

Pickle, because both ends are this program, run by the same user; nobody else can reach the socket.
"""

from __future__ import annotations

import pickle
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from judge.backends.base import PromptTooLong
from judge.errors import BackendError, BackendTimeout, ConfigError, DataError, JudgeError, ModelError
from judge.types import Solution, Unscored, Verdict
from reward_server.edge.logs import LoggingSettings

HEADER: Final = struct.Struct("!Q")

ErrorKind = Literal["config", "model", "data", "timeout", "too_long", "backend", "judge", "bug"]


class JudgeBug(RuntimeError):
    """The judge raised something that is no `JudgeError`. The message: type and place, and no text of a user."""


@dataclass(frozen=True, slots=True)
class Build:
    """First word to the process: which judge it is to be."""

    table: Mapping[str, Any]
    where: str
    logging: LoggingSettings


@dataclass(frozen=True, slots=True)
class Ready:
    """The judge is loaded."""

    judge_id: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Judge these."""

    call_id: int
    batch: tuple[Solution, ...]


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nobody waits for this call any more."""

    call_id: int


@dataclass(frozen=True, slots=True)
class Results:
    """What the judge said."""

    call_id: int
    results: list[Verdict | Unscored]


@dataclass(frozen=True, slots=True)
class Failed:
    """What the judge raised; ``call_id`` 0 is the building of the judge."""

    call_id: int
    kind: ErrorKind
    message: str
    retryable: bool = False

    def error(self) -> Exception:
        """The same error on this side."""
        match self.kind:
            case "config":
                return ConfigError(self.message)
            case "model":
                return ModelError(self.message)
            case "data":
                return DataError(self.message)
            case "timeout":
                return BackendTimeout(self.message)
            case "too_long":
                return PromptTooLong(self.message)
            case "backend":
                return BackendError(self.message, retryable=self.retryable)
            case "judge":
                return JudgeError(self.message)
            case "bug":
                return JudgeBug(self.message)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A cancelled call has ended."""

    call_id: int


ToJudge = Build | Ask | Cancel
FromJudge = Ready | Results | Failed | Cancelled


def pack(message: ToJudge | FromJudge) -> bytes:
    """The message with its length in front."""
    payload = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return HEADER.pack(len(payload)) + payload


def unpack(payload: bytes) -> Any:
    """The message of a payload."""
    return pickle.loads(payload)  # noqa: S301


def receive(connection: socket.socket) -> Any:
    """The next message, blocking.

    Raises:
        EOFError: when the other side has gone.
        TimeoutError: when the socket has a time-out, and it is over.
    """
    (length,) = HEADER.unpack(read_exactly(connection, HEADER.size))
    return unpack(read_exactly(connection, length))


def read_exactly(connection: socket.socket, length: int) -> bytes:
    """So many bytes, blocking."""
    data = bytearray()
    while len(data) < length:
        try:
            chunk = connection.recv(min(length - len(data), 1 << 20))
        except ConnectionError:
            chunk = b""
        if not chunk:
            raise EOFError("the other side has gone")
        data += chunk
    return bytes(data)
