"""``sgpo-eval list``: the benchmarks and the kinds of judges."""

from __future__ import annotations

import argparse

from judge.command_line import OK


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The arguments of the verb."""
    commands.add_parser("list", help="list the benchmarks and the kinds of judges")


def main(args: argparse.Namespace) -> int:  # noqa: ARG001 - a verb's signature
    """Print them."""
    from eval.benchmarks.base import benchmarks
    from judge.registry import JUDGE_KINDS

    for name, benchmark in benchmarks().items():
        print(f"benchmark  {name}  {benchmark.description}")
    for kind in JUDGE_KINDS:
        print(f"judge      {kind}")
    return OK
