"""Rows of samples.jsonl and eval.jsonl."""

from __future__ import annotations

import json
from pathlib import Path

from sgpo_client.log.samples import append_rows, drop_rows_after, sample_rows
from sgpo_client.types import Problem, Rollout, ScoredGroup
from sgpo_client.wire import ItemError, ResponseScore


def group(name: str, size: int) -> ScoredGroup:
    return ScoredGroup(
        problem=Problem(id=name, text=name, answer="1"),
        rollouts=[Rollout([1], [2], f"{name}{index}", truncated=False) for index in range(size)],
        scores=[
            ResponseScore(id=str(index), reward=None, status="unscored", acc=0, error=ItemError("no_steps", "empty"))
            for index in range(size)
        ],
        all_negative=True,
    )


def test_samples_come_from_all_groups_in_turn() -> None:
    groups = [group("a", 3), group("b", 1), group("c", 2)]
    advantages = [[0.0] * len(g.rollouts) for g in groups]
    assert [row["text"] for row in sample_rows(5, groups, advantages, 5)] == ["a0", "b0", "c0", "a1", "c1"]
    assert sample_rows(5, groups, advantages, 0) == []
    assert sample_rows(5, [], [], 5) == []


def test_a_row_says_why_there_is_no_reward() -> None:
    [row] = sample_rows(5, [group("a", 1)], [[0.0]], 1)
    assert (row["step"], row["reward"], row["error"]) == (5, None, "no_steps: empty")


def test_rows_beyond_the_resumed_step_and_torn_lines_go(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    append_rows(path, [{"step": 1, "text": "é"}, {"step": 2}, {"step": 3}])
    with path.open("a") as file:
        file.write('{"step": 2, "te')
    drop_rows_after(path, 2)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"step": 1, "text": "é"}, {"step": 2}]
    drop_rows_after(tmp_path / "absent.jsonl", 2)
