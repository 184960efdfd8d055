"""The page that shows a run: ``python -m sgpo_client.report RUN_DIR`` writes ``RUN_DIR/report.html``.

One file without scripts or links to anything else. It is made from ``run.json``, ``metrics.jsonl``, ``eval.jsonl`` and
``samples.jsonl``; whatever is missing is said to be missing. The responses were written by a model: text is escaped.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from sgpo_client.errors import DataError
from sgpo_client.intervals import newcombe, wilson
from sgpo_client.metrics import format_seconds, read_json_lines, read_metrics
from sgpo_client.report_charts import MAX_POINTS, draw_charts, mean_of, number
from sgpo_client.report_samples import clean, sample_groups

logger = logging.getLogger(__name__)

REPORT_NAME: Final = "report.html"
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
class EvalRow:
    """One evaluation; shares in [0, 1]."""

    step: int
    num_correct: int
    num_problems: int
    accuracy: float
    low: float
    high: float


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
    if not run_dir.is_dir():
        raise DataError(f"{run_dir}: no such folder; give the folder of a run (run.output_dir in its configuration)")
    target = run_dir / REPORT_NAME
    partial = target.with_suffix(".partial")
    partial.write_text(render(run_dir), encoding="utf-8")
    partial.replace(target)
    return target


def render(run_dir: Path) -> str:
    """The page as text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    facts = _read_facts(run_dir / "run.json")
    steps = read_metrics(run_dir / "metrics.jsonl")
    evaluations = _read_evaluations(run_dir / "eval.jsonl")
    samples = [row for _, row in read_json_lines(run_dir / "samples.jsonl")]
    config = flatten(facts["config"]) if isinstance(facts.get("config"), Mapping) else {}
    environment = Environment(
        loader=PackageLoader("sgpo_client"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        name=run_dir.resolve().name,
        headlines={label: config[key] for key, label in HEADLINES.items() if config.get(key)},
        facts=flatten({key: value for key, value in facts.items() if key != "config"}),
        config=config,
        tiles=_tiles(steps, evaluations),
        evaluations=evaluations,
        change=_change(evaluations),
        drawings=draw_charts(steps, [{"step": row.step, "accuracy": row.accuracy} for row in evaluations]),
        smoothed=len(steps) > MAX_POINTS,
        groups=sample_groups(samples),
    )


def _read_facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        logger.warning("%s is left out of the report: %s", path, error)
        return {}
    return facts if isinstance(facts, dict) else {}


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


def _read_evaluations(path: Path) -> list[EvalRow]:
    """Evaluations in order of step; a resumed run may have repeated one, then the later counts."""
    by_step: dict[int, EvalRow] = {}
    for line, row in read_json_lines(path):
        try:
            step, correct, total = int(row["step"]), int(row["num_correct"]), int(row["num_problems"])
            low, high = wilson(correct, total)
        except (KeyError, TypeError, ValueError) as error:
            logger.warning("%s line %d is left out of the report: %s", path, line, error)
            continue
        by_step[step] = EvalRow(step, correct, total, correct / total, low, high)
    return [by_step[step] for step in sorted(by_step)]


def _change(evaluations: Sequence[EvalRow]) -> str:
    if len(evaluations) < 2:
        return ""
    first, last = evaluations[0], evaluations[-1]
    low, high = newcombe(first.num_correct, first.num_problems, last.num_correct, last.num_problems)
    verdict = "more than chance explains" if low > 0 or high < 0 else "chance alone can explain it"
    return (
        f"Change from first to last: {100 * (last.accuracy - first.accuracy):+.1f} points, 95% interval "
        f"{100 * low:+.1f} to {100 * high:+.1f} (Newcombe, the two taken as independent samples): {verdict}."
    )


def _tiles(steps: Sequence[Mapping[str, Any]], evaluations: Sequence[EvalRow]) -> list[Tile]:
    if not steps:
        return []
    tiles = [Tile("steps", str(steps[-1]["step"]))]
    seconds = _known(steps, "time_step_s")
    if seconds:
        tiles[0] = Tile(
            "steps", str(steps[-1]["step"]), f"{format_seconds(sum(seconds))}, {median(seconds):.1f} s each"
        )
    if len(evaluations) > 1:
        first, last = evaluations[0], evaluations[-1]
        tiles.append(
            Tile("evaluation accuracy", f"{first.accuracy:.1%} → {last.accuracy:.1%}", f"n = {last.num_problems}")
        )
    groups = [row for row in steps if _known([row], "num_groups") and _known([row], "all_negative_share")]
    all_negative = round(sum(row["num_groups"] * row["all_negative_share"] for row in groups))
    total = round(sum(row["num_groups"] for row in groups))
    if total:
        tiles.append(Tile("all-negative groups", f"{all_negative / total:.0%}", f"{all_negative:,} of {total:,}"))
    rescued = _known(steps, "num_rescued")
    if rescued:
        tiles.append(Tile("rescued by the judge", f"{sum(rescued):,.0f}", f"of {all_negative:,} all-negative groups"))
    unscored = mean_of(_known(steps, "unscored_share"))
    if unscored is not None:
        tiles.append(Tile("unscored", f"{unscored:.1%}", "of the responses; masked, never 0"))
    speed = _known(steps, "tokens_per_s")
    if speed:
        tiles.append(Tile("throughput", f"{median(speed):,.0f}", "tokens/s, median"))
    return tiles


def _known(steps: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    values = (number(row, key) for row in steps)
    return [value for value in values if value == value]  # NaN is unequal to itself


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


if __name__ == "__main__":
    sys.exit(main())
