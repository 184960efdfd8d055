"""What the server counts, in Prometheus' text format. One registry per app, so that two apps never share a count."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from reward_server.engine.metrics import EngineMetrics

LATENCY_BUCKETS_S = (0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 100.0)


class Metrics:
    """All the server's counters. Labels come from closed sets, never from a request's text."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.render_shared: Callable[[], bytes] | None = None
        registry = self.registry
        self.engine = EngineMetrics(registry)
        self.requests = Counter(
            "sgpo_requests", "HTTP requests by route and status.", ("route", "status"), registry=registry
        )
        self.responses = Counter("sgpo_responses", "Responses by reward status.", ("status",), registry=registry)
        self.unscored = Counter("sgpo_unscored", "Unscored responses by reason.", ("reason",), registry=registry)
        self.groups = Counter("sgpo_groups", "Groups seen by /v1/rewards.", registry=registry)
        self.all_negative = Counter("sgpo_groups_all_negative", "Groups without a right answer.", registry=registry)
        self.rescued = Counter(
            "sgpo_groups_rescued", "All-negative groups whose rewards differ thanks to the judge.", registry=registry
        )
        self.judge_calls = Counter("sgpo_judge_calls", "Judge calls by how they ended.", ("result",), registry=registry)
        self.judge_seconds = Histogram(
            "sgpo_judge_seconds",
            "Time of one judge call, without waiting for a free place.",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )

    def render(self) -> bytes:
        """Every count in the text format; with several workers, those of all."""
        return generate_latest(self.registry) if self.render_shared is None else self.render_shared()
