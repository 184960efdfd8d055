"""What the dialects' routes share: who calls, reading a body and writing a reply."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from cachetools import TTLCache
from fastapi import Request, Response
from pydantic import ValidationError
from pydantic_core import from_json, to_json

from reward_server.config import LimitSettings, ServerConfig
from reward_server.dialects.answers import Answer
from reward_server.dialects.scoring import SampleScorer, failed
from reward_server.dialects.settings import MAX_GROUP_SIZE
from reward_server.errors import ApiError, from_validation, invalid_request
from reward_server.routes import read_body
from reward_server.schemas import ModelT

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")
REPEAT_LOG_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Dialects:
    """What these routes work with; one per app, in ``app.state.dialects``."""

    config: ServerConfig
    scorer: SampleScorer


@dataclass(frozen=True, slots=True)
class Caller:
    """What a request says beside its body."""

    tenant: str
    reply_by: float
    """On the event loop's clock, from the request's arrival."""
    group_size: int | None
    park: Callable[[], None]
    """Gives this request's place to the next one while it waits for others."""

    @classmethod
    def of(cls, request: Request, dialect: str) -> Caller:
        """Read the query and what the middlewares noted.

        Raises:
            ApiError: 422, when ``group_size`` is no number of responses.
        """
        state = request.scope.get("state", {})
        arrived = state.get("arrived") or asyncio.get_running_loop().time()
        settings = dialects_of(request).scorer.settings_of(dialect)
        place = state.get("place")
        return cls(
            tenant=state.get("tenant", ""),
            reply_by=arrived + settings.reply_timeout_s,
            group_size=read_size(request.query_params.get("group_size")),
            park=(lambda: None) if place is None else place.park,
        )


def read_size(text: str | None) -> int | None:
    """A group size from the URL.

    Raises:
        ApiError: 422 when it is none.
    """
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 6 and 1 <= int(text) <= MAX_GROUP_SIZE):
        raise invalid_request("group_size", f"must be a number from 1 to {MAX_GROUP_SIZE}")
    return int(text)


def dialects_of(request: Request) -> Dialects:
    """The app's dialects, with their type."""
    dialects: Dialects = request.app.state.dialects
    return dialects


def has_reward(answer: Answer | BaseException, dialect: str) -> Answer:
    """The answer, when it holds a reward.

    Raises:
        ApiError: 503 when it does not; what scoring raised otherwise.
    """
    if isinstance(answer, BaseException):
        raise answer
    if answer.reward is None:
        raise failed(answer.reason, dialect)
    return answer


Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def told(handler: Handler) -> Handler:
    """Log why requests are refused, each reason once in a while: these clients show a status and no reason."""
    recent: TTLCache[str, bool] = TTLCache(maxsize=100, ttl=REPEAT_LOG_S)

    @functools.wraps(handler)
    async def telling(request: Request) -> Response:
        try:
            return await handler(request)
        except ApiError as error:
            if error.message not in recent:
                recent[error.message] = True
                logger.warning("%s: answered %d, %s", handler.__name__, error.status, error.message)
            raise

    return telling


async def unless_gone(request: Request, work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """What ``work`` gives; dropped when the caller hangs up, whose place in a group stays.

    Raises:
        ApiError: 400, which nobody reads any more.
    """
    task = asyncio.get_running_loop().create_task(work)
    lost = request.scope.get("state", {}).get("connection_lost")

    def hang_up(_: object) -> None:
        task.cancel()

    if lost is not None:
        lost.add_done_callback(hang_up)
    try:
        return await task
    except asyncio.CancelledError:
        if lost is not None and lost.done():
            raise ApiError(400, "disconnected", "the client went away while it waited") from None
        raise
    finally:
        if lost is not None:
            lost.remove_done_callback(hang_up)


async def read_object(request: Request, max_bytes: int) -> dict[str, Any]:
    """A body that is a JSON object, as it came.

    Raises:
        ApiError: 422 when it is not.
    """
    try:
        value = from_json(await read_body(request, max_bytes), allow_inf_nan=False)
    except ValueError:
        raise invalid_request("body", "is not valid JSON (NaN and infinity are not part of JSON)") from None
    if not isinstance(value, dict):
        raise invalid_request("body", "must be a JSON object")
    return value


def parse_object(model: type[ModelT], value: dict[str, Any], limits: LimitSettings) -> ModelT:
    """Check a body that has been read.

    Raises:
        ApiError: 422 that names the field.
    """
    try:
        return model.model_validate(value, context=limits)
    except ValidationError as error:
        raise from_validation(error) from None


def plain_json(value: Any) -> Response:
    """Numbers, and what came as JSON, as JSON."""
    return Response(to_json(value, inf_nan_mode="null"), media_type="application/json")
