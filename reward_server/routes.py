"""The routes. Each one reads its body itself: type and size are checked before anything is held in memory."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.metadata import version

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from judge.steps import SEGMENTER_VERSION
from reward_server.config import ServerConfig
from reward_server.edge.admission import body_too_large
from reward_server.edge.deadlines import request_deadline
from reward_server.edge.middleware import Lifecycle, draining
from reward_server.errors import ApiError
from reward_server.idempotency.replies import Idempotency
from reward_server.metrics import Metrics
from reward_server.readiness import Readiness
from reward_server.schemas import JudgeReply, JudgeRequest, RewardReply, RewardRequest, parse_body
from reward_server.service import RewardService
from reward_server.verdicts import VerdictService

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes work with; one per app, in ``app.state.services``."""

    config: ServerConfig
    rewards: RewardService
    verdicts: VerdictService
    readiness: Readiness
    metrics: Metrics
    lifecycle: Lifecycle
    judge_id: str
    idempotency: Idempotency


@router.post("/v1/rewards")
async def rewards(request: Request) -> Response:
    """Rewards for groups of responses, in the order in which they came."""
    services = services_of(request)
    limits = services.config.limits
    body = await read_body(request, limits.max_body_bytes)

    async def score() -> RewardReply:
        deadline = request_deadline(request, services.config.server.request_timeout_s)
        return await services.rewards.score(parse_body(RewardRequest, body, limits), tenant_of(request), deadline)

    return await services.idempotency.answer(request, body, score)


@router.post("/v1/judge")
async def judge(request: Request) -> Response:
    """Verdicts without rewards, in the order of the items."""
    services = services_of(request)
    limits = services.config.limits
    body = await read_body(request, limits.max_body_bytes)

    async def ask() -> JudgeReply:
        deadline = request_deadline(request, services.config.server.request_timeout_s)
        return await services.verdicts.judge(parse_body(JudgeRequest, body, limits), tenant_of(request), deadline)

    return await services.idempotency.answer(request, body, ask)


@router.get("/livez")
async def livez(request: Request) -> Response:
    """200 while the process answers at all; ``degraded`` when its event loop stood still within the last minute.

    Never 503 for that: whoever can answer is alive, and a restart would lose the work in flight.
    """
    stalled_s = request.app.state.edge.watchdog.recent_stall_s()
    if stalled_s:
        return JSONResponse({"status": "degraded", "event_loop_stalled_s": round(stalled_s, 3)})
    return JSONResponse({"status": "alive"})


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """200 when the judge has just judged a known solution; 503 while it cannot, and while the server drains."""
    services = services_of(request)
    if services.lifecycle.draining:
        raise draining()
    fault = await services.readiness.fault()
    breaker = services.readiness.breaker_state
    if fault is not None:
        raise ApiError(503, "not_ready", f"{fault} (breaker: {breaker})", {"retry-after": "5"})
    return JSONResponse({"status": "ready", "judge": {"id": services.judge_id}, "breaker": breaker})


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Counts and latencies for Prometheus."""
    services = services_of(request)
    return Response(services.metrics.render(), headers={"content-type": services.metrics.content_type})


@router.get("/v1/info")
async def info(request: Request) -> Response:
    """What this server is: versions, judge, limits and defaults."""
    services = services_of(request)
    return JSONResponse(about(services))


def about(services: Services) -> dict[str, object]:
    """The reply of ``/v1/info``: nothing in it names a file, a key or an address."""
    config = services.config
    return {
        "version": version("sgpo"),
        "judge": {"id": services.judge_id},
        "segmenter": SEGMENTER_VERSION,
        "limits": config.limits.model_dump(),
        "shaping": config.shaping.model_dump(),
        "admission": config.admission.model_dump(),
        "receipt": config.receipt.model_dump(),
        "cache": {"kind": config.cache.kind},
        "workers": config.server.workers,
        "request_timeout_s": config.server.request_timeout_s,
        "uptime_s": round(time.monotonic() - services.lifecycle.started_at, 1),
        "draining": services.lifecycle.draining,
    }


def services_of(request: Request) -> Services:
    """The app's services, with their type."""
    services: Services = request.app.state.services
    return services


def tenant_of(request: Request) -> str:
    """A label of the key that the request came with; empty where the server has no keys."""
    return str(getattr(request.state, "tenant", ""))


def json_reply(model: BaseModel) -> Response:
    """Serialised once, by pydantic."""
    return Response(model.model_dump_json(), media_type="application/json")


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The body, of JSON and of no more than ``max_bytes``.

    Raises:
        ApiError: 413 or 415; as early as the headers allow.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ApiError(415, "unsupported_media_type", "send JSON with 'Content-Type: application/json'")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise ApiError(415, "unsupported_media_type", "send the body uncompressed, without Content-Encoding")
    too_large = body_too_large(max_bytes)
    # The HTTP parser has already refused a Content-Length that is no number.
    if int(request.headers.get("content-length", "0")) > max_bytes:
        raise too_large
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                raise too_large
    except ClientDisconnect:
        raise ApiError(400, "disconnected", "the client went away while it sent its body") from None
    return bytes(body)
