"""``sgpo-eval run --benchmark processbench --path FILE --judge rules --output DIR``: judge every row of a benchmark."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from eval.commands.options import add_benchmark, add_judge, add_sampling, sampling
from judge.command_line import OK
from judge.errors import ConfigError, JudgeError

DESCRIPTION: Final = (
    "Judge every row, write DIR/log.jsonl line by line and DIR/summary.json at the end. The same command goes on from "
    "an interrupted run, and tries again the rows for which the judge could not be reached."
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The arguments of the verb."""
    parser = commands.add_parser("run", help="judge every row of a benchmark; resumable", description=DESCRIPTION)
    add_benchmark(parser)
    add_judge(parser)
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="for log.jsonl and summary.json")
    parser.add_argument(
        "--limit", type=int, metavar="N", help="only N rows, of problems drawn from every subset by a hash of --seed"
    )
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
    add_sampling(parser)


def main(args: argparse.Namespace) -> int:
    """Judge a benchmark."""
    _check_numbers(args)
    drawn = sampling(args)
    from eval.benchmarks.base import get_benchmark, read_benchmark_file
    from eval.commands.tables import summary_table
    from eval.log import LOG_NAME, SUMMARY_NAME
    from eval.provenance import provenance
    from eval.runner import EvalOptions, run
    from eval.summary import Scoring
    from judge.registry import build_judge, judge_table

    benchmark = get_benchmark(args.benchmark)  # a misspelt name is told before a large file is read
    data = read_benchmark_file(benchmark, args.path)
    judge = build_judge(judge_table(args.judge, args.judge_option), where=f"--judge {args.judge}")
    options = EvalOptions(
        args.benchmark, args.output, args.limit, args.batch_size, args.known_wrong, Scoring(sampling=drawn)
    )
    summary = run(judge, data, options, facts=provenance() | {"command": args.command_line})
    print(summary_table(summary))
    print(args.output / SUMMARY_NAME)
    failed_share = summary["num_failed"] / summary["num_rows"]
    if failed_share > args.max_failed_share:
        raise JudgeError(
            f"the judge did not answer on {summary['num_failed']} of {summary['num_rows']} rows (see 'message' in "
            f"{args.output / LOG_NAME}); the same command tries them again, --max-failed-share accepts some"
        )
    return OK


def _check_numbers(args: argparse.Namespace) -> None:
    if args.limit is not None and args.limit < 1:
        raise ConfigError(f"--limit {args.limit}: at least 1 is needed")
    if args.batch_size < 1:
        raise ConfigError(f"--batch-size {args.batch_size}: at least 1 is needed")
    if not 0 <= args.max_failed_share <= 1:
        raise ConfigError(f"--max-failed-share {args.max_failed_share}: give a share between 0 and 1")
