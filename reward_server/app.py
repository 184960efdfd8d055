"""Puts the server together: settings, judge and keys in, ASGI application out. Nothing is built at import."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from judge.answers import AnswerChecker
from judge.errors import ConfigError
from judge.judges.base import Judge
from reward_server.cache.build import build_store
from reward_server.cache.metrics import CacheMetrics
from reward_server.config import ServerConfig
from reward_server.cpu_pool import CpuPool
from reward_server.dialects.routes import add_dialects, drain_at_once
from reward_server.edge.auth import KeyRing
from reward_server.edge.disconnect import DisconnectMiddleware
from reward_server.edge.middleware import Lifecycle, error_response
from reward_server.edge.openapi import add_openapi
from reward_server.edge.stack import Edge
from reward_server.engine.judge_placing import build_batcher, guard
from reward_server.engine.judge_process import ProcessJudge
from reward_server.engine.judging import JudgeDesk
from reward_server.errors import ApiError
from reward_server.idempotency.replies import Idempotency
from reward_server.metrics import Metrics
from reward_server.readiness import Readiness
from reward_server.routes import Services, router
from reward_server.service import RewardService
from reward_server.solutions import Segmenter
from reward_server.verdicts import VerdictService
from reward_server.watch.canary import CanaryWatch
from reward_server.web.activity import Activity
from reward_server.web.feed import Feed
from reward_server.web.mount import add_page
from reward_server.web.recent import RecentGroups


def create_app(config: ServerConfig, judge: Judge, keys: KeyRing) -> FastAPI:
    """Build the application. It owns ``judge`` from here on and closes it at shutdown.

    Raises:
        ConfigError: when ``[server] tokenizer`` or what needs it is wrong, or the verdict cache cannot be had.
    """
    settings = config.server
    count_tokens = load_token_counter(settings.tokenizer) if settings.tokenizer else None
    if config.shaping.length == "tokens" and count_tokens is None:
        raise ConfigError("[shaping] length = 'tokens' needs [server] tokenizer, the path of a tokenizer.json")
    metrics = Metrics()
    store = build_store(config.cache, os.environ, CacheMetrics(metrics.registry))
    lifecycle = Lifecycle()
    edge = Edge(config, keys, metrics, lifecycle)
    own_judge, guarded = judge, guard(judge, config, metrics)
    judge = edge.traced(guarded)
    checker = AnswerChecker(timeout_s=settings.answer_timeout_s, num_workers=settings.answer_workers)
    segmenter = Segmenter(pool=CpuPool(settings.cpu_workers))
    batcher = build_batcher(judge, config, metrics)
    desk = JudgeDesk(judge, metrics, batcher=batcher, store=store, breaker=guarded.breaker, settings=config.batching)

    canary = CanaryWatch(judge, config.canary, metrics.registry)
    feed = Feed(
        Activity(lambda: metrics.engine.num_queued()), RecentGroups(config.page.num_kept, config.page.keep_bytes)
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        drain_at_once(lifecycle, app.state.dialects.scorer.joiner)
        await segmenter.pool.warm_up()
        async with edge.running(), canary.running():
            yield
        await app.state.dialects.scorer.joiner.aclose()
        segmenter.close()
        await checker.aclose()
        await desk.aclose()
        await judge.aclose()
        if store is not None:
            await store.aclose()

    # No /docs, which loads scripts from elsewhere; /openapi.json is our own, since the bodies are read by hand.
    app = FastAPI(title="sgpo reward server", lifespan=lifespan, openapi_url=None, redirect_slashes=False)
    app.state.lifecycle = lifecycle
    app.state.services = Services(
        config=config,
        rewards=RewardService(config, desk, segmenter, checker, metrics, count_tokens, feed),
        verdicts=VerdictService(config, desk, segmenter),
        readiness=Readiness(
            judge,
            strict=config.judge.get("kind") == "rules",
            timeout_s=settings.ready_timeout_s,
            cache_s=settings.ready_cache_s,
            breaker=guarded.breaker,
            canary=canary,
            is_busy=partial(is_busy, own_judge),
        ),
        metrics=metrics,
        lifecycle=lifecycle,
        judge_id=judge.judge_id,
        idempotency=Idempotency(config.idempotency, metrics.registry),
    )
    app.include_router(router)
    if config.page.enabled:
        add_page(app, app.state.services, feed, segmenter, has_keys=bool(keys.digests))
    add_dialects(app, app.state.services, checker)
    app.add_exception_handler(HTTPException, refuse)
    app.add_middleware(DisconnectMiddleware)
    add_openapi(app, config, needs_key=keys.required)
    edge.install(app)
    return app


def is_busy(judge: Judge) -> bool:
    """Whether a judge in a process of its own has work; others are never kept from a question by another one."""
    return isinstance(judge, ProcessJudge) and judge.is_busy


async def refuse(request: Request, error: Exception) -> Response:
    """Starlette's own refusals (no such route, wrong method) in our shape."""
    assert isinstance(error, HTTPException)
    codes = {404: "not_found", 405: "method_not_allowed"}
    messages = {404: "no such route", 405: "this route does not know that method"}
    refusal = ApiError(
        error.status_code,
        codes.get(error.status_code, "refused"),
        messages.get(error.status_code, "the request was refused"),
        error.headers,
    )
    return error_response(refusal, request.state.request_id)


def load_token_counter(path: Path) -> Callable[[str], int]:
    """A function that counts a text's tokens.

    Raises:
        ConfigError: when there is no such file, or it is not a tokenizer.
    """
    from tokenizers import Tokenizer

    if not path.is_file():
        raise ConfigError(f"[server] tokenizer = '{path}': no such file; give the path of a tokenizer.json")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise ConfigError(f"[server] tokenizer = '{path}': not a tokenizer.json: {error}") from None
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
