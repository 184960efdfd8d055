"""The server's command line: its help, and the starts it refuses."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reward_server.__main__ import main
from tests.integration.server_command import SERVE, config, environment

Refused = Callable[..., str]


def test_a_refusal_is_one_line_and_status_2() -> None:
    done = subprocess.run(
        [*SERVE, "--config", "no-such.toml"], capture_output=True, text=True, timeout=60, env=environment()
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: no-such.toml: no such file; give the path of a TOML configuration\n"


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Start a server, in this process, that must refuse to; returns what it says."""

    def run(*args: str, **env: str) -> str:
        monkeypatch.delenv("SGPO_API_KEYS", raising=False)
        # A server that does start would serve until the end of days.
        monkeypatch.setattr("uvicorn.Server.run", lambda *_, **__: pytest.fail("it started"))
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        assert main(args) == 2
        said = capfd.readouterr().err
        assert said.count("\n") == 1, said
        assert said.startswith("error: ")
        return said

    return run


def test_a_port_in_use_is_named(refused: Refused) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused("--port", str(port), "--judge", "rules")
    assert f"port {port} on 127.0.0.1 is in use" in said
    assert "--port" in said


def test_it_does_not_listen_beyond_this_machine_without_a_key(refused: Refused) -> None:
    said = refused("--host", "0.0.0.0", "--port", "0", "--judge", "rules")
    assert "$SGPO_API_KEYS" in said
    assert "127.0.0.1" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\nprot = 1\n", "unknown key 'server.prot'; did you mean 'port'?"),
        ("[server\n", "not valid TOML"),
        ('[judge]\nkind = "ruels"\n', "rules"),
        ('[judge]\nkind = "rules"\nno_such_setting = 1\n', "no_such_setting"),
        ('[server]\nhost = "no.such.host.invalid"\n', "no.such.host.invalid"),
        ('[server]\ntokenizer = "no/such/tokenizer.json"\n', "[server] tokenizer"),
        ('[shaping]\nlength = "tokens"\n', "[server] tokenizer"),
    ],
)
def test_a_wrong_setting_is_named(refused: Refused, tmp_path: Path, text: str, said: str) -> None:
    assert said in refused("--config", config(tmp_path, text), "--port", "0")


@pytest.mark.parametrize(
    ("args", "env", "said"),
    [
        (["--config", "no-such.toml"], {}, "no-such.toml: no such file"),
        (["--port", "70000"], {}, "--port 70000"),
        (["--judge", "ruels"], {}, "did you mean 'rules'?"),
        (["--judge", "critic"], {}, "--judge critic: 'model' is missing"),
        (["--port", "0", "--url-file", "no/such/folder/url"], {}, "--url-file no/such/folder/url"),
        (["--port", "0"], {"SGPO_API_KEYS": "short"}, "$SGPO_API_KEYS"),
        (["--port", "0"], {"SGPO_API_KEYS": "," + "k" * 32}, "$SGPO_API_KEYS"),
    ],
)
def test_a_wrong_argument_or_key_is_named(refused: Refused, args: list[str], env: dict[str, str], said: str) -> None:
    answer = refused(*args, **env)
    assert said in answer
    assert "short" not in answer


def test_help_is_quick_and_light() -> None:
    script = (
        "import sys\n"
        "from reward_server.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print('|', *(m for m in ('torch', 'fastapi', 'uvicorn', 'pydantic') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "--exit-with-parent" in done.stdout
    assert done.stdout.rstrip().endswith("|")
