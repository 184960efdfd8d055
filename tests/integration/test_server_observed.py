"""What a running server tells of itself: JSON logs, traces sent to a collector, a stalled event loop in ``/livez``."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from judge.types import Solution, Unscored, Verdict
from tests.integration.held_judge import HeldJudge
from tests.integration.http_server import A, request, running, until, wrong
from tests.integration.server_process import GROUP, serving


class Collector(BaseHTTPRequestHandler):
    """Takes traces over HTTP, as they come."""

    got: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        self.got.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


def test_logs_are_json_and_traces_reach_the_collector(tmp_path: Path) -> None:
    got: list[tuple[str, bytes]] = []
    with HTTPServer(("127.0.0.1", 0), type("Taking", (Collector,), {"got": got})) as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        try:
            endpoint = f"http://127.0.0.1:{collector.server_port}/v1/traces"
            text = f'[judge]\nkind = "scripted"\n[logging]\nformat = "json"\n[tracing]\nendpoint = "{endpoint}"\n'
            with serving(tmp_path, text) as server:
                assert server.fetch("/v1/rewards", GROUP)[0] == 200
                server.process.send_signal(signal.SIGTERM)
                assert server.process.wait(timeout=60) == 0
                lines = [json.loads(line) for line in server.log.splitlines()]
        finally:
            collector.shutdown()
            thread.join()
    [line] = [line for line in lines if line.get("route") == "/v1/rewards"]
    assert (line["status"], line["method"], line["tenant"]) == (200, "POST", "")
    assert line["bytes_in"] == len(json.dumps(GROUP))
    assert line["bytes_out"] > 0
    assert {path for path, _ in got} == {"/v1/traces"}
    sent = b"".join(body for _, body in got)
    assert bytes.fromhex(line["trace_id"]) in sent
    assert b"sgpo.judge_id" in sent
    assert b"40 apples" not in sent


class StallingJudge(HeldJudge):
    """Holds the event loop up, as a careless judge would."""

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        time.sleep(1.8)  # noqa: ASYNC251
        return [Verdict(0, self.judge_id) for _ in batch]


def test_a_stalled_event_loop_is_told_by_livez() -> None:
    with running({}, judge=StallingJudge()) as server:
        assert server.post("/v1/rewards", request(wrong(f"{A} 4"))).status == 200
        until(lambda: server.call("GET", "/livez").json["status"] == "degraded")
        reply = server.call("GET", "/livez")
        assert reply.status == 200
        assert reply.json["event_loop_stalled_s"] > 1.0
