"""A process that uses a verdict file: python cache_process.py COMMAND PATH [NUMBER]. It tells on stdout how far it is.

``write``: verdicts NUMBER, NUMBER + 1 ... until it is killed, one line for each that is in the file.
``lock``: keeps everybody from writing until its stdin is closed. ``lock-all``: from reading as well.
``small-disk``: no file may grow beyond NUMBER bytes; writes a lot, tells the errors counted and what is found then.
``put``: one verdict, as the user NUMBER; tells the errors counted.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import resource
import sqlite3
import sys
from pathlib import Path

from tests.integration.cache_stores import Counts, key, sqlite_store, verdict


def say(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def write(path: Path, first: int) -> None:
    store = sqlite_store(path, Counts())
    for number in itertools.count(first):
        await store.put_many({key(number): verdict(number)})
        say(number)


def lock(path: Path, *, everything: bool) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    if everything:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("UPDATE totals SET bytes = bytes")
    say("locked")
    sys.stdin.read()


async def small_disk(path: Path, limit: int) -> None:
    counts = Counts()
    store = sqlite_store(path, counts)
    await store.put_many({key(0): verdict(0)})
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    for number in range(1, 6):
        long = verdict(number, critique="x" * limit)
        await store.put_many({key(number): long})
    found = await store.get_many([key(0)])
    say(json.dumps({"errors": counts.errors("sqlite"), "found": found == [verdict(0)]}))


async def put(path: Path, user: int) -> None:
    if user:
        os.setuid(user)
    counts = Counts()
    store = sqlite_store(path, counts)
    await store.put_many({key(1): verdict(1)})
    say(json.dumps(counts.errors("sqlite")))


def main(command: str, path: Path, number: int) -> None:
    if command.startswith("lock"):
        lock(path, everything=command == "lock-all")
    else:
        asyncio.run({"write": write, "small-disk": small_disk, "put": put}[command](path, number))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
