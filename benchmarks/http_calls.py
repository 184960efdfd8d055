"""A server of its own for a benchmark, with one key, and plain calls of it."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

KEY = "benchmark-key-" + "k" * 32


@dataclass(frozen=True)
class Target:
    """A running server."""

    url: str
    pid: int

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def get(self, path: str) -> int:
        """The status of a GET."""
        return self.call("GET", path, None)

    def post(self, path: str, body: bytes) -> int:
        """The status of a POST of JSON."""
        return self.call("POST", path, body)

    def call(self, method: str, path: str, body: bytes | None) -> int:
        """The status of a call with the key."""
        connection = http.client.HTTPConnection(*self.address, timeout=120)
        try:
            headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            reply.read()
            return reply.status
        finally:
            connection.close()


@contextmanager
def serve(folder: Path, config: str) -> Iterator[Target]:
    """A server with this configuration; it ends with the block."""
    path, url_file = folder / "server.toml", folder / "url"
    path.write_text(config)
    command = [sys.executable, "-m", "reward_server", "--config", str(path), "--port", "0", "--url-file", str(url_file)]
    with (folder / "server.log").open("wb") as log:
        environment = os.environ | {"SGPO_API_KEYS": KEY}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        give_up = time.monotonic() + 120
        while not url_file.exists():
            if process.poll() is not None or time.monotonic() > give_up:
                raise SystemExit((folder / "server.log").read_text())
            time.sleep(0.05)
        yield Target(url_file.read_text(), process.pid)
    finally:
        process.terminate()
        process.wait(timeout=60)
