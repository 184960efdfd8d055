"""The join benchmark itself, small."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.integration.server_command import environment

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "join_load.py"


def test_twenty_groups_are_joined_right() -> None:
    command = [sys.executable, str(SCRIPT), "--groups", "20", "--in-flight", "8"]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=280, env=environment(PYTHONPATH=str(SCRIPT.parents[1]))
    )
    assert result.returncode == 0, result.stderr
    line, row = result.stdout.splitlines()
    found = json.loads(line)
    assert found["joined_right"] == found["groups"] == 20
    assert found["posts"] > 160, "some were sent twice"
    assert row.count("|") == 9
