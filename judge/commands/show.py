"""``sgpo-judge show``: print responses with coloured steps."""

from __future__ import annotations

import argparse
from pathlib import Path

from judge.command_line import OK


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The arguments of the verb."""
    parser = commands.add_parser("show", help="print responses with coloured steps")
    parser.add_argument("--input", type=Path, required=True, help="the rows that were judged")
    parser.add_argument("--verdicts", type=Path, help="an output of run; default: colour by the rows' labels")
    parser.add_argument("--limit", type=int, metavar="N", help="print only the first N rows")


def main(args: argparse.Namespace) -> int:
    """Print responses."""
    from rich.console import Console

    from judge.errors import ConfigError
    from judge.records import read_rows
    from judge.show import read_verdicts, show_rows

    if args.limit is not None and args.limit < 1:
        raise ConfigError(f"--limit {args.limit}: at least 1 is needed")
    rows = read_rows(args.input)
    verdicts = read_verdicts(args.verdicts) if args.verdicts else None
    show_rows(rows, verdicts, Console(highlight=False), args.limit)
    return OK
