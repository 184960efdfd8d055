"""Stores of every kind, keys and verdicts for them, and their counts."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from judge.types import Verdict
from reward_server.cache.base import VerdictStore
from reward_server.cache.build import build_store
from reward_server.cache.guarded import GuardedStore
from reward_server.cache.memory import MemoryStore
from reward_server.cache.metrics import CacheMetrics
from reward_server.cache.rows import RowStore
from reward_server.cache.seal import Seal
from reward_server.cache.settings import CacheSettings
from reward_server.cache.sqlite import SqliteRows
from reward_server.cache.tiered import TieredStore

KINDS = ("memory", "sqlite", "fakeredis", "redis", "sqlite behind memory")
PATIENT_S = 60.0
"""No test shall fail because the machine is busy."""
MB = 1 << 20


def key(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def verdict(number: int = 0, **changes: Any) -> Verdict:
    fields: dict[str, Any] = {"critique": f"step {number} is wrong", "confidence": 0.5}
    return Verdict(number, "scripted@1", **(fields | changes))


class Counts:
    """What a store counted."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = CacheMetrics(self.registry)

    def __call__(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"sgpo_cache_{name}", labels) or 0.0

    def errors(self, tier: str) -> dict[str, int]:
        samples = [s for metric in self.registry.collect() for s in metric.samples]
        return {
            s.labels["kind"]: int(s.value)
            for s in samples
            if s.name == "sgpo_cache_errors_total" and s.labels["tier"] == tier
        }


def guarded(rows: RowStore, counts: Counts, timeout_s: float = PATIENT_S, **changes: Any) -> GuardedStore:
    return GuardedStore(rows, changes.pop("seal", Seal()), counts.metrics, timeout_s, **changes)


def sqlite_store(path: Path, counts: Counts, max_bytes: int = 64 * MB, **changes: Any) -> GuardedStore:
    return guarded(SqliteRows(path, max_bytes, PATIENT_S / 2), counts, **changes)


@asynccontextmanager
async def store_of(kind: str, folder: Path, counts: Counts) -> AsyncIterator[VerdictStore]:
    """An empty store."""
    # Not imported above: the processes of other tests start faster without them.
    import fakeredis

    from reward_server.cache.redis import RedisRows
    from tests.integration.redis_process import real_redis

    memory = MemoryStore(1000, 10 * MB, counts.metrics)
    if kind == "redis":
        with real_redis(folder) as server:
            settings = CacheSettings(kind="redis", timeout_s=PATIENT_S)
            built = build_store(settings, {"SGPO_REDIS_URL": server.url}, counts.metrics)
            assert isinstance(built, TieredStore)
            # Without the memory in front, which has a kind of its own.
            yield built._back
            await built.aclose()
        return
    stores: dict[str, Any] = {
        "memory": lambda: memory,
        "sqlite": lambda: sqlite_store(folder / "verdicts.db", counts),
        "fakeredis": lambda: guarded(RedisRows(fakeredis.FakeAsyncRedis(), "sgpo", 1000), counts),
        "sqlite behind memory": lambda: TieredStore(memory, sqlite_store(folder / "verdicts.db", counts)),
    }
    store: VerdictStore = stores[kind]()
    yield store
    await store.aclose()
