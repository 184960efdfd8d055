"""A server with keys beside one without: who gets in, what each counts, what is logged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from judge.registry import build_judge
from reward_server.app import create_app
from reward_server.config import AuthSettings, ServerConfig
from reward_server.edge.auth import load_keys
from tests.integration.http_server import CANARY, NO_KEYS, OPEN, A, Server, is_error, request, running, wrong

KEYS = ["0123456789abcdef0123456789-first", "0123456789abcdef0123456789-second"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(OPEN) as server:
        yield server


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    keys = load_keys(AuthSettings(), {"SGPO_API_KEYS": ",".join(KEYS)})
    with running({"judge": {"kind": "scripted"}, "auth": {"max_failures_per_minute": 0}}, keys) as server:
        yield server


def test_two_apps_share_no_count(server: Server, guarded: Server) -> None:
    server.post("/v1/rewards", request(wrong(A)))
    metrics = guarded.call("GET", "/metrics", headers={"authorization": f"Bearer {KEYS[0]}"}).raw.decode()
    assert "sgpo_groups_total 0.0" in metrics


def every_route() -> list[tuple[str, str]]:
    """Method and path of every route of the app, and addresses that try to look like an open one."""
    config = ServerConfig.model_validate({"judge": {"kind": "scripted"}})
    app = create_app(config, build_judge(config.judge), NO_KEYS)
    routes = [(method, route.path) for route in app.routes for method in sorted(route.methods)]  # type: ignore[attr-defined]
    assert ("POST", "/v1/rewards") in routes
    tricks = [
        "//v1/info",
        "/livez/",
        "/livez/../v1/info",
        "/livez%2f..%2fv1/info",
        "/v1/info?/livez",
        "/LIVEZ",
        "/%2e/livez",
    ]
    missing = ["/", "/docs", "/openapi.json", "/redoc", "/no-such-route"]
    return [*routes, *(("GET", path) for path in [*tricks, *missing]), ("OPTIONS", "/v1/info"), ("HEAD", "/metrics")]


@pytest.mark.parametrize(("method", "path"), every_route())
def test_only_the_two_health_routes_are_open(guarded: Server, method: str, path: str) -> None:
    attempts = [
        {},
        {"authorization": "Bearer "},
        {"authorization": f"Bearer {KEYS[0]}x"},
        {"authorization": f"Bearer {KEYS[0][:-1]}"},
        {"authorization": f"Bearer {','.join(KEYS)}"},
        {"authorization": f"Basic {KEYS[0]}"},
        {"x-api-key": KEYS[0]},
        {"host": "x/livez?"},
    ]
    for headers in attempts:
        reply = guarded.call(method, path, headers=headers)
        if path in {"/livez", "/readyz"}:
            assert reply.status == 200
        else:
            assert reply.status == 401
            assert reply.headers["www-authenticate"] == "Bearer"
            assert method == "HEAD" or is_error(reply, 401, "unauthorized")


@pytest.mark.parametrize("key", KEYS)
def test_every_key_opens_the_rest(guarded: Server, key: str) -> None:
    assert guarded.call("GET", "/v1/info", headers={"authorization": f"Bearer {key}"}).status == 200
    assert guarded.post("/v1/rewards", request(wrong(A)), authorization=f"bearer {key}").status == 200


def test_no_text_and_no_key_gets_into_the_log(
    server: Server, guarded: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    server.post("/v1/rewards", request(wrong(f"{CANARY} is fine here."), wrong(A, "1")))
    server.post("/v1/rewards", request({"id": CANARY, "text": [CANARY]}, **{CANARY: CANARY}))
    server.call("GET", f"/{CANARY}?{CANARY}", headers={"x-request-id": f"{CANARY} {CANARY}"})
    guarded.call("GET", "/v1/info", headers={"authorization": f"Bearer {KEYS[0]}{CANARY}"})
    guarded.call("GET", "/v1/info", headers={"authorization": f"Bearer {KEYS[1]}"})
    monkeypatch.setattr("reward_server.routes.parse_body", raiser(ValueError(CANARY)))
    failed = server.post("/v1/rewards", request(wrong(A)))
    assert is_error(failed, 500, "internal")
    assert CANARY.encode() not in failed.raw
    # pytest taps uvicorn's access log, which has no handler in a real process (test_server_process reads one's log).
    logged = "\n".join(caplog.handler.format(record) for record in caplog.records if record.name != "uvicorn.access")
    assert failed.headers["x-request-id"] in logged
    assert "status=200" in logged
    for secret in (CANARY, *KEYS):
        assert secret not in logged


def raiser(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise error

    return fail
