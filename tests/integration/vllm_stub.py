"""A stand-in for a vLLM server on a real socket: its routes, its weight versions, and no model."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch

from sgpo_client.rollout.weight_stream import WeightOffer, fetch

TOKENS = [11, 12, 7]


class VllmStub:
    """What the server is like and what it was told; a new one has forgotten all of it."""

    def __init__(
        self,
        model_config: dict[str, Any] | None = None,
        hf_config: dict[str, Any] | None = None,
        tokens: list[int] | None = None,
    ) -> None:
        self.model_config = model_config or {}
        self.hf_config = hf_config or {}
        self.tokens = tokens or []
        self.backend = "sgpo"
        self.version = "default"
        self.weights: dict[str, torch.Tensor] = {}
        self.told: list[str] = []
        self.sampled: list[dict[str, Any]] = []

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.told.append(path)
        if path == "/server_info":
            transfer = {"backend": self.backend}
            return {"vllm_config": {"model_config": self.model_config, "weight_transfer_config": transfer}}
        if path == "/collective_rpc":
            return {"results": [self.hf_config]}
        if path == "/tokenize":
            return {"tokens": self.tokens}
        if path == "/weight_info":
            return {"weight_version": self.version}
        if path == "/update_weights":
            self.weights = dict(fetch(WeightOffer(**body["update_info"])))
        if path == "/finish_weight_update":
            self.version = body["weight_version"]
        if path == "/inference/v1/generate":
            self.sampled.append(body)
            return {"choices": [self._choice()]}
        return {"message": "done"}

    def _choice(self) -> dict[str, Any]:
        content = [{"token_id": token, "logprob": -0.5} for token in TOKENS]
        spans = [{"version": self.version, "start": 0, "end": len(TOKENS)}]
        return {
            "token_ids": TOKENS,
            "finish_reason": "stop",
            "logprobs": {"content": content},
            "weight_versions": spans,
        }


@contextmanager
def serving(stub: VllmStub, port: int = 0) -> Iterator[int]:
    """The port that the stand-in answers at, for as long as the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            reply = json.dumps(stub.answer(self.path.partition("?")[0], body)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Silent."""

    class Server(ThreadingHTTPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
