"""The OpenAI-compatible backend against a server that misbehaves on a real socket."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from judge.backends.base import Message, PromptTooLong, Reply, Sampling
from judge.backends.openai import OpenAIBackend, retry_after
from judge.errors import BackendError, BackendTimeout
from judge.judges.critic import CriticSettings, build_critic
from judge.types import Solution, Unscored, UnscoredReason, Verdict

CHAT: list[Message] = [{"role": "user", "content": "find the first error"}]


def http(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def completion(text: str | None) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
    return http(200, json.dumps({"id": "x", "choices": [choice], "usage": usage}).encode())


OK = completion("\\boxed{1}")


@dataclass
class Stub:
    """Answers request k with ``script[k]`` (the last one for all later); None never answers."""

    script: list[bytes | None]
    heads: list[str] = field(default_factory=list)
    bodies: list[dict[str, object]] = field(default_factory=list)
    open_now: int = 0
    open_most: int = 0
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open_now += 1
        self.open_most = max(self.open_most, self.open_now)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length:"))
            self.bodies.append(json.loads(await reader.readexactly(length)))
            self.heads.append(head)
            answer = self.script[min(len(self.bodies), len(self.script)) - 1]
            if answer is None:
                await reader.read()
            else:
                await asyncio.sleep(0.02)
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open_now -= 1
            writer.close()


@asynccontextmanager
async def stub(*script: bytes | None) -> AsyncIterator[Stub]:
    state = Stub(list(script))
    server = await asyncio.start_server(state.serve, "127.0.0.1", 0)
    state.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield state
    finally:
        server.close()


async def ask(url: str, **settings: object) -> Reply:
    backend = OpenAIBackend(base_url=url, model="m", **settings)  # type: ignore[arg-type]
    try:
        [reply] = await backend.generate([CHAT], Sampling(max_tokens=7, seed=3))
        return reply
    finally:
        await backend.aclose()


async def test_what_is_sent_and_what_comes_back() -> None:
    async with stub(OK) as server:
        reply = await ask(server.url + "/")
    assert reply.error is None
    assert [generation.text for generation in reply.generations] == ["\\boxed{1}"]
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.calls) == (10, 2, 1)
    assert server.heads[0].startswith("POST /v1/chat/completions ")
    assert server.bodies == [{"model": "m", "messages": CHAT, "temperature": 0.0, "max_tokens": 7, "seed": 3}]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_passing_failure_is_retried(status: int) -> None:
    async with stub(http(status, b"later"), OK) as server:
        reply = await ask(server.url)
    assert reply.error is None
    assert reply.usage.calls == 2


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_honoured(status: int) -> None:
    async with stub(http(status, b"", "Retry-After: 1"), OK) as server:
        start = time.monotonic()
        reply = await ask(server.url)
    assert reply.error is None
    assert time.monotonic() - start >= 1


async def test_retry_after_an_hour_is_not_waited_for() -> None:
    async with stub(http(429, b"quota", "Retry-After: 3600")) as server:
        reply = await ask(server.url)
    assert reply.error is not None
    assert "429" in str(reply.error)
    assert len(server.bodies) == 1


def test_retry_after_forms() -> None:
    assert retry_after(None) is None
    assert retry_after("soon") is None
    assert retry_after("-5") is None
    assert retry_after("7") == 7
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert retry_after(later) == pytest.approx(30, abs=25)
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0


async def test_broken_connection_is_retried_then_given_up() -> None:
    async with stub(b"") as server:
        reply = await ask(server.url)
    assert isinstance(reply.error, BackendError)
    assert len(server.bodies) == reply.usage.calls == 4


async def test_hang_is_a_time_out_and_not_retried() -> None:
    async with stub(None) as server:
        start = time.monotonic()
        reply = await ask(server.url, timeout_s=0.5)
        assert time.monotonic() - start < 20
    assert isinstance(reply.error, BackendTimeout)
    assert "timeout_s = 0.5" in str(reply.error)
    assert len(server.bodies) == 1


HTML = b"<!doctype html><html><body>It works!</body></html>"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (http(200, b"\x00\xffgarbage"), "not a chat completion"),
        (http(200, b""), "not a chat completion"),
        (http(200, HTML, "Content-Type: text/html"), "not a chat completion"),
        (http(200, b"[" * 100_000), "not a chat completion"),
        (http(200, b'{"choices": [{"message": {"content": "\xff\xfe"}}]}'), "not a chat completion"),
        (http(200, b'{"choices": [{"message": {"content": "\\ud800"}}]}'), "not a chat completion"),
        (http(200, b'{"error": "model is loading"}'), "choices"),
        (http(200, b'{"choices": []}'), "choices"),
        (http(200, b'{"choices": [{"text": "old style"}]}'), "choices.0.message"),
        (http(200, b'{"choices": [{"message": {"content": 3}}]}'), "choices.0.message.content"),
        (http(200, b"x" * 10_000_000), "longer than"),
        (http(302, b"", "Location: http://127.0.0.1:1/steal"), "HTTP 302"),
        (http(400, b"bad request"), "HTTP 400: bad request"),
        (http(401, b"who?"), "api_key_env"),
        (http(404, HTML), "usually /v1"),
    ],
)
async def test_lasting_failure_is_an_error_of_one_line_at_once(answer: bytes, said: str) -> None:
    async with stub(answer) as server:
        reply = await ask(server.url)
    assert isinstance(reply.error, BackendError)
    assert said in str(reply.error)
    assert "\n" not in str(reply.error)
    assert len(str(reply.error)) < 600
    assert reply.generations == ()
    assert reply.usage.calls == len(server.bodies) == 1


async def test_context_overflow_has_its_own_type() -> None:
    said = b'{"message": "This model\'s maximum context length is 8192 tokens."}'
    async with stub(http(400, said)) as server:
        reply = await ask(server.url)
    assert isinstance(reply.error, PromptTooLong)


async def test_reply_without_content_is_empty_text() -> None:
    async with stub(completion(None)) as server:
        reply = await ask(server.url)
    assert reply.generations[0].text == ""


async def test_samples_have_their_own_seeds_and_requests_are_bounded() -> None:
    async with stub(OK) as server:
        backend = OpenAIBackend(base_url=server.url, model="m", max_concurrency=3)
        replies = await backend.generate([CHAT] * 5, Sampling(num_samples=2, temperature=1.0, seed=8))
        await backend.aclose()
        await backend.aclose()
    assert [len(reply.generations) for reply in replies] == [2] * 5
    assert sorted(body["seed"] for body in server.bodies) == [8] * 5 + [9] * 5  # type: ignore[type-var]
    assert server.open_most == 3


async def test_key_is_sent_and_never_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("STUB_KEY", "canary-5cd1")
    caplog.set_level(logging.DEBUG)
    async with stub(http(500, b"oops"), http(401, b"no")) as server:
        reply = await ask(server.url, api_key_env="STUB_KEY")
    assert "Authorization: Bearer canary-5cd1" in server.heads[0]
    assert "canary" not in f"{reply} {caplog.text}"


def down(_url: str) -> str:
    return "http://127.0.0.1:1/v1"


@pytest.mark.parametrize(
    ("script", "where", "reason"),
    [
        ([OK], down, UnscoredReason.JUDGE_UNAVAILABLE),
        ([http(401, b"")], str, UnscoredReason.JUDGE_UNAVAILABLE),
        ([None], str, UnscoredReason.JUDGE_TIMEOUT),
        ([completion("no idea")], str, UnscoredReason.PARSE_ERROR),
        ([http(400, b"maximum context length")], str, UnscoredReason.TOO_LONG),
    ],
)
async def test_critic_gives_a_typed_reason(
    script: list[bytes | None], where: Callable[[str], str], reason: UnscoredReason
) -> None:
    async with stub(*script) as server:
        judge = build_critic(CriticSettings(model="m", base_url=where(server.url), timeout_s=1))
        results = await judge.judge([Solution("?", ("a", "b"))] * 2)
        await judge.aclose()
    assert [result.reason for result in results if isinstance(result, Unscored)] == [reason] * 2
    assert all(result.usage.calls >= 1 for result in results)


async def test_critic_reads_a_verdict() -> None:
    async with stub(OK) as server:
        judge = build_critic(CriticSettings(model="m", base_url=server.url))
        [verdict] = await judge.judge([Solution("?", ("a", "b"), known_wrong=True)])
        await judge.aclose()
    assert isinstance(verdict, Verdict)
    assert verdict.first_error == 1
    assert verdict.latency_s > 0
