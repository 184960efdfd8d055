"""A real server process: started, waited for, asked, and ended with the test whatever happens."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.server_command import SERVE, config, environment

GROUP = {
    "groups": [
        {
            "group_id": "g",
            "problem": "p",
            "responses": [{"id": "0", "text": "We start with 40 apples.\nThen a WRONG line, 8.", "outcome": False}],
        }
    ]
}


@dataclass
class Running:
    process: subprocess.Popen[bytes]
    url: str
    log_path: Path

    def fetch(self, path: str, body: Any = None, timeout_s: float = 60) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(f"{self.url}{path}", data, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(asked, timeout=timeout_s) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    @property
    def log(self) -> str:
        return self.log_path.read_text()


@contextmanager
def serving(tmp_path: Path, text: str, *args: str, **env: str) -> Iterator[Running]:
    """A server with this configuration, on a port of the system's choosing."""
    url_file, log_path = tmp_path / "url", tmp_path / "log"
    command = [*SERVE, "--config", config(tmp_path, text), "--port", "0", "--url-file", str(url_file), *args]
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment(**env))
    try:
        give_up = time.monotonic() + 120
        while not url_file.exists():
            assert process.poll() is None, log_path.read_text()
            assert time.monotonic() < give_up, log_path.read_text()
            time.sleep(0.02)
        yield Running(process, url_file.read_text(), log_path)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=60)
