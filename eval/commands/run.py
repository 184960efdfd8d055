"""``sgpo-eval run --benchmark processbench --path FILE --judge rules --output DIR``: judge every row of a benchmark."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from judge.command_line import OK
from judge.errors import ConfigError, JudgeError

DESCRIPTION: Final = (
    "Judge every row, write DIR/log.jsonl line by line and DIR/summary.json at the end. The same command goes on from "
    "an interrupted run, and tries again the rows for which the judge could not be reached."
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The arguments of the verb."""
    parser = commands.add_parser("run", help="judge every row of a benchmark; resumable", description=DESCRIPTION)
    parser.add_argument("--benchmark", required=True, metavar="NAME", help="see `sgpo-eval list`")
    parser.add_argument(
        "--path", required=True, type=Path, help="data file in the benchmark's schema, plain or gzipped"
    )
    parser.add_argument(
        "--judge",
        required=True,
        metavar="JUDGE",
        help="default, rules, critic ..., a trained judge's folder, or a TOML file with [judge]",
    )
    parser.add_argument(
        "--judge-option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="setting of the judge (repeatable), for example --judge-option model=Qwen/Qwen3-4B",
    )
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="for log.jsonl and summary.json")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N rows")
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="rows per call (default 16)")
    parser.add_argument(
        "--known-wrong",
        action="store_true",
        help="only rows with a wrong final answer, and the judge is told so; default: all rows, judged cold",
    )
    parser.add_argument(
        "--max-failed-share",
        type=float,
        default=0.0,
        metavar="X",
        help="exit with 1 when the judge did not answer on more than this share of the rows (default 0)",
    )


def main(args: argparse.Namespace) -> int:
    """Judge a benchmark."""
    from importlib.metadata import version

    from eval.benchmarks.base import get_benchmark, read_data_file
    from eval.runner import SUMMARY_NAME, EvalOptions, run
    from judge.registry import build_judge, judge_table

    _check_numbers(args)
    get_benchmark(args.benchmark)  # a misspelt name is told before a large file is read
    data = read_data_file(args.path)
    judge = build_judge(judge_table(args.judge, args.judge_option), where=f"--judge {args.judge}")
    summary = run(
        judge,
        data,
        EvalOptions(args.benchmark, args.output, args.limit, args.batch_size, args.known_wrong),
        facts={"version": version("sgpo"), "command": args.command_line},
    )
    print(_table(summary))
    print(args.output / SUMMARY_NAME)
    failed_share = summary["num_failed"] / summary["num_rows"]
    if failed_share > args.max_failed_share:
        raise JudgeError(
            f"the judge did not answer on {summary['num_failed']} of {summary['num_rows']} rows (see 'message' in "
            f"{args.output / 'log.jsonl'}); the same command tries them again, --max-failed-share accepts some"
        )
    return OK


def _check_numbers(args: argparse.Namespace) -> None:
    if args.limit is not None and args.limit < 1:
        raise ConfigError(f"--limit {args.limit}: at least 1 is needed")
    if args.batch_size < 1:
        raise ConfigError(f"--batch-size {args.batch_size}: at least 1 is needed")
    if not 0 <= args.max_failed_share <= 1:
        raise ConfigError(f"--max-failed-share {args.max_failed_share}: give a share between 0 and 1")


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
