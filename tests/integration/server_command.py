"""The command that starts a reward server, the environment it runs in and a configuration for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

SERVE = [sys.executable, "-m", "reward_server"]


def environment(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "SGPO_API_KEYS"}
    return kept | {"OMP_NUM_THREADS": "1"} | changes


def config(tmp_path: Path, text: str) -> str:
    path = tmp_path / "server.toml"
    path.write_text(text)
    return str(path)
