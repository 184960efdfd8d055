"""What the server's outer layers cost and hold: slow senders, refusals, wrong keys.

    python benchmarks/server_edge.py                     # all parts
    python benchmarks/server_edge.py drippers --count 1000

Every part starts a server of its own on a free port and prints one line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import aiohttp
import psutil
from http_calls import KEY, Target, serve

GROUP = {
    "groups": [
        {
            "group_id": "g",
            "problem": "p",
            "responses": [{"id": "0", "text": "We start with 40 apples.\nThen a WRONG line, 8.", "outcome": False}],
        }
    ]
}
AUTH = {"authorization": f"Bearer {KEY}"}
JUDGE = '[judge]\nkind = "scripted"\ndelay_s = 0.02\n'


async def drippers(target: Target, count: int) -> str:
    """Connections that send a byte a second, half of them in the head and half in the body; good requests meanwhile."""
    host, port = target.address
    head = f"POST /v1/rewards HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n"
    ended: Counter[str] = Counter()

    async def drip(number: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write((head + ("content-length: 100000\r\n\r\n" if number % 2 else "x-slow: ")).encode())
            while True:
                writer.write(b"a")
                await writer.drain()
                try:
                    raw = await asyncio.wait_for(reader.read(1024), 1.0)
                except TimeoutError:
                    continue
                ended[raw[9:12].decode() or "closed"] += 1
                return
        except ConnectionError:
            ended["closed"] += 1
        finally:
            writer.close()

    slow = [asyncio.create_task(drip(number)) for number in range(count)]
    times = []
    async with aiohttp.ClientSession(headers=AUTH) as session:
        while not all(task.done() for task in slow):
            started = time.perf_counter()
            async with session.post(f"{target.url}/v1/rewards", json=GROUP) as reply:
                assert reply.status == 200, reply.status
            times.append(time.perf_counter() - started)
            await asyncio.sleep(0.1)
    await asyncio.gather(*slow)
    return f"{count} drippers ended as {dict(ended)}; meanwhile {len(times)} good requests, slowest {max(times):.2f} s"


async def refusals(target: Target, count: int) -> str:
    """Bodies of 1 MB for a server that is full: the server's CPU time for each."""
    body = json.dumps(GROUP).encode() + b" " * 1_000_000
    process = psutil.Process(target.pid)
    statuses: Counter[int] = Counter()
    async with aiohttp.ClientSession(headers=AUTH | {"content-type": "application/json"}) as session:

        async def post(data: bytes) -> None:
            async with session.post(f"{target.url}/v1/rewards", data=data) as reply:
                statuses[reply.status] += 1

        held = asyncio.create_task(post(json.dumps(GROUP).encode()))
        await asyncio.sleep(2.0)
        report = []
        for name, data in (("1 MB", body), ("200 B", json.dumps(GROUP).encode())):
            before = process.cpu_times()
            for _ in range(0, count, 20):
                await asyncio.gather(*(post(data) for _ in range(20)))
            after = process.cpu_times()
            spent_s = after.user + after.system - before.user - before.system
            report.append(f"{1000 * spent_s / count:.2f} ms for {name}")
        held.cancel()
    return f"CPU of a refusal: {', '.join(report)}; statuses {dict(statuses)}"


async def keys(target: Target, count: int) -> str:
    """Two kinds of wrong keys, in turn: Welch's t of the times of their refusals."""
    wrong = {"first character": "x" + KEY[1:], "last character": KEY[:-1] + "x"}
    times: dict[str, list[float]] = {name: [] for name in wrong}
    async with aiohttp.ClientSession() as session:
        for _ in range(count):
            for name in random.sample(list(wrong), 2):
                started = time.perf_counter()
                async with session.get(
                    f"{target.url}/v1/info", headers={"authorization": f"Bearer {wrong[name]}"}
                ) as reply:
                    assert reply.status == 401
                times[name].append(time.perf_counter() - started)
    # The slowest twentieth is the machine's.
    kept = [sorted(values)[: int(len(values) * 0.95)] for values in times.values()]
    spread = sum(statistics.variance(values) / len(values) for values in kept) ** 0.5
    t = (statistics.mean(kept[0]) - statistics.mean(kept[1])) / spread
    return f"wrong keys, {count} of each kind: Welch's t = {t:.2f} (no difference to be seen below 4.5)"


PARTS: dict[str, tuple[Callable, str, int]] = {
    "drippers": (drippers, JUDGE, 1000),
    "refusals": (
        refusals,
        '[judge]\nkind = "scripted"\ndelay_s = 90.0\n'
        "[admission]\nmax_in_flight_requests = 1\nmax_waiting_requests = 0\n",
        200,
    ),
    "keys": (keys, JUDGE + "[auth]\nmax_failures_per_minute = 0\n", 2000),
}


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--count", type=int, help="instead of each part's own number")
    args = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for name in args.parts or PARTS:
        run, config, count = PARTS[name]
        with tempfile.TemporaryDirectory() as folder, serve(Path(folder), config) as target:
            print(f"{name}: {asyncio.run(run(target, args.count or count))}", flush=True)


if __name__ == "__main__":
    main()
