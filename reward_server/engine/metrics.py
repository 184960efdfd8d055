"""What is counted between a request and the judge: queue, batches, what was dropped or tried again."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

ITEM_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)
TOKEN_BUCKETS = (256, 1024, 4096, 8192, 16_384, 32_768, 65_536, 262_144)
SECONDS_BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 100.0)


class EngineMetrics:
    """Labels come from closed sets."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.num_queued: Callable[[], int] = lambda: 0
        """Solutions that wait for the judge now."""
        self._queued = Gauge("sgpo_queue_items", "Solutions that wait for the judge.", registry=registry)
        self._in_flight = Gauge("sgpo_judge_items_in_flight", "Solutions at the judge.", registry=registry)
        self._admitted = Gauge("sgpo_admitted_items", "Responses of the requests being worked on.", registry=registry)
        self._breaker = Gauge(
            "sgpo_breaker_state",
            "0: the judge is asked, 1: one trial call, 2: the judge is left alone.",
            registry=registry,
        )
        self.batch_items = Histogram(
            "sgpo_batch_items", "Solutions in one judge call.", buckets=ITEM_BUCKETS, registry=registry
        )
        self.batch_tokens = Histogram(
            "sgpo_batch_tokens",
            "Padded tokens of one judge call, estimated from characters.",
            buckets=TOKEN_BUCKETS,
            registry=registry,
        )
        self.queue_seconds = Histogram(
            "sgpo_queue_seconds",
            "Time that a solution waited for the judge.",
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self.dropped = Counter(
            "sgpo_dropped_items",
            "Solutions that never reached the judge: their waiter had gone (cancelled, deadline), they fit no batch "
            "(too_long), the queue was full, or the judge was being left alone (breaker).",
            ("why",),
            registry=registry,
        )
        self.retried = Counter(
            "sgpo_judge_retried_calls",
            "Judge calls made again: in halves after an error (bisect), or because the judge's process died (died).",
            ("why",),
            registry=registry,
        )
        self.restarts = Counter(
            "sgpo_judge_restarts", "Times that the judge's process was replaced.", registry=registry
        )
        self.shared = Counter(
            "sgpo_single_flight_hits", "Solutions that shared the judge call of an equal one.", registry=registry
        )

    def watch_queue(self, queued: Callable[[], int], in_flight: Callable[[], int]) -> None:
        """Read the gauges of the queue from these from now on."""
        self.num_queued = queued
        self._queued.set_function(queued)
        self._in_flight.set_function(in_flight)

    def watch_admitted(self, admitted: Callable[[], int]) -> None:
        """Read the number of admitted responses from this from now on."""
        self._admitted.set_function(admitted)

    def watch_breaker(self, state: Callable[[], int]) -> None:
        """Read the breaker's state from this from now on."""
        self._breaker.set_function(state)
