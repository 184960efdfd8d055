"""A verdict file on a full disk, locked, damaged or read-only: misses, counted; and no wrong verdict, ever."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reward_server.cache.sqlite import SqliteRows
from tests.integration.cache_stores import MB, Counts, guarded, key, sqlite_store, verdict

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "tests.integration.cache_process", *map(str, words)]


@contextmanager
def process(*words: object) -> Iterator[subprocess.Popen[str]]:
    running = subprocess.Popen(
        command(*words), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
    )
    try:
        yield running
    finally:
        running.kill()
        running.communicate(timeout=60)


def test_a_disk_that_takes_no_more(tmp_path: Path) -> None:
    words = command("small-disk", tmp_path / "v.db", 200_000)
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    result = json.loads(done.stdout)
    assert set(result["errors"]) <= {"full", "unreachable"}
    assert sum(result["errors"].values()) >= 3


async def test_another_process_that_holds_the_file_costs_writes_not_reads(tmp_path: Path) -> None:
    counts = Counts()
    rows = SqliteRows(tmp_path / "v.db", MB, busy_timeout_s=0.05)
    store = guarded(rows, counts)
    await store.put_many({key(0): verdict(0)})
    with process("lock", tmp_path / "v.db") as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        await store.put_many({key(1): verdict(1)})
        assert counts.errors("sqlite") == {"locked": 1}
        assert await store.get_many([key(0), key(1)]) == [verdict(0), None]
    await store.put_many({key(1): verdict(1)})
    assert await store.get_many([key(1)]) == [verdict(1)]
    await store.aclose()


async def test_a_file_that_another_process_keeps_to_itself_is_no_cache_until_it_lets_go(tmp_path: Path) -> None:
    first = sqlite_store(tmp_path / "v.db", Counts())
    await first.put_many({key(0): verdict(0)})
    await first.aclose()
    counts = Counts()
    with process("lock-all", tmp_path / "v.db") as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        store = guarded(SqliteRows(tmp_path / "v.db", MB, busy_timeout_s=0.05), counts)
        assert await store.get_many([key(0)]) == [None]
        assert counts.errors("sqlite") == {"locked": 1}
    assert await store.get_many([key(0)]) == [verdict(0)]
    await store.aclose()


async def filled(path: Path) -> None:
    store = sqlite_store(path, Counts())
    await store.put_many({key(n): verdict(n, critique=f"{n} is wrong " * 40) for n in range(300)})
    await store.aclose()


async def read_all(path: Path) -> tuple[int, Counts]:
    """How many verdicts are found; fails when one of them is not as it was written."""
    counts = Counts()
    found = 0
    for start in range(0, 300, 10):
        # A store of its own for each part: not left alone after the first failures.
        store = sqlite_store(path, counts)
        numbers = range(start, start + 10)
        for n, each in zip(numbers, await store.get_many([key(n) for n in numbers]), strict=True):
            assert each is None or each == verdict(n, critique=f"{n} is wrong " * 40)
            found += each is not None
        await store.put_many({key(10_000 + start): verdict(start)})
        await store.aclose()
    return found, counts


@pytest.mark.parametrize("seed", range(8))
async def test_random_bytes_in_the_middle_of_the_file(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "v.db"
    await filled(path)
    rng = random.Random(seed)
    content = bytearray(path.read_bytes())
    for _ in range(20):
        at = rng.randrange(4096, len(content) - 200)
        content[at : at + 100] = rng.randbytes(100)
    path.write_bytes(content)
    found, counts = await read_all(path)
    assert found < 300
    assert set(counts.errors("sqlite")) <= {"corrupt", "checksum", "format", "other"}
    assert sum(counts.errors("sqlite").values()) > 0


async def test_one_flipped_byte_in_one_verdict_costs_that_verdict_only(tmp_path: Path) -> None:
    path = tmp_path / "v.db"
    await filled(path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"77 is wrong 77", b"77 is right 77", 1))
    found, counts = await read_all(path)
    assert found == 299
    assert counts.errors("sqlite") == {"checksum": 1}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
async def test_a_truncated_file(tmp_path: Path, share: float) -> None:
    path = tmp_path / "v.db"
    await filled(path)
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * share))
    found, counts = await read_all(path)
    assert found < 300
    assert counts.errors("sqlite").get("corrupt", 0) > 0


async def test_a_file_that_is_damaged_while_it_is_open_and_then_replaced(tmp_path: Path) -> None:
    path = tmp_path / "v.db"
    counts = Counts()
    await filled(path)
    now = 0.0
    store = sqlite_store(path, counts, clock=lambda: now)
    assert await store.get_many([key(0)]) != [None]
    path.write_bytes(b"x" * path.stat().st_size)
    for n in range(300):
        await store.put_many({key(20_000 + n): verdict(n)})
        await store.get_many([key(n)])
    assert counts.errors("sqlite").get("corrupt", 0) > 0
    for each in path.parent.iterdir():
        each.unlink()
    now = 100.0
    await store.put_many({key(1): verdict(1)})
    await store.put_many({key(1): verdict(1)})
    assert await store.get_many([key(1)]) == [verdict(1)]
    await store.aclose()


@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_may_not_be_written(what: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "v.db"
        asyncio.run(filled(path))
        for each in folder.iterdir():
            each.chmod(0o666 if what == "folder" else 0o444)
        folder.chmod(0o555 if what == "folder" else 0o777)
        # The superuser may write everywhere: the process becomes somebody else.
        words = command("put", path, NOBODY if os.getuid() == 0 else 0)
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
        folder.chmod(0o755)
        assert done.returncode == 0, done.stderr
        errors = json.loads(done.stdout)
    assert sum(errors.values()) == 1
    assert set(errors) <= {"read_only", "unreachable"}


async def test_two_processes_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "v.db"
    with process("write", path, 0) as one, process("write", path, 1_000_000) as two:
        written = []
        for other in (one, two):
            assert other.stdout is not None
            written += [int(other.stdout.readline()) for _ in range(150)]
        counts = Counts()
        store = sqlite_store(path, counts)
        assert await store.get_many([key(n) for n in written]) == [verdict(n) for n in written]
        await store.put_many({key("three"): verdict(3)})
        assert await store.get_many([key("three")]) == [verdict(3)]
        assert counts.errors("sqlite") == {}
        await store.aclose()


async def test_kill_while_writing_loses_nothing_that_was_written(tmp_path: Path) -> None:
    path = tmp_path / "v.db"
    rng = random.Random(7)
    written: list[int] = []
    for attempt in range(5):
        with process("write", path, attempt * 1_000_000) as other:
            assert other.stdout is not None
            for _ in range(rng.randrange(1, 120)):
                written.append(int(other.stdout.readline()))
            other.kill()
            written += [int(line) for line in other.stdout.read().split("\n")[:-1]]
    counts = Counts()
    store = sqlite_store(path, counts)
    assert await store.get_many([key(n) for n in written]) == [verdict(n) for n in written]
    assert counts.errors("sqlite") == {}
    await store.put_many({key("after"): verdict(1)})
    # One verdict may have been written whose line was not: by each process that was killed.
    assert len(written) < counts("entries", tier="sqlite") <= len(written) + 1 + 5
    await store.aclose()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT COUNT(*) FROM verdicts").fetchone()[0] == counts("entries", tier="sqlite")
    connection.close()


async def test_a_copy_of_the_file_is_a_cache_too(tmp_path: Path) -> None:
    await filled(tmp_path / "v.db")
    shutil.copy(tmp_path / "v.db", tmp_path / "w.db")
    store = sqlite_store(tmp_path / "w.db", Counts())
    assert None not in await store.get_many([key(n) for n in range(300)])
    await store.aclose()
