"""``sgpo-eval``: measure judges and policies.

Arguments are read before anything heavy is imported.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from eval.commands import attack, compare, policy, report, run, score
from eval.commands import list as list_verb
from judge import command_line

VERBS: Final[Mapping[str, command_line.Verb]] = {
    "list": list_verb,
    "run": run,
    "score": score,
    "compare": compare,
    "attack": attack,
    "policy": policy,
    "report": report,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status (see `judge.command_line.run_verb`)."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("stamina").setLevel(logging.ERROR)  # retries are not worth a line each
    return command_line.run_verb(build_parser(), VERBS, argv)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    return command_line.build_parser("sgpo-eval", "Measure judges on labelled solutions.", VERBS)
