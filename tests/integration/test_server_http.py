"""The server over real sockets: statuses, bodies, keys, and that nothing of a caller's text gets into logs."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from judge.errors import ConfigError
from judge.registry import build_judge
from reward_server.app import create_app
from reward_server.auth import KeyRing, load_keys
from reward_server.config import AuthSettings, ServerConfig
from reward_server.process import open_socket

NO_KEYS = KeyRing(())
KEYS = ["0123456789abcdef-first", "0123456789abcdef-second"]
CANARY = "quokka-in-the-text"
A, B = "Line 0 is fine here.\nLine 1 is WRONG here.", "Line 0 is WRONG here.\nLine 1 is fine here."


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


@dataclass
class Server:
    port: int

    def call(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, names, response.read())
        finally:
            connection.close()

    def post(self, path: str, body: Any, **headers: str) -> Reply:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.call("POST", path, raw, {"content-type": "application/json"} | headers)


@contextmanager
def running(config: dict[str, Any], keys: KeyRing = NO_KEYS) -> Iterator[Server]:
    """A server on a port of the system's choosing, in a thread."""
    parsed = ServerConfig.model_validate(config)
    app = create_app(parsed, build_judge(parsed.judge), keys)
    listener = open_socket("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield Server(listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running({"judge": {"kind": "scripted"}, "limits": {"max_body_bytes": 1_000_000}}) as server:
        yield server


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    keys = load_keys(AuthSettings(), {"SGPO_API_KEYS": ",".join(KEYS)})
    with running({"judge": {"kind": "scripted"}}, keys) as server:
        yield server


def request(*responses: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"groups": [{"group_id": "g", "problem": "p", "responses": list(responses)}]} | changes


def wrong(text: str, name: str = "0") -> dict[str, Any]:
    return {"id": name, "text": text, "outcome": False}


def is_error(reply: Reply, status: int, code: str) -> bool:
    """True for the one JSON shape of all refusals."""
    error = reply.json["error"]
    return (
        (reply.status, error["code"]) == (status, code)
        and set(error) == {"code", "message", "request_id"}
        and error["request_id"] == reply.headers["x-request-id"]
        and reply.headers["content-type"] == "application/json"
    )


def test_a_group_is_rewarded_with_exactly_the_fields_of_the_contract(server: Server) -> None:
    reply = server.post("/v1/rewards", request(wrong(A), wrong(B, "1")))
    assert reply.status == 200
    assert set(reply.json) == {"groups", "judge", "timing_s"}
    assert set(reply.json["timing_s"]) == {"queue", "judge", "total"}
    [group] = reply.json["groups"]
    assert (group["group_id"], group["all_negative"]) == ("g", True)
    first, second = group["responses"]
    assert first == {
        "id": "0",
        "reward": pytest.approx(0.25),
        "acc": 0,
        "rts": 0.5,
        "first_error": 1,
        "num_steps": 2,
        "step_offsets": None,
        "status": "judged",
        "error": None,
        "cached": False,
    }
    assert second["first_error"] == 0
    assert 0 < second["reward"] < first["reward"]


def test_unscored_is_null_on_the_wire(server: Server) -> None:
    reply = server.post("/v1/rewards", request(wrong("Line 0 is fine here."), {"id": "1", "text": A}))
    group = reply.json["groups"][0]
    assert group["all_negative"] is False
    assert [(r["status"], r["reward"]) for r in group["responses"]] == [("wrong", 0.0), ("unscored", None)]
    assert b'"reward":null' in reply.raw


def test_verdicts(server: Server) -> None:
    items = [{"id": "x", "problem": "p", "text": A}, {"id": "y", "problem": "p", "steps": ["fine", "fine"]}]
    reply = server.post("/v1/judge", {"items": items})
    assert [(item["id"], item["status"], item["first_error"]) for item in reply.json["items"]] == [
        ("x", "judged", 1),
        ("y", "judged", None),
    ]


def test_order_and_length_are_kept(server: Server) -> None:
    groups = [
        {
            "group_id": f"g{g}",
            "problem": "p",
            "responses": [wrong(A if (g + r) % 2 else B, f"{g}-{r}") for r in range(1 + g % 5)],
        }
        for g in range(64)
    ]
    reply = server.post("/v1/rewards", {"groups": groups})
    assert [[r["id"] for r in out["responses"]] for out in reply.json["groups"]] == [
        [r["id"] for r in group["responses"]] for group in groups
    ]
    for g, out in enumerate(reply.json["groups"]):
        assert [r["first_error"] for r in out["responses"]] == [(g + r) % 2 for r in range(1 + g % 5)]


@pytest.mark.parametrize("route", ["/v1/rewards", "/v1/judge"])
@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({"content-type": "text/plain"}, b"{}", 415, "unsupported_media_type"),
        ({"content-type": ""}, b"{}", 415, "unsupported_media_type"),
        ({"content-type": "application/x-www-form-urlencoded"}, b"a=b", 415, "unsupported_media_type"),
        ({"content-type": "application/json", "content-encoding": "gzip"}, b"\x1f\x8b", 415, "unsupported_media_type"),
        ({"content-type": "application/json"}, b" " * 1_000_001, 413, "body_too_large"),
        ({"content-type": "application/json; charset=utf-8"}, b"{", 422, "invalid_request"),
        ({"content-type": "application/json"}, b'{"x": NaN}', 422, "invalid_request"),
        ({"content-type": "application/json"}, b"[" * 200_000, 422, "invalid_request"),
    ],
)
def test_bodies_are_refused_by_type_size_and_form(
    server: Server, route: str, headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    assert is_error(server.call("POST", route, body, headers), status, code)


def test_a_body_without_a_length_is_cut_off_at_the_limit(server: Server) -> None:
    head = (
        b"POST /v1/rewards HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    chunk = b"%x\r\n%s\r\n" % (100_000, b" " * 100_000)
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as raw:
        raw.sendall(head)
        for _ in range(11):  # 1.1 MB, and no end in sight
            raw.sendall(chunk)
        assert raw.recv(65536).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/docs", 404, "not_found"),
        ("POST", "/v1/rewards/", 404, "not_found"),
        ("GET", "/v1/rewards", 405, "method_not_allowed"),
        ("DELETE", "/v1/info", 405, "method_not_allowed"),
    ],
)
def test_unknown_routes_and_methods(server: Server, method: str, path: str, status: int, code: str) -> None:
    assert is_error(server.call(method, path), status, code)


