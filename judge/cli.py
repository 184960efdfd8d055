"""``sgpo-judge``: judge solutions, and make judges.

Arguments are read before anything heavy is imported.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from judge.commands import data, label, run, show, train
from judge.commands.exit_status import BAD_INPUT, FAILED, INTERRUPTED, complain


class Verb(Protocol):
    """What a module of `judge.commands` offers."""

    def add_parser(self, commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        """Add the verb's arguments."""

    def main(self, args: argparse.Namespace) -> int:
        """Do it; gives the exit status."""


VERBS: Final[Mapping[str, Verb]] = {"run": run, "show": show, "data": data, "label": label, "train": train}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status: 0, 1 when something failed on the way, 2 for bad input."""
    args = build_parser().parse_args(argv)
    from judge.errors import ConfigError, DataError, JudgeError, ModelError

    try:
        return VERBS[args.command].main(args)
    except (ConfigError, DataError, ModelError) as error:
        return complain(str(error), BAD_INPUT)
    except (JudgeError, OSError) as error:
        return complain(str(error), FAILED)
    except KeyboardInterrupt:
        return complain("stopped; the same command goes on from here", INTERRUPTED)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="sgpo-judge", description="Find the first wrong step of responses.")
    commands = parser.add_subparsers(dest="command", required=True)
    for verb in VERBS.values():
        verb.add_parser(commands)
    return parser
