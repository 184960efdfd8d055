"""Cache and idempotent replies of a real server: what costs no second judgement, also after a restart."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from judge.errors import BackendError
from judge.judges.scripted import ScriptedJudge
from judge.types import Solution, Unscored, Verdict
from tests.integration.http_server import OPEN, A, B, Server, is_error, request, running, wrong
from tests.integration.redis_process import real_redis
from tests.integration.server_command import SERVE, config, environment

KEY = {"idempotency-key": "retry-1"}


class Watched:
    """Every solution that the scripted judge of this process was asked about; may be told to fail, or to wait."""

    def __init__(self) -> None:
        self.asked: list[Solution] = []
        self.fail = False
        self.wait = False


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    seen = Watched()
    judge = ScriptedJudge.judge

    async def watch(self: ScriptedJudge, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        seen.asked += batch
        while seen.wait:  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.01)
        if seen.fail:
            raise BackendError("told to fail")
        return await judge(self, batch)

    monkeypatch.setattr(ScriptedJudge, "judge", watch)
    return seen


def metric(server: Server, name: str) -> float:
    lines = server.call("GET", "/metrics").raw.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def responses(reply: Any) -> list[dict[str, Any]]:
    assert reply.status == 200
    return [response for group in reply.json["groups"] for response in group["responses"]]


def test_the_same_request_again_costs_no_judgement(watched: Watched) -> None:
    with running(OPEN) as server:
        first, second = (responses(server.post("/v1/rewards", request(wrong(A), wrong(B, "1")))) for _ in range(2))
        assert [each["cached"] for each in first] == [False, False]
        assert [each["cached"] for each in second] == [True, True]
        assert [each | {"cached": None} for each in first] == [each | {"cached": None} for each in second]
        assert len(watched.asked) == 2
        assert metric(server, "sgpo_cache_hits_total") == 2
        assert metric(server, "sgpo_cache_entries") == 2


def test_the_same_solution_serves_any_shaping_and_the_judge_route(watched: Watched) -> None:
    with running(OPEN) as server:
        plain = responses(server.post("/v1/rewards", request(wrong(A))))[0]
        steep = responses(server.post("/v1/rewards", request(wrong(A, "renamed"), shaping={"cap": 0.25})))[0]
        assert steep["cached"]
        assert steep["reward"] == pytest.approx(plain["reward"] / 2)
        item = {"id": "x", "problem": "p", "text": A, "known_wrong": True}
        assert server.post("/v1/judge", {"items": [item]}).json["items"][0]["first_error"] == 1
        assert len(watched.asked) == 1


def test_a_solution_of_another_problem_is_another_solution(watched: Watched) -> None:
    with running(OPEN) as server:
        body = request(wrong(A))
        server.post("/v1/rewards", body)
        body["groups"][0]["problem"] = "q"
        assert responses(server.post("/v1/rewards", body))[0]["cached"] is False
        assert len(watched.asked) == 2


def test_a_failure_is_not_cached(watched: Watched) -> None:
    with running(OPEN) as server:
        watched.fail = True
        [failed] = responses(server.post("/v1/rewards", request(wrong(A))))
        assert (failed["status"], failed["reward"]) == ("unscored", None)
        watched.fail = False
        [judged] = responses(server.post("/v1/rewards", request(wrong(A))))
        assert (judged["status"], judged["cached"]) == ("judged", False)


def test_a_judge_that_finds_nothing_is_asked_again(watched: Watched) -> None:
    with running(OPEN) as server:
        for asked in (1, 2):
            [unscored] = responses(server.post("/v1/rewards", request(wrong("Line 0 is fine.\nLine 1 is fine."))))
            assert unscored["status"] == "unscored"
            assert len(watched.asked) == asked


def test_without_a_cache_everything_is_judged(watched: Watched) -> None:
    with running(OPEN | {"cache": {"kind": "off"}}) as server:
        for asked in (1, 2):
            assert responses(server.post("/v1/rewards", request(wrong(A))))[0]["cached"] is False
            assert len(watched.asked) == asked


def test_a_server_in_the_same_file_knows_what_another_one_judged(watched: Watched, tmp_path: Path) -> None:
    settings = OPEN | {"cache": {"kind": "sqlite", "path": tmp_path / "v.db", "timeout_s": 60}}
    with running(settings) as one, running(settings) as two:
        responses(one.post("/v1/rewards", request(wrong(A))))
        # The verdict is written beside the answer.
        while metric(one, "sgpo_cache_entries{") < 2:
            time.sleep(0.01)
        assert responses(two.post("/v1/rewards", request(wrong(A))))[0]["cached"] is True
    assert len(watched.asked) == 1
    # Both closed it: SQLite has folded its log into the file.
    assert [each.name for each in tmp_path.iterdir()] == ["v.db"]


def test_servers_share_a_redis(watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with real_redis(tmp_path) as redis:
        monkeypatch.setenv("SGPO_REDIS_URL", redis.url)
        settings = OPEN | {"cache": {"kind": "redis", "timeout_s": 60}}
        with running(settings) as one, running(settings) as two, redis.client() as client:
            responses(one.post("/v1/rewards", request(wrong(A))))
            while not client.keys("sgpo:verdict:*"):
                time.sleep(0.01)
            assert responses(two.post("/v1/rewards", request(wrong(A))))[0]["cached"] is True
            redis.kill()
            # Redis is gone: judged again, and nobody notices.
            [again] = responses(two.post("/v1/rewards", request(wrong(B))))
            assert (again["status"], again["cached"]) == ("judged", False)
            assert metric(two, 'sgpo_cache_errors_total{kind="unreachable",tier="redis"}') >= 1
    assert len(watched.asked) == 2


def test_a_replay_has_the_same_bytes(watched: Watched) -> None:
    with running(OPEN) as server:
        first, second = (server.post("/v1/rewards", request(wrong(A)), **KEY) for _ in range(2))
        assert first.status == second.status == 200
        assert first.raw == second.raw
        assert "idempotency-replayed" not in first.headers
        assert second.headers["idempotency-replayed"] == "true"
        assert second.headers["x-request-id"] != first.headers["x-request-id"]
        assert is_error(
            server.post("/v1/rewards", request(wrong(B)), **KEY),
            422,
            "idempotency_key_reused",
        )
        assert metric(server, "sgpo_idempotent_replays_total") == 1
        assert len(watched.asked) == 1


def test_a_retry_after_a_failure_does_better(watched: Watched) -> None:
    with running(OPEN) as server:
        watched.fail = True
        assert responses(server.post("/v1/rewards", request(wrong(A)), **KEY))[0]["status"] == "unscored"
        watched.fail = False
        assert responses(server.post("/v1/rewards", request(wrong(A)), **KEY))[0]["status"] == "judged"


def test_a_bad_body_does_not_use_up_the_key() -> None:
    with running(OPEN) as server:
        assert is_error(server.post("/v1/rewards", {"groups": 1}, **KEY), 422, "invalid_request")
        assert responses(server.post("/v1/rewards", request(wrong(A)), **KEY))[0]["status"] == "judged"


def test_a_key_covers_one_route() -> None:
    body = {"items": [{"id": "x", "problem": "p", "text": A}]}
    with running(OPEN) as server:
        first, second = (server.post("/v1/judge", body, **KEY) for _ in range(2))
        assert first.raw == second.raw
        assert second.headers["idempotency-replayed"] == "true"
        assert is_error(server.post("/v1/rewards", body, **KEY), 422, "idempotency_key_reused")


def test_a_retry_waits_for_the_attempt_under_way(watched: Watched) -> None:
    with running(OPEN) as server, ThreadPoolExecutor() as threads:
        watched.wait = True
        calls = [threads.submit(server.post, "/v1/rewards", request(wrong(A)), **KEY) for _ in range(4)]
        while metric(server, "sgpo_idempotent_waiting") < 3:
            time.sleep(0.01)
        watched.wait = False
        replies = [call.result(timeout=60) for call in calls]
        assert len({reply.raw for reply in replies}) == 1
        assert sum("idempotency-replayed" in reply.headers for reply in replies) == 3
    assert len(watched.asked) == 1


@contextmanager
def serving(tmp_path: Path, text: str) -> Iterator[tuple[Server, subprocess.Popen[bytes]]]:
    """The server as a process of its own."""
    url_file = tmp_path / "url"
    words = [*SERVE, "--config", config(tmp_path, text), "--port", "0", "--url-file", str(url_file)]
    with (tmp_path / "log").open("ab") as log:
        process = subprocess.Popen(words, env=environment(), stderr=log)
    try:
        while not url_file.exists():
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.02)
        yield Server(int(url_file.read_text().rpartition(":")[2])), process
    finally:
        process.kill()
        process.wait(timeout=30)
        url_file.unlink(missing_ok=True)


def test_after_kill_and_restart_the_file_still_has_it(tmp_path: Path) -> None:
    text = f'[judge]\nkind = "scripted"\n[cache]\nkind = "sqlite"\npath = "{tmp_path / "v.db"}"\ntimeout_s = 30\n'
    with serving(tmp_path, text) as (server, process):
        assert responses(server.post("/v1/rewards", request(wrong(A), wrong(B, "1"))))[0]["cached"] is False
        while metric(server, 'sgpo_cache_entries{tier="sqlite"}') < 2:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
    with serving(tmp_path, text) as (server, process):
        again = responses(server.post("/v1/rewards", request(wrong(A), wrong(B, "1"))))
        assert [each["cached"] for each in again] == [True, True]
        assert [each["first_error"] for each in again] == [1, 0]
        process.terminate()
        assert process.wait(timeout=60) == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('kind = "sqlite"\npath = "/nowhere/v.db"', "[cache] path = '/nowhere/v.db': its folder does not exist"),
        ('kind = "redis"\nredis_url_env = "NO_SUCH_VARIABLE"', "$NO_SUCH_VARIABLE"),
    ],
)
def test_a_cache_that_cannot_be_had_stops_the_start(tmp_path: Path, text: str, words: str) -> None:
    command = [*SERVE, "--config", config(tmp_path, f"[cache]\n{text}\n"), "--port", "0"]
    done = subprocess.run(command, env=environment(), capture_output=True, timeout=120)
    assert done.returncode == 2
    assert words in done.stderr.decode()
    assert b"Traceback" not in done.stderr