def test_a_fault_names_its_field(server: Server) -> None:
    reply = server.post("/v1/rewards", request(wrong(A), {"id": "1", "text": 7}))
    assert is_error(reply, 422, "invalid_request")
    assert reply.json["error"]["message"] == "groups[0].responses[1].text: Input should be a valid string"


def test_tokens_need_a_tokenizer(server: Server) -> None:
    reply = server.post("/v1/rewards", request(wrong(A), shaping={"length": "tokens"}))
    assert is_error(reply, 422, "invalid_request")
    assert reply.json["error"]["message"].startswith("shaping.length:")
    assert "[server] tokenizer" in reply.json["error"]["message"]


def test_tokens_are_counted_with_the_configured_tokenizer(tmp_path: Path) -> None:
    tokenizer = Tokenizer(WordLevel({"?": 0}, unk_token="?"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    config = {"judge": {"kind": "scripted"}, "server": {"tokenizer": path}, "shaping": {"length": "tokens"}}
    with running(config) as server:
        reply = server.post("/v1/rewards", request(wrong("one two three four five six.\nWRONG as-can-be.")))
        assert reply.json["groups"][0]["responses"][0]["rts"] == 6 / 8
    path.write_text("{}")
    with pytest.raises(ConfigError, match=r"\[server\] tokenizer = .* not a tokenizer.json"), running(config):
        pass


def test_request_ids_are_given_back_or_made(server: Server) -> None:
    assert (
        server.call("GET", "/livez", headers={"x-request-id": "step-17.rank_3"}).headers["x-request-id"]
        == "step-17.rank_3"
    )
    made = [
        server.call("GET", "/livez", headers={"x-request-id": bad}).headers["x-request-id"]
        for bad in ("", "a b", "x" * 65)
    ]
    assert len(set(made)) == 3
    assert all(len(name) == 32 for name in made)


def test_a_long_response_is_judged() -> None:
    with running({"judge": {"kind": "rules"}}) as server:
        text = "\n".join(f"Then {n} + 1 = {n + 1} apples are there." for n in range(3000))[:100_000] + "\nSo 2 + 2 = 5."
        reply = server.post("/v1/rewards", request(wrong(text), wrong("First 2 + 2 = 4 apples.\nThen 4 + 4 = 9.", "1")))
        long, short = reply.json["groups"][0]["responses"]
        assert (long["status"], long["error"]["code"]) == ("unscored", "too_long")
        assert (short["status"], short["first_error"]) == ("judged", 1)
        one_line = "x" * 100_000
        assert server.post("/v1/rewards", request(wrong(one_line))).status == 200
        assert server.call("GET", "/readyz").json["status"] == "ready"


@pytest.mark.parametrize(
    ("judge", "status"),
    [
        ({"kind": "rules"}, 200),
        ({"kind": "scripted"}, 200),
        ({"kind": "scripted", "fail": "raise"}, 503),
        ({"kind": "scripted", "delay_s": 30}, 503),
    ],
)
def test_ready_means_that_the_judge_judges(judge: dict[str, Any], status: int) -> None:
    with running({"judge": judge, "server": {"ready_timeout_s": 0.5}}) as server:
        reply = server.call("GET", "/readyz")
        assert reply.status == status
        if status == 503:
            assert is_error(reply, 503, "not_ready")
            assert reply.headers["retry-after"]
        assert server.call("GET", "/livez").status == 200


def test_the_finding_of_readyz_is_kept_for_a_while() -> None:
    with running({"judge": {"kind": "scripted", "delay_s": 2}}) as server:
        server.call("GET", "/readyz")
        started = time.perf_counter()
        assert server.call("GET", "/readyz").status == 200
        assert time.perf_counter() - started < 1.9


def test_a_judge_that_fails_is_no_failure_of_the_request() -> None:
    with running({"judge": {"kind": "scripted", "fail": "raise"}}) as server:
        reply = server.post("/v1/rewards", request(wrong(A)))
        assert reply.status == 200
        [out] = reply.json["groups"][0]["responses"]
        assert (out["reward"], out["status"], out["error"]["code"]) == (None, "unscored", "judge_unavailable")


def test_info_and_metrics(server: Server) -> None:
    info = server.call("GET", "/v1/info").json
    assert info["limits"]["max_body_bytes"] == 1_000_000
    assert info["shaping"] == {"beta": 10.0, "gamma": 0.5, "cap": 0.5, "length": "steps", "apply_to": "all_negative"}
    assert info["judge"]["id"]
    assert info["version"]
    assert info["segmenter"]
    server.call("GET", f"/{CANARY}")
    metrics = server.call("GET", "/metrics").raw.decode()
    assert 'sgpo_requests_total{route="/v1/info",status="200"}' in metrics
    assert 'sgpo_requests_total{route="other",status="404"}' in metrics
    assert CANARY not in metrics


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


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
nearly_right = st.fixed_dictionaries(
    {
        "groups": st.lists(
            st.fixed_dictionaries(
                {
                    "group_id": st.text(min_size=1, max_size=5),
                    "problem": st.text(min_size=1, max_size=20),
                    "reference_answer": st.none() | st.text(max_size=10),
                    "responses": st.lists(
                        st.fixed_dictionaries(
                            {
                                "id": st.text(min_size=1, max_size=3) | json_values,
                                "text": st.text(max_size=60),
                                "outcome": st.sampled_from([None, True, False, False]),
                            }
                        ),
                        max_size=4,
                    ),
                }
            ),
            max_size=3,
        )
    },
    optional={"shaping": st.fixed_dictionaries({}, optional={"beta": st.floats(), "cap": json_values})},
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.one_of(st.binary(max_size=100), json_values.map(json.dumps), nearly_right.map(json.dumps)))
def test_no_body_makes_the_server_fail(server: Server, body: bytes | str) -> None:
    raw = body if isinstance(body, bytes) else body.encode()
    for route in ("/v1/rewards", "/v1/judge"):
        reply = server.post(route, raw)
        assert reply.status in {200, 422}
        if reply.status == 200 and route == "/v1/rewards":
            sent = json.loads(raw)["groups"]
            assert [len(group["responses"]) for group in reply.json["groups"]] == [len(g["responses"]) for g in sent]
            for out in (r for group in reply.json["groups"] for r in group["responses"]):
                assert (out["reward"] is None) == (out["status"] == "unscored") == (out["error"] is not None)
