"""A reward server on Ray Serve as a process of its own, beside a Redis, both on loopback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import redis

from reward_server.running.ray_local import NO_START
from tests.integration.http_server import Reply, Server

KEY = "k" * 40
TOO_SLOW = f"{NO_START}: The current node timed out"
"""Ray gives itself 30 s; on a machine that is busy with other things it is to be tried again."""
CONFIG = """
[judge]
kind = "scripted"
delay_s = 2.0

[cache]
kind = "redis"

[page]
keep_groups = 0

[ray]
min_replicas = 2
max_replicas = 2
num_cpus = 0.5
target_ongoing_requests = 2
max_ongoing_requests = 2
max_queued_requests = 2
retry_after_s = 3
object_store_bytes = 80_000_000
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = 120) -> Any:
    """The condition's first true value; how long it takes is the machine's business."""
    give_up = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < give_up, f"waited in vain for {what}"
        time.sleep(0.1)
    return found


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    port = free_port()
    args = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), "--logfile", "redis.log"]
    with subprocess.Popen(["redis-server", *args]) as process:
        try:
            client = redis.Redis(port=port)

            def answers() -> bool:
                assert process.poll() is None
                with suppress(redis.ConnectionError):
                    return bool(client.ping())
                return False

            wait_until(answers, "Redis")
            client.close()
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()


@dataclass
class RayServer:
    """The command, its processes and a caller of it."""

    process: subprocess.Popen[bytes]
    log: Path
    """What the command and, through Ray, its replicas print."""
    ray_dir: Path
    url_file: Path
    seen: dict[int, psutil.Process] = field(default_factory=dict)

    @property
    def http(self) -> Server:
        return Server(int(self.url_file.read_text().rsplit(":", 1)[1]))

    def post(self, path: str, body: Any) -> Reply:
        return self.http.post(path, body, authorization=f"Bearer {KEY}")

    def get(self, path: str) -> Reply:
        return self.http.call("GET", path, headers={"authorization": f"Bearer {KEY}"})

    def counts(self, name: str) -> dict[str, float]:
        """The counter's sum for each replica; empty while one of them did not answer the scrape."""
        lines = self.get("/metrics").raw.decode().splitlines()
        if "sgpo_replicas 2.0" not in lines:
            return {}
        sums: dict[str, float] = {}
        for line in lines:
            if line.startswith(f"{name}{{"):
                replica = line.partition('replica="')[2].partition('"')[0]
                sums[replica] = sums.get(replica, 0.0) + float(line.rsplit(" ", 1)[1])
        return sums

    def children(self) -> list[psutil.Process]:
        """All processes below the command; remembered, for an orphan would not be found again."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        self.seen |= {child.pid: child for child in found}
        return found

    def replicas(self) -> list[psutil.Process]:
        found = []
        for child in self.children():
            with suppress(psutil.NoSuchProcess):
                if child.cmdline() and child.cmdline()[0].startswith("ray::ServeReplica"):
                    found.append(child)
        return found

    def left_over(self) -> list[psutil.Process]:
        return [child for child in self.seen.values() if is_alive(child)]

    def texts(self) -> str:
        """Everything that was logged."""
        files = [path for path in self.ray_dir.rglob("*") if path.is_file() and "logs" in path.parts]
        return "".join(path.read_text(errors="replace") for path in [self.log, *files])


def is_alive(process: psutil.Process) -> bool:
    # is_running() compares the start time, too: the system may have given the number to another process.
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


@contextmanager
def ray_server(folder: Path, redis_url: str) -> Iterator[RayServer]:
    # Ray's sockets lie below it, and a socket's path is short.
    ray_dir = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    server = None
    try:
        while server is None or not is_up(server):
            assert server is None or TOO_SLOW in server.log.read_text(), server.log.read_text()
            server = start(folder, redis_url, ray_dir)
        yield server
    finally:
        if server is not None:
            end(server)
        shutil.rmtree(ray_dir, ignore_errors=True)


def start(folder: Path, redis_url: str, ray_dir: Path) -> RayServer:
    config, log, url_file = folder / "server.toml", folder / "log", folder / "url"
    config.write_text(CONFIG)
    env = os.environ | {"SGPO_API_KEYS": KEY, "SGPO_REDIS_URL": redis_url, "RAY_TMPDIR": str(ray_dir)}
    command = [sys.executable, "-m", "reward_server.ray_app", "--config", str(config), "--port", "0"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--url-file", str(url_file)], env=env, stdout=out, stderr=out, start_new_session=True
        )
    return RayServer(process, log, ray_dir, url_file)


def is_up(server: RayServer) -> bool:
    """Wait for it; False when it has given up."""
    wait_until(lambda: server.url_file.exists() or server.process.poll() is not None, "the replicas", timeout_s=240)
    return server.process.poll() is None


def end(server: RayServer) -> None:
    """Whatever is left of it."""
    if server.process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            server.children()
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
    for child in server.left_over():
        with suppress(psutil.NoSuchProcess):
            child.kill()


def group(*texts: str, name: str = "g") -> dict[str, Any]:
    responses = [{"id": str(index), "text": text, "outcome": False} for index, text in enumerate(texts)]
    return {"groups": [{"group_id": name, "problem": "What is three plus four?", "responses": responses}]}


def only(reply: Reply) -> dict[str, Any]:
    """The single response of a reply."""
    assert reply.status == 200, reply.raw
    [group] = json.loads(reply.raw)["groups"]
    [response] = group["responses"]
    assert isinstance(response, dict)
    return response
