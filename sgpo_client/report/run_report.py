"""The page that shows a run: ``python -m sgpo_client.report RUN_DIR`` writes ``RUN_DIR/report.html``.

One file without scripts or links to anything else. It is made from ``run.json``, ``metrics.jsonl``, ``eval.jsonl`` and
``samples.jsonl``; whatever is missing is said to be missing. The responses were written by a model: text is escaped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from sgpo_client.errors import DataError
from sgpo_client.log.metrics import format_seconds, read_json_lines
from sgpo_client.report.charts import draw_charts
from sgpo_client.report.drawing import MAX_POINTS, mean_of
from sgpo_client.report.page import render_page, write_page
from sgpo_client.report.run_files import EvalRow, change_between, group_totals, known, read_run
from sgpo_client.report.samples import clean, sample_groups

REPORT_NAME: Final = "report.html"
MAX_EVALUATIONS: Final = 12
"""Rows of the evaluation table; the curve has all of them."""
HEADLINES: Final = {
    "model.name": "model",
    "algo.name": "algorithm",
    "reward.judge": "judge",
    "reward.url": "reward server",
    "data.source": "data",
    "data.path": "data path",
    "rollout.prompts_per_step": "problems per step",
    "rollout.group_size": "group size",
    "rollout.max_new_tokens": "token limit",
    "optim.lr": "learning rate",
    "run.seed": "seed",
}
"""Settings in ``run.json``'s ``config`` that everybody asks for first."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One number at the head of the page."""

    label: str
    value: str
    note: str = ""


def write_report(run_dir: Path) -> Path:
    """Write ``report.html`` into the folder of a run and return its path. Works at any moment of a run.

    Raises:
        DataError: when ``run_dir`` is not a folder.
    """
    return write_page(run_dir / REPORT_NAME, render(run_dir))


def render(run_dir: Path) -> str:
    """The page as text."""
    run = read_run(run_dir)
    evaluations = run.evaluations
    samples = [row for _, row in read_json_lines(run_dir / "samples.jsonl")]
    config = flatten(run.config)
    return render_page(
        "report.html.j2",
        name=run.name,
        headlines={label: config[key] for key, label in HEADLINES.items() if config.get(key)},
        facts=flatten({key: value for key, value in run.facts.items() if key != "config"}),
        config=config,
        tiles=_tiles(run.steps, evaluations),
        evaluations=spread(evaluations, MAX_EVALUATIONS),
        num_evaluations=len(evaluations),
        change=_change(evaluations),
        sections=draw_charts(run.steps, [{"step": row.step, "accuracy": row.accuracy} for row in evaluations]),
        smoothed=len(run.steps) > MAX_POINTS,
        groups=sample_groups(samples),
    )


def spread(rows: Sequence[EvalRow], limit: int) -> list[EvalRow]:
    """At most ``limit`` >= 2 of the rows, the first and the last among them, evenly apart."""
    if len(rows) <= limit:
        return list(rows)
    return [rows[round(index * (len(rows) - 1) / (limit - 1))] for index in range(limit)]


def flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested tables as dotted keys and texts; None and empty values are left out.

    >>> flatten({"algo": {"name": "sgpo"}, "seed": 0, "url": ""})
    {'algo.name': 'sgpo', 'seed': '0'}
    """
    flat: dict[str, str] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        elif value is not None and value != "":
            flat[f"{prefix}{clean(str(key))}"] = clean(str(value))
    return flat


def _change(evaluations: Sequence[EvalRow]) -> str:
    return f"Change from first to last: {change_between(evaluations[0], evaluations[-1])}." if evaluations[1:] else ""


def _tiles(steps: Sequence[Mapping[str, Any]], evaluations: Sequence[EvalRow]) -> list[Tile]:
    if not steps:
        return []
    tiles = [Tile("steps", str(steps[-1]["step"]))]
    seconds = known(steps, "time_step_s")
    if seconds:
        tiles[0] = Tile(
            "steps", str(steps[-1]["step"]), f"{format_seconds(sum(seconds))}, {median(seconds):.1f} s each"
        )
    if len(evaluations) > 1:
        first, last = evaluations[0], evaluations[-1]
        tiles.append(
            Tile("evaluation accuracy", f"{first.accuracy:.1%} → {last.accuracy:.1%}", f"n = {last.num_problems}")
        )
    total, all_negative, rescued = group_totals(steps)
    if total:
        tiles.append(Tile("all-negative groups", f"{all_negative / total:.0%}", f"{all_negative:,} of {total:,}"))
        tiles.append(Tile("rescued by the judge", f"{rescued:,}", f"of {all_negative:,} all-negative groups"))
    unscored = mean_of(known(steps, "unscored_share"))
    if unscored is not None:
        tiles.append(Tile("unscored", f"{unscored:.1%}", "of the responses; masked, never 0"))
    speed = known(steps, "tokens_per_s")
    if speed:
        tiles.append(Tile("throughput", f"{median(speed):,.0f}", "tokens/s, median"))
    return tiles


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m sgpo_client.report``."""
    parser = argparse.ArgumentParser(prog="python -m sgpo_client.report", description="Write RUN_DIR/report.html.")
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="folder of a run, with metrics.jsonl in it")
    try:
        path = write_report(parser.parse_args(argv).run_dir)
    except DataError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"{path}\n")
    return 0
