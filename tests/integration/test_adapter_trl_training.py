"""TRL's GRPOTrainer trains for real, on one rank and on two, with the rewards of a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.adapter_suite import BASE, url_of
from tests.integration.http_server import Server, running

pytest.importorskip("trl")
SCRIPT = Path(__file__).with_name("trl_training.py")
ROOT = Path(__file__).resolve().parents[2]
PLAIN = BASE | {"defences": {"enabled": False}}
"""Random text earns nothing otherwise, and no judge is asked about it."""
HASH = PLAIN | {"judge": {"kind": "scripted", "say": "hash"}}
"""A judge that finds some step of every text wrong."""


def train(policy: Path, server: Server, output: Path, *, ranks: int, per_rank: int) -> list[dict[str, Any]]:
    """What each rank has to say afterwards."""
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"] if ranks > 1 else []
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, *launch, str(SCRIPT), str(policy), url_of(server), str(output), str(per_rank)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads((output / f"rank-{rank}.json").read_text()) for rank in range(ranks)]


def steps(result: dict[str, Any]) -> list[dict[str, float]]:
    return [entry for entry in result["log"] if "reward" in entry]


def count(server: Server, name: str) -> float:
    lines = server.call("GET", "/metrics").raw.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_all_negative_groups_move_the_policy(tiny_policy: Path, tmp_path: Path) -> None:
    with running(HASH) as server:
        [result] = train(tiny_policy, server, tmp_path, ranks=1, per_rank=4)
    for entry in steps(result):
        assert entry["sgpo/all_negative"] == 1.0
        assert entry["rewards/sgpo_accuracy/mean"] == 0.0
        assert 0.0 < entry["rewards/sgpo_reward/mean"] < 0.5
    assert result["moved"]
    assert result["finite"]


@pytest.mark.slow
def test_responses_that_the_rules_judge_cannot_tell_leave_the_policy_alone(tiny_policy: Path, tmp_path: Path) -> None:
    """Random text holds no arithmetic: no verdict, no reward, advantage 0."""
    with running(PLAIN | {"judge": {"kind": "rules"}}) as server:
        [result] = train(tiny_policy, server, tmp_path, ranks=1, per_rank=4)
    assert [entry["sgpo/unscored"] for entry in steps(result)] == [1.0, 1.0]
    assert not result["moved"]
    assert result["finite"]


@pytest.mark.slow
def test_group_that_is_cut_over_two_ranks_is_scored_once_and_whole(tiny_policy: Path, tmp_path: Path) -> None:
    """Three responses on each rank, in groups of two: the second group lies on both."""
    with running(HASH) as server:
        results = train(tiny_policy, server, tmp_path, ranks=2, per_rank=3)
        num_groups, num_responses = count(server, "sgpo_groups_total"), count(server, "sgpo_responses_total")
    num_steps = len(steps(results[0]))
    assert (num_groups, num_responses) == (3 * num_steps, 6 * num_steps)
    assert all(result["moved"] and result["finite"] for result in results)
