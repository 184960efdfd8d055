"""The critic behind an endpoint that is down, slow, hung, dripping or talks nonsense: typed, in time, never a score."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.integration.faulty_server import Answer, hang, raw, reset, says, stub
from tests.integration.http_server import Reply, running

STEPS = ["There are 3 bags of 4 apples, 12 apples.", "He eats 2: 12 - 2 = 11.", "The answer is 11."]
ITEM = {"id": "0", "problem": "Tom has 3 bags.", "steps": STEPS, "known_wrong": True}


def completion(text: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return raw(200, json.dumps({"id": "x", "choices": [choice]}).encode())


GOOD = says(completion("Step 1 is wrong. \\boxed{1}"))


async def drip(body: bytes, writer: asyncio.StreamWriter) -> None:
    for byte in completion("\\boxed{1}"):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.2)


async def cut(body: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(completion("\\boxed{1}")[:-20])


def critic(url: str, **changes: Any) -> dict[str, Any]:
    judge = {"kind": "critic", "model": "m", "base_url": f"{url}/v1", "timeout_s": 3.0}
    return {"judge": judge, "breaker": {"failures": 1000}} | changes


async def ask(config: dict[str, Any], times: int = 1, **headers: str) -> list[Reply]:
    with running(config) as server:
        return [await asyncio.to_thread(server.post, "/v1/judge", {"items": [ITEM]}, **headers) for _ in range(times)]


FAULTS: list[tuple[str, Answer, set[str]]] = [
    ("error 500", says(raw(500, b"broken")), {"judge_unavailable"}),
    ("error 400", says(raw(400, b"broken")), {"judge_unavailable"}),
    ("reset", reset, {"judge_unavailable"}),
    ("hang", hang, {"judge_timeout"}),
    ("drip", drip, {"judge_timeout"}),
    ("cut", cut, {"judge_unavailable"}),
    ("html", says(raw(200, b"<html>all is well \\boxed{1}</html>")), {"judge_unavailable"}),
    ("empty", says(raw(200, b"")), {"judge_unavailable"}),
    ("no choice", says(raw(200, b'{"choices":[]}')), {"judge_unavailable"}),
    (
        "invalid UTF-8",
        says(raw(200, b'{"choices":[{"message":{"content":"\xff\\\\boxed{1}"}}]}')),
        {"judge_unavailable"},
    ),
    ("too large", says(raw(200, b" " * (5 * 2**20))), {"judge_unavailable"}),
    ("no text", says(completion(None)), {"parse_error"}),
    ("prose", says(completion("Step 1 is wrong, yes.")), {"parse_error"}),
    ("refusal", says(completion("I cannot help with that.")), {"parse_error"}),
    ("step out of range", says(completion("\\boxed{99}")), {"parse_error"}),
    ("negative step", says(completion("\\boxed{-7}")), {"parse_error"}),
    ("no number", says(completion("\\boxed{NaN}")), {"parse_error"}),
    ("no error in a wrong answer", says(completion("\\boxed{-1}")), {"parse_error", "no_error_found"}),
]


@pytest.mark.parametrize(("fault", "answer", "codes"), FAULTS, ids=[name for name, _, _ in FAULTS])
async def test_a_faulty_endpoint_gives_a_typed_reason_that_is_not_kept(
    fault: str, answer: Answer, codes: set[str]
) -> None:
    async with stub(answer) as endpoint:
        with running(critic(endpoint.url)) as server:
            bad = await asyncio.to_thread(server.post, "/v1/judge", {"items": [ITEM]})
            endpoint.answers = [GOOD]
            good = await asyncio.to_thread(server.post, "/v1/judge", {"items": [ITEM]})
            again = await asyncio.to_thread(server.post, "/v1/judge", {"items": [ITEM]})
    assert (bad.status, good.status, again.status) == (200, 200, 200)
    [item] = bad.json["items"]
    assert item["status"] == "unscored"
    assert item["first_error"] is None
    assert item["error"]["code"] in codes
    [item] = good.json["items"]
    assert (item["status"], item["first_error"], item["cached"]) == ("judged", 1, False)
    [item] = again.json["items"]
    assert (item["status"], item["first_error"], item["cached"]) == ("judged", 1, True)


async def test_an_endpoint_that_is_not_there() -> None:
    async with stub(GOOD) as endpoint:
        url = endpoint.url
    [reply] = await ask(critic(url))
    assert reply.json["items"][0]["error"]["code"] == "judge_unavailable"


async def test_the_callers_deadline_ends_a_call_upstream() -> None:
    async with stub(hang) as endpoint:
        config = critic(endpoint.url)
        config["judge"]["timeout_s"] = 3600.0
        with running(config) as server:
            reply = await asyncio.to_thread(server.post, "/v1/judge", {"items": [ITEM]}, **{"x-request-timeout-s": "5"})
            assert reply.json["items"][0]["error"]["code"] == "judge_timeout"
            assert endpoint.most == 1
            async with asyncio.timeout(60):
                while b"abandoned" not in (await asyncio.to_thread(server.call, "GET", "/metrics")).raw:
                    pass


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", ""])
async def test_a_deadline_that_is_none_is_refused(value: str) -> None:
    [reply] = await ask({"judge": {"kind": "scripted"}}, **{"x-request-timeout-s": value})
    assert (reply.status, reply.json["error"]["code"]) == (422, "invalid_request")
    assert "X-Request-Timeout-S" in reply.json["error"]["message"]


async def test_a_judge_that_stays_down_is_left_alone_and_tried_again() -> None:
    config: dict[str, Any] = {"breaker": {"failures": 2, "reset_s": 2.0}, "server": {"ready_cache_s": 0}}
    async with stub(says(raw(400, b"down"))) as endpoint:
        with running(critic(endpoint.url, **config)) as server:

            async def code() -> str | None:
                items = [ITEM | {"problem": str(len(endpoint.requests))}]
                reply = await asyncio.to_thread(server.post, "/v1/judge", {"items": items})
                error = reply.json["items"][0]["error"]
                return None if error is None else str(error["code"])

            assert [await code() for _ in range(2)] == ["judge_unavailable"] * 2
            asked = len(endpoint.requests)
            assert await code() == "judge_unavailable"
            ready = await asyncio.to_thread(server.call, "GET", "/readyz")
            metrics = (await asyncio.to_thread(server.call, "GET", "/metrics")).raw.decode()
            # Within the pause the endpoint sees nobody, unless this machine slept for two seconds.
            if len(endpoint.requests) == asked:
                assert ready.status == 503
                assert "sgpo_breaker_state 2.0" in metrics
            endpoint.answers = [GOOD]
            async with asyncio.timeout(60):
                while await code() is not None:
                    pass
            assert (await asyncio.to_thread(server.call, "GET", "/readyz")).status == 200
            metrics = (await asyncio.to_thread(server.call, "GET", "/metrics")).raw.decode()
            assert "sgpo_breaker_state 0.0" in metrics
