"""The rows of an SQLite file, without threads and event loops: read, write, make room.

Several processes may have the file open (WAL): each write is one short transaction. A process may be killed at any
time; only a power failure may lose the latest rows (``synchronous = NORMAL``), and never the file.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from reward_server.cache.metrics import Size
from reward_server.cache.sqlite_schema import open_file, transaction

ROW_BYTES: Final = 220
"""What a row takes beside its content: its key twice, its place in three trees."""
FILL: Final = 0.6
"""Share of the file that rows may take by this count; pages are seldom full."""
CHUNK: Final = 500
"""Keys of one statement."""
TOUCH_AFTER_S: Final = 60
"""A row's last use is noted to the minute, with the next write: a read should not have to write."""
MAX_TOUCHED: Final = 2000
MIN_EVICTED: Final = 64


class SqliteFile:
    """One connection, for one thread.

    Args:
        path: made when it does not exist.
        max_bytes: the file does not grow beyond.
        busy_timeout_s: how long to wait for another process's transaction.
        clock: seconds, the same in all processes that share the file.

    Raises:
        sqlite_schema.NotACache: when the file is something else.
        sqlite3.Error: from every method.
    """

    def __init__(
        self, path: Path, max_bytes: int, busy_timeout_s: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._connection = open_file(path, max_bytes, busy_timeout_s)
        self._budget = int(max_bytes * FILL)
        self._clock = clock
        self._touched: set[int] = set()
        self.size = self._totals()

    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """One entry for each key, in order."""
        now = int(self._clock())
        found: dict[str, bytes] = {}
        for start in range(0, len(keys), CHUNK):
            some = keys[start : start + CHUNK]
            marks = ",".join("?" * len(some))
            for number, key, row, used in self._connection.execute(
                f"SELECT id, key, row, used FROM verdicts WHERE key IN ({marks})",  # noqa: S608 - question marks only
                some,
            ):
                # A damaged file may hold anything here; what is no bytes fails its checksum.
                found[key] = row if isinstance(row, bytes) else b""
                if now - used >= TOUCH_AFTER_S:
                    self._touched.add(number)
        if len(self._touched) >= MAX_TOUCHED:
            with transaction(self._connection):
                self._note_use(now)
        return [found.get(key) for key in keys]

    def write(self, rows: Mapping[str, bytes]) -> None:
        """Keep rows, in place of older ones of the same key and of those used longest ago."""
        try:
            self._write(rows)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            # The file is at its bound, or the disk is full: the pages of old rows are the only ones to be had.
            with transaction(self._connection):
                self._evict(max(1000, 4 * len(rows)))
            self._write(rows)
        self.size = self._totals()

    def close(self) -> None:
        """Note what was read, and close."""
        try:
            if self._touched:
                with transaction(self._connection):
                    self._note_use(int(self._clock()))
        finally:
            self._connection.close()

    def abandon(self) -> None:
        """Close a file that has just failed."""
        self._connection.close()

    def _write(self, rows: Mapping[str, bytes]) -> None:
        now = int(self._clock())
        with transaction(self._connection):
            self._note_use(now)
            self._remove("key = ?", [(key,) for key in rows])
            self._connection.executemany(
                "INSERT INTO verdicts (key, row, used) VALUES (?, ?, ?)", [(key, row, now) for key, row in rows.items()]
            )
            self._add(len(rows), sum(len(row) + ROW_BYTES for row in rows.values()))
            if self._totals().num_bytes > self._budget:
                # A little more than came in, never everything at once: nobody should have to wait for a great clean-up.
                self._evict(max(MIN_EVICTED, 2 * len(rows)))

    def _note_use(self, now: int) -> None:
        marks = [(now, number) for number in self._touched]
        self._connection.executemany("UPDATE verdicts SET used = ? WHERE id = ?", marks)
        self._touched.clear()

    def _evict(self, num_rows: int) -> None:
        oldest = "id IN (SELECT id FROM verdicts ORDER BY used, id LIMIT ?)"
        self._remove(oldest, [(num_rows,)])

    def _remove(self, where: str, parameters: Sequence[tuple[str | int]]) -> None:
        gone: list[int] = []
        for each in parameters:
            sql = f"DELETE FROM verdicts WHERE {where} RETURNING length(row)"  # noqa: S608 - constants of this class
            gone += [length + ROW_BYTES for (length,) in self._connection.execute(sql, each)]
        self._add(-len(gone), -sum(gone))

    def _add(self, entries: int, num_bytes: int) -> None:
        self._connection.execute("UPDATE totals SET entries = entries + ?, bytes = bytes + ?", (entries, num_bytes))

    def _totals(self) -> Size:
        row = self._connection.execute("SELECT entries, bytes FROM totals").fetchone()
        return Size(*row) if row else Size(0, 0)
