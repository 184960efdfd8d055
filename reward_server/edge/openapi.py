"""``/openapi.json``: what the routes read and write. They read their bodies by hand, so FastAPI alone cannot tell.

Behind the key, like everything else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from reward_server.config import LimitSettings, ServerConfig
from reward_server.dialects.base import DIALECT_PREFIXES
from reward_server.dialects.nemo_gym import AggregateRequest, VerifyRequest
from reward_server.dialects.openrlhf import OpenRLHFReply, OpenRLHFRequest
from reward_server.dialects.slime import SlimeRequest
from reward_server.schemas import JudgeReply, JudgeRequest, RewardReply, RewardRequest, Wire
from reward_server.web.explain import ExplainRequest
from reward_server.web.view import GroupView

PATH = "/openapi.json"
OPENRLHF, SLIME, NEMO_GYM = DIALECT_PREFIXES
BODIES: Mapping[str, type[BaseModel]] = {
    "/v1/rewards": RewardRequest,
    "/v1/judge": JudgeRequest,
    "/v1/explain": ExplainRequest,
    OPENRLHF: OpenRLHFRequest,
    SLIME: SlimeRequest,
    f"{NEMO_GYM}/verify": VerifyRequest,
    "/verify": VerifyRequest,
    f"{NEMO_GYM}/aggregate_metrics": AggregateRequest,
    "/aggregate_metrics": AggregateRequest,
}
REPLIES: Mapping[str, type[BaseModel]] = {
    "/v1/rewards": RewardReply,
    "/v1/judge": JudgeReply,
    "/v1/explain": GroupView,
    OPENRLHF: OpenRLHFReply,
}
OPEN = ("/livez", "/readyz")
ERRORS = {
    400: "the body did not arrive, or is no HTTP",
    401: "no key of this server",
    403: "not from this machine",
    404: "no such thing",
    405: "not with this method",
    409: "a request with this Idempotency-Key is being answered",
    413: "the body is too large",
    415: "not JSON, or compressed",
    422: "a field is missing, wrong or beyond its bound",
    429: "over the quota of this key, or too many wrong keys; see Retry-After",
    500: "a fault of the server",
    502: "the judge failed",
    503: "full, draining or not ready; see Retry-After",
}


class ErrorDetail(Wire):
    """What went wrong."""

    code: str
    """For programs."""
    message: str
    """For people; never repeats what was sent."""
    request_id: str
    """Also in the header ``X-Request-Id`` and in the log."""


class ErrorReply(Wire):
    """Body of every reply that is no success."""

    error: ErrorDetail


def add_openapi(app: FastAPI, config: ServerConfig, *, needs_key: bool) -> None:
    """Give an app that has all its other routes the description of them."""
    body = json.dumps(describe(app, config, needs_key=needs_key)).encode()

    async def openapi() -> Response:
        return Response(body, media_type="application/json")

    app.add_api_route(PATH, openapi, methods=["GET"], include_in_schema=False)


def describe(app: FastAPI, config: ServerConfig, *, needs_key: bool) -> dict[str, Any]:
    """The OpenAPI document, with this server's own bounds."""
    document = get_openapi(title="SGPO reward server", version=version("sgpo"), routes=app.routes)
    known = {path for path in document["paths"] if path in BODIES}
    requests = {BODIES[path] for path in known}
    replies = {REPLIES[path] for path in known if path in REPLIES} | {ErrorReply}
    models = [(model, "validation") for model in requests] + [(model, "serialization") for model in replies]
    refs, definitions = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path in BODIES and method == "post":
                schema = refs[BODIES[path], "validation"]
                operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
            reply = refs[REPLIES[path], "serialization"] if path in REPLIES else None
            operation["responses"] = responses(operation["responses"]["200"], reply, refs[ErrorReply, "serialization"])
            operation["security"] = [{"key": []}] if needs_key and path not in OPEN else []
    schemes = {"key": {"type": "http", "scheme": "bearer"}}
    schemas = definitions.get("$defs", {})
    document["components"] = {"schemas": with_limits(schemas, config.limits), "securitySchemes": schemes}
    return document


def responses(success: dict[str, Any], reply: Any, error: Any) -> dict[str, Any]:
    """Every reply that a route may give."""
    if reply is not None:
        success = {"description": "done", "content": {"application/json": {"schema": reply}}}
    else:
        success = {"description": "done"}
    refusals = {
        str(status): {"description": text, "content": {"application/json": {"schema": error}}}
        for status, text in ERRORS.items()
    }
    return {"200": success} | refusals


def with_limits(schema: Any, limits: LimitSettings) -> Any:
    """A schema with numbers in the place of the settings that it names."""
    if isinstance(schema, list):
        return [with_limits(part, limits) for part in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: with_limits(part, limits) for key, part in schema.items() if key != "x-limit"}
    if "x-limit" in schema:
        bound = "maxItems" if schema.get("type") == "array" else "maxLength"
        out[bound] = getattr(limits, schema["x-limit"])
    return out
