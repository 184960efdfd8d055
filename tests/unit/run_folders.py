"""Run folders written by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def eval_row(step: int, answers: str, problems: str = "same") -> dict[str, Any]:
    return {
        "step": step,
        "num_correct": answers.count("1"),
        "num_problems": len(answers) - answers.count("-"),
        "problems": problems,
        "answers": answers,
    }


def make_run(folder: Path, evaluations: Sequence[dict[str, Any]], steps: int = 4, **metrics: Any) -> Path:
    """Each step has 4 groups, 3 of them all-negative, 2 rescued, and 100 tokens in 16 responses."""
    folder.mkdir(parents=True)
    facts = {"num_groups": 4, "all_negative_share": 0.75, "num_rescued": 2, "response_tokens": 100}
    facts |= {"num_responses": 16, "unscored_share": 0.125, "num_empty_responses": 1, "reward_mean": 0.2}
    facts |= {"time_sample_s": 6.0, "time_train_s": 3.0, "time_sync_s": 0.0, "time_step_s": 10.0, **metrics}
    write_rows(folder / "metrics.jsonl", [{"step": step, **facts} for step in range(1, steps + 1)])
    write_rows(folder / "eval.jsonl", evaluations)
    (folder / "run.json").write_text(
        json.dumps({"config": {"algo": {"name": "sgpo"}}, "problems": {"prompt_too_long": 3}})
    )
    return folder
