"""The metrics of several workers as one: a scrape reaches one of them, and must not tell that one's counts only.

Each worker leaves its own in a folder, once a second. Counters and histograms are added up, those of dead workers too,
so that no count goes back; gauges stand apart, with a label ``worker``, for those alive.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping, Set
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from reward_server.metrics import Metrics

SHARE_S = 1.0
SUFFIX = ".prom"


class SharedMetrics:
    """One worker's part: leaves its own counts, and reads those of all.

    Args:
        metrics: this worker's.
        folder: the same for all workers of a server, and for them alone.
    """

    def __init__(self, metrics: Metrics, folder: Path) -> None:
        self._metrics = metrics
        self._folder = folder
        self._lock = threading.Lock()

    def start(self) -> None:
        """Leave the counts once a second from now on; metrics are rendered for all workers."""
        self._metrics.render_shared = self.render
        threading.Thread(target=self._keep_leaving, name="share-metrics", daemon=True).start()

    def leave(self) -> None:
        """Write this worker's counts, at once visible as a whole."""
        path = self._folder / f"{os.getpid()}{SUFFIX}"
        temporary = path.with_suffix(".tmp")
        with self._lock:
            temporary.write_bytes(generate_latest(self._metrics.registry))
            temporary.replace(path)

    def render(self) -> bytes:
        """The counts of all."""
        self.leave()
        texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(self._folder.glob(f"*{SUFFIX}"))}
        return merge(texts, {worker for worker in texts if is_alive(int(worker))})

    def _keep_leaving(self) -> None:
        while True:
            time.sleep(SHARE_S)
            with suppress(OSError):  # the folder goes with the supervisor
                self.leave()


def merge(texts: Mapping[str, str], alive: Set[str]) -> bytes:
    """One text for those of several workers.

    Args:
        texts: by worker.
        alive: workers whose gauges still mean something.
    """
    families: dict[str, Metric] = {}
    sums: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for worker, text in texts.items():
        for family in text_string_to_metric_families(text):
            is_gauge = family.type == "gauge"
            if family.name.endswith("_created") or (is_gauge and worker not in alive):
                continue
            families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            values = sums.setdefault(family.name, {})
            for sample in family.samples:
                labels = sample.labels | ({"worker": worker} if is_gauge else {})
                key = (sample.name, tuple(labels.items()))
                values[key] = values.get(key, 0.0) + sample.value
    for name, values in sums.items():
        for (sample_name, pairs), value in values.items():
            families[name].add_sample(sample_name, dict(pairs), value)
    registry = CollectorRegistry()
    registry.register(Ready(families.values()))
    return generate_latest(registry)


class Ready(Collector):
    """Metrics that are already there."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """All of them."""
        return self._families


def is_alive(pid: int) -> bool:
    """Whether a process with this id runs."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
