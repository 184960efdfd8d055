"""The counts of several workers as one text."""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from reward_server.metrics import Metrics
from reward_server.running.worker_metrics import SharedMetrics, merge


def one_worker(num_groups: int, level: float) -> Metrics:
    metrics = Metrics()
    metrics.groups.inc(num_groups)
    metrics.judge_seconds.observe(level)
    metrics.requests.labels(route="/v1/rewards", status="200").inc()
    Gauge("sgpo_level", "A level.", registry=metrics.registry).set(level)
    return metrics


def samples(text: bytes) -> dict[str, float]:
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_counts_add_up_and_gauges_of_the_living_stand_apart() -> None:
    texts = {str(pid): generate_latest(one_worker(pid, pid).registry).decode() for pid in (1, 2, 4)}
    merged = merge(texts, {"1", "4"})
    found = samples(merged)
    assert found["sgpo_groups_total[]"] == 7.0, "the dead worker's, too"
    assert found["sgpo_requests_total[('route', '/v1/rewards'), ('status', '200')]"] == 3.0
    assert found["sgpo_judge_seconds_count[]"] == 3.0
    assert found["sgpo_judge_seconds_sum[]"] == 7.0
    assert found["sgpo_judge_seconds_bucket[('le', '2.0')]"] == 2.0
    levels = {key: value for key, value in found.items() if key.startswith("sgpo_level")}
    assert levels == {"sgpo_level[('worker', '1')]": 1.0, "sgpo_level[('worker', '4')]": 4.0}
    assert b"_created" not in merged
    assert merged.count(b"# TYPE sgpo_groups_total counter") == 1


def test_a_scrape_tells_of_everybody(tmp_path: Path) -> None:
    (tmp_path / "999999999.prom").write_bytes(generate_latest(one_worker(5, 9.0).registry))
    mine = one_worker(3, 1.0)
    SharedMetrics(mine, tmp_path).start()
    found = samples(mine.render())
    assert found["sgpo_groups_total[]"] == 8.0
    assert found[f"sgpo_level[('worker', '{os.getpid()}')]"] == 1.0
    assert "sgpo_level[('worker', '999999999')]" not in found
