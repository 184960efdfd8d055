"""``sgpo-eval score --benchmark NAME --path PATH (--log LOG | --predictions FILE) --output DIR``: all figures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from eval.commands.options import add_benchmark, add_sampling, sampling
from judge.command_line import OK
from judge.errors import ConfigError

DESCRIPTION: Final = (
    "Compute every figure from a log, or from predictions made elsewhere; write DIR/summary.json. Nothing is judged."
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The arguments of the verb."""
    parser = commands.add_parser("score", help="figures from a log or from predictions", description=DESCRIPTION)
    add_benchmark(parser)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--log", type=Path, metavar="LOG", help="a log.jsonl of `sgpo-eval run`, or its folder")
    source.add_argument(
        "--predictions",
        type=Path,
        metavar="FILE",
        help='lines {"id": ..., "prediction": k}: k from 0, -1 no error, null unreadable answer; '
        "'step_error_probs' and 'error_steps' may follow",
    )
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="for summary.json and the log")
    parser.add_argument("--allow-missing", action="store_true", help="leave out rows that have no line, and count them")
    parser.add_argument("--allow-unknown", action="store_true", help="leave out lines of unknown ids, and count them")
    parser.add_argument(
        "--known-wrong", action="store_true", help="only rows with a wrong final answer (a log's folder says so itself)"
    )
    parser.add_argument("--judge-id", metavar="NAME", help="what to call the judge (default: as the log's folder says)")
    parser.add_argument(
        "--reasons",
        type=Path,
        metavar="FILE",
        help='lines {"id": ..., "reason_correct": true}: grades of the judge\'s reasons, for MR-Score',
    )
    parser.add_argument(
        "--step-threshold",
        type=float,
        default=0.5,
        metavar="X",
        help="steps with an error probability above it count as called wrong in PRMScore (default 0.5)",
    )
    add_sampling(parser)


def main(args: argparse.Namespace) -> int:
    """Score a log or predictions."""
    if not 0 <= args.step_threshold <= 1:
        raise ConfigError(f"--step-threshold {args.step_threshold}: give a probability between 0 and 1")
    drawn = sampling(args)
    from eval.benchmarks.base import get_benchmark, read_benchmark_file
    from eval.commands.tables import summary_table
    from eval.log import SUMMARY_NAME
    from eval.provenance import provenance
    from eval.score import ScoreOptions, score
    from eval.summary import Scoring

    benchmark = get_benchmark(args.benchmark)
    options = ScoreOptions(
        output=args.output,
        log=args.log,
        predictions=args.predictions,
        reasons=args.reasons,
        judge_id=args.judge_id,
        known_wrong=args.known_wrong,
        allow_missing=args.allow_missing,
        allow_unknown=args.allow_unknown,
        scoring=Scoring(sampling=drawn, step_threshold=args.step_threshold),
    )
    data = read_benchmark_file(benchmark, args.path)
    summary = score(benchmark, data, options, facts=provenance() | {"command": args.command_line})
    print(summary_table(summary))
    print(args.output / SUMMARY_NAME)
    return OK
