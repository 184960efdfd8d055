"""How many bytes of Redis a cached verdict takes: ``python benchmarks/redis_bytes.py``.

Starts a redis-server on loopback, stores verdicts through the reward server's own cache, and prints the growth of
``used_memory`` for each of them.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import socket
import string
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from prometheus_client import CollectorRegistry

from judge.types import Verdict
from reward_server.cache.build import build_store
from reward_server.cache.metrics import CacheMetrics
from reward_server.cache.settings import CacheSettings

JUDGE_ID = "critic@1-0123456789abcdef+seg1"
BATCH = 500


def main() -> None:
    """Print one line for each kind of verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verdicts", type=int, default=20_000, metavar="N", help="of each kind")
    num = parser.parse_args().verdicts
    rng = random.Random(0)
    kinds = {
        "step only": lambda: Verdict(rng.randrange(8), JUDGE_ID),
        "12 step probabilities": lambda: Verdict(3, JUDGE_ID, tuple(rng.random() for _ in range(12)), rng.random()),
        "critique of 2,000 characters": lambda: Verdict(
            3, JUDGE_ID, critique="".join(rng.choices(string.ascii_letters + " ", k=2000))
        ),
    }
    with redis_server() as (url, client):
        print(f"redis {client.info('server')['redis_version']}, {num:,} verdicts of each kind")
        for name, make in kinds.items():
            client.flushall()
            before = client.info("memory")["used_memory"]
            asyncio.run(store(url, [make() for _ in range(num)]))
            if client.dbsize() != num:
                raise SystemExit(f"{client.dbsize()} of {num} verdicts arrived")
            print(f"{name:>30}: {(client.info('memory')['used_memory'] - before) / num:6.0f} bytes a verdict")


async def store(url: str, verdicts: list[Verdict]) -> None:
    """Put them, under keys of the real length."""
    cache = build_store(
        CacheSettings(kind="redis", timeout_s=60), {"SGPO_REDIS_URL": url}, CacheMetrics(CollectorRegistry())
    )
    assert cache is not None
    keyed = {hashlib.sha256(b"%d" % index).hexdigest(): verdict for index, verdict in enumerate(verdicts)}
    keys = list(keyed)
    for start in range(0, len(keys), BATCH):
        await cache.put_many({key: keyed[key] for key in keys[start : start + BATCH]})
    await cache.aclose()


@contextmanager
def redis_server() -> Iterator[tuple[str, redis.Redis]]:
    """A Redis of our own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        args = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder, "--logfile", "log"]
        process = subprocess.Popen(["redis-server", *args])
        try:
            client = redis.Redis(port=port)
            for _ in range(200):
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    time.sleep(0.05)
            yield f"redis://127.0.0.1:{port}/0", client
            client.close()
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
