"""Redis that dies, comes back, hangs, is full or is a replica: misses, counted, and no wait beyond the time-out."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import exceptions

from judge.errors import ConfigError
from reward_server.cache.build import build_store
from reward_server.cache.guarded import GuardedStore
from reward_server.cache.redis import RedisRows, as_fault, check_redis, connect
from reward_server.cache.settings import CacheSettings
from tests.integration.cache_stores import PATIENT_S, Counts, guarded, key, verdict
from tests.integration.redis_process import RedisProcess, real_redis, start

SHORT_S = 0.2
"""Only where no answer ever comes."""


def store_at(url: str, counts: Counts, timeout_s: float = PATIENT_S, namespace: str = "sgpo") -> GuardedStore:
    return guarded(RedisRows(connect(url, timeout_s), namespace, 1000), counts, timeout_s)


async def restarted(folder: Path, dead: RedisProcess) -> RedisProcess:
    return await asyncio.to_thread(start, folder, (), dead.port)


async def test_redis_that_dies_and_comes_back(tmp_path: Path) -> None:
    with real_redis(tmp_path) as server:
        counts = Counts()
        now = 0.0
        rows = RedisRows(connect(server.url, PATIENT_S), "sgpo", 1000)
        store = guarded(rows, counts, clock=lambda: now)
        await store.put_many({key(0): verdict(0)})
        assert await store.get_many([key(0)]) == [verdict(0)]
        server.kill()
        for _ in range(5):
            assert await store.get_many([key(0)]) == [None]
            await store.put_many({key(0): verdict(0)})
        # Left alone after some failures in a row.
        assert counts.errors("redis") == {"unreachable": 3}
        again = await restarted(tmp_path, server)
        try:
            now = 100.0
            assert await store.get_many([key(0)]) == [None]
            await store.put_many({key(0): verdict(0)})
            assert await store.get_many([key(0)]) == [verdict(0)]
            assert counts.errors("redis") == {"unreachable": 3}
            await store.aclose()
        finally:
            again.kill()


async def test_redis_that_is_killed_under_many_requests(tmp_path: Path) -> None:
    with real_redis(tmp_path) as server:
        counts = Counts()
        store = store_at(server.url, counts)
        await store.put_many({key(n): verdict(n) for n in range(100)})
        killed = asyncio.Event()
        found = 0

        async def ask(part: int) -> None:
            nonlocal found
            for n in range(20):
                number = (part * 7 + n) % 100
                [result] = await store.get_many([key(number)])
                assert result in (None, verdict(number))
                found += result is not None
                if n == 10:
                    killed.set()

        async def kill() -> None:
            await killed.wait()
            await asyncio.to_thread(server.kill)

        await asyncio.gather(kill(), *(ask(part) for part in range(40)))
        assert found > 0
        assert await store.get_many([key(0)]) == [None]
        assert set(counts.errors("redis")) == {"unreachable"}
        await store.aclose()


async def test_a_caller_that_leaves_does_not_mix_up_the_answers_of_others(tmp_path: Path) -> None:
    with real_redis(tmp_path) as server:
        counts = Counts()
        store = store_at(server.url, counts)
        await store.put_many({key(n): verdict(n) for n in range(50)})

        async def ask(number: int) -> None:
            assert await store.get_many([key(number)]) == [verdict(number)]

        for turn in range(20):
            tasks = [asyncio.create_task(ask(n)) for n in range(50)]
            for _ in range(turn % 7):
                await asyncio.sleep(0)
            for task in tasks[::3]:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert [r for r in results if r is not None and not isinstance(r, asyncio.CancelledError)] == []
        assert counts.errors("redis") == {}
        await store.aclose()


@contextmanager
def silent_listener() -> Iterator[str]:
    """A socket that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


async def test_redis_that_never_answers_costs_the_time_out_and_then_nothing() -> None:
    counts = Counts()
    with silent_listener() as url:
        store = guarded(RedisRows(connect(url, SHORT_S), "sgpo", 1000), counts, SHORT_S, clock=lambda: 0.0)
        # One at a time: without the pause after three this would take a hundred time-outs.
        async with asyncio.timeout(SHORT_S * 100):
            for _ in range(200):
                assert await store.get_many([key(0)]) == [None]
        assert sum(counts.errors("redis").values()) == 3
        assert set(counts.errors("redis")) <= {"timeout", "unreachable"}
        assert counts("misses_total", tier="redis") == 200
        await store.aclose()


