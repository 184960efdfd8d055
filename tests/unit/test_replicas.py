"""Several servers behind one address: what is refused, what is only said, and their counts on one page."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from judge.errors import ConfigError
from judge.registry import build_judge
from judge.settings import parse_table
from reward_server.app import create_app
from reward_server.config import ServerConfig
from reward_server.edge.keys import KeyRing
from reward_server.ray_app import build, load_fixed_keys, main
from reward_server.running import ray_replica
from reward_server.running.ray_local import OPEN_PORTS, Stop, check_start, drain, own_ray_environment
from reward_server.running.ray_replica import RewardReplica
from reward_server.running.replica_metrics import render_replicas
from reward_server.running.replicas import as_one_of

KEY = "k" * 40
SETTING = "[ray] max_replicas"


def config(**tables: Any) -> ServerConfig:
    return ServerConfig.model_validate({"judge": {"kind": "scripted"}} | tables)


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SGPO_API_KEYS", raising=False)
    for name in OPEN_PORTS:
        monkeypatch.delenv(name, raising=False)


def test_a_single_replica_stays_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    alone = config(dialects={"slime": {"group_size": 8}})
    assert as_one_of(alone, 1, SETTING) == alone
    assert not caplog.records


def test_a_replica_knows_that_it_is_not_alone() -> None:
    assert as_one_of(config(), 3, SETTING).server.num_processes == 3


@pytest.mark.parametrize(
    ("tables", "named"),
    [
        (
            {"dialects": {"slime": {"group_size": 8}}},
            r"\[dialects.slime\] group_size = 8 needs \[ray\] max_replicas = 1",
        ),
        ({"server": {"workers": 2}}, r"\[server\] workers has no effect here"),
        ({"server": {"replicas": 2}}, r"\[server\] replicas has no effect here"),
    ],
)
def test_what_would_go_wrong_in_silence_is_refused(tables: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        as_one_of(config(**tables), 2, SETTING)


def test_pods_refuse_to_join_groups_too() -> None:
    several = config(server={"replicas": 2}, dialects={"openrlhf": {"group_size": 4}})
    with pytest.raises(ConfigError, match="replicas = 1"):
        create_app(several, build_judge(several.judge), KeyRing())


def test_what_is_only_less_good_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        as_one_of(config(), 2, SETTING)
    said = " ".join(record.getMessage() for record in caplog.records)
    assert "[cache] kind = 'memory'" in said
    assert "keep_groups" in said
    caplog.clear()
    as_one_of(config(cache={"kind": "redis"}, page={"keep_groups": 0}), 2, SETTING)
    assert not caplog.records


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"min_replicas": 3, "max_replicas": 2}, "max_replicas = 2 is below min_replicas = 3"),
        ({"target_ongoing_requests": 300, "max_ongoing_requests": 200}, "no replica would ever look too busy"),
        ({"min_replicas": 0}, "min_replicas"),
        ({"num_gpu": 1}, "num_gpu"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(table: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        parse_table(ServerConfig, {"ray": table}, "server.toml")


def test_serve_run_needs_a_key_and_takes_nothing_but_a_file(tmp_path: Path) -> None:
    path = tmp_path / "server.toml"
    path.write_text("[ray]\nmax_replicas = 2\n")
    with pytest.raises(ConfigError, match="no API key"):
        build({"config": str(path)})
    with pytest.raises(ConfigError, match="unknown argument 'configuration'"):
        build({"configuration": str(path)})


def test_keys_travel_as_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGPO_API_KEYS", KEY)
    keys = load_fixed_keys(config())
    assert KeyRing(keys).accepts(KEY)
    assert KEY not in repr(keys)


@pytest.mark.parametrize(
    ("tables", "environment", "named"),
    [
        ({"server": {"host": "0.0.0.0"}}, {}, "refusing to listen on '0.0.0.0'"),
        ({}, {"RAY_SERVE_ENABLE_HA_PROXY": "1"}, "RAY_SERVE_ENABLE_HA_PROXY"),
        ({"ray": {"min_replicas": 4000, "max_replicas": 4000}}, {}, "needs 4000 CPUs"),
    ],
)
def test_the_command_refuses_before_it_starts_ray(
    tables: dict[str, Any], environment: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=named):
        check_start(config(**tables), ())


def test_with_a_key_it_may_listen_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGPO_API_KEYS", KEY)
    everywhere = config(server={"host": "0.0.0.0"})
    check_start(everywhere, load_fixed_keys(everywhere))


def test_the_commands_refusal_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(tmp_path / "none.toml")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_each_run_has_a_token_of_its_own() -> None:
    first, second = own_ray_environment(), own_ray_environment()
    assert first["RAY_AUTH_MODE"] == "token"
    assert len(first["RAY_AUTH_TOKEN"]) == 64
    assert first["RAY_AUTH_TOKEN"] != second["RAY_AUTH_TOKEN"]


def test_a_second_signal_is_in_a_hurry() -> None:
    stop = Stop()
    stop._on_signal()
    stop.wait()
    assert not stop.urgent
    stop._on_signal()
    assert stop.urgent


@dataclass
class Handle:
    """What stands for the replicas: one of them has this many requests left at each look."""

    left: list[int]
    calls: list[str] = field(default_factory=list)

    def broadcast(self, method: str) -> Handle:
        self.calls.append(method)
        return self

    def results(self, timeout_s: float) -> list[int]:
        if self.calls[-1] == "begin_drain":
            return []
        if not self.left:
            raise RuntimeError("the replica died")
        return [0, self.left.pop(0)]


@pytest.mark.parametrize(("left", "looks"), [([0], 1), ([2, 1, 0, 7], 3), ([1], 2)])
def test_replicas_refuse_what_is_new_and_finish_the_rest(left: list[int], looks: int) -> None:
    handle = Handle(left)
    drain(handle, 3600, Stop())
    assert handle.calls == ["begin_drain"] + ["num_in_flight"] * looks


def test_nobody_waits_for_them_in_a_hurry() -> None:
    stop = Stop()
    stop._on_signal()
    stop._on_signal()
    handle = Handle([1] * 1000)
    drain(handle, 3600, stop)
    assert handle.calls == ["begin_drain"]


async def test_a_draining_replica_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    # It would take the whole process's logging over.
    monkeypatch.setattr(ray_replica, "set_up_logging", lambda settings: None)
    replica = RewardReplica(config(), ())
    app = replica.__serve_build_asgi_app__()
    assert replica.num_in_flight() == 0
    assert not app.state.lifecycle.draining
    replica.begin_drain()
    assert app.state.lifecycle.draining
    async with app.router.lifespan_context(app):
        pass


def counts(groups: int, queue: float) -> list[Metric]:
    registry = CollectorRegistry()
    Counter("sgpo_groups", "Groups.", registry=registry).inc(groups)
    requests = Counter("sgpo_requests", "Requests.", ("route",), registry=registry)
    requests.labels(route="/v1/rewards").inc(groups)
    Gauge("sgpo_queue_items", "Queue.", registry=registry).set(queue)
    Histogram("sgpo_judge_seconds", "Seconds.", buckets=(1.0,), registry=registry).observe(0.5)
    return list(registry.collect())


def test_counts_of_all_replicas_stand_on_one_page() -> None:
    text = render_replicas({"a": counts(3, 1.0), "b": counts(4, 5.0)}).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert text.count("# TYPE sgpo_groups_total counter") == 1
    groups = {sample.labels["replica"]: sample.value for sample in families["sgpo_groups"].samples}
    assert groups == {"a": 3.0, "b": 4.0}
    [first, _] = families["sgpo_requests"].samples
    assert first.labels == {"replica": "a", "route": "/v1/rewards"}
    buckets = [sample for sample in families["sgpo_judge_seconds"].samples if sample.name.endswith("_bucket")]
    assert {(sample.labels["replica"], sample.labels["le"]) for sample in buckets} == {
        (replica, le) for replica in "ab" for le in ("1.0", "+Inf")
    }
    assert families["sgpo_replicas"].samples[0].value == 2.0
