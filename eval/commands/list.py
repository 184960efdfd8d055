"""``sgpo-eval list``: the benchmarks, the problem sets for policies and the kinds of judges."""

from __future__ import annotations

import argparse

from judge.command_line import OK


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The arguments of the verb."""
    commands.add_parser("list", help="list benchmarks, problem sets and kinds of judges")


def main(args: argparse.Namespace) -> int:  # noqa: ARG001 - a verb's signature
    """Print them."""
    from eval.benchmarks.base import benchmarks
    from eval.policy.problems import PROBLEM_SETS
    from judge.registry import JUDGE_KINDS

    for name, benchmark in benchmarks().items():
        print(f"benchmark  {name}  {benchmark.description}")
        print(f"{'':<11}reports {', '.join(benchmark.headline)}{f'; hub: {benchmark.hub}' if benchmark.hub else ''}")
    for problem_set in PROBLEM_SETS.values():
        print(f"policy     {problem_set.name}  {problem_set.description}; hub: {problem_set.hub}")
    for kind in JUDGE_KINDS:
        print(f"judge      {kind}")
    return OK
