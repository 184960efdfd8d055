"""One page of metrics for all replicas: each sample with the label of the replica that counted it.

A proxy sends every scrape to another replica. Counters of the one that happened to be hit would jump up and down, and
Prometheus takes each jump down for a restart; so whichever is hit answers for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import copy

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


def render_replicas(by_replica: Mapping[str, Iterable[Metric]]) -> bytes:
    """The text format, each sample labelled ``replica``, and ``sgpo_replicas``, the number that answered."""
    registry = CollectorRegistry()
    registry.register(Merged(by_replica))
    return generate_latest(registry)


class Merged(Collector):
    """The families of several registries as those of one."""

    def __init__(self, by_replica: Mapping[str, Iterable[Metric]]) -> None:
        self._by_replica = {replica: list(families) for replica, families in by_replica.items()}

    def collect(self) -> Iterator[Metric]:
        """Every family once, with the samples of all replicas."""
        merged: dict[str, Metric] = {}
        for replica, families in self._by_replica.items():
            for family in families:
                into = merged.setdefault(family.name, empty_like(family))
                into.samples += [
                    sample._replace(labels={**sample.labels, "replica": replica}) for sample in family.samples
                ]
        yield from merged.values()
        yield GaugeMetricFamily("sgpo_replicas", "Replicas whose counts are here.", value=len(self._by_replica))


def empty_like(family: Metric) -> Metric:
    """The family without its samples."""
    empty = copy(family)
    empty.samples = []
    return empty
