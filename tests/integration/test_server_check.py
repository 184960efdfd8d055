"""``sgpo-serve check``: what it prints, what it finds, and its exit status."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from reward_server.__main__ import main
from reward_server.check import check
from tests.integration.server_command import config

KEYS = {"SGPO_API_KEYS": "k" * 32 + "," + "m" * 32}


def checked(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = main(["check", "--config", config(tmp_path, text), "--port", "0"])
    return status, capsys.readouterr().out


def test_a_good_configuration_is_described(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SGPO_API_KEYS", KEYS["SGPO_API_KEYS"])
    status, said = checked(tmp_path, '[judge]\nkind = "rules"\n[admission]\nmax_in_flight_requests = 7\n', capsys)
    assert status == 0
    for part in ("address: http://127.0.0.1:0", "keys: 2", "judge: rules@", "cache: memory", "7 requests at a time"):
        assert part in said
    assert "kkkk" not in said
    assert said.endswith("this configuration can be served\n")


def test_every_problem_is_named_with_its_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SGPO_API_KEYS", raising=False)
    text = (
        '[server]\nhost = "0.0.0.0"\nworkers = 3\ntokenizer = "no/such.json"\n'
        '[judge]\nkind = "probe"\nfolder = "no/such/folder"\n'
        '[tracing]\nendpoint = "collector"\n'
        f'[cache]\nkind = "sqlite"\npath = "{tmp_path}/no/such/folder/cache.db"\n'
    )
    status, said = checked(tmp_path, text, capsys)
    assert status == 2
    problems = [line for line in said.splitlines() if line.startswith("problem: ")]
    for setting in ("api_keys_file", "workers = 3", "tokenizer", "[tracing]", "[cache] path", "no/such/folder'"):
        assert sum(setting in problem for problem in problems) == 1, setting
    assert said.endswith(f"{len(problems)} to mend\n")


def test_all_faults_of_a_file_are_named_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = checked(tmp_path, "[server]\nprot = 1\n[limits]\nmax_groups = 0\n", capsys)
    assert status == 2
    assert "prot" in said
    assert "max_groups" in said


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        ('kind = "scripted"\nfail = "raise"\n', "judge_unavailable"),
        ('kind = "ruels"\n', "did you mean 'rules'?"),
    ],
)
def test_a_judge_that_does_not_work_is_a_problem(tmp_path: Path, judge: str, said: str) -> None:
    findings = check(Path(config(tmp_path, f"[judge]\n{judge}")), port=0, environ={})
    assert said in "".join(findings.problems)


def test_a_port_in_use_is_only_a_note(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        findings = check(Path(config(tmp_path, '[judge]\nkind = "rules"\n')), port=port, environ={})
    assert not findings.problems
    assert any(f"port {port}" in note for note in findings.notes)


def test_bad_keys_are_a_problem_and_not_printed(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("too-short-a-secret\n")
    text = f'[judge]\nkind = "rules"\n[auth]\napi_keys_file = "{path}"\n'
    findings = check(Path(config(tmp_path, text)), port=0, environ={})
    assert "line 1" in "".join(findings.problems)
    assert "too-short-a-secret" not in findings.report()
