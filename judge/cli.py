"""``sgpo-judge``: judge solutions, and look at the verdicts.

Arguments are read before anything heavy is imported.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from judge.judges.base import Judge
    from judge.records import InputRow
    from judge.run import RunSummary

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status: 0, 1 when something failed on the way, 2 for bad input."""
    args = build_parser().parse_args(argv)
    from judge.errors import ConfigError, DataError, JudgeError, ModelError

    try:
        return run(args) if args.command == "run" else show(args)
    except (ConfigError, DataError, ModelError) as error:
        return complain(str(error), BAD_INPUT)
    except (JudgeError, OSError) as error:
        return complain(str(error), FAILED)
    except KeyboardInterrupt:
        return complain("stopped; the same command goes on from here", INTERRUPTED)


def complain(message: str, status: int) -> int:
    """One line to stderr."""
    print("error:", " ".join(message.split()), file=sys.stderr)
    return status


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="sgpo-judge", description="Find the first wrong step of responses.")
    commands = parser.add_subparsers(dest="command", required=True)

    run_parser = commands.add_parser("run", help="judge a JSONL file", description="Judge every row of a JSONL file.")
    run_parser.add_argument(
        "--judge", required=True, help="rules, critic, scripted, or a TOML file with a [judge] table"
    )
    run_parser.add_argument(
        "--judge-option", action="append", default=[], metavar="KEY=VALUE", help="a setting of the judge; repeatable"
    )
    run_parser.add_argument(
        "--input", type=Path, required=True, help="rows with 'problem' and 'steps' or 'response' (.jsonl or .jsonl.gz)"
    )
    run_parser.add_argument("--output", type=Path, required=True, help="verdicts, one a line; rows in it are skipped")
    run_parser.add_argument("--known-wrong", action="store_true", help="every response is known to be wrong")
    run_parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="rows per call (default: 32)")
    run_parser.add_argument("--overwrite", action="store_true", help="start --output anew")

    show_parser = commands.add_parser("show", help="print responses with coloured steps")
    show_parser.add_argument("--input", type=Path, required=True, help="the rows that were judged")
    show_parser.add_argument("--verdicts", type=Path, help="an output of run; default: colour by the rows' labels")
    show_parser.add_argument("--limit", type=int, metavar="N", help="print only the first N rows")
    return parser


def run(args: argparse.Namespace) -> int:
    """Judge a file."""
    logging.getLogger("stamina").setLevel(logging.ERROR)  # retries are not worth a line each
    from judge.errors import ConfigError
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

    from judge.run import run_judge

    todo = [row for row in rows if row.record.id not in done]
    try:
        with tqdm(total=len(rows), initial=len(done), unit="row", desc="judge") as bar:
            return await run_judge(judge, todo, args.output, batch_size=args.batch_size, progress=bar.update)
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


def show(args: argparse.Namespace) -> int:
    """Print responses."""
    from rich.console import Console

    from judge.errors import ConfigError
    from judge.records import read_rows
    from judge.show import read_verdicts, show_rows

    if args.limit is not None and args.limit < 1:
        raise ConfigError(f"--limit {args.limit}: at least 1 is needed")
    rows = read_rows(args.input)[: args.limit]
    verdicts = read_verdicts(args.verdicts) if args.verdicts else {}
    show_rows(rows, verdicts, Console(highlight=False))
    return OK
