"""A load generator: prepared HTTP/1.1 requests over many connections, in a process of its own.

Python's HTTP clients cost more CPU per request than the server does; here a request is one write of prepared bytes and
a reply is looked at for its status and length only. Two modes:

- closed: every connection sends its next request as soon as it has its reply (how fast can the server be?);
- open: requests start at a fixed rate whatever the server does, and latency counts from the planned start, so that a
  server that stalls cannot hide it (how long does a client wait at that rate?).

    python benchmarks/load_client.py plan.json    prints one JSON object

The plan is a `Plan` as JSON. ``@@@@@@@@`` in a body is replaced by a running number, which makes requests different.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

MARK = b"@@@@@@@@"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send."""

    url: str
    bodies: list[str]
    """Sent in turn."""
    connections: int
    seconds: float
    rate: float | None = None
    """Requests per second; None: closed loop."""
    most: int | None = None
    """Requests in all, at most."""
    patience_s: float = 120.0
    """A request without a reply for so long counts as hung."""
    connect_first: bool = False
    """Open every connection before the first request."""


@dataclass(slots=True)
class Tally:
    """What came of it."""

    statuses: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    """Of replies with status 200, in seconds."""
    started: float = 0.0
    ended: float = 0.0

    def summary(self) -> dict[str, object]:
        """Counts, rate and latencies (milliseconds)."""
        ok = sorted(self.latencies)
        elapsed = self.ended - self.started

        def quantile(share: float) -> float | None:
            return round(ok[min(len(ok) - 1, int(share * len(ok)))] * 1000, 3) if ok else None

        return {
            "statuses": dict(self.statuses),
            "seconds": round(elapsed, 3),
            "ok_per_s": round(len(ok) / elapsed, 2) if elapsed else 0.0,
            "p50_ms": quantile(0.5),
            "p90_ms": quantile(0.9),
            "p99_ms": quantile(0.99),
            "max_ms": quantile(1.0),
        }


class Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._reply: asyncio.Future[str] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is not an instance of it

    def data_received(self, data: bytes) -> None:
        """Finish the request once its whole reply is there."""
        self._buffer += data
        head, blank, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if not blank:
            return
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        if len(rest) >= length:
            self._buffer.clear()
            self._finish(head[9:12].decode())
            if b"connection: close" in head.lower() and self.transport is not None:
                self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """A request under way ends with it."""
        self.transport = None
        self._finish("reset")

    def _finish(self, status: str) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(status)

    async def ask(self, request: bytes) -> str:
        """Status of the reply, or ``reset``."""
        if self.transport is None:
            return "reset"
        self._reply = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._reply


class Load:
    """Carries a plan out."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        address = urlsplit(plan.url)
        self._host, self._port = address.hostname or "127.0.0.1", address.port or 80
        target = f"{address.path}?{address.query}" if address.query else address.path
        head = f"POST {target} HTTP/1.1\r\nhost: {self._host}\r\ncontent-type: application/json\r\ncontent-length: "
        self._requests = [
            head.encode() + str(len(body)).encode() + b"\r\n\r\n" + body
            for body in (text.encode() for text in plan.bodies)
        ]
        self._sent = 0
        self._idle: list[Connection] = []
        self.tally = Tally()

    def _next(self) -> bytes:
        request = self._requests[self._sent % len(self._requests)]
        self._sent += 1
        return request.replace(MARK, b"%08d" % self._sent)

    async def _connection(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.transport is not None:
                return connection
        try:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(Connection, self._host, self._port)
        except OSError:
            return None
        return connection

    async def _one(self, planned: float) -> None:
        connection = await self._connection()
        if connection is None:
            self.tally.statuses["refused"] += 1
            return
        try:
            status = await asyncio.wait_for(connection.ask(self._next()), self._plan.patience_s)
        except TimeoutError:
            status = "hung"
        self.tally.statuses[status] += 1
        if status == "200":
            self.tally.latencies.append(time.perf_counter() - planned)
        if status not in ("hung", "reset"):
            self._idle.append(connection)

    def _room(self) -> bool:
        return self._plan.most is None or self._sent < self._plan.most

    async def _closed(self, until: float) -> None:
        while time.perf_counter() < until and self._room():
            await self._one(time.perf_counter())

    async def run(self) -> Tally:
        """All of it."""
        plan = self._plan
        if plan.connect_first:
            self._idle = [each for each in [await self._connection() for _ in range(plan.connections)] if each]
        self.tally.started = started = time.perf_counter()
        until = started + plan.seconds
        if plan.rate is None:
            await asyncio.gather(*(self._closed(until) for _ in range(plan.connections)))
        else:
            await self._open(started, until, plan.rate)
        self.tally.ended = time.perf_counter()
        return self.tally

    async def _open(self, started: float, until: float, rate: float) -> None:
        tasks: set[asyncio.Task[None]] = set()
        number = 0
        while (planned := started + number / rate) < until and self._room():
            number += 1
            if (wait := planned - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            if len(tasks) >= self._plan.connections:
                self.tally.statuses["not sent"] += 1
                continue
            task = asyncio.create_task(self._one(planned))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)


def main() -> None:
    """Read the plan, carry it out, print what came of it."""
    plan = Plan(**json.loads(Path(sys.argv[1]).read_text()))
    try:
        import uvloop

        run = uvloop.run
    except ImportError:
        run = asyncio.run
    print(json.dumps(run(Load(plan).run()).summary()))


def write_plan(plan: Plan, path: Path) -> Path:
    """The plan as a file."""
    path.write_text(json.dumps(asdict(plan)))
    return path


if __name__ == "__main__":
    main()
