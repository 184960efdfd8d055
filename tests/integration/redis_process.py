"""A real Redis on loopback, for one test; skips where Debian's redis-server is not installed."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

REDIS_SERVER = Path("/usr/bin/redis-server")
START_TIMEOUT_S = 60


@dataclass
class RedisProcess:
    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=30)


@contextmanager
def real_redis(folder: Path, *options: str) -> Iterator[RedisProcess]:
    if not REDIS_SERVER.exists():
        pytest.skip(f"{REDIS_SERVER} is not installed (Debian: redis-server)")
    server = start(folder, options)
    try:
        yield server
    finally:
        server.kill()


def start(folder: Path, options: tuple[str, ...], port: int | None = None) -> RedisProcess:
    """Start it and wait until it answers; on another port when somebody was faster."""
    for _ in range(5):
        chosen = free_port() if port is None else port
        command = [str(REDIS_SERVER), "--port", str(chosen), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        server = RedisProcess(
            subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), chosen
        )
        if answers(server):
            return server
        server.kill()
    raise AssertionError("redis-server did not start")


def answers(server: RedisProcess) -> bool:
    until = time.monotonic() + START_TIMEOUT_S
    with server.client() as client:
        while server.process.poll() is None and time.monotonic() < until:
            try:
                # Not a stranger's Redis that took the port: its process id must be ours.
                return int(client.info("server")["process_id"]) == server.process.pid
            except redis.exceptions.ConnectionError:
                time.sleep(0.02)
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
