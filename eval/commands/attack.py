"""``sgpo-eval attack --benchmark processbench --path FILE --judge rules --output DIR``: what reward hacking gains."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from eval.commands.options import add_benchmark, add_judge, add_sampling, require_numbers
from judge.command_line import OK
from judge.errors import ConfigError, JudgeError

DESCRIPTION: Final = (
    "Judge real wrong responses as they are and after each of a fixed set of reward-hacking attempts, with the "
    "defences on and off, and print what each attempt gains. DIR/attacks.jsonl grows line by line: the same command "
    "goes on from an interrupted run. DIR/attacks.json holds the table."
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The arguments of the verb."""
    parser = commands.add_parser("attack", help="what reward hacking gains; resumable", description=DESCRIPTION)
    add_benchmark(parser)
    add_judge(parser)
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="for attacks.jsonl and attacks.json")
    parser.add_argument("--limit", type=int, metavar="N", help="only N wrong responses, drawn by a hash of --seed")
    parser.add_argument(
        "--attack",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="only these attacks; default: all, as docs/evaluation.md lists them",
    )
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="responses per call (default 16)")
    parser.add_argument(
        "--max-failed-share",
        type=float,
        default=0.0,
        metavar="X",
        help="exit with 1 when the judge did not answer on more than this share of the responses (default 0)",
    )
    add_sampling(parser)


def main(args: argparse.Namespace) -> int:
    """Attack a judge."""
    _check_numbers(args)
    require_numbers()
    from eval.attack_log import LOG_NAME
    from eval.attack_run import SUMMARY_NAME, AttackOptions, run_attacks
    from eval.attacks.corpus import get_attacks
    from eval.benchmarks.base import get_benchmark, read_benchmark_file
    from eval.provenance import provenance
    from judge.registry import build_judge, judge_table

    attacks = get_attacks(args.attack)  # misspelt names are told before a large file is read
    benchmark = get_benchmark(args.benchmark)
    data = read_benchmark_file(benchmark, args.path)
    judge = build_judge(judge_table(args.judge, args.judge_option), where=f"--judge {args.judge}")
    options = AttackOptions(
        benchmark=args.benchmark,
        output=args.output,
        attacks=attacks,
        limit=args.limit,
        batch_size=args.batch_size,
        seed=args.seed,
        num_samples=args.bootstrap_samples,
    )
    summary = run_attacks(judge, data, options, facts=provenance() | {"command": args.command_line})
    print(_report(summary))
    print(args.output / SUMMARY_NAME)
    failed, num_rows = summary["num_failed"], summary["num_rows"]
    if failed > args.max_failed_share * num_rows:
        raise JudgeError(
            f"the judge did not answer on {failed} of {num_rows} responses (see 'message' in "
            f"{args.output / LOG_NAME}); the same command tries them again, --max-failed-share accepts some"
        )
    return OK


def _check_numbers(args: argparse.Namespace) -> None:
    for name, least in (("limit", 1), ("batch_size", 1), ("seed", 0), ("bootstrap_samples", 0)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise ConfigError(f"--{name.replace('_', '-')} {value}: at least {least} is needed")
    if not 0 <= args.max_failed_share <= 1:
        raise ConfigError(f"--max-failed-share {args.max_failed_share}: give a share between 0 and 1")


def _report(summary: Mapping[str, Any]) -> str:
    from eval.attack_table import format_table

    before = ", ".join(
        f"defences {defences}: mean reward {_number(found['mean_reward'])}, {found['num_unscored']} unscored"
        for defences, found in summary["originals"].items()
    )
    if all(found["num_unscored"] == found["num_responses"] for found in summary["originals"].values()):
        return (
            f"None of the {summary['originals']['on']['num_responses']} responses as they are has a score, so nothing "
            "can be compared: give a larger --limit, or another judge"
        )
    return "\n".join(
        [
            f"{summary['originals']['on']['num_responses']} wrong responses as they are: {before}",
            "",
            format_table(summary["attacks"]),
            "",
            f"change: mean change in reward (right: 1, wrong: below {summary['shaping']['cap']:g}) over the n "
            "responses that are scored both as they are and attacked;",
            "gained: share of these whose reward rose; unscored: responses that lost their score by the attack.",
        ]
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
