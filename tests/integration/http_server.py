"""A reward server in a thread, a caller of it over a real socket, and what the caller sends."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from judge.judges.base import Judge
from judge.registry import build_judge
from reward_server.app import create_app
from reward_server.config import ServerConfig
from reward_server.edge.auth import KeyRing
from reward_server.running.process import open_socket, uvicorn_config

NO_KEYS = KeyRing(())
OPEN = {"judge": {"kind": "scripted"}, "limits": {"max_body_bytes": 1_000_000}}
CANARY = "quokka-in-the-text"
A, B = "Line 0 is fine here.\nLine 1 is WRONG here.", "Line 0 is WRONG here.\nLine 1 is fine here."


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


@dataclass
class Server:
    port: int

    def call(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, names, response.read())
        finally:
            connection.close()

    def post(self, path: str, body: Any, **headers: str) -> Reply:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.call("POST", path, raw, {"content-type": "application/json"} | headers)


@contextmanager
def running(config: dict[str, Any], keys: KeyRing = NO_KEYS, judge: Judge | None = None) -> Iterator[Server]:
    """A server on a port of the system's choosing, in a thread; with this judge, or that of the configuration."""
    # A thread for the CPU work: a process for each of so many short-lived servers would take a second each.
    parsed = ServerConfig.model_validate(config | {"server": {"cpu_workers": 0} | config.get("server", {})})
    app = create_app(parsed, judge or build_judge(parsed.judge), keys)
    listener = open_socket("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn_config(app, parsed))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield Server(listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        assert not thread.is_alive()


def until(holds: Callable[[], bool], timeout_s: float = 120.0) -> None:
    """Wait for something that the server does in its own time."""
    give_up = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < give_up, "it never came about"
        time.sleep(0.01)


def request(*responses: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"groups": [{"group_id": "g", "problem": "p", "responses": list(responses)}]} | changes


def wrong(text: str, name: str = "0") -> dict[str, Any]:
    return {"id": name, "text": text, "outcome": False}


def is_error(reply: Reply, status: int, code: str) -> bool:
    """True for the one JSON shape of all refusals."""
    error = reply.json["error"]
    return (
        (reply.status, error["code"]) == (status, code)
        and set(error) == {"code", "message", "request_id"}
        and error["request_id"] == reply.headers["x-request-id"]
        and reply.headers["content-type"] == "application/json"
    )
