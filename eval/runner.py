"""Judge every row of a benchmark, keep a log that a killed run goes on from, and sum it up."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eval.asking import ask
from eval.benchmarks.base import DataFile, get_benchmark
from eval.benchmarks.draw import draw
from eval.benchmarks.example import Example
from eval.log import (
    LOG_NAME,
    SUMMARY_NAME,
    LogRow,
    RunIdentity,
    open_folder,
    refuse_other_draw,
    resume_log,
    write_summary,
)
from eval.row_file import append_rows
from eval.summary import Scoring, summarise
from judge.errors import ConfigError
from judge.judges.base import Judge
from judge.types import NO_ERROR, Solution, Unscored, Verdict

__all__ = ["SUMMARY_NAME", "EvalOptions", "run", "select"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EvalOptions:
    """One evaluation."""

    benchmark: str
    output: Path
    limit: int | None = None
    """Judge only so many rows, drawn by `draw` with the seed of `scoring`."""
    batch_size: int = 16
    known_wrong: bool = False
    """Judge only the rows whose final answer is wrong, and tell the judge so (as SGPO does)."""
    scoring: Scoring = field(default_factory=Scoring)


def run(judge: Judge, data: DataFile, options: EvalOptions, facts: Mapping[str, object]) -> dict[str, Any]:
    """Judge what is not yet in the log of ``options.output``, and write its ``summary.json``.

    Args:
        facts: more entries for the summary (version, command).

    Raises:
        DataError: the data file does not follow the benchmark's schema.
        ConfigError: the output folder holds another run.
        ModelError: the judge's model cannot be loaded.
    """
    benchmark = get_benchmark(options.benchmark)
    read = benchmark.read(data)
    chosen = select(read.examples, data.path, known_wrong=options.known_wrong)
    examples = draw(chosen, options.limit, options.scoring.sampling.seed)
    identity = RunIdentity(options.benchmark, data.digest, judge.judge_id, options.known_wrong)
    open_folder(options.output, identity)
    log = options.output / LOG_NAME
    finished = resume_log(log)
    refuse_other_draw(log, finished, (example.id for example in examples))
    todo = [example for example in examples if example.id not in finished]
    if len(todo) < len(examples):
        logger.info("%s: %d of %d rows are done, going on", log, len(examples) - len(todo), len(examples))
    fresh = asyncio.run(_judge_all(judge, todo, log, options))
    known = {
        "benchmark": identity.benchmark,
        "path": str(data.path),
        "data_digest": identity.data_digest,
        "dropped": read.dropped,
        "repaired": read.repaired,
        "drawn": [example.id for example in examples] if len(examples) < len(chosen) else None,
        "judge_id": identity.judge_id,
        "known_wrong": identity.known_wrong,
    }
    summary = summarise(
        benchmark,
        examples,
        finished | fresh,
        options.scoring,
        known | dict(facts),
        {example.subset for example in chosen},
    )
    write_summary(options.output / SUMMARY_NAME, summary)
    return summary


def select(examples: Sequence[Example], path: Path, *, known_wrong: bool) -> list[Example]:
    """All rows, or only those whose final answer is wrong.

    Raises:
        ConfigError: when there are none.
    """
    if not known_wrong:
        return list(examples)
    wrong = [example for example in examples if example.final_answer_correct is False]
    if not wrong:
        raise ConfigError(f"{path}: --known-wrong needs rows whose 'final_answer_correct' is false; there are none")
    return wrong


async def _judge_all(judge: Judge, examples: Sequence[Example], log: Path, options: EvalOptions) -> dict[str, LogRow]:
    from tqdm import tqdm

    rows: dict[str, LogRow] = {}
    async with aclosing(judge):
        with tqdm(total=len(examples), desc="judging", unit="row", disable=None) as bar:
            for start in range(0, len(examples), options.batch_size):
                batch = examples[start : start + options.batch_size]
                for judged in await _judge_batch(judge, batch, options.known_wrong):
                    rows[judged.id] = judged
                append_rows(log, [rows[example.id] for example in batch])
                bar.update(len(batch))
                bar.set_postfix(unscored=sum(row.prediction is None for row in rows.values()), refresh=False)
    return rows


async def _judge_batch(judge: Judge, batch: Sequence[Example], known_wrong: bool) -> list[LogRow]:
    started = time.perf_counter()
    results = await ask(judge, [_solution(example, known_wrong) for example in batch])
    seconds = (time.perf_counter() - started) / len(batch)
    return [_log_row(example, result, seconds) for example, result in zip(batch, results, strict=True)]


def _solution(example: Example, known_wrong: bool) -> Solution:
    """What the judge sees."""
    return Solution(
        problem=example.problem,
        steps=example.steps,
        reference_solution=example.reference_solution,
        reference_answer=example.reference_answer,
        known_wrong=known_wrong,
    )


def _log_row(example: Example, result: Verdict | Unscored, seconds: float) -> LogRow:
    assert example.label is not None, "a benchmark labels every row"
    usage = result.usage
    shared = LogRow(
        id=example.id,
        label=example.label,
        prediction=None,
        num_steps=len(example.steps),
        subset=example.subset,
        problem=example.cluster,
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
