"""Who is let in: refusals before the body is read, quotas of a key, and bounds that a crowd does not overshoot."""

from __future__ import annotations

import hashlib
import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from reward_server.edge.keys import Key, KeyRing
from tests.integration.held_judge import HeldJudge
from tests.integration.http_server import A, Reply, Server, is_error, request, running, until, wrong

BODY = json.dumps(request(wrong(A))).encode()
KEY_A, KEY_B = "a" * 32, "b" * 32


def keys() -> KeyRing:
    return KeyRing([Key(hashlib.sha256(key.encode()).digest(), key[0]) for key in (KEY_A, KEY_B)])


def config(**admission: Any) -> dict[str, Any]:
    # Every response is one of its own to the judge: no cache, and no sharing of equal work.
    return {"judge": {"kind": "scripted"}, "cache": {"kind": "off"}, "admission": admission}


def gauge(server: Server, place: str) -> float:
    text = server.call("GET", "/metrics").raw.decode()
    found = re.search(rf'sgpo_admitted_requests{{place="{place}"}} (\S+)', text)
    assert found is not None
    return float(found[1])


def post(server: Server, number: int, **headers: str) -> Reply:
    return server.post("/v1/rewards", request(wrong(f"{A} {number}")), **headers)


def test_a_full_server_refuses_before_it_has_the_body_sent() -> None:
    judge = HeldJudge()
    with running(config(max_in_flight_requests=1, max_waiting_requests=0), judge=judge) as server:
        with ThreadPoolExecutor() as pool:
            held = pool.submit(post, server, 0)
            assert judge.called.acquire(timeout=60)
            with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
                client.sendall(
                    b"POST /v1/rewards HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                    b"expect: 100-continue\r\ncontent-length: 1000000\r\n\r\n"
                )
                answer = client.recv(65536)
            assert answer.startswith(b"HTTP/1.1 503"), "and no '100 Continue', which would have asked for the body"
            assert re.search(rb"\r\nretry-after: [1-4]\r\n", answer)
            refused = post(server, 1)
            assert is_error(refused, 503, "overloaded")
            assert refused.headers["retry-after"].isdecimal()
            for path in ("/livez", "/metrics", "/v1/info"):
                assert server.call("GET", path).status == 200
            judge.release.set()
            assert held.result(timeout=60).status == 200
        until(lambda: gauge(server, "working") == 0)  # the place comes back after the reply
        assert post(server, 2).status == 200
        assert 'sgpo_refused_total{reason="overloaded"} 2.0' in server.call("GET", "/metrics").raw.decode()


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), ("/v1/rewards/", 404), ("/v1/info", 405)])
def test_where_nothing_reads_a_body_none_is_waited_for(path: str, status: int) -> None:
    with running(config()) as server, socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        # 1 of 1,000,000 bytes: what waits for the rest would answer 400 after the receipt's 10 s.
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1000000"
        client.sendall(head.encode() + b"\r\n\r\n{")
        assert client.recv(65536).startswith(b"HTTP/1.1 %d" % status)
        assert gauge(server, "receiving") == 0


def test_a_crowd_overshoots_no_bound_and_loses_nobody() -> None:
    judge = HeldJudge()
    with running(config(max_in_flight_requests=3, max_waiting_requests=5), judge=judge) as server:
        with ThreadPoolExecutor(max_workers=40) as pool:
            replies = [pool.submit(post, server, number) for number in range(40)]
            for _ in range(3):
                assert judge.called.acquire(timeout=60)
            # 3 work and 5 wait, so that 32 are sent away.
            until(lambda: sum(reply.done() for reply in replies) == 32)
            assert gauge(server, "working") == 3
            assert gauge(server, "waiting") == 5
            judge.release.set()
            statuses = sorted(reply.result(timeout=60).status for reply in replies)
        assert statuses == [200] * 8 + [503] * 32
        assert judge.most <= 3
        until(lambda: gauge(server, "waiting") == gauge(server, "working") == 0)


def test_a_client_that_hangs_up_leaves_the_line() -> None:
    judge = HeldJudge()
    settings = config(max_in_flight_requests=1, max_waiting_requests=1)
    with running(settings, judge=judge) as server, ThreadPoolExecutor() as pool:
        held = pool.submit(post, server, 0)
        assert judge.called.acquire(timeout=60)
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
            head = b"POST /v1/rewards HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            client.sendall(head + b"content-length: %d\r\n\r\n%s" % (len(BODY), BODY))
            until(lambda: gauge(server, "waiting") == 1)
        until(lambda: gauge(server, "waiting") == 0)
        judge.release.set()
        assert held.result(timeout=60).status == 200


def test_a_key_over_its_quota_is_told_so_and_others_are_not() -> None:
    with running(config(requests_per_minute_per_key=2), keys()) as server:
        statuses = [post(server, number, authorization=f"Bearer {KEY_A}").status for number in range(3)]
        assert statuses == [200, 200, 429]
        refused = post(server, 4, authorization=f"Bearer {KEY_A}")
        assert is_error(refused, 429, "quota_exceeded")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert "requests_per_minute_per_key" in refused.json["error"]["message"]
        assert post(server, 5, authorization=f"Bearer {KEY_B}").status == 200


def test_one_key_cannot_take_all_places() -> None:
    judge = HeldJudge()
    settings = config(max_in_flight_requests=2, max_waiting_requests=0, max_share_per_key=0.5)
    with running(settings, keys(), judge=judge) as server, ThreadPoolExecutor() as pool:
        held = [pool.submit(post, server, 0, authorization=f"Bearer {KEY_A}")]
        assert judge.called.acquire(timeout=60)
        assert is_error(post(server, 1, authorization=f"Bearer {KEY_A}"), 429, "quota_exceeded")
        held.append(pool.submit(post, server, 2, authorization=f"Bearer {KEY_B}"))
        assert judge.called.acquire(timeout=60)
        judge.release.set()
        assert [reply.result(timeout=60).status for reply in held] == [200, 200]


@pytest.mark.parametrize("framing", ["content-length", "chunked"])
def test_bodies_together_are_bounded(framing: str) -> None:
    judge = HeldJudge()
    settings = config(max_held_body_bytes=1_048_576) | {"limits": {"max_body_bytes": 1_048_576}}
    with running(settings, judge=judge) as server, ThreadPoolExecutor() as pool:
        held = pool.submit(post, server, 0)
        assert judge.called.acquire(timeout=60)
        headers = {"content-length": "1048576"} if framing == "content-length" else {"transfer-encoding": "chunked"}
        lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
            client.sendall(
                b"POST /v1/rewards HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n" + lines + b"\r\n"
            )
            assert client.recv(65536).startswith(b"HTTP/1.1 503")
        judge.release.set()
        assert held.result(timeout=60).status == 200


def test_waiting_counts_towards_the_deadline_of_the_request() -> None:
    judge = HeldJudge()
    with running(config(max_in_flight_requests=1), judge=judge) as server, ThreadPoolExecutor() as pool:
        replies = [pool.submit(post, server, 0, **{"x-request-timeout-s": "2"})]
        assert judge.called.acquire(timeout=60)
        replies += [pool.submit(post, server, number, **{"x-request-timeout-s": "0.5"}) for number in (1, 2)]
        done = [reply.result(timeout=60) for reply in replies]
        assert not judge.called.acquire(blocking=False), "their time was up before their turn came"
    codes = [reply.json["groups"][0]["responses"][0]["error"]["code"] for reply in done]
    assert codes == ["judge_timeout"] * 3
