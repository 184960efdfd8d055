"""Rows of what the policy wrote and how it was doing, each with its step: samples, rollouts and evaluations."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from sgpo_client.log.metrics import iter_json_lines
from sgpo_client.types import ScoredGroup


def append_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add one line per row."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def drop_rows_after(path: Path, step: int) -> None:
    """Remove the rows beyond ``step`` (a run goes on from there), and a torn last line."""
    if path.is_file():
        partial = path.with_name(path.name + ".partial")
        with partial.open("w", encoding="utf-8") as file:  # row by row: rollouts may be many
            file.writelines(json.dumps(row) + "\n" for _, row in iter_json_lines(path) if row["step"] <= step)
        partial.replace(path)


def sample_rows(
    step: int, groups: Sequence[ScoredGroup], advantages: Sequence[Sequence[float]], limit: int
) -> list[dict[str, Any]]:
    """The first ``limit`` responses, taken from the groups in turn, with what was said of each."""
    columns = [list(group_rows(step, group, row)) for group, row in zip(groups, advantages, strict=True)]
    in_turn = [row for rows in zip_longest(*columns) for row in rows if row is not None]
    return in_turn[:limit]


def group_rows(step: int, group: ScoredGroup, advantages: Sequence[float]) -> Iterator[dict[str, Any]]:
    """All responses of a group with what was said of each; `sgpo_client.data.recorded` reads such rows as well."""
    for rollout, score, advantage in zip(group.rollouts, group.scores, advantages, strict=True):
        yield {
            "step": step,
            "problem_id": group.problem.id,
            "problem": group.problem.text,
            "answer": group.problem.answer,
            "text": rollout.text,
            "truncated": rollout.truncated,
            "num_tokens": len(rollout.response_ids),
            "status": score.status,
            "reward": score.reward,
            "acc": score.acc,
            "rts": score.rts,
            "first_error": score.first_error,
            "num_steps": score.num_steps,
            "step_offsets": score.step_offsets,
            "error": None if score.error is None else f"{score.error.code}: {score.error.message}",
            "advantage": advantage,
            "all_negative": group.all_negative,
        }
