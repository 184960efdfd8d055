"""The replay of model solutions, as a command: it counts what it says, on a small file and on the real one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


def problem(number: int, *solutions: tuple[str, bool]) -> dict[str, Any]:
    row: dict[str, Any] = {"question": f"How many apples are in basket {number}?", "ground_truth": "A: 1"}
    for model, (word, right) in zip(MODELS, solutions, strict=True):
        text = f"Basket {number} holds {word} red apples.\nSold: 12 - 5 = 7, which leaves {word} green ones."
        row[model] = {"solution": text, "is_correct": right}
    return row


WRONG = [(word, False) for word in ("two", "three", "four", "five")]
ROWS = [
    problem(0, *WRONG),
    problem(1, *WRONG[:2], *WRONG[:2]),
    problem(2, *WRONG[:2], ("one", True), ("six", True)),
    problem(3, *[(word, True) for word, _ in WRONG]),
]


def replayed(path: Path, *options: str) -> tuple[dict[str, Any], str]:
    command = [sys.executable, "benchmarks/cache_replay.py", "--path", str(path), "--judge-delay-s", "0", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    return json.loads(lines[0]), lines[-1]


@pytest.mark.parametrize(("apply_to", "gate", "judged"), [("all_negative", 8, 6), ("every_wrong", 10, 8)])
def test_every_saving_is_counted(tmp_path: Path, apply_to: str, gate: int, judged: int) -> None:
    path = tmp_path / "solutions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    counts, row = replayed(path, "--apply-to", apply_to)
    assert (counts["everything"], counts["wrong"], counts["all_negative_groups"]) == (16, 10, 2)
    assert (counts["gate"], counts["judged"]) == (gate, judged)
    # Sent twice at once, or again later: never judged twice.
    assert (counts["twice_at_once"], counts["again"]) == (judged, 0)
    assert row.startswith(f"| 16 | 10 | {gate} | {judged} | {judged} (")


def test_the_real_solutions(data_dir: Path) -> None:
    counts, _ = replayed(data_dir / "gsm8k" / "model_solutions.jsonl.gz", "--limit", "50")
    assert counts["everything"] == 200
    assert 0 < counts["judged"] <= counts["gate"] < counts["wrong"]
    assert counts["again"] == 0
