"""The record of a run, one JSON object per step in ``metrics.jsonl``, and the line that people watch while it runs."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO, cast

logger = logging.getLogger(__name__)

Metric = float | int | list[int] | None
"""None where the step has no such value; a list is a histogram."""
StepMetrics = Mapping[str, Metric]
"""Metric name to value for one step. Shares are in [0, 1], times in seconds."""


class MetricsWriter:
    """Appends one line per finished step to a JSONL file; every line is on its way to the disk before `write` returns.

    Steps are counted from 1. The file never holds a step twice: lines beyond ``resume_step``, and a last line torn by a
    crash, are dropped when the writer opens the file.

    Args:
        path: the file; its folder must exist.
        resume_step: the last step that the run keeps; 0 starts the file anew.
    """

    def __init__(self, path: Path, resume_step: int = 0) -> None:
        kept = [row for row in read_metrics(path) if row["step"] <= resume_step]
        if resume_step and [row["step"] for row in kept] != list(range(1, resume_step + 1)):
            logger.warning("%s does not hold every step up to %d: its curves have a gap", path, resume_step)
        partial = path.with_name(path.name + ".partial")
        partial.write_text("".join(_line(row) for row in kept), encoding="utf-8")
        partial.replace(path)
        self._path = path

    def write(self, metrics: StepMetrics) -> None:
        """Append one step. A value that is not finite is stored as null, with a warning: JSON has no NaN."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(metrics))


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read the steps of a ``metrics.jsonl`` in order; empty when the file is missing.

    A line that is not a JSON object with an integer ``step`` (torn by a crash) is left out with a warning, and of a
    step that stands there twice the later line counts.
    """
    steps: dict[int, dict[str, Any]] = {}
    for number, row in read_json_lines(path):
        step = row.get("step")
        if isinstance(step, int):
            steps[step] = row
        else:
            logger.warning("%s line %d has no step: left out", path, number)
    return [steps[step] for step in sorted(steps)]


def read_json_lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """All of `iter_json_lines`; empty when the file is missing."""
    return list(iter_json_lines(path)) if path.is_file() else []


def iter_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number (from 1) and object of each line; a line that is not a JSON object is left out with a warning."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError:  # not JSON, or not UTF-8: a write that a crash cut short
                row = None
            if isinstance(row, dict):
                yield number, row
            else:
                logger.warning("%s line %d is not a JSON object: left out", path, number)


def _line(metrics: StepMetrics) -> str:
    row = dict(metrics)
    for key, value in row.items():
        if isinstance(value, float) and not math.isfinite(value):
            logger.warning("step %s: %s is %s; stored as null", row.get("step"), key, value)
            row[key] = None
    return json.dumps(row, allow_nan=False) + "\n"


class StepDisplay:
    """A progress bar and one readable line per step on stderr; silent on every rank but 0.

    Where the stream is no terminal (a log file, CI) there is no bar and no control character: one plain line per step.

    Args:
        total_steps: steps of the whole run.
        initial_step: steps that were done before (a resumed run).
        rank: this process's rank.
        stream: where to write; stderr when None.
    """

    def __init__(self, total_steps: int, *, initial_step: int = 0, rank: int = 0, stream: TextIO | None = None) -> None:
        self._total_steps = total_steps
        self._initial_step = initial_step
        self._stream = stream if stream is not None else sys.stderr
        self._enabled = rank == 0
        self._started: float | None = None
        self._bar: Any = None
        if self._enabled and self._stream.isatty() and os.environ.get("TERM") != "dumb":
            from tqdm import tqdm

            self._bar = tqdm(
                total=total_steps,
                initial=initial_step,
                desc="training",
                unit="step",
                file=self._stream,
                dynamic_ncols=True,
            )

    def show(self, metrics: StepMetrics) -> None:
        """Print the line of a finished step and move the bar to it."""
        if not self._enabled:
            return
        step = int(cast(int, metrics["step"]))
        if self._started is None:  # what came before the first step is no measure of those to come
            self._started = time.monotonic() - float(cast(float, metrics.get("time_step_s") or 0.0))
        steps_here = step - self._initial_step
        elapsed_s = time.monotonic() - self._started
        left_s = elapsed_s / steps_here * (self._total_steps - step) if steps_here > 0 else None
        line = format_step(metrics, self._total_steps, left_s)
        if self._bar is None:
            self._stream.write(line + "\n")
            self._stream.flush()
        else:
            self._bar.write(line, file=self._stream)
            self._bar.update(step - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it stands. Safe to call twice."""
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> StepDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def format_step(metrics: StepMetrics, total_steps: int, left_s: float | None) -> str:
    """One line for a step; a missing value is left out.

    >>> format_step({"step": 3, "reward_mean": 0.25, "accuracy": 0.125, "tokens_per_s": 412.3}, 20, 75.0)
    'step  3/20 | reward 0.250 | accuracy 12.5% | 412 tok/s | 1:15 left'
    """
    width = len(str(total_steps))
    parts = [f"step {metrics['step']:>{width}}/{total_steps}"]

    def add(key: str, text: Callable[[float], str]) -> None:
        value = metrics.get(key)
        if isinstance(value, int | float):
            parts.append(text(value))

    add("reward_mean", lambda value: f"reward {value:.3f}")
    add("accuracy", lambda value: f"accuracy {value:.1%}")
    add("all_negative_share", lambda value: f"all-negative {value:.0%}")
    add("num_rescued", lambda value: f"rescued {value:.0f}{_of_all_negative(metrics)}")
    add("unscored_share", lambda value: f"unscored {value:.0%}")
    add("tokens_per_s", lambda value: f"{value:,.0f} tok/s")
    if left_s is not None:
        parts.append(f"{format_seconds(left_s)} left")
    return " | ".join(parts)


def _of_all_negative(metrics: StepMetrics) -> str:
    share, groups = metrics.get("all_negative_share"), metrics.get("num_groups")
    if not isinstance(share, int | float) or not isinstance(groups, int | float):
        return ""
    return f" of {round(share * groups)}"


def format_seconds(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any.

    >>> format_seconds(75), format_seconds(7325)
    ('1:15', '2:02:05')
    """
    minutes, secs = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{secs:02d}" if hours else f"{minutes}:{secs:02d}"
