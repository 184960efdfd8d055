"""Requests that arrive slowly, too large, or not as HTTP: over real sockets, with short time-outs of the server's."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.integration.held_judge import HeldJudge
from tests.integration.http_server import A, Server, request, running, wrong

TIMEOUT_S = 0.4
CONFIG = {
    "judge": {"kind": "scripted"},
    "receipt": {"header_timeout_s": TIMEOUT_S, "body_timeout_s": TIMEOUT_S, "max_header_bytes": 4096},
    "limits": {"max_body_bytes": 1_000_000},
}
HEAD = b"POST /v1/rewards HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(CONFIG) as server:
        yield server


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=60)


def read_all(client: socket.socket) -> bytes:
    """Until the server closes; hangs, and fails by the time-out, when it does not."""
    received = bytearray()
    try:
        while part := client.recv(65536):
            received += part
    except ConnectionResetError:
        pass
    return bytes(received)


def error_in(raw: bytes) -> tuple[int, dict[str, str]]:
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n",
        b"POST /v1/rew",
        HEAD,
        HEAD + b"x-slow: abc",
    ],
)
def test_a_head_that_does_not_end_is_cut_off_without_a_word(server: Server, sent: bytes) -> None:
    with connect(server) as client:
        client.sendall(sent)
        assert read_all(client) == b""


def test_line_breaks_do_not_keep_an_idle_connection_open(server: Server) -> None:
    with connect(server) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
        client.sendall(b"\r\n")
        assert read_all(client) == b""


@pytest.mark.parametrize("framing", [b"content-length: 1000\r\n\r\n{", b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n"])
def test_a_body_that_does_not_end_is_refused_and_the_connection_closed(server: Server, framing: bytes) -> None:
    with connect(server) as client:
        client.sendall(HEAD + framing)
        status, error = error_in(read_all(client))
    assert (status, error["code"]) == (400, "body_timeout")
    assert "[receipt] body_timeout_s" in error["message"]


def test_what_follows_a_refusal_is_dropped_but_not_for_ever(server: Server) -> None:
    with connect(server) as client:
        client.sendall(HEAD + b"content-length: 2000000\r\n\r\n{")
        raw = read_all(client)
    status, error = error_in(raw)
    assert (status, error["code"]) == (413, "body_too_large")


def test_a_large_head_is_refused(server: Server) -> None:
    for sent in (HEAD + b"x-large: " + b"a" * 5000, HEAD + b"x-large: " + b"a" * 5000 + b"\r\n\r\n"):
        with connect(server) as client:
            client.sendall(sent)
            status, error = error_in(read_all(client))
        assert (status, error["code"]) == (431, "headers_too_large")


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00", b"hello\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n"])
def test_what_is_no_http_gets_an_error_of_ours(server: Server, sent: bytes) -> None:
    with connect(server) as client:
        client.sendall(sent)
        raw = read_all(client)
    status, error = error_in(raw)
    assert (status, error["code"]) == (400, "invalid_http")
    assert b"\r\nserver:" not in raw.lower()


def test_drippers_do_not_keep_others_out() -> None:
    slow = {
        **CONFIG,
        "receipt": {"header_timeout_s": 60, "body_timeout_s": 60},
        "admission": {"max_in_flight_requests": 1},
    }
    with running(slow) as server, ExitStack() as stack:
        drippers = [stack.enter_context(connect(server)) for _ in range(50)]
        for index, dripper in enumerate(drippers):
            dripper.sendall(HEAD + (b"content-length: 1000\r\n\r\n" if index % 2 else b""))
        for _ in range(10):
            for dripper in drippers:
                dripper.sendall(b"x")
            assert server.post("/v1/rewards", request(wrong(A))).status == 200


def test_a_long_answer_outlives_both_time_outs() -> None:
    judge = HeldJudge()
    with running(CONFIG, judge=judge) as server, connect(server) as client:
        body = json.dumps(request(wrong(A))).encode()
        client.sendall(HEAD + b"content-length: %d\r\n\r\n%s" % (len(body), body))
        assert judge.called.acquire(timeout=60)
        client.sendall(b"\r\n")  # as some clients do after a body: the beginning of nothing
        for _ in range(3):  # so often a head began later, and was cut off
            with connect(server) as other:
                other.sendall(b"G")
                assert read_all(other) == b""
        judge.release.set()
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
