"""The server as a process: where it listens, what it logs, and how it leaves."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.integration.server_command import SERVE, config, environment

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a server; it is ended with the test, whatever happens."""
    processes: list[subprocess.Popen[str]] = []

    def run(*args: str, **env: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*SERVE, *args], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(**env)
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for(path: Path, process: subprocess.Popen[str], timeout_s: float = 60) -> str:
    """The content of a file that the server writes once it listens."""
    give_up = time.monotonic() + timeout_s
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < give_up
        time.sleep(0.02)
    return path.read_text()


def fetch(url: str, body: Any = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, data, {"content-type": "application/json"}), timeout=60
        ) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


WRONG_GROUP = {
    "groups": [
        {
            "group_id": "g",
            "problem": "p",
            "responses": [{"id": "0", "text": "We start with 40 apples.\nThen a WRONG line, 8.", "outcome": False}],
        }
    ]
}


def test_it_tells_its_address_serves_and_leaves_with_status_0(start: Start, tmp_path: Path) -> None:
    url_file = tmp_path / "url"
    process = start("--port", "0", "--judge", "rules", "--url-file", str(url_file))
    url = wait_for(url_file, process)
    assert url.startswith("http://127.0.0.1:")
    assert fetch(f"{url}/readyz")[0] == 200
    assert fetch(f"{url}/v1/info")[1]["judge"]["id"].startswith("rules")
    assert list(tmp_path.iterdir()) == [url_file]
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    assert not url_file.exists()


def test_its_log_has_a_line_for_each_request_and_nothing_of_its_text(start: Start, tmp_path: Path) -> None:
    canary, key = "quokka-in-the-text", "k" * 32
    url_file = tmp_path / "url"
    process = start("--port", "0", "--judge", "scripted", "--url-file", str(url_file), SGPO_API_KEYS=key)
    url = wait_for(url_file, process)
    response = {"id": canary, "text": f"WRONG {canary}", "outcome": False}
    body = json.dumps({"groups": [{"group_id": canary, "problem": canary, "responses": [response]}]}).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/rewards", body, headers), timeout=60) as reply:
        request_id = reply.headers["x-request-id"]
    assert fetch(f"{url}/{canary}?{canary}")[0] == 401
    with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=30) as client:
        client.sendall(
            f"GET /{canary} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert client.recv(4096).startswith(b"HTTP/1.1 401")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    log = process.communicate()[1]
    assert "/v1/rewards status=200 ms=" in log
    assert request_id in log
    assert canary not in log
    assert key not in log


def test_sigterm_lets_requests_in_flight_finish_and_refuses_new_ones(start: Start, tmp_path: Path) -> None:
    url_file = tmp_path / "url"
    slow = config(tmp_path, '[judge]\nkind = "scripted"\ndelay_s = 2.0\n')
    process = start("--config", slow, "--port", "0", "--url-file", str(url_file))
    url = wait_for(url_file, process)
    replies: list[tuple[int, Any]] = []
    in_flight = threading.Thread(target=lambda: replies.append(fetch(f"{url}/v1/rewards", WRONG_GROUP)))
    in_flight.start()
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    for path, body in [("/readyz", None), ("/v1/rewards", WRONG_GROUP), ("/v1/info", None)]:
        status, reply = fetch(f"{url}{path}", body)
        assert (status, reply["error"]["code"]) == (503, "draining")
    assert fetch(f"{url}/livez")[0] == 200
    assert process.poll() is None
    in_flight.join(timeout=30)
    [(status, reply)] = replies
    assert status == 200
    assert reply["groups"][0]["responses"][0]["status"] == "judged"
    assert process.wait(timeout=10) == 0


@pytest.mark.parametrize("signals", [1, 2])
def test_a_drain_ends_at_its_time_out_or_at_a_second_signal(start: Start, tmp_path: Path, signals: int) -> None:
    url_file = tmp_path / "url"
    drain_timeout_s = 0.5 if signals == 1 else 60
    slow = config(
        tmp_path, f'[server]\ndrain_timeout_s = {drain_timeout_s}\n[judge]\nkind = "scripted"\ndelay_s = 60.0\n'
    )
    process = start("--config", slow, "--port", "0", "--url-file", str(url_file))
    port = int(wait_for(url_file, process).rsplit(":", 1)[1])
    body = json.dumps(WRONG_GROUP).encode()
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(
            b"POST /v1/rewards HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        time.sleep(0.5)
        for _ in range(signals):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
        assert process.wait(timeout=10) == 0


def test_with_a_key_it_listens_everywhere_and_asks_for_it(start: Start, tmp_path: Path) -> None:
    url_file = tmp_path / "url"
    process = start(
        "--host", "0.0.0.0", "--port", "0", "--judge", "scripted", "--url-file", str(url_file), SGPO_API_KEYS="k" * 32
    )
    url = wait_for(url_file, process)
    assert url.startswith("http://127.0.0.1:")
    assert fetch(f"{url}/readyz")[0] == 200
    assert fetch(f"{url}/v1/info")[0] == 401
    assert fetch(f"{url}/v1/rewards", WRONG_GROUP)[0] == 401


PARENT = """
import subprocess, sys, time
server = subprocess.Popen([sys.executable, "-m", "reward_server", *sys.argv[1:]], start_new_session=True)
print(server.pid, flush=True)
time.sleep(600)
"""


def test_it_leaves_with_its_parent(tmp_path: Path) -> None:
    url_file = tmp_path / "url"
    args = ["--exit-with-parent", "--port", "0", "--judge", "scripted", "--url-file", str(url_file)]
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, *args], text=True, stdout=subprocess.PIPE, env=environment()
    ) as parent:
        assert parent.stdout is not None
        server = int(parent.stdout.readline())
        try:
            url = wait_for(url_file, parent)
            assert fetch(f"{url}/livez")[0] == 200
            parent.kill()
            parent.wait(timeout=10)
            give_up = time.monotonic() + 15
            while url_file.exists():
                assert time.monotonic() < give_up
                time.sleep(0.05)
        finally:
            with suppress(ProcessLookupError):
                os.kill(server, signal.SIGKILL)
        with pytest.raises(urllib.error.URLError):
            fetch(f"{url}/livez")
