"""``sgpo-judge``: judge solutions, and make judges.

Arguments are read before anything heavy is imported.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Final

from judge import command_line
from judge.commands import data, label, run, show, train

VERBS: Final[Mapping[str, command_line.Verb]] = {
    "run": run,
    "show": show,
    "data": data,
    "label": label,
    "train": train,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status (see `judge.command_line.run_verb`)."""
    return command_line.run_verb(build_parser(), VERBS, argv)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    return command_line.build_parser("sgpo-judge", "Find the first wrong step of responses.", VERBS)
