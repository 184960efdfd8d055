"""A stand-in for the reward server on a real socket that answers, or misbehaves, as a test scripts it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any
from zlib import crc32

from sgpo_client.wire import GroupScores, RewardGroup, RewardResponse


def make_groups(count: int, size: int = 2) -> list[RewardGroup]:
    return [
        RewardGroup(
            f"q{i}", f"{i}+1?", tuple(RewardResponse(str(j), f"It is {i * j}.") for j in range(size)), str(i + 1)
        )
        for i in range(count)
    ]


def reward_of(group_id: str, text: str) -> float:
    """A reward that tells whose it is, so that a swap cannot hide."""
    return crc32(f"{group_id}/{text}".encode()) / 2**32


def good_reply(body: bytes) -> dict[str, Any]:
    groups = [
        {
            "group_id": group["group_id"],
            "all_negative": True,
            "responses": [
                {"id": r["id"], "reward": reward_of(group["group_id"], r["text"]), "acc": 0, "status": "judged"}
                for r in group["responses"]
            ],
        }
        for group in json.loads(body)["groups"]
    ]
    return {"groups": groups, "judge": {"id": "stub"}, "timing_s": {"queue": 0, "judge": 0, "total": 0}}


def assert_scores_of(groups: list[RewardGroup], scores: list[GroupScores]) -> None:
    assert [[(s.group_id, r.id, r.reward) for r in s.responses] for s in scores] == [
        [(g.group_id, r.id, reward_of(g.group_id, r.text)) for r in g.responses] for g in groups
    ]


Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


def raw(status: int, payload: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = [
        f"HTTP/1.1 {status} X",
        f"Content-Length: {len(payload) if length is None else length}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + payload


def says(payload: bytes) -> Answer:
    async def answer(body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(payload)

    return answer


def refuses(status: int, *headers: str) -> Answer:
    error = b'{"error":{"code":"some_code","message":"some message","request_id":"r"}}'
    return says(raw(status, error, *headers))


def edits(change: Callable[[dict[str, Any]], object]) -> Answer:
    async def answer(body: bytes, writer: asyncio.StreamWriter) -> None:
        reply = good_reply(body)
        change(reply)
        writer.write(raw(200, json.dumps(reply).encode()))

    return answer


async def good(body: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(raw(200, json.dumps(good_reply(body)).encode()))


async def hang(body: bytes, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def drip(body: bytes, writer: asyncio.StreamWriter) -> None:
    """One byte at a time, for ever as far as the client is concerned."""
    for byte in raw(200, json.dumps(good_reply(body)).encode()):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.05)


async def cut(body: bytes, writer: asyncio.StreamWriter) -> None:
    """Close in the middle of the body."""
    reply = json.dumps(good_reply(body)).encode()
    writer.write(raw(200, reply[: len(reply) // 2], length=len(reply)))


async def reset(body: bytes, writer: asyncio.StreamWriter) -> None:
    """Close without a word."""


class Stub:
    """Answers as scripted: the n-th request by the n-th answer, and all later ones by the last."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, bytes]] = []
        self.times: list[float] = []
        self.now = 0
        self.most = 0
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(
                (int(h.split(":")[1]) for h in head.splitlines() if h.lower().startswith("content-length")), 0
            )
            body = await reader.readexactly(length)
            answer = self.answers[min(len(self.requests), len(self.answers) - 1)]
            self.requests.append((head, body))
            self.times.append(time.monotonic())
            self.now += 1
            self.most = max(self.most, self.now)
            try:
                await answer(body, writer)
                await writer.drain()
            finally:
                self.now -= 1
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client gave up, as some tests want
        finally:
            writer.close()


@asynccontextmanager
async def stub(*answers: Answer, port: int = 0) -> AsyncIterator[Stub]:
    served = Stub(answers)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(served.handle(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    served.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield served
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
