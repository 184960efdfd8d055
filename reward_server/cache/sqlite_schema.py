"""Opens the SQLite file of a verdict cache, makes it where there is none, and refuses files that are something else."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal

APPLICATION_ID: Final = 0x5347504F
"""'SGPO' in the file's header."""
SCHEMA_VERSION: Final = 1
"""To be raised when the tables or the rows in them change; a file of another version is refused, not converted."""
LOG_BYTES: Final = 8_388_608
"""The write-ahead log is cut back to this when it has been copied into the file."""

TABLES: Final = (
    "CREATE TABLE verdicts"
    " (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, row BLOB NOT NULL, used INTEGER NOT NULL)",
    "CREATE INDEX verdicts_used ON verdicts (used)",
    # Counting the rows of a large file takes seconds.
    "CREATE TABLE totals (entries INTEGER NOT NULL, bytes INTEGER NOT NULL)",
    "INSERT INTO totals VALUES (0, 0)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


class NotACache(Exception):
    """A file that this server must not write into; the message says what it is."""


def open_file(path: Path, max_bytes: int, busy_timeout_s: float) -> sqlite3.Connection:
    """A connection to the file at ``path``, for the thread that calls.

    Args:
        path: made when it does not exist.
        max_bytes: the file does not grow beyond.
        busy_timeout_s: how long to wait for another process's transaction.

    Raises:
        NotACache: when the file is a database of something else, or of another version.
        sqlite3.Error: when it cannot be opened, is damaged, or is locked for longer.
    """
    # For the server's user only: critiques may quote what people sent. What is wrong with the path, SQLite says.
    with suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
    try:
        check_or_create(connection)
        pragma(connection, "journal_mode = WAL")
        pragma(connection, "synchronous = NORMAL")
        pragma(connection, f"journal_size_limit = {LOG_BYTES}")
        pragma(connection, f"max_page_count = {max_bytes // pragma(connection, 'page_size')}")
        # A damaged or foreign page must not make SQLite run what the file says.
        pragma(connection, "trusted_schema = OFF")
        pragma(connection, "cell_size_check = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def check_or_create(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty file; leave those of this version as they are."""
    # One snapshot: between two reads of their own, another process may make the tables.
    with transaction(connection, "DEFERRED"):
        if is_ours(connection):
            return
    with transaction(connection):
        # Another process may have been faster.
        if not is_ours(connection):
            for statement in TABLES:
                connection.execute(statement)


def is_ours(connection: sqlite3.Connection) -> bool:
    """False for an empty file. Raises `NotACache` for anything that is neither empty nor ours."""
    application, version = pragma(connection, "application_id"), pragma(connection, "user_version")
    if application == APPLICATION_ID and version == SCHEMA_VERSION:
        return True
    if application == APPLICATION_ID:
        raise NotACache(f"a verdict cache of version {version}, and this server writes version {SCHEMA_VERSION}")
    if application or version or connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise NotACache("an SQLite file of something else")
    return False


def pragma(connection: sqlite3.Connection, text: str) -> int:
    """Run a PRAGMA; its first value where it has one."""
    row = connection.execute(f"PRAGMA {text}").fetchone()
    return row[0] if row else 0


@contextmanager
def transaction(connection: sqlite3.Connection, kind: Literal["DEFERRED", "IMMEDIATE"] = "IMMEDIATE") -> Iterator[None]:
    """A transaction, undone on an error.

    Args:
        connection: to the file.
        kind: ``IMMEDIATE`` to write: taken at once, so that two processes never wait for each other. ``DEFERRED`` to
            read several things of one state of the file.
    """
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        # A full disk or a damaged file may already have undone it.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
