"""Runs and their log: one JSON line per finished run, so that a study that was stopped goes on where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.learning.training import RunSpec, train
from benchmarks.learning.warmup import warm_policy

FOLDER = Path("runs/learning")
POINTS = 64
"""Points of a run's curve at most: neighbouring batches are averaged."""


@dataclass(frozen=True, slots=True)
class Result:
    """A finished run: its settings and its curve."""

    spec: dict[str, Any]
    """`RunSpec` as a table."""
    seconds: float
    curve: dict[str, list[float]]
    """Each figure of `training.figures` and ``tokens``, over the run."""


def key_of(spec: RunSpec) -> str:
    """Equal for equal settings."""
    return json.dumps(asdict(spec), sort_keys=True)


def read_results(file: Path) -> dict[str, Result]:
    """Finished runs by key; a last line that was cut off by a kill is left out."""
    results: dict[str, Result] = {}
    if file.exists():
        for line in file.read_text().splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            results[json.dumps(row["spec"], sort_keys=True)] = Result(row["spec"], row["seconds"], row["curve"])
    return results


def run_missing(specs: Iterable[RunSpec], folder: Path = FOLDER) -> Iterator[Result]:
    """Run what the log does not hold yet, one after the other, and add it to the log."""
    file = folder / "runs.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    done = read_results(file)
    for spec in specs:
        key = key_of(spec)
        if key in done:
            continue
        result = run(spec, folder)
        done[key] = result
        with file.open("a+b") as log:
            log.write(_newline_if_cut(file) + json.dumps(asdict(result)).encode() + b"\n")
        yield result


def run(spec: RunSpec, folder: Path) -> Result:
    """One run from its seed's warm policy."""
    policy = warm_policy(spec.task, spec.seed, folder / "warm")
    torch.manual_seed(spec.seed)
    start = time.perf_counter()
    rows = list(train(spec, policy))
    return Result(json.loads(key_of(spec)), time.perf_counter() - start, thin(rows, POINTS))


def thin(rows: list[dict[str, float]], points: int) -> dict[str, list[float]]:
    """Rows to columns of at most ``points`` means over neighbours."""
    size = -(-len(rows) // points)
    parts = [rows[first : first + size] for first in range(0, len(rows), size)]
    return {name: [round(sum(row[name] for row in part) / len(part), 5) for part in parts] for name in rows[0]}


def _newline_if_cut(file: Path) -> bytes:
    data = file.read_bytes()[-1:] if file.exists() else b""
    return b"" if data in (b"", b"\n") else b"\n"
