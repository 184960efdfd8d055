"""What a run writes down, over kills and resumes, and with rollouts of several ranks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sgpo_client.config import TrainConfig, parse_config
from sgpo_client.errors import RunFolderError
from sgpo_client.log.run_log import RunLog
from sgpo_client.ranks.distributed import World
from sgpo_client.types import Problem, Rollout, ScoredGroup
from sgpo_client.wire import ResponseScore
from tests.distributed.spawn import run_here, run_ranks


def config(**run: Any) -> TrainConfig:
    return parse_config({"model": {"name": "m"}, "data": {}, "run": {"steps": 9, **run}}, "test")


def group(name: str) -> ScoredGroup:
    rollouts = [Rollout([1], [2, 3], f"{name}-{index}", truncated=False) for index in range(2)]
    scores = [ResponseScore(str(index), 0.1 * index, "judged", 0, rts=0.5) for index in range(2)]
    return ScoredGroup(Problem(name, name, "1"), rollouts, scores, all_negative=True)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def log_steps(world: World, folder: Path, settings: TrainConfig, start: int, end: int) -> None:
    with RunLog(settings, folder, world, start) as log:
        for step in range(start + 1, end + 1):
            log.write_step({"step": step, "reward_mean": 0.5}, [group(f"r{world.rank}s{step}")], [[0.1, -0.1]])
            if step % 2 == 0 and not log.is_evaluated(step):
                log.write_evaluation({"step": step, "num_correct": 1, "num_problems": 2, "accuracy": 0.5})


def log_on_a_full_disk(world: World, folder: Path, name: str) -> None:
    with RunLog(config(save_rollouts=True), folder, world, 0) as log:
        log_one(log, 1)
        if world.is_main:
            (folder / name).unlink()
            (folder / name).symlink_to("/dev/full")
        with pytest.raises(RunFolderError, match=r"No space left on device.*run\.resume=true"):
            log_one(log, 2)


def log_one(log: RunLog, step: int) -> None:
    log.write_step({"step": step}, [group(f"s{step}")], [[0.1, -0.1]])
    log.write_evaluation({"step": step, "num_correct": 1, "num_problems": 2, "accuracy": 0.5})


@pytest.mark.parametrize("name", ["metrics.jsonl", "samples.jsonl", "rollouts.jsonl", "eval.jsonl"])
def test_on_a_full_disk_all_ranks_are_told(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    run_ranks(2, log_on_a_full_disk, folder, name, folder=tmp_path / "ranks")
    if name == "rollouts.jsonl":
        assert [row["step"] for row in rows(folder / "metrics.jsonl")] == [1]


def test_every_rank_s_rollouts_are_written_once(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    run_ranks(2, log_steps, folder, config(save_rollouts=True), 0, 2, folder=tmp_path / "ranks")
    found = [(row["step"], row["text"]) for row in rows(folder / "rollouts.jsonl")]
    assert found == [(step, f"r{rank}s{step}-{i}") for step in (1, 2) for rank in (0, 1) for i in (0, 1)]
    first = rows(folder / "rollouts.jsonl")[0]
    assert (first["problem_id"], first["num_tokens"], first["advantage"]) == ("r0s1", 2, 0.1)
    assert [row["step"] for row in rows(folder / "metrics.jsonl")] == [1, 2]
    assert [row["step"] for row in rows(folder / "eval.jsonl")] == [2]


@pytest.mark.parametrize("resumed_after", [0, 1, 2, 4])
def test_a_resumed_run_has_neither_gap_nor_repeat(tmp_path: Path, resumed_after: int) -> None:
    settings = config(save_rollouts=True)
    run_here(log_steps, tmp_path, settings, 0, 5)
    run_here(log_steps, tmp_path, settings, resumed_after, 6)
    for name, repeats in (("metrics", 1), ("samples", 2), ("rollouts", 2)):
        assert [row["step"] for row in rows(tmp_path / f"{name}.jsonl")] == [
            step for step in range(1, 7) for _ in range(repeats)
        ]
    assert [row["step"] for row in rows(tmp_path / "eval.jsonl")] == [2, 4, 6]


def test_rollouts_are_not_written_unasked(tmp_path: Path) -> None:
    run_here(log_steps, tmp_path, config(), 0, 1)
    assert not (tmp_path / "rollouts.jsonl").exists()