async def test_many_requests_at_once_on_a_redis_that_never_answers_wait_no_longer_than_one() -> None:
    counts = Counts()
    with silent_listener() as url:
        store = guarded(RedisRows(connect(url, SHORT_S), "sgpo", 1000), counts, SHORT_S)
        # A hundred at a time wait beside each other, also for one of the few connections.
        async with asyncio.timeout(SHORT_S * 100):
            assert await asyncio.gather(*(store.get_many([key(n)]) for n in range(100))) == [[None]] * 100
        await store.aclose()


async def test_a_full_redis_and_a_replica_are_told_apart(tmp_path: Path) -> None:
    with real_redis(tmp_path, "--maxmemory", "2mb", "--maxmemory-policy", "noeviction") as server:
        counts = Counts()
        store = store_at(server.url, counts)
        await store.put_many({key(n): verdict(n, critique="x" * 50_000) for n in range(100)})
        assert counts.errors("redis") == {"full": 1}
        await store.aclose()
    assert as_fault(exceptions.ReadOnlyError()).kind == "read_only"


def test_a_redis_that_cannot_be_written_does_not_let_the_server_start(tmp_path: Path) -> None:
    with real_redis(tmp_path) as server, server.client() as client:
        client.replicaof("127.0.0.1", str(server.port + 1 if server.port < 65535 else 1024))
        with pytest.raises(ConfigError, match=r"\$URL: this Redis is a replica"):
            check_redis(server.url, "URL", "sgpo")


def test_a_redis_that_never_answers_does_not_let_the_server_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reward_server.cache.redis.START_TIMEOUT_S", SHORT_S)
    with silent_listener() as url, pytest.raises(ConfigError, match=r"\$URL: Redis did not answer in time"):
        check_redis(url, "URL", "sgpo")


async def test_a_password_that_is_wrong_or_missing_does_not_let_the_server_start(tmp_path: Path) -> None:
    with real_redis(tmp_path) as server, server.client() as client:
        client.config_set("requirepass", "hunter2")
        settings = CacheSettings(kind="redis", timeout_s=PATIENT_S)
        for user in ("", ":hunter3@"):
            url = server.url.replace("redis://", f"redis://{user}")
            with pytest.raises(ConfigError, match="password") as caught:
                build_store(settings, {"SGPO_REDIS_URL": url}, Counts().metrics)
            assert "hunter" not in str(caught.value)
        url = server.url.replace("redis://", "redis://:hunter2@")
        store = build_store(settings, {"SGPO_REDIS_URL": url}, Counts().metrics)
        assert store is not None
        await store.put_many({key(0): verdict(0)})
        assert await store.get_many([key(0)]) == [verdict(0)]
        await store.aclose()


async def test_namespaces_share_a_redis_and_rows_expire(tmp_path: Path) -> None:
    with real_redis(tmp_path) as server:
        counts = Counts()
        one, two = store_at(server.url, counts, namespace="one"), store_at(server.url, counts, namespace="two")
        await one.put_many({key(0): verdict(1)})
        await two.put_many({key(0): verdict(2)})
        assert await one.get_many([key(0)]) == [verdict(1)]
        assert await two.get_many([key(0)]) == [verdict(2)]
        with server.client() as client:
            names = sorted(name.decode() for name in client.keys("*"))
            assert names == [f"one:verdict:1:{key(0)}", f"two:verdict:1:{key(0)}"]
            assert all(0 < client.ttl(name) <= 1000 for name in names)
            # A row that somebody else wrote.
            client.set(names[0], b"\x80\x04pickle")
        assert await one.get_many([key(0)]) == [None]
        assert counts.errors("redis") == {"checksum": 1}
        await one.aclose()
        await two.aclose()


async def test_what_is_no_string_is_a_failure_of_redis_not_of_the_request(tmp_path: Path) -> None:
    with real_redis(tmp_path) as server:
        counts = Counts()
        store = store_at(server.url, counts)
        with server.client() as client:
            client.rpush(f"sgpo:verdict:1:{key(0)}", "a list")
        await store.put_many({key(1): verdict(1)})
        assert await store.get_many([key(0), key(1)]) == [None, verdict(1)]
        await store.aclose()
