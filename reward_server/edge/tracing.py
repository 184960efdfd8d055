"""Traces for OpenTelemetry: a span for each request and each judge call. Off unless an endpoint is set.

The libraries are the extra ``otel``, and are imported only when it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from pydantic import Field

from judge.errors import ConfigError
from judge.judges.base import Judge
from judge.settings import Settings
from judge.types import Solution, Unscored, Verdict

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider


class TracingSettings(Settings):
    """Table ``[tracing]``."""

    endpoint: str = ""
    """Where traces go, over OTLP/HTTP, such as ``http://127.0.0.1:4318/v1/traces``; empty: nowhere."""
    share: float = Field(1.0, ge=0, le=1)
    """Share of the requests that are traced; a caller's own decision (``traceparent``) goes first."""
    service_name: str = Field("sgpo-reward-server", min_length=1, max_length=100)


class Span(Protocol):
    """What the server says of a request while it is being traced."""

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits, or empty when nothing is traced."""
        ...

    def set(self, name: str, value: str | int | float) -> None:
        """Note a number or a label; never a text of the caller's."""
        ...


class NoSpan:
    """A span of nothing."""

    trace_id = ""

    def set(self, name: str, value: str | int | float) -> None:
        """Forget it."""


class Tracing(Protocol):
    """Where spans begin."""

    @contextmanager
    def request(self, headers: Mapping[str, str]) -> Iterator[Span]:
        """A request, as a part of the caller's trace when its headers name one."""
        ...

    @contextmanager
    def judge_call(self, judge_id: str, num_solutions: int) -> Iterator[Span]:
        """One call of the judge."""
        ...

    def close(self) -> None:
        """Send what is left."""
        ...


class NoTracing:
    """Tracing switched off."""

    @contextmanager
    def request(self, headers: Mapping[str, str]) -> Iterator[Span]:  # noqa: ARG002
        """Nothing."""
        yield NoSpan()

    @contextmanager
    def judge_call(self, judge_id: str, num_solutions: int) -> Iterator[Span]:  # noqa: ARG002
        """Nothing."""
        yield NoSpan()

    def close(self) -> None:
        """Nothing."""


class OtelSpan:
    """A span of OpenTelemetry."""

    def __init__(self, span: object) -> None:
        self._span = span

    @property
    def trace_id(self) -> str:
        """Of the trace that it belongs to."""
        return format(self._span.get_span_context().trace_id, "032x")  # type: ignore[attr-defined]

    def set(self, name: str, value: str | int | float) -> None:
        """An attribute."""
        self._span.set_attribute(name, value)  # type: ignore[attr-defined]


class OtelTracing:
    """Spans over a provider; exceptions are noted by their type, without their message."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("reward_server")
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def request(self, headers: Mapping[str, str]) -> Iterator[Span]:
        """A server span under the caller's, if there is one."""
        from opentelemetry.trace import SpanKind

        context = self._propagator.extract({"traceparent": headers.get("traceparent", "")})
        with self._tracer.start_as_current_span(
            "request", context, SpanKind.SERVER, record_exception=False, set_status_on_exception=False
        ) as span:
            yield OtelSpan(span)

    @contextmanager
    def judge_call(self, judge_id: str, num_solutions: int) -> Iterator[Span]:
        """A span under whatever asked; a batch of several requests belongs to none of them."""
        with self._tracer.start_as_current_span(
            "judge", record_exception=False, set_status_on_exception=False
        ) as inner:
            span = OtelSpan(inner)
            span.set("sgpo.judge_id", judge_id)
            span.set("sgpo.num_solutions", num_solutions)
            try:
                yield span
            except BaseException as error:
                span.set("error.type", type(error).__name__)
                raise

    def close(self) -> None:
        """Send what is left, for a few seconds at most."""
        self._provider.shutdown()


class TracedJudge:
    """Any judge, with a span for each of its calls."""

    def __init__(self, judge: Judge, tracing: Tracing) -> None:
        self._judge = judge
        self._tracing = tracing

    @property
    def judge_id(self) -> str:
        """The judge's own."""
        return self._judge.judge_id

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        """As the judge does."""
        with self._tracing.judge_call(self._judge.judge_id, len(batch)):
            return await self._judge.judge(batch)

    async def aclose(self) -> None:
        """Close the judge."""
        await self._judge.aclose()


def build_tracing(settings: TracingSettings) -> Tracing:
    """Tracing as the settings want it.

    Raises:
        ConfigError: when an endpoint is set and the libraries are missing, or the endpoint is no http address.
    """
    if not settings.endpoint:
        return NoTracing()
    if not settings.endpoint.startswith(("http://", "https://")):
        raise ConfigError("[tracing] endpoint: give an http:// or https:// address, or leave it out")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
    except ImportError:
        raise ConfigError(
            "[tracing] endpoint is set, but OpenTelemetry is not installed: pip install 'sgpo[otel]', or leave it out"
        ) from None
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(settings.share)),
        resource=Resource.create({"service.name": settings.service_name}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.endpoint)))
    return OtelTracing(provider)
