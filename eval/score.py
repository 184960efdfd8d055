"""Score a log, or predictions made elsewhere, against a benchmark, and leave a folder as `eval.runner` does."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from eval.benchmarks.base import Benchmark, DataFile
from eval.benchmarks.example import Example
from eval.log import (
    LOG_NAME,
    SUMMARY_NAME,
    LogRow,
    RunIdentity,
    open_folder,
    read_identity,
    read_log,
    write_summary,
)
from eval.predictions import (
    Matched,
    PredictionLine,
    ReasonLine,
    match,
    prediction_rows,
    read_lines,
    refuse_other_rows,
)
from eval.row_file import write_rows
from eval.runner import select
from eval.summary import Scoring, summarise
from judge.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """What is scored, and what is let pass."""

    output: Path
    log: Path | None = None
    """A log, or the folder of one."""
    predictions: Path | None = None
    reasons: Path | None = None
    """Grades of the judge's reasons."""
    judge_id: str | None = None
    """What to call the judge, before the file's digest; None: as the log's folder says, else after the file."""
    known_wrong: bool = False
    """Only the rows whose final answer is wrong."""
    allow_missing: bool = False
    allow_unknown: bool = False
    scoring: Scoring = field(default_factory=Scoring)


def score(benchmark: Benchmark, data: DataFile, options: ScoreOptions, facts: Mapping[str, object]) -> dict[str, Any]:
    """Compute everything, and write log and ``summary.json`` to ``options.output``.

    Args:
        facts: more entries for the summary (version, command).

    Raises:
        DataError: a file with a wrong line, missing or unknown ids that are not allowed, or a log of other rows.
        ConfigError: the output folder holds another run.
    """
    source = _source(options)
    there = read_identity(source.parent) if options.log is not None else None
    if there is not None and options.known_wrong and not there.known_wrong:
        raise ConfigError(
            f"--known-wrong: the judge of {source} was not told that the rows are wrong; judge them again with "
            "`sgpo-eval run --known-wrong`, or leave the flag out"
        )
    known_wrong = options.known_wrong or (there is not None and there.known_wrong)
    read = benchmark.read(data)
    examples = select(read.examples, data.path, known_wrong=known_wrong)
    matched = _matched(source, examples, options)
    named = f"{options.judge_id or source.name}@{_digest(source)}"
    judge_id = there.judge_id if there is not None and options.judge_id is None else named
    scored = [example for example in examples if example.id in matched.by_id]
    reasons = _reasons(scored, options)
    open_folder(options.output, RunIdentity(benchmark.name, data.digest, judge_id, known_wrong))
    known = {
        "benchmark": benchmark.name,
        "path": str(data.path),
        "data_digest": data.digest,
        "dropped": read.dropped,
        "repaired": read.repaired,
        "drawn": None,
        "judge_id": judge_id,
        "known_wrong": known_wrong,
        "scored_from": str(source),
        "num_missing": matched.num_missing,
        "num_unknown": matched.num_unknown,
    }
    scoring = replace(options.scoring, reasons=reasons)
    subsets = {example.subset for example in examples}
    summary = summarise(benchmark, scored, matched.by_id, scoring, known | dict(facts), subsets)
    rows = [matched.by_id[example.id] for example in scored]
    log = options.output / LOG_NAME
    if not (log.exists() and log.samefile(source)):
        refuse_shorter(log, rows)
        write_rows(log, rows)
    write_summary(options.output / SUMMARY_NAME, summary)
    return summary


def refuse_shorter(log: Path, rows: Sequence[LogRow]) -> None:
    """Refuse to replace a log by one that lacks some of its rows: they may have cost hours of judging.

    Raises:
        ConfigError: naming the log.
    """
    lost = {row.id for row in read_log(log)} - {row.id for row in rows} if log.exists() else set()
    if lost:
        raise ConfigError(f"{log}: holds {len(lost)} rows that would be lost; give another --output")


def _source(options: ScoreOptions) -> Path:
    given = [path for path in (options.log, options.predictions) if path is not None]
    if len(given) != 1:
        raise ConfigError("give either --log or --predictions")
    return given[0] / LOG_NAME if options.log is not None and given[0].is_dir() else given[0]


def _matched(source: Path, examples: Sequence[Example], options: ScoreOptions) -> Matched[LogRow]:
    allowed = {"allow_missing": options.allow_missing, "allow_unknown": options.allow_unknown}
    if options.log is not None:
        rows = {row.id: row for row in read_log(source)}
        matched = match(rows, examples, str(source), **allowed)
        refuse_other_rows(matched.by_id, examples, str(source))
        return matched
    lines = match(read_lines(source, PredictionLine), examples, str(source), **allowed)
    made = prediction_rows(lines.by_id, examples, str(source))
    return Matched({row.id: row for row in made}, lines.num_missing, lines.num_unknown)


def _reasons(examples: Sequence[Example], options: ScoreOptions) -> dict[str, bool]:
    """Grades may be there for any of the rows: they are only needed where the error was located."""
    if options.reasons is None:
        return {}
    lines = read_lines(options.reasons, ReasonLine)
    matched = match(lines, examples, str(options.reasons), allow_missing=True, allow_unknown=options.allow_unknown)
    return {name: line.reason_correct for name, line in matched.by_id.items()}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
