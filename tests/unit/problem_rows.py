"""Rows of problems, written and loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sgpo_client.data.order import load_problems
from sgpo_client.data.settings import DataSettings
from sgpo_client.types import Problem


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rows(count: int) -> list[dict[str, Any]]:
    return [{"question": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(count)]


def load_row(tmp_path: Path, row: Any, **settings: Any) -> list[Problem]:
    return load_problems(DataSettings(path=write(tmp_path / "p.jsonl", [row]), **settings), "train")


def ids(problems: list[Problem]) -> set[str]:
    return {problem.id for problem in problems}
