"""The store in memory and the two tiers: bounds, and who goes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry

from judge.types import Verdict
from reward_server.cache.memory import MemoryStore, approximate_bytes
from reward_server.cache.metrics import CacheMetrics
from reward_server.cache.tiered import TieredStore

PLAIN = Verdict(0, "j")
LONG = Verdict(0, "j", critique="x" * 10_000)


def memory(max_entries: int = 1000, max_bytes: int = 1 << 20) -> MemoryStore:
    return MemoryStore(max_entries, max_bytes, CacheMetrics(CollectorRegistry()))


async def present(store: MemoryStore, keys: str) -> str:
    return "".join(key for key, found in zip(keys, await store.get_many(list(keys)), strict=True) if found)


async def test_the_one_used_longest_ago_goes_first() -> None:
    store = memory(max_entries=3)
    await store.put_many({"a": PLAIN, "b": PLAIN, "c": PLAIN})
    await store.get_many(["a"])
    await store.put_many({"d": PLAIN})
    assert await present(store, "abcd") == "acd"
    assert store.size.entries == 3


async def test_bytes_are_bounded_by_what_critiques_and_probabilities_take() -> None:
    store = memory(max_bytes=3 * approximate_bytes(LONG))
    await store.put_many(dict.fromkeys("abcde", LONG))
    assert await present(store, "abcde") == "cde"
    assert store.size.num_bytes == 3 * approximate_bytes(LONG)
    many_steps = Verdict(0, "j", step_error_probs=(0.5,) * 500)
    assert approximate_bytes(many_steps) > approximate_bytes(PLAIN) + 10_000


async def test_a_verdict_larger_than_everything_leaves_the_others_alone() -> None:
    store = memory(max_bytes=5000)
    await store.put_many({"a": PLAIN})
    await store.put_many({"b": LONG})
    assert await present(store, "ab") == "a"


class Slow:
    """A store that remembers what it was asked."""

    def __init__(self, **held: Verdict) -> None:
        self.held = dict(held)
        self.asked: list[str] = []
        self.closed = False

    async def get_many(self, keys: Sequence[str]) -> list[Verdict | None]:
        self.asked += keys
        return [self.held.get(key) for key in keys]

    async def put_many(self, items: Mapping[str, Verdict]) -> None:
        self.held |= items

    async def aclose(self) -> None:
        self.closed = True


async def test_only_what_memory_lacks_is_asked_further_back_and_only_once() -> None:
    back = Slow(a=Verdict(1, "j"), b=Verdict(2, "j"))
    store = TieredStore(memory(), back)
    await store.put_many({"c": Verdict(3, "j")})
    assert [v and v.first_error for v in await store.get_many(["b", "c", "x", "b"])] == [2, 3, None, 2]
    assert back.asked == ["b", "x"]
    assert [v and v.first_error for v in await store.get_many(["b", "c"])] == [2, 3]
    assert back.asked == ["b", "x"]


async def test_both_tiers_keep_and_both_are_closed() -> None:
    front, back = Slow(), Slow()
    store = TieredStore(front, back)
    await store.put_many({"a": PLAIN})
    await store.aclose()
    assert front.held == back.held == {"a": PLAIN}
    assert front.closed
    assert back.closed
