"""A classifier's training in seconds: labelled rows, a tiny random base model, settings."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from judge.settings import parse_table
from judge.train.classifier import ClassifierTrainSettings
from tests.unit.classifier_tiny import byte_tokenizer, causal_model, save

NUM_PROBLEMS = 80


def row(number: int) -> dict[str, Any]:
    """Steps are right until one says "minus"; half of the rows have such a step."""
    rng = random.Random(number)
    size = rng.randint(2, 4)
    label = rng.randrange(size) if number % 2 else -1
    steps = [f"step {step}: {rng.choice('abc')} {'minus' if step == label else 'plus'} one" for step in range(size)]
    return {"id": str(number), "problem": f"What is {number} plus one?", "steps": steps, "label": label}


def make_place(folder: Path) -> Path:
    """A folder with a base model (no pad token) and labelled rows."""
    tokenizer = byte_tokenizer()
    save(causal_model(tokenizer), tokenizer, folder / "base")
    rows = [json.dumps(row(number)) for number in range(NUM_PROBLEMS)]
    (folder / "rows.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def settings(place: Path, **changes: Any) -> ClassifierTrainSettings:
    table = {
        "model": str(place / "base"),
        "data": {
            "sources": [{"source": "records", "path": str(place / "rows.jsonl")}],
            "validation_share": 0.2,
            "calibration_share": 0.4,
        },
        "method": "full",
        "epochs": 5,
        "learning_rate": 3e-3,
        "head_learning_rate": 3e-2,
        "max_tokens": 512,
        "batch_tokens": 512,
        "accumulation": 2,
        "device": "cpu",
        "log_steps": 2,
        "validate_steps": 5,
        "save_steps": 3,
    }
    return parse_table(ClassifierTrainSettings, table | changes, "test")
