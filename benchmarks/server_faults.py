"""What the reward server does when its judge is killed and when its clients vanish: counts, over real sockets.

    python benchmarks/server_faults.py                           # 200 kills, 1,000 clients; some minutes
    python benchmarks/server_faults.py --only kills --kills 20

- kills: the judge's process is ended with SIGKILL at random moments while callers send solutions that are all
  different. The scripted judge's verdict is a digest of what it judged, so that a lost or swapped one shows. The
  breaker is out of the way: it would answer many callers without any judge.
- vanish: clients send a request to a judge that takes an hour and cut the connection. What they left behind must be
  gone from queue, judge and gauges.

Prints one line of JSON and one row of Markdown per scenario; exit status 1 when anything was lost, swapped or left.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import psutil

PROBLEM = "How many eggs are in the basket?"
STEPS = 23
ITEMS = 6
CALLERS = 8
KILLS_CONFIG = """
[judge]
kind = "scripted"
say = "hash"
delay_s = 0.03
[judge_process]
run_in = "process"
max_restarts_per_minute = 10000
[batching]
max_batch_items = 8
[breaker]
failures = 10000
[cache]
kind = "off"
"""
VANISH_CONFIG = """
[judge]
kind = "scripted"
delay_s = 3600.0
[judge_process]
run_in = "process"
[admission]
max_in_flight_requests = 4096
"""
GAUGES = ("sgpo_queue_items", "sgpo_judge_items_in_flight", "sgpo_admitted_items")
Counts = dict[str, Any]


def main() -> int:
    """Run the scenarios and print what they counted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["kills", "vanish"])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    ok = True
    if options.only != "vanish":
        with server(KILLS_CONFIG) as (url, process):
            ok &= report("kills", asyncio.run(kills(url, process, options.kills)))
    if options.only != "kills":
        with server(VANISH_CONFIG) as (url, _):
            ok &= report("vanish", asyncio.run(vanish(url, options.clients)))
    return 0 if ok else 1


def report(name: str, counts: Counts) -> bool:
    """Print the counts; whether all is as it must be."""
    print(json.dumps({"scenario": name, **counts}))
    print(f"| {name} | " + " | ".join(f"{key} {value}" for key, value in counts.items()) + " |", flush=True)
    return bool(counts["ok"])


@contextmanager
def server(config: str) -> Iterator[tuple[str, psutil.Process]]:
    """A server with this configuration: its address and its process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "server.toml").write_text(config)
        url_file = folder / "url"
        command = [sys.executable, "-m", "reward_server", "--config", str(folder / "server.toml"), "--port", "0"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([*command, "--url-file", str(url_file)], stderr=log)
        try:
            while not url_file.exists():
                if process.poll() is not None:
                    raise SystemExit((folder / "log").read_text())
                time.sleep(0.05)
            yield url_file.read_text(), psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()


# ---- the judge's process is killed ----


async def kills(url: str, process: psutil.Process, count: int) -> Counts:
    """Kill ``count`` times while callers send; then send once more what came back unscored."""
    seen: Counter[str] = Counter()
    unscored: list[list[str]] = []
    stop = asyncio.Event()
    async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=150)) as session:
        callers = [asyncio.create_task(call_on(session, caller, stop, seen, unscored)) for caller in range(CALLERS)]
        killed = await asyncio.gather(kill_on(process, count), return_exceptions=True)
        stop.set()
        await asyncio.gather(*callers)
        for error in killed:
            if isinstance(error, BaseException):
                raise error
        retried: Counter[str] = Counter()
        for start in range(0, len(unscored), 64):
            await ask(session, unscored[start : start + 64], retried, [])
        figures = await metrics(session)
    left = {name: figures[name] for name in GAUGES if figures[name]}
    restarts = int(figures["sgpo_judge_restarts_total"])
    wrong = seen["swapped"] + seen["lost"] + seen["refused"]
    balanced = seen["asked"] == seen["judged"] + seen["judge_unavailable"] + seen["judge_timeout"]
    again = retried["judged"] == len(unscored)
    return {
        "ok": not wrong and balanced and again and not left and restarts >= count,
        "kills": count,
        "restarts": restarts,
        **{name: seen[name] for name in ("asked", "judged", "judge_unavailable", "judge_timeout")},
        **{name: seen[name] for name in ("swapped", "lost", "refused")},
        "judged_on_retry": retried["judged"],
        "left_in_gauges": left,
    }


async def call_on(
    session: aiohttp.ClientSession, caller: int, stop: asyncio.Event, seen: Counter[str], unscored: list[list[str]]
) -> None:
    """Ask about ever new solutions until it is enough."""
    number = 0
    while not stop.is_set():
        await ask(session, [steps_of(f"{caller}-{number}-{item}") for item in range(ITEMS)], seen, unscored)
        number += 1


async def ask(
    session: aiohttp.ClientSession, batch: list[list[str]], seen: Counter[str], unscored: list[list[str]]
) -> None:
    """Send solutions, and count in which state each of them came back."""
    items = [{"id": str(index), "problem": PROBLEM, "steps": steps} for index, steps in enumerate(batch)]
    seen["asked"] += len(batch)
    async with session.post("/v1/judge", json={"items": items}) as reply:
        if reply.status != 200:
            seen["refused"] += len(batch)
            return
        answers = (await reply.json())["items"]
    seen["lost"] += abs(len(batch) - len(answers))
    for index, (steps, answer) in enumerate(zip(batch, answers, strict=False)):
        if answer["status"] == "unscored":
            seen[answer["error"]["code"]] += 1
            unscored.append(steps)
        elif answer["id"] == str(index) and is_verdict_on(steps, answer):
            seen["judged"] += 1
        else:
            seen["swapped"] += 1


async def kill_on(process: psutil.Process, count: int) -> None:
    """End the judge's process again and again, sometimes while it is still loading."""
    last = 0
    for _ in range(count):
        while (child := judge_process(process)) is None or child.pid == last:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(random.choice([0.0, random.uniform(0.0, 0.5), random.uniform(0.5, 3.0)]))
        last = child.pid
        with suppress(psutil.NoSuchProcess):
            child.kill()


