"""`sgpo-train` as a person starts it, for tests of whole runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

RUN = """
[run]
steps = 3
save_every = 2
[model]
dtype = "float32"
[data]
source = "reasoning_gym"
name = "gsm_symbolic"
num_problems = 12
num_eval_problems = 3
[rollout]
prompts_per_step = 3
group_size = 4
max_new_tokens = 40
[optim]
lr = 1e-3
micro_batch_tokens = 512
[reward]
deadline_s = 20
[reward.shaping]
length = "characters"
[eval]
max_new_tokens = 8
"""

# The second step is always called wrong; measured in characters, rewards of random text then differ. With defences all
# of it would be at the floor.
JUDGE = """
[judge]
kind = "scripted"
first_error = 1
[defences]
enabled = false
"""


def write_config(folder: Path, policy: Path) -> Path:
    """A run of three steps against a server of its own; its path."""
    path, judge = folder / "run.toml", folder / "server.toml"
    judge.write_text(JUDGE)
    text = RUN.replace("[model]", f'[model]\nname = "{policy}"')
    path.write_text(text.replace("[reward]", f'[reward]\nserver_config = "{judge}"'))
    return path


def sets(*overrides: str) -> list[str]:
    """The overrides as command-line arguments."""
    return [part for text in overrides for part in ("--set", text)]


def command(*arguments: object) -> list[str]:
    """The command line of `sgpo-train`."""
    return [sys.executable, "-m", "sgpo_client.train", *map(str, arguments)]


def environment() -> dict[str, str]:
    """Of a run that shares its machine with others."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


def sgpo_train(*arguments: object, timeout_s: float = 280) -> subprocess.CompletedProcess[str]:
    """Run to the end."""
    return subprocess.run(
        command(*arguments), cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=timeout_s
    )


def rows(path: Path) -> list[dict[str, object]]:
    """The lines of a JSONL file."""
    return [json.loads(line) for line in path.read_text().splitlines()]
