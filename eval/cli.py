"""Measure a judge on a benchmark: ``sgpo-eval run --benchmark processbench --path FILE --judge rules --output DIR``."""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from judge.errors import ConfigError, DataError, JudgeError, ModelError


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``sgpo-eval``. Returns 0, 2 for wrong input, 1 when too many rows could not be judged."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("stamina").setLevel(logging.ERROR)  # retries are not worth a line each
    try:
        if options.command == "list":
            return _list()
        return _run(options, shlex.join(["sgpo-eval", *arguments]))
    except (ConfigError, DataError, ModelError) as error:
        return _complain(error, 2)
    except (JudgeError, OSError) as error:
        return _complain(error, 1)
    except KeyboardInterrupt:
        return _complain("interrupted; the same command goes on from here", 130)


def _complain(error: object, code: int) -> int:
    print("error:", " ".join(str(error).split()), file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sgpo-eval", description="Measure step-wise judges on labelled solutions.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="list the benchmarks and the kinds of judges")
    run = commands.add_parser("run", help="judge every row of a benchmark; resumable", description=_RUN_HELP)
    run.add_argument("--benchmark", required=True, metavar="NAME", help="see `sgpo-eval list`")
    run.add_argument("--path", required=True, type=Path, help="data file in the benchmark's schema, plain or gzipped")
    run.add_argument(
        "--judge",
        required=True,
        metavar="JUDGE",
        help="default, rules, critic ..., a trained judge's folder, or a TOML file with [judge]",
    )
    run.add_argument(
        "--judge-option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="setting of the judge (repeatable), for example --judge-option model=Qwen/Qwen3-4B",
    )
    run.add_argument("--output", required=True, type=Path, metavar="DIR", help="for log.jsonl and summary.json")
    run.add_argument("--limit", type=int, metavar="N", help="only the first N rows")
    run.add_argument("--batch-size", type=int, default=16, metavar="N", help="rows per call (default 16)")
    run.add_argument(
        "--known-wrong",
        action="store_true",
        help="only rows with a wrong final answer, and the judge is told so; default: all rows, judged cold",
    )
    run.add_argument(
        "--max-failed-share",
        type=float,
        default=0.0,
        metavar="X",
        help="exit with 1 when the judge did not answer on more than this share of the rows (default 0)",
    )
    return parser


_RUN_HELP = """Judge every row, write DIR/log.jsonl line by line and DIR/summary.json at the end. The same command goes
on from an interrupted run, and tries again the rows for which the judge could not be reached."""


def _list() -> int:
    from eval.benchmarks.base import benchmarks
    from judge.registry import JUDGE_KINDS

    for name, benchmark in benchmarks().items():
        print(f"benchmark  {name}  {benchmark.description}")
    for kind in JUDGE_KINDS:
        print(f"judge      {kind}")
    return 0


def _run(options: argparse.Namespace, command: str) -> int:
    from importlib.metadata import version

    from eval.benchmarks.base import get_benchmark, read_data_file
    from eval.runner import SUMMARY_NAME, EvalOptions, run
    from judge.registry import build_judge, judge_table

    _check_numbers(options)
    get_benchmark(options.benchmark)  # a misspelt name is told before a large file is read
    data = read_data_file(options.path)
    judge = build_judge(judge_table(options.judge, options.judge_option), where=f"--judge {options.judge}")
    summary = run(
        judge,
        data,
        EvalOptions(options.benchmark, options.output, options.limit, options.batch_size, options.known_wrong),
        facts={"version": version("sgpo"), "command": command},
    )
    print(_table(summary))
    print(options.output / SUMMARY_NAME)
    failed_share = summary["num_failed"] / summary["num_rows"]
    if failed_share > options.max_failed_share:
        raise JudgeError(
            f"the judge did not answer on {summary['num_failed']} of {summary['num_rows']} rows (see 'message' in "
            f"{options.output / 'log.jsonl'}); the same command tries them again, --max-failed-share accepts some"
        )
    return 0


def _check_numbers(options: argparse.Namespace) -> None:
    if options.limit is not None and options.limit < 1:
        raise ConfigError(f"--limit {options.limit}: at least 1 is needed")
    if options.batch_size < 1:
        raise ConfigError(f"--batch-size {options.batch_size}: at least 1 is needed")
    if not 0 <= options.max_failed_share <= 1:
        raise ConfigError(f"--max-failed-share {options.max_failed_share}: give a share between 0 and 1")


def _table(summary: Mapping[str, Any]) -> str:
    lines = [
        ("error accuracy", _percent(summary["error_acc"]), f"n = {summary['num_error']}"),
        ("correct accuracy", _percent(summary["correct_acc"]), f"n = {summary['num_correct']}"),
        ("F1", _percent(summary["f1"]), "harmonic mean of the two"),
        ("unscored", str(summary["num_unscored"]), ", ".join(f"{n} {why}" for why, n in summary["unscored"].items())),
    ]
    return "\n".join(f"{name:<17}{value:>7}  {note}".rstrip() for name, value, note in lines)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
