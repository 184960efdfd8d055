"""``sgpo-serve probe`` against real servers."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from reward_server.__main__ import main
from reward_server.edge.auth import KeyRing
from tests.integration.http_server import running

RULES: dict[str, Any] = {"judge": {"kind": "rules"}, "page": {"enabled": False}}
KEY = "k" * 40


@pytest.mark.parametrize("dialect", ["openrlhf", "slime", "nemo_gym"])
def test_a_working_server(dialect: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGPO_PROBE_KEY", KEY)
    with running(RULES, KeyRing((hashlib.sha256(KEY.encode()).digest(),))) as server:
        url = f"http://127.0.0.1:{server.port}/"
        assert main(["probe", "--dialect", dialect, "--url", url, "--key-env", "SGPO_PROBE_KEY"]) == 0
        assert "the rewards differ" in capsys.readouterr().out
        assert main(["probe", "--dialect", dialect, "--url", url]) == 1
        assert "HTTP 401" in capsys.readouterr().out


@pytest.mark.parametrize("dialect", ["openrlhf", "slime", "nemo_gym"])
def test_a_judge_that_is_down(dialect: str, capsys: pytest.CaptureFixture[str]) -> None:
    with running(RULES | {"judge": {"kind": "scripted", "fail": "raise"}}) as server:
        assert main(["probe", "--dialect", dialect, "--url", f"http://127.0.0.1:{server.port}"]) == 1
    out = capsys.readouterr().out
    assert "4 of 4 got no reward" in out
    assert "judge_failed" in out


def test_nobody_there(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGPO_PROBE_KEY", KEY)
    command = ["probe", "--dialect", "slime", "--url", "http://127.0.0.1:9", "--key-env", "SGPO_PROBE_KEY"]
    assert main(command) == 1
    captured = capsys.readouterr()
    assert "4 of 4 got no reward" in captured.out
    assert KEY not in captured.out + captured.err


@pytest.mark.parametrize(
    "arguments",
    [["--dialect", "slime"], ["--dialect", "verl", "--url", "http://x"], ["--dialect", "slime", "--url", "x"]],
)
def test_a_wrong_command_line(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["probe", *arguments])
    assert caught.value.code == 2