def judge_process(server_process: psutil.Process) -> psutil.Process | None:
    """The child of the server that runs the judge."""
    for child in server_process.children():
        with suppress(psutil.Error):
            if any("judge_child" in word for word in child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                return child
    return None


def steps_of(name: str) -> list[str]:
    """A solution that no other one equals."""
    return [f"Step {index} of solution {name}." for index in range(STEPS)]


def is_verdict_on(steps: list[str], answer: Counts) -> bool:
    """Whether a verdict is the one on these steps: the scripted judge's digest, computed a second time."""
    digest = hashlib.sha256("\0".join([PROBLEM, *steps]).encode()).hexdigest()
    return bool(answer["critique"] == digest and answer["first_error"] == int(digest, 16) % len(steps))


# ---- clients vanish ----


async def vanish(url: str, count: int) -> Counts:
    """Send ``count`` requests, each over a connection of its own, cut them all, and look what is left."""
    async with aiohttp.ClientSession(url) as session:
        writers = await asyncio.gather(*(send_only(url, client) for client in range(count)))
        arrived = await until(session, lambda figures: figures["sgpo_admitted_items"] == count)
        at_judge = (await metrics(session))["sgpo_judge_items_in_flight"]
        for writer in writers:
            writer.transport.abort()
        cut = time.monotonic()
        gone = await until(session, lambda figures: not any(figures[name] for name in GAUGES))
        seconds = time.monotonic() - cut
        figures = await metrics(session)
        async with session.get("/livez") as reply:
            alive = reply.status == 200
        dropped = int(figures.get('sgpo_dropped_items_total{why="cancelled"}', 0))
        abandoned = int(figures.get('sgpo_judge_calls_total{result="abandoned"}', 0))
        late: Counter[str] = Counter()
        session.headers["X-Request-Timeout-S"] = "0.5"
        await ask(session, [steps_of("a late one")], late, [])
    return {
        "ok": arrived and gone and alive and dropped + abandoned == count and late["judge_timeout"] == 1,
        "clients": count,
        "at_judge": int(at_judge),
        "dropped_from_queue": dropped,
        "calls_cancelled": abandoned,
        "seconds_until_gauges_were_0": round(seconds, 2),
        "left_in_gauges": {name: figures[name] for name in GAUGES if figures[name]},
    }


async def send_only(url: str, client: int) -> asyncio.StreamWriter:
    """Send a whole request and wait for nothing."""
    address = urlsplit(url)
    item = {"id": "0", "problem": PROBLEM, "steps": steps_of(f"of client {client}")}
    body = json.dumps({"items": [item]}).encode()
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    head = (
        f"POST /v1/judge HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()
    return writer


async def until(session: aiohttp.ClientSession, condition: Callable[[dict[str, float]], bool]) -> bool:
    """Whether the metrics get there within a minute."""
    give_up = time.monotonic() + 60
    while not condition(await metrics(session)):
        if time.monotonic() > give_up:
            return False
        await asyncio.sleep(0.1)
    return True


async def metrics(session: aiohttp.ClientSession) -> dict[str, float]:
    """All samples by their name with labels."""
    async with session.get("/metrics") as reply:
        lines = (await reply.text()).splitlines()
    samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}


if __name__ == "__main__":
    sys.exit(main())
