"""Rows that fail, hang, lie or raise: always a miss, counted by kind, and never a wait beyond the time-out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

import pytest
from prometheus_client import CollectorRegistry

from judge.types import Verdict
from reward_server.cache.guarded import FAILURES_BEFORE_PAUSE, PAUSE_S, WARN_EVERY_S, GuardedStore
from reward_server.cache.metrics import CacheMetrics, Size, Tier
from reward_server.cache.rows import CacheFault
from reward_server.cache.seal import Seal

ONE = Verdict(1, "j")
TIMEOUT_S = 0.01
"""Only for rows that never answer: those that do answer are given `PATIENT_S`."""
PATIENT_S = 60.0


class Rows:
    """Rows in a dictionary that do as they are told: raise ``fault``, or wait for ``gate``."""

    tier: Tier = "redis"

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}
        self.calls = 0
        self.fault: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.begun = asyncio.Event()

    @property
    def size(self) -> Size | None:
        return Size(len(self.rows), 7)

    async def _begin(self) -> None:
        self.calls += 1
        self.begun.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.fault is not None:
            raise self.fault

    async def read(self, keys: Sequence[str]) -> list[bytes | None]:
        await self._begin()
        return [self.rows.get(key) for key in keys]

    async def write(self, rows: Mapping[str, bytes]) -> None:
        await self._begin()
        self.rows |= rows

    async def aclose(self) -> None:
        if self.fault is not None:
            raise self.fault


class Setup:
    def __init__(self, timeout_s: float = PATIENT_S) -> None:
        self.now = 0.0
        self.rows = Rows()
        self.registry = CollectorRegistry()
        self.store = GuardedStore(self.rows, Seal(), CacheMetrics(self.registry), timeout_s, lambda: self.now)

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"sgpo_cache_{name}", {"tier": "redis"} | labels) or 0.0


FAULTS: list[tuple[str, Exception]] = [
    ("full", CacheFault("full", "the disk is full")),
    ("unreachable", CacheFault("unreachable", "gone")),
    ("other", ValueError("a bug of the driver")),
    ("timeout", TimeoutError()),
]


@pytest.mark.parametrize(("kind", "fault"), FAULTS)
async def test_a_failure_is_a_miss_and_a_lost_write_and_is_counted(kind: str, fault: Exception) -> None:
    setup = Setup()
    await setup.store.put_many({"a": ONE})
    setup.rows.fault = fault
    assert await setup.store.get_many(["a", "b"]) == [None, None]
    await setup.store.put_many({"b": ONE})
    assert setup.count("errors_total", kind=kind) == 2
    assert setup.count("misses_total") == 2
    setup.rows.fault = None
    assert await setup.store.get_many(["a", "b"]) == [ONE, None]
    assert setup.count("entries") == 1


@pytest.mark.parametrize("call", ["get", "put"])
async def test_rows_that_never_answer_are_left_waiting(call: str) -> None:
    setup = Setup(TIMEOUT_S)
    setup.rows.gate = asyncio.Event()
    if call == "get":
        assert await setup.store.get_many(["a"]) == [None]
    else:
        await setup.store.put_many({"a": ONE})
    assert setup.count("errors_total", kind="timeout") == 1


async def test_a_caller_that_is_cancelled_stays_cancelled() -> None:
    setup = Setup()
    setup.rows.gate = asyncio.Event()
    task = asyncio.create_task(setup.store.get_many(["a"]))
    await setup.rows.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


BREAK: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("checksum", lambda row: row.replace(b'"first_error":1', b'"first_error":0')),
    ("checksum", lambda row: row[:-1]),
    ("checksum", lambda row: b""),
]


@pytest.mark.parametrize(("kind", "damage"), BREAK)
async def test_a_damaged_row_is_a_miss_until_it_is_written_again(kind: str, damage: Callable[[bytes], bytes]) -> None:
    setup = Setup()
    await setup.store.put_many({"a": ONE, "b": ONE})
    setup.rows.rows["a"] = damage(setup.rows.rows["a"])
    assert await setup.store.get_many(["a", "b"]) == [None, ONE]
    assert setup.count("errors_total", kind=kind) == 1
    assert (setup.count("hits_total"), setup.count("misses_total")) == (1, 1)
    await setup.store.put_many({"a": ONE})
    assert await setup.store.get_many(["a"]) == [ONE]


async def test_rows_that_change_places_are_not_believed() -> None:
    # As after a mix-up of replies on one connection.
    setup = Setup()
    await setup.store.put_many({"a": Verdict(1, "j"), "b": Verdict(2, "j")})
    rows = setup.rows.rows
    rows["a"], rows["b"] = rows["b"], rows["a"]
    assert await setup.store.get_many(["a", "b"]) == [None, None]


async def test_a_row_of_another_version_is_a_miss() -> None:
    setup = Setup()
    seal = Seal()
    payload = b'{"first_error":1,"judge_id":"j","novel":true}'
    setup.rows.rows["a"] = seal._digest("a", payload) + payload
    assert await setup.store.get_many(["a"]) == [None]
    assert setup.count("errors_total", kind="format") == 1


async def test_after_repeated_failure_it_is_left_alone_for_a_while_and_tried_again() -> None:
    setup = Setup()
    await setup.store.put_many({"a": ONE})
    setup.rows.fault, setup.rows.calls = CacheFault("unreachable", "gone"), 0
    for _ in range(10):
        assert await setup.store.get_many(["a"]) == [None]
    assert setup.rows.calls == FAILURES_BEFORE_PAUSE
    assert setup.count("misses_total") == 10
    setup.rows.fault = None
    setup.now = PAUSE_S - 0.1
    assert await setup.store.get_many(["a"]) == [None]
    setup.now = PAUSE_S
    assert await setup.store.get_many(["a"]) == [ONE]
    assert await setup.store.get_many(["a"]) == [ONE]


async def test_failures_that_are_not_in_a_row_do_not_pause() -> None:
    setup = Setup()
    for _ in range(3 * FAILURES_BEFORE_PAUSE):
        setup.rows.fault = CacheFault("locked", "busy")
        await setup.store.get_many(["a"])
        setup.rows.fault, setup.rows.calls = None, 0
        await setup.store.get_many(["a"])
        assert setup.rows.calls == 1


async def test_one_warning_a_minute_says_how_many_it_left_out(caplog: pytest.LogCaptureFixture) -> None:
    setup = Setup()
    setup.rows.fault = CacheFault("full", "free some space")
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            await setup.store.get_many(["a"])
            setup.now += PAUSE_S
        assert len(caplog.messages) == 1
        setup.now = WARN_EVERY_S
        await setup.store.get_many(["a"])
    assert len(caplog.messages) == 2
    assert "full: free some space" in caplog.messages[0]
    assert "4 earlier" in caplog.messages[1]


async def test_a_store_that_cannot_be_closed_is_counted() -> None:
    setup = Setup()
    setup.rows.fault = CacheFault("locked", "busy")
    await setup.store.aclose()
    assert setup.count("errors_total", kind="locked") == 1
