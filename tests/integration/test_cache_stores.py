"""What every store must do, whatever it is made of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from judge.types import Usage, Verdict
from reward_server.cache.base import VerdictStore
from tests.integration.cache_stores import KINDS, Counts, key, store_of, verdict

KEYS = [key(n) for n in range(8)]


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest_asyncio.fixture(params=KINDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path, counts: Counts) -> AsyncIterator[VerdictStore]:
    async with store_of(request.param, tmp_path, counts) as made:
        yield made


async def test_what_was_kept_is_found_in_the_order_of_the_keys(store: VerdictStore) -> None:
    await store.put_many({KEYS[n]: verdict(n) for n in (0, 1, 2)})
    assert await store.get_many([KEYS[2], KEYS[5], KEYS[0]]) == [verdict(2), None, verdict(0)]
    assert await store.get_many([KEYS[1], KEYS[1]]) == [verdict(1), verdict(1)]


async def test_nothing_is_asked_and_nothing_kept(store: VerdictStore) -> None:
    await store.put_many({})
    assert await store.get_many([]) == []
    assert await store.get_many(KEYS) == [None] * len(KEYS)


async def test_every_field_comes_back_but_the_cost(store: VerdictStore) -> None:
    full = verdict(1, step_error_probs=(0.1, 1 / 3), expected_rts=2 / 3, confidence=1.0, critique="3 × 7 = 21 \ud800")
    paid = verdict(1, usage=Usage(100, 10, 1), latency_s=2.5)
    none = Verdict(None, "scripted@1")
    await store.put_many({KEYS[0]: full, KEYS[1]: paid, KEYS[2]: none})
    assert await store.get_many(KEYS[:3]) == [full, verdict(1), none]


async def test_the_latest_verdict_counts(store: VerdictStore, counts: Counts) -> None:
    await store.put_many({KEYS[0]: verdict(0), KEYS[1]: verdict(1)})
    await store.put_many({KEYS[0]: verdict(5)})
    assert await store.get_many(KEYS[:2]) == [verdict(5), verdict(1)]
    for tier in ("memory", "sqlite"):
        # Two entries, not three: a tier that is not there counts none.
        assert counts("entries", tier=tier) in (0, 2)


async def test_many_at_once(store: VerdictStore) -> None:
    async def use(part: int) -> None:
        keys = [key((part, n)) for n in range(40)]
        await store.put_many({each: verdict(n) for n, each in enumerate(keys)})
        assert await store.get_many(keys) == [verdict(n) for n in range(40)]

    await asyncio.gather(*(use(part) for part in range(20)))
    assert await store.get_many([key((3, 7)), key((19, 39))]) == [verdict(7), verdict(39)]


async def test_more_keys_than_one_statement_takes(store: VerdictStore) -> None:
    keys = [key(n) for n in range(2500)]
    await store.put_many({keys[n]: verdict(n) for n in range(0, 900)})
    found = await store.get_many(keys)
    assert [each is not None for each in found] == [n < 900 for n in range(2500)]


async def test_hits_and_misses_are_counted_and_nothing_failed(store: VerdictStore, counts: Counts) -> None:
    await store.put_many({KEYS[0]: verdict(0)})
    await store.get_many(KEYS[:3])
    await store.get_many(KEYS[:1])
    tiers = ("memory", "sqlite", "redis")
    assert sum(counts("hits_total", tier=tier) for tier in tiers) == 2
    # Memory in front of a file: what neither has is a miss of each.
    assert {counts("misses_total", tier=tier) for tier in tiers} == {0.0, 2.0}
    assert [counts.errors(tier) for tier in tiers] == [{}, {}, {}]


async def test_nan_is_never_found_again(store: VerdictStore) -> None:
    await store.put_many({KEYS[0]: verdict(0, confidence=float("nan")), KEYS[1]: verdict(1)})
    assert await store.get_many(KEYS[:2]) == [None, verdict(1)]


async def test_closing_twice_and_using_a_closed_store_harms_nobody(store: VerdictStore) -> None:
    await store.put_many({KEYS[0]: verdict(0)})
    await store.aclose()
    await store.aclose()
    await store.put_many({KEYS[1]: verdict(1)})
    assert len(await store.get_many(KEYS)) == len(KEYS)
