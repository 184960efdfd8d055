"""The routes. Each one reads its body itself: type and size are checked before anything is held in memory."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from judge.steps import SEGMENTER_VERSION
from reward_server.config import ServerConfig
from reward_server.errors import ApiError
from reward_server.metrics import Metrics
from reward_server.middleware import Lifecycle, draining
from reward_server.readiness import Readiness
from reward_server.schemas import JudgeRequest, RewardRequest, parse_body
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


@router.post("/v1/rewards")
async def rewards(request: Request) -> Response:
    """Rewards for groups of responses, in the order in which they came."""
    services = services_of(request)
    limits = services.config.limits
    parsed = parse_body(RewardRequest, await read_body(request, limits.max_body_bytes), limits)
    return json_reply(await services.rewards.score(parsed))


@router.post("/v1/judge")
async def judge(request: Request) -> Response:
    """Verdicts without rewards, in the order of the items."""
    services = services_of(request)
    limits = services.config.limits
    parsed = parse_body(JudgeRequest, await read_body(request, limits.max_body_bytes), limits)
    return json_reply(await services.verdicts.judge(parsed))


@router.get("/livez")
async def livez() -> Response:
    """200 while the process answers at all."""
    return JSONResponse({"status": "alive"})


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """200 when the judge has just judged a known solution; 503 while it cannot, and while the server drains."""
    services = services_of(request)
    if services.lifecycle.draining:
        raise draining()
    fault = await services.readiness.fault()
    if fault is not None:
        raise ApiError(503, "not_ready", fault, {"retry-after": "5"})
    return JSONResponse({"status": "ready", "judge": {"id": services.judge_id}})


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Counts and latencies for Prometheus."""
    services = services_of(request)
    return Response(services.metrics.render(), headers={"content-type": services.metrics.content_type})


@router.get("/v1/info")
async def info(request: Request) -> Response:
    """What this server is: versions, judge, limits and defaults."""
    services = services_of(request)
    return JSONResponse(
        {
            "version": version("sgpo"),
            "judge": {"id": services.judge_id},
            "segmenter": SEGMENTER_VERSION,
            "limits": services.config.limits.model_dump(),
            "shaping": services.config.shaping.model_dump(),
            "request_timeout_s": services.config.server.request_timeout_s,
        }
    )


def services_of(request: Request) -> Services:
    """The app's services, with their type."""
    services: Services = request.app.state.services
    return services


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
    too_large = ApiError(
        413, "body_too_large", f"the body is larger than {max_bytes} bytes ([limits] max_body_bytes); send fewer groups"
    )
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
