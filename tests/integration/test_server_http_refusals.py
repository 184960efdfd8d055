"""Requests that the server refuses over real sockets, each with its status, its code and one JSON shape."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.http_server import OPEN, A, Server, is_error, request, running, wrong


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(OPEN) as server:
        yield server


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
        ("GET", "/nowhere", 404, "not_found"),
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


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
