"""Judge every row of a benchmark, keep a log that a killed run goes on from, and sum it up."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.benchmarks.base import DataFile, get_benchmark
from eval.log import LogRow, RunIdentity, append, open_folder, resume_log, write_summary
from eval.metrics import first_error_metrics
from judge.errors import ConfigError, ModelError
from judge.judges.base import Judge
from judge.types import NO_ERROR, Record, Solution, Unscored, UnscoredReason, Verdict

logger = logging.getLogger(__name__)

SUMMARY_NAME = "summary.json"
LOG_NAME = "log.jsonl"


@dataclass(frozen=True, slots=True)
class EvalOptions:
    """One evaluation."""

    benchmark: str
    output: Path
    limit: int | None = None
    """Judge only the first rows."""
    batch_size: int = 16
    known_wrong: bool = False
    """Judge only the rows whose final answer is wrong, and tell the judge so (as SGPO does)."""


def run(judge: Judge, data: DataFile, options: EvalOptions, facts: Mapping[str, object]) -> dict[str, Any]:
    """Judge what is not yet in the log of ``options.output``, and write its ``summary.json``.

    Args:
        facts: more entries for the summary (version, command).

    Raises:
        DataError: the data file does not follow the benchmark's schema.
        ConfigError: the output folder holds another run.
        ModelError: the judge's model cannot be loaded.
    """
    records = select(get_benchmark(options.benchmark).load(data), data.path, options)
    identity = RunIdentity(options.benchmark, data.digest, judge.judge_id, options.known_wrong)
    open_folder(options.output, identity)
    log = options.output / LOG_NAME
    finished = resume_log(log)
    todo = [record for record in records if record.id not in finished]
    if len(todo) < len(records):
        logger.info("%s: %d of %d rows are done, going on", log, len(records) - len(todo), len(records))
    fresh = asyncio.run(_judge_all(judge, todo, log, options))
    rows = [(finished | fresh)[record.id] for record in records]
    summary = summarise(rows) | {
        "benchmark": identity.benchmark,
        "path": str(data.path),
        "data_digest": identity.data_digest,
        "judge_id": identity.judge_id,
        "known_wrong": identity.known_wrong,
        **facts,
    }
    write_summary(options.output / SUMMARY_NAME, summary)
    return summary


def select(records: Sequence[Record], path: Path, options: EvalOptions) -> list[Record]:
    """The rows that the options ask for.

    Raises:
        ConfigError: when there are none.
    """
    if options.known_wrong:
        records = [record for record in records if record.final_answer_correct is False]
        if not records:
            raise ConfigError(f"{path}: --known-wrong needs rows whose 'final_answer_correct' is false; there are none")
    return list(records[: options.limit])


async def _judge_all(judge: Judge, records: Sequence[Record], log: Path, options: EvalOptions) -> dict[str, LogRow]:
    from tqdm import tqdm

    rows: dict[str, LogRow] = {}
    async with aclosing(judge):
        with tqdm(total=len(records), desc="judging", unit="row", disable=None) as bar:
            for start in range(0, len(records), options.batch_size):
                batch = records[start : start + options.batch_size]
                judged = await _judge_batch(judge, batch, options.known_wrong)
                append(log, judged)
                rows |= {row.id: row for row in judged}
                bar.update(len(batch))
    return rows


async def _judge_batch(judge: Judge, batch: Sequence[Record], known_wrong: bool) -> list[LogRow]:
    solutions = [
        Solution(
            problem=record.problem,
            steps=record.steps,
            reference_solution=record.reference_solution,
            reference_answer=record.reference_answer,
            known_wrong=known_wrong,
        )
        for record in batch
    ]
    started = time.perf_counter()
    results: Sequence[Verdict | Unscored]
    try:
        results = await judge.judge(solutions)
        if len(results) != len(batch):
            raise RuntimeError(f"{len(results)} results for a batch of {len(batch)}")
    except (ConfigError, ModelError):
        raise  # no row can be judged: the user has to change something
    except Exception as error:  # the edge to a judge of any make: one bad batch must not end the run
        logger.warning("the judge failed on a batch of %d rows: %s: %s", len(batch), type(error).__name__, error)
        message = f"{type(error).__name__}: {error}"
        failure = Unscored(UnscoredReason.JUDGE_UNAVAILABLE, message, judge.judge_id)
        results = [failure] * len(batch)
    seconds = (time.perf_counter() - started) / len(batch)
    return [_log_row(record, result, seconds) for record, result in zip(batch, results, strict=True)]


def _log_row(record: Record, result: Verdict | Unscored, seconds: float) -> LogRow:
    assert record.label is not None, "a benchmark labels every row"
    usage = result.usage
    shared = LogRow(
        id=record.id,
        label=record.label,
        prediction=None,
        num_steps=len(record.steps),
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        calls=usage.calls,
        seconds=seconds,
    )
    if isinstance(result, Unscored):
        return shared.model_copy(update={"reason": result.reason, "message": result.message, "critique": result.raw})
    return shared.model_copy(
        update={
            "prediction": NO_ERROR if result.first_error is None else result.first_error,
            "step_error_probs": result.step_error_probs,
            "expected_rts": result.expected_rts,
            "confidence": result.confidence,
            "critique": result.critique,
        }
    )


def summarise(rows: Sequence[LogRow]) -> dict[str, Any]:
    """Everything in the summary that follows from the log alone."""
    metrics = first_error_metrics([row.label for row in rows], [row.prediction for row in rows])
    unscored = Counter(row.reason.value for row in rows if row.reason is not None)
    return {
        "error_acc": metrics.error_acc,
        "correct_acc": metrics.correct_acc,
        "f1": metrics.f1,
        "num_rows": len(rows),
        "num_error": metrics.num_error,
        "num_correct": metrics.num_correct,
        "num_unscored": metrics.num_unscored,
        "num_failed": sum(row.failed for row in rows),
        "unscored": dict(sorted(unscored.items())),
        "coverage": (len(rows) - metrics.num_unscored) / len(rows),
        "seconds": sum(row.seconds for row in rows),
        "usage": {
            "prompt_tokens": sum(row.prompt_tokens for row in rows),
            "completion_tokens": sum(row.completion_tokens for row in rows),
            "calls": sum(row.calls for row in rows),
        },
    }
