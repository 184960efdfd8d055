"""The server on Ray Serve, for real: two replicas, one Redis, one of them killed, overload, and a clean end."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reward_server.ray_app import build
from tests.integration.http_server import Reply, is_error
from tests.integration.ray_server import CONFIG, KEY, RayServer, group, only, ray_server, redis_server, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed"),
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed"),
]
CANARY = "quokka-in-the-text"


def wrong_text(name: str) -> str:
    return f"We add three and four, {name} {CANARY}.\nThat gives WRONG eight as the sum.\nThe answer is \\boxed{{8}}."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayServer]:
    folder: Path = tmp_path_factory.mktemp("ray")
    with redis_server(folder) as url, ray_server(folder, url) as running:
        yield running


def test_what_one_replica_judged_every_replica_knows(server: RayServer) -> None:
    body = group(wrong_text("shared"))
    first = only(server.post("/v1/rewards", body))
    assert (first["status"], first["first_error"], first["cached"]) == ("judged", 1, False)
    before = server.counts("sgpo_judge_calls_total")

    def both_answered() -> bool:
        again = only(server.post("/v1/rewards", body))
        assert again | {"cached": False} == first
        assert again["cached"]
        answered = server.counts("sgpo_groups_total")
        return len(answered) == 2 and min(answered.values()) >= 1

    wait_until(both_answered, "both replicas to answer the same question")
    assert sum(server.counts("sgpo_judge_calls_total").values()) == sum(before.values()) == 1


def test_keys_reach_the_replicas_and_only_probes_go_without(server: RayServer) -> None:
    http = server.http
    for path in ("/metrics", "/v1/info", "/", "/nope"):
        assert is_error(http.call("GET", path), 401, "unauthorized")
    assert is_error(http.post("/v1/rewards", group("x")), 401, "unauthorized")
    assert http.call("GET", "/livez").status == http.call("GET", "/readyz").status == 200
    assert server.get("/v1/info").status == 200
    # For the look into the logs at the end.
    assert server.get(f"/{CANARY}?key={KEY}").status == 404


def test_it_is_an_application_for_serve_run_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.serve import Application

    path = tmp_path / "server.toml"
    path.write_text(CONFIG)
    monkeypatch.setenv("SGPO_API_KEYS", KEY)
    assert isinstance(build({"config": str(path)}), Application)


def test_a_response_that_would_wait_for_siblings_is_refused(server: RayServer) -> None:
    label = {"answer": "7", "group_id": "g", "group_size": 4}
    reply = server.post("/v1/slime", {"prompt": "3 + 4?", "response": wrong_text("one of four"), "label": label})
    assert is_error(reply, 422, "invalid_request")
    assert "group_size" in reply.json["error"]["message"]


def test_overload_is_refused_with_a_time_to_come_back(server: RayServer) -> None:
    replies: list[Reply] = []

    def ask(number: int) -> None:
        replies.append(server.post("/v1/rewards", group(wrong_text(f"number {number}"))))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert len(replies) == 40
    refused = [reply for reply in replies if reply.status != 200]
    assert {reply.status for reply in refused} == {503}
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in refused)
    assert {only(reply)["status"] for reply in replies if reply.status == 200} == {"judged"}


def test_a_killed_replica_is_replaced_and_nothing_is_forgotten(server: RayServer) -> None:
    body = group(wrong_text("before the kill"))
    first = only(server.post("/v1/rewards", body))
    victim, survivor = server.replicas()
    victim.send_signal(signal.SIGKILL)

    def answers() -> Reply | None:
        reply = server.post("/v1/rewards", body)
        # What was on its way to the dead replica may be lost, but not answered with something else.
        assert reply.status in (200, 500, 503)
        return reply if reply.status == 200 else None

    assert only(wait_until(answers, "an answer")) == first | {"cached": True}
    replaced = wait_until(lambda: is_new_pair(server, victim.pid), "a new replica")
    assert survivor.pid in replaced
    assert wait_until(lambda: len(server.counts("sgpo_groups_total")) == 2, "metrics of both replicas")
    assert only(server.post("/v1/rewards", body)) == first | {"cached": True}


def test_sigterm_lets_what_is_in_flight_finish_and_leaves_no_process(server: RayServer) -> None:
    """The last one: it ends the server that the others share."""
    wait_until(lambda: server.counts("sgpo_groups_total"), "metrics of both replicas")
    replies: list[Reply] = []

    def seen_in_flight(number: int) -> bool:
        """Whether a replica told of this request while it was being judged; the next scrape may come too late."""
        body = group(wrong_text(f"at the end, {number}"))
        in_flight = threading.Thread(target=lambda: replies.append(server.post("/v1/rewards", body)))
        in_flight.start()
        while in_flight.is_alive():
            if in_flight_requests(server) >= 1:
                return True
        return False

    assert any(map(seen_in_flight, range(20)))
    before = len(replies)
    assert server.children()
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: len(replies) > before, "the reply")
    assert only(replies[-1])["status"] == "judged"
    assert server.process.wait(timeout=120) == 0, server.log.read_text()
    wait_until(lambda: not server.left_over(), "all processes to end", timeout_s=60)
    assert not server.url_file.exists()
    logged = server.texts()
    assert "/v1/rewards" in logged
    assert KEY not in logged
    assert CANARY not in logged


def is_new_pair(server: RayServer, gone: int) -> set[int] | None:
    pids = {replica.pid for replica in server.replicas()}
    return pids if len(pids) == 2 and gone not in pids else None


def in_flight_requests(server: RayServer) -> float:
    return sum(server.counts("sgpo_admitted_items").values())
