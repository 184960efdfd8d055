"""Puts the server together: settings, judge and keys in, ASGI application out. Nothing is built at import."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from judge.answers import AnswerChecker
from judge.errors import ConfigError
from judge.judges.base import Judge
from reward_server.auth import AuthMiddleware, KeyRing
from reward_server.config import ServerConfig
from reward_server.errors import ApiError
from reward_server.judging import JudgeDesk
from reward_server.metrics import Metrics
from reward_server.middleware import EdgeMiddleware, Lifecycle, error_response
from reward_server.readiness import Readiness
from reward_server.routes import Services, router
from reward_server.service import RewardService
from reward_server.solutions import Segmenter
from reward_server.verdicts import VerdictService


def create_app(config: ServerConfig, judge: Judge, keys: KeyRing) -> FastAPI:
    """Build the application. It owns ``judge`` from here on and closes it at shutdown.

    Raises:
        ConfigError: when ``[server] tokenizer`` or what needs it is wrong.
    """
    settings = config.server
    count_tokens = load_token_counter(settings.tokenizer) if settings.tokenizer else None
    if config.shaping.length == "tokens" and count_tokens is None:
        raise ConfigError("[shaping] length = 'tokens' needs [server] tokenizer, the path of a tokenizer.json")
    metrics = Metrics()
    lifecycle = Lifecycle()
    checker = AnswerChecker(timeout_s=settings.answer_timeout_s, num_workers=settings.answer_workers)
    segmenter = Segmenter()
    desk = JudgeDesk(judge, metrics, settings.max_concurrent_judge_calls)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        segmenter.close()
        await checker.aclose()
        await judge.aclose()

    # No /docs and /openapi.json: the bodies are read by hand, so FastAPI could not describe them.
    app = FastAPI(title="sgpo reward server", lifespan=lifespan, openapi_url=None, redirect_slashes=False)
    app.state.lifecycle = lifecycle
    app.state.services = Services(
        config=config,
        rewards=RewardService(config, desk, segmenter, checker, metrics, count_tokens),
        verdicts=VerdictService(config, desk, segmenter),
        readiness=Readiness(
            judge,
            strict=config.judge.get("kind") == "rules",
            timeout_s=settings.ready_timeout_s,
            cache_s=settings.ready_cache_s,
        ),
        metrics=metrics,
        lifecycle=lifecycle,
        judge_id=judge.judge_id,
    )
    app.include_router(router)
    app.add_exception_handler(HTTPException, refuse)
    paths = [route.path for route in router.routes if isinstance(route, APIRoute)]
    # The last one added is the outermost.
    app.add_middleware(AuthMiddleware, keys=keys)
    app.add_middleware(EdgeMiddleware, metrics=metrics, lifecycle=lifecycle, routes=paths)
    return app


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
