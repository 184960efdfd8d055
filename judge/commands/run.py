"""``sgpo-judge run``: judge the rows of a file."""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from judge.command_line import FAILED, OK, complain

if TYPE_CHECKING:
    from judge.judges.base import Judge
    from judge.records import InputRow
    from judge.run import RunSummary


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The arguments of the verb."""
    parser = commands.add_parser("run", help="judge a JSONL file", description="Judge every row of a JSONL file.")
    parser.add_argument(
        "--judge",
        required=True,
        help="default, rules, critic ..., a trained judge's folder, or a TOML file with [judge]",
    )
    parser.add_argument(
        "--judge-option", action="append", default=[], metavar="KEY=VALUE", help="a setting of the judge; repeatable"
    )
    parser.add_argument(
        "--input", type=Path, required=True, help="rows with 'problem' and 'steps' or 'response' (.jsonl or .jsonl.gz)"
    )
    parser.add_argument("--output", type=Path, required=True, help="verdicts, one a line; rows in it are skipped")
    parser.add_argument("--known-wrong", action="store_true", help="every response is known to be wrong")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="rows per call (default: 32)")
    parser.add_argument("--overwrite", action="store_true", help="start --output anew")


def main(args: argparse.Namespace) -> int:
    """Judge a file."""
    logging.getLogger("stamina").setLevel(logging.ERROR)  # retries are not worth a line each
    from judge.errors import ConfigError
    from judge.judges.base import Summarised
    from judge.records import read_rows
    from judge.registry import build_judge, judge_table
    from judge.run import open_output

    if args.batch_size < 1:
        raise ConfigError(f"--batch-size {args.batch_size}: at least 1 is needed")
    if args.output.suffix == ".gz":
        raise ConfigError(f"--output {args.output}: verdicts are appended line by line; give a name without .gz")
    if args.output.resolve() == args.input.resolve():
        raise ConfigError("--output is the same file as --input")
    rows = read_rows(args.input)
    if args.known_wrong:
        rows = [known_wrong(row, args.input) for row in rows]
    judge = build_judge(judge_table(args.judge, args.judge_option), where=f"--judge {args.judge}")
    done = open_output(args.output, rows, judge.judge_id, overwrite=args.overwrite)
    summary = asyncio.run(judge_file(judge, rows, done, args))
    if isinstance(judge, Summarised):
        print(judge.summary())
    return report(summary, len(done), args.output)


def known_wrong(row: InputRow, path: Path) -> InputRow:
    """The row, with a final answer that is known to be wrong."""
    import dataclasses

    from judge.errors import DataError

    if row.record.final_answer_correct:
        raise DataError(f"{path}: row '{row.record.id}': --known-wrong, but its 'final_answer_correct' is true")
    return dataclasses.replace(row, known_wrong=True)


async def judge_file(judge: Judge, rows: Sequence[InputRow], done: set[str], args: argparse.Namespace) -> RunSummary:
    """Judge the rows that are not done, with a progress bar, and close the judge in the end."""
    from tqdm import tqdm

    from judge.paid import PaidShares
    from judge.run import run_judge

    todo = [row for row in rows if row.record.id not in done]
    try:
        with tqdm(total=len(rows), initial=len(done), unit="row", desc="judge") as bar:
            return await run_judge(
                judge, todo, args.output, paid=PaidShares(rows), batch_size=args.batch_size, progress=bar.update
            )
    finally:
        await judge.aclose()


def report(summary: RunSummary, num_done: int, output: Path) -> int:
    """Say what was done."""
    reasons = ", ".join(f"{reason} {count}" for reason, count in summary.unscored.most_common())
    print(
        f"{output}: {summary.num_judged} judged, {summary.unscored.total()} unscored"
        f"{f' ({reasons})' if reasons else ''}, {num_done} already there"
    )
    if summary.complete:
        return OK
    left = f"; {summary.num_not_tried} rows were not tried" if summary.num_not_tried else ""
    return complain(
        f"the judge did not answer for some rows ({summary.first_failure}){left}; the same command tries them again",
        FAILED,
    )
