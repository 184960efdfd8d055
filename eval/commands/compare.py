"""``sgpo-eval compare A B``: two judges on the same rows."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from eval.commands.options import add_sampling, sampling
from judge.command_line import OK

DESCRIPTION: Final = (
    "Compare two logs row by row: differences (B minus A) with bootstrap intervals over problems, and McNemar's exact "
    "test of the answers."
)
SHOWN: Final = ("error_acc", "correct_acc", "f1", "accuracy", "within_one_acc", "mcc")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The arguments of the verb."""
    parser = commands.add_parser("compare", help="two judges on the same rows, paired", description=DESCRIPTION)
    parser.add_argument("a", type=Path, metavar="A", help="a folder of `sgpo-eval run` or `score`, or its log")
    parser.add_argument("b", type=Path, metavar="B", help="another, of the same data")
    parser.add_argument("--allow-missing", action="store_true", help="leave out rows that one of them lacks")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write everything as JSON")
    add_sampling(parser)


def main(args: argparse.Namespace) -> int:
    """Compare two logs."""
    drawn = sampling(args)
    if args.output:
        _refuse(args.output)
    from eval.compare import compare, read_side
    from eval.log import write_summary
    from eval.provenance import provenance

    found = compare(read_side(args.a), read_side(args.b), drawn, allow_missing=args.allow_missing)
    print(comparison_table(found))
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        write_summary(args.output, found | provenance() | {"command": args.command_line})
        print(args.output)
    return OK


def _refuse(output: Path) -> None:
    from eval.log import LOG_NAME, MARKER_NAME, SUMMARY_NAME
    from judge.errors import ConfigError

    if output.is_dir() or output.name in (LOG_NAME, MARKER_NAME, SUMMARY_NAME):
        raise ConfigError(f"--output {output}: give a file of its own, such as difference.json")


def comparison_table(found: Mapping[str, Any]) -> str:
    """For the terminal."""
    from eval.commands.tables import NAMES, percent

    lines = [f"{side.upper()}: {found[side]['judge_id'] or found[side]['path']}" for side in ("a", "b")]
    lines.append(f"{found['num_rows']} rows of {found['num_problems']} problems")
    lines.append(f"{'':<17}{'A':>7}{'B':>7}{'B - A':>8}")
    for name in SHOWN:
        bounds = found["intervals"].get(name)
        spread = f"  ({percent(bounds[0])} to {percent(bounds[1])})" if bounds else ""
        values = f"{percent(found['a'][name]):>7}{percent(found['b'][name]):>7}{percent(found['difference'][name]):>8}"
        lines.append(f"{NAMES.get(name, name):<17}{values}{spread}")
    for half, test in found["mcnemar"].items():
        counts = f"only A right {test['only_a']}, only B right {test['only_b']}"
        lines.append(f"McNemar, {half} rows: {counts}, p = {test['p_value']:.3g}")
    return "\n".join(lines)
