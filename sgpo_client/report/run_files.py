"""What a run folder says of its run, for the report, the summary and comparisons. Needs no torch."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from sgpo_client.errors import DataError
from sgpo_client.log.metrics import read_json_lines, read_metrics
from sgpo_client.report.intervals import Interval, newcombe, paired_change, wilson

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EvalRow:
    """One evaluation; shares in [0, 1]."""

    step: int
    num_correct: int
    num_problems: int
    accuracy: float
    low: float
    high: float
    problems: str = ""
    """Digest of the problems that were asked; empty where the run has not written it down."""
    answers: str = ""
    """One character per problem: 1 right, 0 wrong, - could not be checked."""


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The files of one run; whatever is missing or unreadable is empty."""

    folder: Path
    facts: dict[str, Any]
    steps: list[dict[str, Any]]
    evaluations: list[EvalRow]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    @property
    def config(self) -> Mapping[str, Any]:
        """The settings of the run, as tables."""
        config = self.facts.get("config")
        return config if isinstance(config, Mapping) else {}

    def tokens_after(self, step: int) -> int | None:
        """Response tokens that the run had sampled or read after ``step``; None where the metrics do not say."""
        return self._tokens().get(step)

    def _tokens(self) -> dict[int, int]:
        known = [row for row in self.steps if isinstance(row.get("response_tokens"), int | float)]
        sums = accumulate(int(row["response_tokens"]) for row in known)
        return {0: 0} | {row["step"]: total for row, total in zip(known, sums, strict=True)}


@dataclass(frozen=True, slots=True)
class Change:
    """A difference of two accuracies with its 95% interval."""

    points: float
    """In [-1, 1]."""
    interval: Interval
    method: str

    def __str__(self) -> str:
        low, high = self.interval
        verdict = "more than chance explains" if low > 0 or high < 0 else "chance alone can explain it"
        return (
            f"{100 * self.points:+.1f} points, 95% interval {100 * low:+.1f} to {100 * high:+.1f} "
            f"({self.method}): {verdict}"
        )


def change_between(before: EvalRow, after: EvalRow) -> Change:
    """How much the accuracy differs: problem by problem where both were asked the same ones."""
    pairs = [pair for pair in zip(before.answers, after.answers, strict=False) if "-" not in pair]
    if before.problems and before.problems == after.problems and pairs:
        gained, lost = pairs.count(("0", "1")), pairs.count(("1", "0"))
        interval = paired_change(gained, lost, len(pairs))
        return Change((gained - lost) / len(pairs), interval, f"{len(pairs):,} problems in pairs")
    interval = newcombe(before.num_correct, before.num_problems, after.num_correct, after.num_problems)
    return Change(after.accuracy - before.accuracy, interval, "Newcombe, the two taken as independent samples")


def read_run(folder: Path) -> RunFiles:
    """Read run.json, metrics.jsonl and eval.jsonl. Works at any moment of a run.

    Raises:
        DataError: when ``folder`` is not a folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the folder of a run (run.output_dir in its configuration)")
    return RunFiles(
        folder=folder,
        facts=_read_facts(folder / "run.json"),
        steps=read_metrics(folder / "metrics.jsonl"),
        evaluations=_read_evaluations(folder / "eval.jsonl"),
    )


class GroupTotals(NamedTuple):
    """Groups of a whole run."""

    total: int
    all_negative: int
    rescued: int


def group_totals(steps: Sequence[Mapping[str, Any]]) -> GroupTotals:
    """Over the steps that say how many groups they had and how many of them were all-negative."""
    rows = [row for row in steps if len(known([row], "num_groups") + known([row], "all_negative_share")) == 2]
    return GroupTotals(
        total=round(sum(row["num_groups"] for row in rows)),
        all_negative=round(sum(row["num_groups"] * row["all_negative_share"] for row in rows)),
        rescued=round(sum(known(rows, "num_rescued"))),
    )


def known(steps: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    """The values of a metric, without the steps that have none."""
    return [float(row[key]) for row in steps if isinstance(row.get(key), int | float)]


def _read_facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        logger.warning("%s is left out: %s", path, error)
        return {}
    return facts if isinstance(facts, dict) else {}


def _read_evaluations(path: Path) -> list[EvalRow]:
    """Evaluations in order of step; should a step stand there twice the later line counts."""
    by_step: dict[int, EvalRow] = {}
    for line, row in read_json_lines(path):
        try:
            step, correct, total = int(row["step"]), int(row["num_correct"]), int(row["num_problems"])
            low, high = wilson(correct, total)
        except (KeyError, TypeError, ValueError) as error:
            logger.warning("%s line %d is left out: %s", path, line, error)
            continue
        texts = str(row.get("problems") or ""), str(row.get("answers") or "")
        by_step[step] = EvalRow(step, correct, total, correct / total, low, high, *texts)
    return [by_step[step] for step in sorted(by_step)]
