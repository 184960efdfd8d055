"""What the command lines of this project have in common: verbs, exit statuses, one line of error."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

OK: Final = 0
FAILED: Final = 1
"""Something failed on the way; the same command may work later."""
BAD_INPUT: Final = 2
INTERRUPTED: Final = 130


class Verb(Protocol):
    """What a module with a verb offers."""

    def add_parser(self, commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        """Add the verb's arguments."""

    def main(self, args: argparse.Namespace) -> int:
        """Do it; gives the exit status."""


def build_parser(prog: str, description: str, verbs: Mapping[str, Verb]) -> argparse.ArgumentParser:
    """A parser with a command for every verb; ``args.command`` is its name."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    commands = parser.add_subparsers(dest="command", required=True)
    for verb in verbs.values():
        verb.add_parser(commands)
    return parser


def run_verb(parser: argparse.ArgumentParser, verbs: Mapping[str, Verb], argv: Sequence[str] | None) -> int:
    """Read the arguments and do what they say. ``args.command_line`` is what the user typed.

    Returns:
        The exit status: 0, 1 when something failed on the way, 2 for bad input, 130 when the user stopped it.
    """
    args = parser.parse_args(argv)
    args.command_line = shlex.join([parser.prog, *(sys.argv[1:] if argv is None else argv)])
    return exit_status(lambda: verbs[args.command].main(args))


def exit_status(work: Callable[[], int]) -> int:
    """The exit status of some work, with one line on stderr for what went wrong."""
    from judge.errors import ConfigError, DataError, JudgeError, ModelError

    try:
        return work()
    except (ConfigError, DataError, ModelError) as error:
        return complain(str(error), BAD_INPUT)
    except (JudgeError, OSError) as error:
        return complain(str(error), FAILED)
    except KeyboardInterrupt:
        return complain("stopped; the same command goes on from here", INTERRUPTED)


def complain(message: str, status: int) -> int:
    """One line to stderr; gives the status back."""
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    return status
