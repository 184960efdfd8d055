"""What trainers see when the judge fails, clients vanish, siblings do not come, and the server goes down."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from judge.types import Solution, Unscored, Verdict
from tests.integration import http_server
from tests.integration.http_server import Server, is_error, running
from tests.integration.server_command import SERVE, config, environment
from tests.integration.trainer_clients import (
    PROMPT,
    nemo_body,
    nemo_is_result,
    nemo_session,
    nemo_verify,
    openrlhf_execute,
    openrlhf_tensors,
    slime_remote_rm,
    slime_session,
)
from tests.unit.service_calls import A, B, C, Counting, scripted

BASE: dict[str, Any] = {"judge": {"kind": "scripted"}, "page": {"enabled": False}, "cache": {"kind": "off"}}
DOWN = BASE | {"judge": {"kind": "scripted", "fail": "raise"}}


class Recovering:
    """The scripted judge, unavailable for its first calls."""

    def __init__(self, num_failures: int) -> None:
        self.good, self.bad = scripted(), scripted(fail="unscored")
        self.left = num_failures

    @property
    def judge_id(self) -> str:
        return self.good.judge_id

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        self.left -= 1
        return await (self.bad if self.left >= 0 else self.good).judge(batch)

    async def aclose(self) -> None:
        pass


def label(name: str, size: int = 2) -> dict[str, Any]:
    return {"answer": "42", "id": name, "group_size": size}


def body(text: str, name: str, size: int = 2) -> dict[str, Any]:
    return {"query": [PROMPT + text], "prompts": [PROMPT], "labels": [label(name, size)]}


def url_of(server: Server, path: str) -> str:
    return f"http://127.0.0.1:{server.port}{path}"


def gauge(server: Server, name: str) -> float:
    lines = server.call("GET", "/metrics").raw.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))


def wait_for(condition: Any) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_no_trainer_gets_a_number_from_a_judge_that_is_down() -> None:
    async def go(server: Server) -> None:
        openrlhf = [openrlhf_execute(url_of(server, "/v1/openrlhf"), text, label("o")) for text in (A, B)]
        assert [output["reward"] for output in await asyncio.gather(*openrlhf)] == [None, None]
        async with slime_session() as session:
            sample = {"prompt": PROMPT, "response": A, "label": "42"}
            with pytest.raises(aiohttp.ClientResponseError) as caught:
                await slime_remote_rm(session, url_of(server, "/v1/slime"), sample)
            assert caught.value.status == 503
        async with nemo_session() as session:
            base = url_of(server, "/nemo_gym")
            bodies = [nemo_body(text, 1, i, group_size=2) for i, text in enumerate((A, B))]
            replies = await asyncio.gather(*(nemo_verify(session, base, each) for each in bodies))
        for reply in replies:
            assert not nemo_is_result(reply)
            assert (reply["_ng_failure_class"], reply["mask_sample"], reply["reward"]) == ("judge_failed", True, 0.0)
            assert reply["_ng_failure_judge_error"] == "judge_unavailable"

    with running(DOWN) as server:
        reply = server.post("/v1/slime", {"prompt": PROMPT, "response": A, "label": "42"})
        assert is_error(reply, 503, "judge_failed")
        assert int(reply.headers["retry-after"]) > 0
        assert "[dialects.slime] on_unscored" in reply.json["error"]["message"]
        asyncio.run(go(server))


def test_a_judge_that_comes_back_within_the_clients_tries_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def go(server: Server) -> dict[str, list[float]]:
        outputs = [openrlhf_execute(url_of(server, "/v1/openrlhf"), text, label("o")) for text in (A, B)]
        return openrlhf_tensors(await asyncio.gather(*outputs))

    monkeypatch.setattr(http_server, "build_judge", lambda _: Recovering(2))
    with running(BASE) as server:
        tensors = asyncio.run(go(server))
        assert tensors["group_all_negative"] == [1, 1]
        assert 0 < tensors["reward"][0] < tensors["reward"][1] < 0.5
        assert gauge(server, "sgpo_join_groups_total") == 1, "however often it was tried, it is one group"


def test_a_group_that_stays_incomplete_is_answered_before_the_clients_time_out() -> None:
    with running(BASE | {"dialects": {"openrlhf": {"join_timeout_s": 0.2}}}) as server:
        reply = server.post("/v1/openrlhf", body(A, "short"))
        assert reply.status == 200
        assert reply.json["rewards"] == [0.0]
        logs = {key: value for key, [value] in reply.json["extra_logs"].items()}
        assert (logs["group_incomplete"], logs["group_joined"], logs["acc"]) == (1, 0, 0)
        late = server.post("/v1/openrlhf", body(B, "short"))
        assert late.json["rewards"] == [0.0]


def test_a_client_that_vanishes_and_comes_again_fills_one_seat(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Counting(scripted())
    monkeypatch.setattr(http_server, "build_judge", lambda _: judge)
    with running(BASE) as server:
        raw = json.dumps(body(A, "v", 3)).encode()
        head = "POST /v1/openrlhf HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        head += f"content-length: {len(raw)}\r\n\r\n"
        for tries in range(1, 5):
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                connection.sendall(head.encode() + raw)
                wait_for(lambda tries=tries: gauge(server, "sgpo_join_members_total") == tries)
        wait_for(lambda: gauge(server, "sgpo_admitted_requests") == 0)
        assert gauge(server, "sgpo_join_open_groups") == 1
        replies: dict[str, Any] = {}
        threads = [
            threading.Thread(
                target=lambda text=text: replies.update({text: server.post("/v1/openrlhf", body(text, "v", 3))})
            )
            for text in (B, C)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        again = server.post("/v1/openrlhf", body(A, "v", 3))
        assert {reply.status for reply in (*replies.values(), again)} == {200}
        assert again.json["extra_logs"]["group_joined"] == [1]
        assert len(judge.asked) == 3, "each member once"
        assert gauge(server, "sgpo_join_open_groups") == gauge(server, "sgpo_join_held_bytes") == 0


def test_waiting_members_keep_nobody_out() -> None:
    tight = {"max_in_flight_requests": 2, "max_waiting_requests": 200}
    with running(BASE | {"admission": tight}) as server:

        async def go() -> list[dict[str, Any]]:
            url = url_of(server, "/v1/openrlhf")
            posts = [
                openrlhf_execute(url, f"{text}\nNumber {i}.", label(f"g{i}", 3))
                for text in (A, B, C)
                for i in range(20)
            ]
            return await asyncio.gather(*posts)

        outputs = asyncio.run(go())
        assert [output["extra_logs"]["group_joined"] for output in outputs] == [[1]] * 60


def test_a_size_that_contradicts_its_group_is_refused() -> None:
    with running(BASE) as server:
        first = threading.Thread(target=server.post, args=("/v1/openrlhf", body(A, "m", 2)))
        first.start()
        wait_for(lambda: gauge(server, "sgpo_join_open_groups") == 1)
        reply = server.post("/v1/openrlhf", body(B, "m", 3))
        assert is_error(reply, 422, "invalid_request")
        assert "labels[0].group_size: 3, but the open group of this id has size 2" in reply.json["error"]["message"]
        assert server.post("/v1/openrlhf", body(B, "m", 2)).status == 200
        first.join(60)


def test_a_server_on_its_way_out_sends_incomplete_groups_away_at_once(tmp_path: Path) -> None:
    url_file = tmp_path / "url"
    path = config(tmp_path, '[judge]\nkind = "scripted"\n[server]\nport = 0\ndrain_timeout_s = 3000\n')
    process = subprocess.Popen([*SERVE, "--config", path, "--url-file", str(url_file)], env=environment())
    try:
        wait_for(url_file.exists)
        server = Server(int(url_file.read_text().rpartition(":")[2]))
        replies: list[Any] = []
        waiting = threading.Thread(target=lambda: replies.append(server.post("/v1/openrlhf", body(A, "d"))))
        waiting.start()
        wait_for(lambda: gauge(server, "sgpo_join_open_groups") == 1)
        process.send_signal(signal.SIGTERM)
        waiting.join(60)
        assert is_error(replies[0], 503, "draining")
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
