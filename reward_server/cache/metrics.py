"""What the caches count. All labels come from closed sets."""

from __future__ import annotations

from typing import Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge

Tier = Literal["memory", "sqlite", "redis"]
FaultKind = Literal[
    "timeout", "locked", "full", "read_only", "corrupt", "unreachable", "checksum", "format", "not_kept", "other"
]
"""``checksum``: torn or tampered row; ``format``: row of another version; ``not_kept``: verdict that has no JSON."""


class Size(NamedTuple):
    """How much a store holds; ``num_bytes`` counts rows with an allowance for their surroundings."""

    entries: int
    num_bytes: int


class CacheMetrics:
    """Counters of the verdict cache and of replayed replies. One for each app."""

    def __init__(self, registry: CollectorRegistry) -> None:
        tier = ("tier",)
        self.hits = Counter("sgpo_cache_hits", "Verdicts found in the cache, by tier.", tier, registry=registry)
        self.misses = Counter(
            "sgpo_cache_misses",
            "Verdicts that a tier did not have; the last tier's are judged.",
            tier,
            registry=registry,
        )
        self.errors = Counter(
            "sgpo_cache_errors", "Failures of a tier, each of them a miss.", ("tier", "kind"), registry=registry
        )
        self.entries = Gauge("sgpo_cache_entries", "Verdicts that a tier holds.", tier, registry=registry)
        self.bytes = Gauge("sgpo_cache_bytes", "Bytes that a tier holds, about.", tier, registry=registry)

    def looked_up(self, tier: Tier, found: int, asked: int) -> None:
        """Count one look into a tier."""
        self.hits.labels(tier=tier).inc(found)
        self.misses.labels(tier=tier).inc(asked - found)

    def holds(self, tier: Tier, size: Size) -> None:
        """Set what a tier holds now."""
        self.entries.labels(tier=tier).set(size.entries)
        self.bytes.labels(tier=tier).set(size.num_bytes)
