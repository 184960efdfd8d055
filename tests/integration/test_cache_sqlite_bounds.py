"""The bound of a verdict file: it holds, the least recently used go first, and a full file goes on working."""

from __future__ import annotations

from pathlib import Path

from reward_server.cache.guarded import GuardedStore
from reward_server.cache.sqlite import SqliteRows
from reward_server.cache.sqlite_file import MIN_EVICTED
from tests.integration.cache_stores import MB, Counts, guarded, key, sqlite_store, verdict


async def test_the_file_stays_within_its_bound_and_keeps_the_latest(tmp_path: Path) -> None:
    counts = Counts()
    path = tmp_path / "v.db"
    store = sqlite_store(path, counts, MB)
    for part in range(100):
        numbers = range(part * 50, part * 50 + 50)
        await store.put_many({key(n): verdict(n, critique="x" * 500) for n in numbers})
        assert path.stat().st_size <= MB
    latest = [key(n) for n in range(4950, 5000)]
    assert None not in await store.get_many(latest)
    assert await store.get_many([key(0)]) == [None]
    # Neither nearly empty nor nearly everything thrown out at once.
    assert 400 < counts("entries", tier="sqlite") < 1000
    assert 0.4 * MB < counts("bytes", tier="sqlite") <= 0.6 * MB
    assert counts.errors("sqlite") == {}
    await store.aclose()


async def test_the_one_used_longest_ago_goes_first_across_restarts(tmp_path: Path) -> None:
    now = 1000.0
    path = tmp_path / "v.db"

    def opened() -> tuple[GuardedStore, Counts]:
        counts = Counts()
        return guarded(SqliteRows(path, MB, 30, lambda: now), counts), counts

    store, _ = opened()
    # One more than goes at a time.
    await store.put_many({key(name): verdict(0) for name in ["a", *range(MIN_EVICTED)]})
    await store.aclose()
    store, _ = opened()
    now = 2000.0
    assert await store.get_many([key("a")]) == [verdict(0)]
    await store.aclose()
    now = 3000.0
    store, counts = opened()
    written = 0
    while counts("entries", tier="sqlite") in (0, MIN_EVICTED + 1 + written):
        written += 1
        await store.put_many({key(("new", written)): verdict(0, critique="x" * 50_000)})
        assert written < 100
    assert await store.get_many([key("a"), key(0), key(MIN_EVICTED - 1)]) == [verdict(0), None, None]
    assert await store.get_many([key(("new", 1))]) != [None]
    await store.aclose()


async def test_a_write_that_is_larger_than_the_file_is_lost_and_the_next_is_not(tmp_path: Path) -> None:
    counts = Counts()
    store = sqlite_store(tmp_path / "v.db", counts, MB)
    await store.put_many({key(0): verdict(0, critique="x" * 2 * MB)})
    assert counts.errors("sqlite") == {"full": 1}
    await store.put_many({key(1): verdict(1)})
    assert await store.get_many([key(0), key(1)]) == [None, verdict(1)]
    await store.aclose()


async def test_room_is_made_when_the_file_is_full_before_its_budget(tmp_path: Path) -> None:
    path = tmp_path / "v.db"
    store = sqlite_store(path, Counts(), 64 * MB)
    await store.put_many({key(n): verdict(n, critique="x" * 4000) for n in range(200)})
    await store.aclose()
    # The operator gives it less: the file is larger than its bound from the first write on.
    counts = Counts()
    store = sqlite_store(path, counts, MB // 2)
    before = path.stat().st_size
    for n in range(1000, 1400):
        await store.put_many({key(n): verdict(n, critique="x" * 4000)})
    assert await store.get_many([key(1399)]) == [verdict(1399, critique="x" * 4000)]
    assert path.stat().st_size <= before
    assert counts.errors("sqlite") == {}
    await store.aclose()
