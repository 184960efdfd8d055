"""``sgpo-judge data``: list, check and convert labelled data."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from judge.command_line import OK

if TYPE_CHECKING:
    from judge.data.load_report import LoadReport
    from judge.data.source import Loaded
    from judge.types import Record


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The arguments of the verb."""
    parser = commands.add_parser("data", help="list, check and convert labelled data")
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="the sources that can be read, and how they write labels")
    check = actions.add_parser("check", help="count a file's rows, and look for problems of evaluation sets")
    _add_input(check)
    convert = actions.add_parser("convert", help="write a file as our records or in TRL's stepwise format")
    _add_input(convert)
    convert.add_argument("--output", type=Path, required=True, help="the JSON lines to write")
    convert.add_argument(
        "--format", choices=("records", "trl"), default="records", help="trl cuts after the first error"
    )
    convert.add_argument(
        "--without-evaluation-problems", action="store_true", help="leave out problems of evaluation sets"
    )
    convert.add_argument("--overwrite", action="store_true", help="replace --output")
    prints = actions.add_parser("fingerprints", help="fingerprint the problems of evaluation sets (for developers)")
    prints.add_argument(
        "--set", action="append", required=True, metavar="NAME=PATH", dest="sets", help="an evaluation set; repeatable"
    )
    prints.add_argument("--output", type=Path, required=True, help="the text file to write")


def main(args: argparse.Namespace) -> int:
    """Do what the action says."""
    actions = {"list": list_sources, "check": check, "convert": convert, "fingerprints": fingerprints}
    return actions[args.action](args)


def list_sources(_: argparse.Namespace) -> int:
    """Print the sources."""
    from judge.data.sources import sources

    for source in sources().values():
        print(f"{source.name}\n    {source.description}\n    labels: {source.labels}")
    return OK


def check(args: argparse.Namespace) -> int:
    """Print counts and overlap."""
    from judge.data.overlap import find_overlap

    loaded = load(args)
    print_counts(loaded.report, loaded.records)
    print(find_overlap(loaded.records))
    return OK


def convert(args: argparse.Namespace) -> int:
    """Write records in another format."""
    from judge.data.overlap import find_overlap
    from judge.data.trl import write_trl
    from judge.errors import ConfigError
    from judge.records import write_records

    if args.output.suffix == ".gz":
        raise ConfigError(f"--output {args.output}: plain JSON lines are written; give a name without .gz")
    if args.output.exists() and not args.overwrite:
        raise ConfigError(f"--output {args.output}: exists already; give another name, or --overwrite")
    loaded = load(args)
    print_counts(loaded.report, loaded.records)
    records = loaded.records
    overlap = find_overlap(records)
    if args.without_evaluation_problems:
        records = [record for record in records if record.problem not in overlap.shared]
        print(f"left out: {len(loaded.records) - len(records)} records of evaluation problems")
    if not records:
        raise ConfigError(f"{args.path}: all its problems are evaluation problems; nothing is left to write")
    # Written beside the output first: a full disk leaves the old file alone.
    partial = args.output.with_name(f"{args.output.name}.part")
    num_left_out = 0
    if args.format == "trl":
        num_left_out = write_trl(records, partial)
    else:
        write_records(records, partial)
    partial.replace(args.output)
    unlabelled = f", {num_left_out} without a label left out" if num_left_out else ""
    print(f"{args.output}: {len(records) - num_left_out} rows written{unlabelled}; {overlap}")
    return OK


def fingerprints(args: argparse.Namespace) -> int:
    """Write the fingerprints of evaluation sets."""
    from judge.data.overlap import write_fingerprints
    from judge.errors import ConfigError

    paths = dict(text.split("=", 1) for text in args.sets if "=" in text)
    if len(paths) != len(args.sets):
        raise ConfigError("--set: write NAME=PATH, each name once")
    print_table(write_fingerprints(paths, args.output))
    return OK


def load(args: argparse.Namespace) -> Loaded:
    """Read the file that the arguments name."""
    from judge.data.sources import load_source

    return load_source(args.source, args.path)


def print_counts(report: LoadReport, records: Sequence[Record]) -> None:
    """What became of the rows, and what the records are."""
    from judge.data.splits import num_problems

    counts = {"rows read": report.rows}
    counts |= {f"  dropped: {reason}": count for reason, count in report.dropped.most_common()}
    counts |= {f"  merged: {reason}": count for reason, count in report.merged.most_common()}
    counts["records"] = len(records)
    counts |= {f"  repaired: {what}": count for what, count in report.repaired.most_common()}
    counts["  with a first error"] = sum(record.label is not None and record.label >= 0 for record in records)
    counts["  without an error"] = sum(record.label == -1 for record in records)
    unlabelled = sum(record.label is None for record in records)
    counts |= {"  not labelled": unlabelled} if unlabelled else {}
    counts["problems"] = num_problems(records)
    print_table(counts)
    for reason, fault in report.first_faults.items():
        print(f"first row dropped, {reason}: {fault}")


def print_table(counts: Mapping[str, int]) -> None:
    """Names and numbers in two columns."""
    width = max(map(len, counts))
    for name, count in counts.items():
        print(f"{name:<{width}}  {count:>8,}")


def _add_input(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", required=True, help="a name of 'data list', such as prm800k or records")
    parser.add_argument(
        "--path", required=True, help="a file, a folder of files, or a hub data set owner/name[:config][#split]"
    )
