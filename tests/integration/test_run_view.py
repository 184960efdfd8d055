"""What a run leaves behind and tells people, as a process: evaluations, rollouts, tracker, summary, comparison."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]

RUN = """
[run]
steps = 2
save_every = 1
save_rollouts = true
[model]
name = "{model}"
dtype = "float32"
[data]
source = "reasoning_gym"
name = "gsm_symbolic"
num_problems = 4
num_eval_problems = 3
[rollout]
prompts_per_step = 2
group_size = 2
max_new_tokens = 8
[eval]
every = 1
max_new_tokens = 4
[log]
tracker = "wandb"
"""

WANDB = """
import pathlib

def note(line):
    with pathlib.Path({path!r}).open("a") as file:
        file.write(line + "\\n")

class Run:
    def log(self, values, step):
        note(f"log {{step}}")
        if step == 2:
            raise ConnectionError("no network")

def init(project, name, config, resume, id):
    note(f"init {{name}} {{resume}}")
    return Run()

def finish():
    note("finish")
"""


def sgpo_train(tmp_path: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    overrides = [part for text in settings for part in ("--set", text)]
    command = [sys.executable, "-m", "sgpo_client.train", str(tmp_path / "run.toml"), "--nproc", "2", *overrides]
    paths = os.pathsep.join([str(tmp_path / "modules"), str(ROOT)])
    env = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": paths}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=280, check=False)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_resumed_run_with_a_failing_tracker_has_everything_once(tmp_path: Path, tiny_policy: Path) -> None:
    (tmp_path / "modules").mkdir()
    notes = tmp_path / "notes"
    (tmp_path / "modules" / "wandb.py").write_text(WANDB.format(path=str(notes)))
    (tmp_path / "run.toml").write_text(RUN.format(model=tiny_policy))
    folder = tmp_path / "mine"
    first = sgpo_train(tmp_path, f"run.output_dir={folder}", "run.export=false")
    assert first.returncode == 0, first.stderr
    assert "log.tracker = 'wandb' fails: ConnectionError: no network; the run goes on without it" in first.stderr
    resumed = sgpo_train(tmp_path, f"run.output_dir={folder}", "run.steps=4", "run.resume=true", "eval.every=2")
    assert resumed.returncode == 0, resumed.stderr
    assert [row["step"] for row in rows(folder / "eval.jsonl")] == [0, 1, 2, 4]
    assert [row["step"] for row in rows(folder / "metrics.jsonl")] == [1, 2, 3, 4]
    rollouts = rows(folder / "rollouts.jsonl")
    assert [row["step"] for row in rollouts] == [step for step in (1, 2, 3, 4) for _ in range(4)]
    assert len({row["problem"] for row in rollouts}) == 4, "both ranks' problems are there"
    # Evaluated before, then steps and evaluations; after the failure nothing, and the resumed run goes on.
    assert notes.read_text().splitlines() == [
        *("init mine never", "log 0", "log 1", "log 1", "log 2"),
        *("init mine allow", "log 3", "log 4", "log 4", "finish"),
    ]
    assert "4 steps, " in resumed.stderr
    assert f"report: {folder / 'report.html'}" in resumed.stderr
    facts = json.loads((folder / "run.json").read_text())
    assert facts["problems"] == {"training": 4, "held_out": 3, "prompt_too_long": 0}


def test_a_missing_tracker_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(RUN.format(model="no/such/model"))
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "wandb.py").write_text("raise ImportError('not here')")
    result = sgpo_train(tmp_path, f"run.output_dir={tmp_path / 'run'}")
    assert result.returncode == 2, result.stderr
    [line] = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert "pip install wandb" in line
    assert not (tmp_path / "run").exists()
