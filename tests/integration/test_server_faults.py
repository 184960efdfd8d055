"""Kills and vanishing clients, as `benchmarks/server_faults.py` counts them; judges that block or cannot start."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.integration.http_server import Reply, Server
from tests.integration.server_command import SERVE, config, environment
from tests.integration.test_server_process import wait_for

ROOT = Path(__file__).resolve().parents[2]
ITEM = {"id": "0", "problem": "p", "steps": ["fine", "WRONG"]}


def counts(*args: str) -> dict[str, Any]:
    command = [sys.executable, str(ROOT / "benchmarks" / "server_faults.py"), *args]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=280)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[0])
    return found


@pytest.mark.slow
def test_a_judge_that_is_killed_loses_and_swaps_nothing() -> None:
    found = counts("--only", "kills", "--kills", "10")
    assert found["ok"], found
    assert found["judged"] > 0
    assert found["restarts"] >= 10
    assert (found["swapped"], found["lost"], found["refused"]) == (0, 0, 0)


def test_what_vanished_clients_left_behind_is_dropped() -> None:
    found = counts("--only", "vanish", "--clients", "50")
    assert found["ok"], found
    assert found["dropped_from_queue"] + found["calls_cancelled"] == 50
    assert found["calls_cancelled"] > 0
    assert found["left_in_gauges"] == {}


def in_flight(server: Server) -> bool:
    return b"\nsgpo_judge_items_in_flight 1.0\n" in server.call("GET", "/metrics").raw


def test_the_server_answers_while_its_judge_blocks_and_leaves_no_process(tmp_path: Path) -> None:
    url_file = tmp_path / "url"
    table = (
        '[server]\ndrain_timeout_s = 0\n[judge]\nkind = "scripted"\nblock_s = 3600.0\n'
        '[judge_process]\nrun_in = "process"\n'
    )
    process = subprocess.Popen(
        [*SERVE, "--config", config(tmp_path, table), "--port", "0", "--url-file", str(url_file)],
        text=True,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )
    try:
        server = Server(int(wait_for(url_file, process).rsplit(":", 1)[1]))
        ended: list[Reply | Exception] = []

        def ask() -> None:
            try:
                ended.append(server.post("/v1/judge", {"items": [ITEM]}))
            except (OSError, HTTPException) as error:
                ended.append(error)

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        give_up = time.monotonic() + 60
        while not in_flight(server):
            assert time.monotonic() < give_up
        assert server.call("GET", "/livez").status == 200
        assert not ended
        children = psutil.Process(process.pid).children(recursive=True)
        assert any("judge_child" in " ".join(child.cmdline()) for child in children)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        assert psutil.wait_procs(children, timeout=30)[1] == []
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('kind = "probe"\nfolder = "/no/such/judge"', "/no/such/judge"),
        ('kind = "rules"\nmax_charakters = 3', "unknown key 'max_charakters'; did you mean 'max_characters'?"),
    ],
)
def test_a_judge_that_cannot_be_built_ends_the_start_with_its_own_words(
    tmp_path: Path, table: str, message: str
) -> None:
    done = subprocess.run(
        [*SERVE, "--config", config(tmp_path, f"[judge]\n{table}\n"), "--port", "0"],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=120,
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
