"""Verdicts in this process, the ones used last."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Final

from cachetools import LRUCache

from judge.types import Verdict
from reward_server.cache.codec import NotAVerdict, check, without_cost
from reward_server.cache.metrics import CacheMetrics, Size

ENTRY_BYTES: Final = 600
"""A verdict without probabilities and critique, with its key and its places in the tables; measured, and rounded up."""
PROB_BYTES: Final = 32
"""A float and the pointer to it."""


class MemoryStore:
    """Bounded by entries and by approximate bytes; the one used longest ago goes first.

    Args:
        max_entries: verdicts held.
        max_bytes: what they may take. A single verdict that is larger is not kept.
        metrics: takes hits, misses and size.
    """

    def __init__(self, max_entries: int, max_bytes: int, metrics: CacheMetrics) -> None:
        self._max_entries = max_entries
        self._metrics = metrics
        self._verdicts: LRUCache[str, Verdict] = LRUCache(max_bytes, getsizeof=approximate_bytes)

    async def get_many(self, keys: Sequence[str]) -> list[Verdict | None]:
        """One entry for each key, in order."""
        found = [self._verdicts.get(key) for key in keys]
        self._metrics.looked_up("memory", sum(verdict is not None for verdict in found), len(found))
        return found

    async def put_many(self, items: Mapping[str, Verdict]) -> None:
        """Keep them, in place of those used longest ago."""
        for key, verdict in items.items():
            try:
                check(verdict)
            except NotAVerdict:
                # Kept nowhere else either: a verdict must not depend on which tier is asked.
                self._metrics.errors.labels(tier="memory", kind="not_kept").inc()
                continue
            if approximate_bytes(verdict) <= self._verdicts.maxsize:
                self._verdicts[key] = without_cost(verdict)
        while len(self._verdicts) > self._max_entries:
            self._verdicts.popitem()
        self._metrics.holds("memory", self.size)

    @property
    def size(self) -> Size:
        """What it holds now."""
        return Size(len(self._verdicts), int(self._verdicts.currsize))

    async def aclose(self) -> None:
        """Let go of everything."""
        self._verdicts.clear()


def approximate_bytes(verdict: Verdict) -> int:
    """Memory that a verdict takes.

    >>> approximate_bytes(Verdict(1, "rules@1", step_error_probs=(0.1, 0.9))) - approximate_bytes(Verdict(1, "rules@1"))
    64
    """
    critique = 0 if verdict.critique is None else sys.getsizeof(verdict.critique)
    return ENTRY_BYTES + PROB_BYTES * len(verdict.step_error_probs or ()) + critique
