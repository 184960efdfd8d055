"""``sgpo-serve probe`` against real servers: what a working one shows, and what is said of each fault."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from reward_server.__main__ import main
from reward_server.edge.auth import KeyRing
from reward_server.probe.trainers import TRAINERS
from tests.integration.http_server import Server, running
from tests.integration.probe_output import rows_of

RULES: dict[str, Any] = {"judge": {"kind": "rules"}, "page": {"enabled": False}}
AT_ROOT = RULES | {"dialects": {"nemo_gym": {"at_root": True}}}
DOWN = AT_ROOT | {"judge": {"kind": "scripted", "fail": "raise"}}
KEY = "k" * 40
DIALECTS = ["native", "openrlhf", "slime", "nemo_gym"]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGPO_PROBE_KEY", KEY)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(AT_ROOT) as server:
        yield server


@pytest.fixture
def locked() -> Iterator[Server]:
    with running(AT_ROOT, KeyRing((hashlib.sha256(KEY.encode()).digest(),))) as server:
        yield server


def url_of(server: Server, path: str = "") -> str:
    return f"http://127.0.0.1:{server.port}{path}"


def probe(capsys: pytest.CaptureFixture[str], dialect: str, url: str, *more: str) -> tuple[int, str]:
    status = main(["probe", "--dialect", dialect, "--url", url, *more])
    captured = capsys.readouterr()
    assert KEY not in captured.out + captured.err
    return status, captured.out


@pytest.mark.parametrize("dialect", sorted(TRAINERS))
def test_a_working_server_shows_each_trainer_its_rewards(
    server: Server, dialect: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out = probe(capsys, dialect, url_of(server, "/"))
    assert status == 0, out
    assert "All is well" in out
    rows = rows_of(out)
    rewards = [float(row["reward"]) for row in rows]
    assert rewards[0] < rewards[1] < rewards[2] < 0.5, "the later the first error, the more"
    assert rewards[0] == rewards[3], "equal verdicts, equal to the last digit"
    assert rewards[4:] == [1, 0, 0, 0], "the mixed group"
    assert [row["first error"][:6] for row in rows[:4]] == ["step 0", "step 1", "step 2", "step 0"]
    assert [row["right"] for row in rows] == ["no"] * 4 + ["yes"] + ["no"] * 3


@pytest.mark.parametrize(
    ("dialect", "route", "other"),
    [
        ("roll", "/v1/rewards, whole groups", "roll_joined"),
        ("roll_joined", "/v1/openrlhf, single responses", "roll"),
        ("nemo_rl", "/v1/rewards, whole groups", "nemo_rl_joined"),
        ("nemo_rl_joined", "/v1/openrlhf, single responses", "nemo_rl"),
        ("slime", "/v1/slime, single responses", "slime_adapter"),
        ("slime_adapter", "/v1/openrlhf, single responses", "native"),
    ],
)
def test_it_says_which_route_was_asked_and_how_to_ask_the_other(
    server: Server, dialect: str, route: str, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out = probe(capsys, dialect, url_of(server))
    first, second = out.splitlines()[:2]
    assert route in first
    assert second.startswith("Not asked: ")
    assert f"--dialect {other}" in second
    assert other in TRAINERS
    assert {row["grouping"] for row in rows_of(out)} == {"-" if "whole groups" in route else "joined"}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_keys(
    locked: Server, dialect: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = url_of(locked, "/nemo_gym" if dialect == "nemo_gym" else "")
    status, out = probe(capsys, dialect, url, "--key-env", "SGPO_PROBE_KEY")
    assert (status, "All is well" in out) == ((1, False) if dialect == "nemo_gym" else (0, True))
    assert ("cannot send a key" in out) == (dialect == "nemo_gym")
    assert rows_of(out)[4]["reward"] == "1"
    status, out = probe(capsys, dialect, url)
    assert status == 1
    assert "Ask with --key-env NAME" in out or "cannot send a key" in out
    assert "HTTP 401" in out
    monkeypatch.setenv("SGPO_PROBE_KEY", "another-key-that-nobody-knows-" + "x" * 20)
    for _ in range(5):  # a probe costs one wrong key, so trying again is not punished
        status, out = probe(capsys, dialect, url, "--key-env", "SGPO_PROBE_KEY")
        assert status == 1
        assert "not one of this server's" in out or "cannot send a key" in out


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_judge_that_is_down(dialect: str, capsys: pytest.CaptureFixture[str]) -> None:
    with running(DOWN) as server:
        status, out = probe(capsys, dialect, url_of(server))
    assert status == 1
    assert "4 of 8 responses got no reward" in out, "the mixed group needs no judge"
    assert TRAINERS[dialect].on_failure in out
    assert [row["reward"] for row in rows_of(out)] == ["none"] * 4 + ["1", "0", "0", "0"]


def test_a_judge_that_is_down_and_a_server_that_falls_back(capsys: pytest.CaptureFixture[str]) -> None:
    with running(DOWN | {"dialects": {"openrlhf": {"on_unscored": "outcome"}}}) as server:
        status, out = probe(capsys, "openrlhf", url_of(server))
    assert status == 1
    assert "these rewards are not the judge's" in out
    assert [row["reward"] for row in rows_of(out)[:4]] == ["0"] * 4


@pytest.mark.parametrize("dialect", sorted(TRAINERS))
def test_nobody_there(dialect: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        status, out = probe(capsys, dialect, url, "--key-env", "SGPO_PROBE_KEY")
    assert status == 1
    assert f"Nobody answers at {url}" in out
    assert "8 of 8 responses got no reward" in out


def test_a_server_that_does_not_answer_in_time(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        status, out = probe(capsys, "slime", url, "--timeout", "0.3")
    assert status == 1
    assert "slime (remote_rm) waits 120 s" in out
    assert "reply_timeout_s" in out


@contextmanager
def another_service() -> Iterator[str]:
    """What a judge's vLLM says to unknown paths."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.reply()

        def do_GET(self) -> None:
            self.reply()

        def reply(self) -> None:
            self.send_response(404)
            self.send_header("content-length", "22")
            self.end_headers()
            self.wfile.write(b'{"detail":"Not Found"}')

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_url_that_leads_elsewhere(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    with another_service() as url:
        status, out = probe(capsys, "openrlhf", url)
    assert status == 1
    assert "a judge's vLLM is not one" in out
    status, out = probe(capsys, "openrlhf", url_of(server, "/v1"))
    assert status == 1
    assert "without /v1" in out


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("owner", "path"), [("native", "/v1/rewards"), ("openrlhf", "/v1/openrlhf"), ("slime", "/v1/slime")]
)
def test_the_url_of_another_dialect(
    server: Server, dialect: str, owner: str, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out = probe(capsys, dialect, url_of(server, path))
    if dialect == owner:
        assert path in out.splitlines()[0]
        assert "HTTP 422" not in out
        return
    assert status == 1
    assert f"The URL ends in {path}, which is for {TRAINERS[owner].title}" in out


def test_the_whole_url_of_a_trainer_is_used_as_it_is(
    server: Server, locked: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out = probe(capsys, "slime", url_of(locked, f"/v1/slime?key={KEY}&group_size=4"))
    assert status == 0
    assert [row["right"] for row in rows_of(out)] == ["-"] * 8, "a number alone says no more"
    status, out = probe(capsys, "slime", url_of(server, "/v1/slime?group_size=8&reward_key=score"))
    assert status == 0, out
    status, out = probe(capsys, "slime", url_of(server, "/v1/slime?reward_key=score"))
    assert status == 1
    assert "told no group size" in out
    assert {row["grouping"] for row in rows_of(out)} == {"alone"}


def test_nemo_gym_needs_the_root(capsys: pytest.CaptureFixture[str]) -> None:
    with running(RULES) as server:
        status, out = probe(capsys, "nemo_gym", url_of(server))
        assert status == 1
        assert "at_root = true" in out
        assert probe(capsys, "nemo_gym", url_of(server, "/nemo_gym"))[0] == 0


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_row_without_a_reference_answer(server: Server, dialect: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = probe(capsys, dialect, url_of(server), "--label", "")
    assert status == 1
    assert "The reference answer is missing" in out
    assert TRAINERS[dialect].answer_from in out


def test_a_label_of_ones_own(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    label = '{"answer": "10", "id": "mine", "group_size": 4}'
    assert probe(capsys, "openrlhf", url_of(server), "--label", label)[0] == 0
    status, out = probe(capsys, "openrlhf", url_of(server), "--label", '{"solution": "10"}')
    assert status == 1
    assert "--data.label_key" in out
    status, out = probe(capsys, "openrlhf", url_of(server), "--label", '{"answer": ["10"]}')
    assert status == 1
    assert "labels[0].answer" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["probe", "--dialect", "slime"],
        ["probe", "--dialect", "torchforge", "--url", "http://x"],
        ["probe", "--dialect", "slime", "--url", "x"],
        ["probe", "--dialect", "slime", "--url", "http://x", "--timeout", "0"],
        ["probe", "--dialect", "slime", "--url", "http://x", "--key-env", "SGPO_NO_SUCH_VARIABLE"],
        ["--config", "x.toml", "probe"],
    ],
)
def test_a_wrong_command_line(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_help_lists_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "{serve,check,probe}" in capsys.readouterr().out
