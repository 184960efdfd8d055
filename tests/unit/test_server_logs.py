"""Log lines as JSON, exceptions without their text, traces with their ids, and an event loop that stood still."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from judge.errors import ConfigError
from judge.judges.scripted import ScriptedJudge
from judge.types import Solution
from reward_server.edge.logs import FIELDS, JsonFormatter, TextFormatter, request_fields
from reward_server.edge.tracing import NoTracing, OtelTracing, TracedJudge, TracingSettings, build_tracing
from reward_server.edge.watchdog import REMEMBERED_S, STALL_S, Watchdog

SECRET = "quokka-in-the-text"


@pytest.fixture
def written() -> tuple[logging.Logger, io.StringIO, logging.StreamHandler[Any]]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.Logger("somewhere")
    logger.addHandler(handler)
    return logger, stream, handler


def test_a_json_line_has_the_fields_of_call_and_request(written: Any) -> None:
    logger, stream, handler = written
    handler.setFormatter(JsonFormatter())
    token = request_fields.set({"request_id": "r1", "trace_id": "t1"})
    logger.info("%s done\nin two lines", "all", extra={FIELDS: {"status": 200, "tenant": "a"}})
    request_fields.reset(token)
    logger.warning("later")
    first, second = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert first.pop("time").endswith("+00:00")
    assert first == {
        "level": "info",
        "logger": "somewhere",
        "message": "all done\nin two lines",
        "request_id": "r1",
        "trace_id": "t1",
        "status": 200,
        "tenant": "a",
    }
    assert "request_id" not in second


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_an_exception_is_logged_without_what_it_says(written: Any, formatter: logging.Formatter) -> None:
    logger, stream, handler = written
    handler.setFormatter(formatter)
    try:
        raise ValueError(SECRET)
    except ValueError:
        logger.exception("it failed")
    assert SECRET not in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert "test_an_exception_is_logged" in stream.getvalue()


@pytest.fixture
def spans() -> tuple[OtelTracing, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return OtelTracing(provider), exporter


def test_a_request_is_part_of_its_callers_trace(spans: Any) -> None:
    tracing, exporter = spans
    trace = "0af7651916cd43dd8448eb211c80319c"
    with tracing.request({"traceparent": f"00-{trace}-b7ad6b7169203331-01"}) as span:
        span.set("http.route", "/v1/rewards")
        assert span.trace_id == trace
    [done] = exporter.get_finished_spans()
    assert done.attributes == {"http.route": "/v1/rewards"}
    with tracing.request({"traceparent": "no such thing"}) as span:
        assert span.trace_id != trace


async def test_a_judge_call_is_a_span_that_tells_no_text(spans: Any) -> None:
    tracing, exporter = spans
    judge = TracedJudge(ScriptedJudge(), tracing)
    solutions = [Solution(problem=SECRET, steps=(f"{SECRET} WRONG",))] * 2
    assert [result.first_error for result in await judge.judge(solutions)] == [0, 0]  # type: ignore[union-attr]

    class Broken(ScriptedJudge):
        async def judge(self, batch: Sequence[Solution]) -> Any:
            raise RuntimeError(SECRET)

    with pytest.raises(RuntimeError):
        await TracedJudge(Broken(), tracing).judge(solutions)
    good, bad = exporter.get_finished_spans()
    assert good.attributes == {"sgpo.judge_id": judge.judge_id, "sgpo.num_solutions": 2}
    assert bad.attributes is not None
    assert bad.attributes["error.type"] == "RuntimeError"
    assert SECRET not in good.to_json() + bad.to_json()


def test_tracing_is_off_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(build_tracing(TracingSettings()), NoTracing)
    with pytest.raises(ConfigError, match=r"\[tracing\] endpoint"):
        build_tracing(TracingSettings(endpoint="collector:4318"))
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigError, match=r"sgpo\[otel\]"):
        build_tracing(TracingSettings(endpoint="http://127.0.0.1:4318/v1/traces"))


def test_a_stall_is_told_for_a_while_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    registry = CollectorRegistry()
    dog = Watchdog(registry, lambda: now)
    dog.saw(STALL_S)
    assert dog.recent_stall_s() == 0.0
    dog.saw(2.5)
    assert dog.recent_stall_s() == 2.5
    assert "stood still for 2.5 s" in caplog.text
    now = REMEMBERED_S + 1
    assert dog.recent_stall_s() == 0.0
    assert registry.get_sample_value("sgpo_event_loop_stalls_total") == 1.0
