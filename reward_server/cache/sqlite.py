"""Rows in an SQLite file: one worker thread, and SQLite's errors by what an operator can do about them."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import stamina

from judge.errors import ConfigError
from reward_server.cache.metrics import FaultKind, Size, Tier
from reward_server.cache.rows import CacheFault
from reward_server.cache.sqlite_file import SqliteFile
from reward_server.cache.sqlite_schema import NotACache

START_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 5.0
FAULTS: Final[dict[int, tuple[FaultKind, str]]] = {
    sqlite3.SQLITE_BUSY: ("locked", "another process holds the file"),
    sqlite3.SQLITE_LOCKED: ("locked", "another process holds the file"),
    sqlite3.SQLITE_FULL: ("full", "the disk or the file is full; free some space, or raise [cache] file_max_bytes"),
    sqlite3.SQLITE_READONLY: ("read_only", "the file or its folder cannot be written"),
    sqlite3.SQLITE_PERM: ("read_only", "the file or its folder cannot be written"),
    sqlite3.SQLITE_CANTOPEN: ("unreachable", "the file cannot be opened"),
    sqlite3.SQLITE_IOERR: ("unreachable", "the disk failed, or a limit on file sizes was reached"),
    sqlite3.SQLITE_CORRUPT: ("corrupt", "the file is damaged; stop the servers that use it and delete it"),
    sqlite3.SQLITE_NOTADB: ("corrupt", "the file is damaged; stop the servers that use it and delete it"),
}
WORTH_KEEPING: Final = frozenset({"locked", "full"})
"""After these the connection is as good as before; after the others the file is opened anew at the next use."""

ResultT = TypeVar("ResultT")


class SqliteRows:
    """A `RowStore` on disk. The file is opened at first use, in the worker thread, and so after any fork.

    Args:
        path: the file.
        max_bytes: it does not grow beyond.
        busy_timeout_s: how long to wait for another process's transaction; below the caller's own time-out.
        clock: seconds, the same in all processes that share the file.
    """

    tier: Tier = "sqlite"

    def __init__(
        self, path: Path, max_bytes: int, busy_timeout_s: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._open = partial(SqliteFile, path, max_bytes, busy_timeout_s, clock)
        self._file: SqliteFile | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="verdict-cache")
        self.size: Size | None = None

    async def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """One entry for each key, in order."""
        return await self._run(lambda file: file.read(keys))

    async def write(self, rows: Mapping[str, bytes]) -> None:
        """Keep rows; they are in the file when this returns."""
        await self._run(lambda file: file.write(rows))

    async def aclose(self) -> None:
        """Close the file. A disk that hangs is left behind after a while."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        except (TimeoutError, RuntimeError):  # RuntimeError: closed before
            pass
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self, operation: Callable[[SqliteFile], ResultT]) -> ResultT:
        # When the caller gives up waiting, an operation that has not begun is dropped: a slow disk gathers no backlog.
        return await asyncio.wrap_future(self._thread.submit(self._in_thread, operation))

    def _in_thread(self, operation: Callable[[SqliteFile], ResultT]) -> ResultT:
        try:
            if self._file is None:
                self._file = self._open()
            result = operation(self._file)
            self.size = self._file.size
        except NotACache as error:
            raise CacheFault("corrupt", f"the file is {error}") from None
        except sqlite3.Error as error:
            fault = as_fault(error)
            if self._file is not None and fault.kind not in WORTH_KEEPING:
                self._file.abandon()
                self._file = None
            raise fault from None
        return result

    def _close(self) -> None:
        if self._file is not None:
            try:
                self._file.close()
            except sqlite3.Error as error:
                raise as_fault(error) from None
            finally:
                self._file = None


def as_fault(error: sqlite3.Error) -> CacheFault:
    """What the error means to an operator."""
    # The low byte of an extended code is the plain one.
    kind, advice = FAULTS.get(getattr(error, "sqlite_errorcode", -1) & 0xFF, ("other", "SQLite failed"))
    return CacheFault(kind, f"{advice} ({getattr(error, 'sqlite_errorname', type(error).__name__)})")


def check_sqlite(path: Path, max_bytes: int) -> None:
    """Open the file once, and make it if it is not there.

    Raises:
        ConfigError: when it cannot be had, naming the setting.
    """
    where = f"[cache] path = '{path}'"
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"{where}: its folder does not exist; make it first")
    if path.is_dir():
        raise ConfigError(f"{where} is a folder; give the path of a file")
    try:
        # Of several servers that start together, one makes the file.
        for attempt in stamina.retry_context(on=is_busy, timeout=START_TIMEOUT_S, attempts=None, wait_initial=0.02):
            with attempt:
                file = SqliteFile(path, max_bytes, START_TIMEOUT_S / 4)
                try:
                    file.write({})
                finally:
                    file.close()
    except NotACache as error:
        raise ConfigError(f"{where} is {error}; give another path") from None
    except sqlite3.Error as error:
        fault = as_fault(error)
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            raise ConfigError(f"{where} is not an SQLite file; give another path") from None
        raise ConfigError(f"{where}: {fault}") from None


def is_busy(error: Exception) -> bool:
    """True for a lock of another process."""
    return isinstance(error, sqlite3.Error) and as_fault(error).kind == "locked"
