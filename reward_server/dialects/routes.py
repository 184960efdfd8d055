"""The dialects' routes. Each reads its trainer's body, and answers in its trainer's form."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response

from judge.answers import AnswerChecker
from reward_server.dialects import nemo_gym, openrlhf, slime
from reward_server.dialects.answers import Answer
from reward_server.dialects.base import DIALECT_PREFIXES, Sample
from reward_server.dialects.calls import (
    Caller,
    Dialects,
    dialects_of,
    has_reward,
    parse_object,
    plain_json,
    read_object,
    told,
    unless_gone,
)
from reward_server.dialects.scoring import JUDGE_FAILED, SampleScorer
from reward_server.edge.middleware import Lifecycle
from reward_server.errors import ApiError
from reward_server.joining.joiner import GroupJoiner
from reward_server.routes import Services, json_reply, read_body
from reward_server.schemas import parse_body

OPENRLHF, SLIME, NEMO_GYM = DIALECT_PREFIXES


def add_dialects(app: FastAPI, services: Services, checker: AnswerChecker) -> None:
    """Give the app its dialects.

    Raises:
        ConfigError: when their settings contradict the server's.
    """
    config = services.config
    scorer = SampleScorer(config, services.rewards, checker, services.metrics.registry)
    app.state.dialects = Dialects(config, scorer)
    routes = {OPENRLHF: post_openrlhf, SLIME: post_slime}
    for prefix in (NEMO_GYM, "") if config.dialects.nemo_gym.at_root else (NEMO_GYM,):
        routes |= {
            f"{prefix}/verify": verify,
            f"{prefix}/seed_session": seed_session,
            f"{prefix}/aggregate_metrics": aggregate_metrics,
        }
    router = APIRouter()
    for path, handler in routes.items():
        router.post(path)(told(handler))
    app.include_router(router)


def drain_at_once(lifecycle: Lifecycle, joiner: GroupJoiner[Sample, Answer]) -> None:
    """Have incomplete groups sent away when the server begins to drain: their siblings will not be let in."""
    loop = asyncio.get_running_loop()
    # A signal handler may interrupt the joiner at any point, so it only leaves a note for the loop.
    lifecycle.on_drain.append(lambda: loop.call_soon_threadsafe(joiner.drain))


async def post_openrlhf(request: Request) -> Response:
    """Rewards for OpenRLHF, one for each query."""
    dialects, caller = dialects_of(request), Caller.of(request, "openrlhf")
    limits = dialects.config.limits
    body = parse_body(openrlhf.OpenRLHFRequest, await read_body(request, limits.max_body_bytes), limits)
    samples = openrlhf.samples_of(
        body, limits, reply_by=caller.reply_by, tenant=caller.tenant, group_size=caller.group_size
    )
    scores = (dialects.scorer.score(sample, caller.park) for sample in samples)
    answers = await unless_gone(request, together(scores))
    rewarded = [has_reward(answer, "openrlhf") for answer in answers]
    return json_reply(openrlhf.reply_of(rewarded, dialects.config.dialects.openrlhf))


async def together(scores: Iterable[Coroutine[Any, Any, Answer]]) -> list[Answer | BaseException]:
    """All of them to their end: a retry of the whole request then finds each one's answer."""
    return await asyncio.gather(*scores, return_exceptions=True)


async def post_slime(request: Request) -> Response:
    """The reward for slime and miles."""
    dialects, caller = dialects_of(request), Caller.of(request, "slime")
    limits = dialects.config.limits
    reward_key = request.query_params.get("reward_key", dialects.config.dialects.slime.reward_key)
    slime.check_reward_key(reward_key)
    body = parse_body(slime.SlimeRequest, await read_body(request, limits.max_body_bytes), limits)
    sample = slime.sample_of(body, limits, reply_by=caller.reply_by, tenant=caller.tenant, group_size=caller.group_size)
    answer = has_reward(await unless_gone(request, dialects.scorer.score(sample, caller.park)), "slime")
    return plain_json(slime.reply_of(answer, reward_key))


async def verify(request: Request) -> Response:
    """A rollout's body with its reward, for NeMo-Gym."""
    dialects, caller = dialects_of(request), Caller.of(request, "nemo_gym")
    limits = dialects.config.limits
    raw = await read_object(request, limits.max_body_bytes)
    body = parse_object(nemo_gym.VerifyRequest, raw, limits)
    sample = nemo_gym.sample_of(
        body, raw, limits, reply_by=caller.reply_by, tenant=caller.tenant, group_size=caller.group_size
    )
    try:
        answer = await unless_gone(request, dialects.scorer.score(sample, caller.park))
    except ApiError as error:
        if error.code != JUDGE_FAILED:
            raise
        return plain_json(nemo_gym.failure(raw, error.message))
    return plain_json(nemo_gym.reply_of(raw, answer))


async def seed_session(request: Request) -> Response:
    """Nothing is kept for a rollout; a session that the caller named is confirmed."""
    raw = await read_object(request, dialects_of(request).config.limits.max_body_bytes)
    session = raw.get("resources_session_id")
    return plain_json({"resources_session_id": session} if isinstance(session, str) else {})


async def aggregate_metrics(request: Request) -> Response:
    """Means over finished rollouts, for NeMo-Gym."""
    limits = dialects_of(request).config.limits
    raw = await read_object(request, limits.max_body_bytes)
    body = parse_object(nemo_gym.AggregateRequest, raw, limits)
    return plain_json(nemo_gym.aggregate(body.verify_responses))
