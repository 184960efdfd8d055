"""Train a policy with SGPO or GRPO: ``sgpo-train CONFIG.toml [--set a.b=c] [--nproc N]``.

``sgpo-train compare RUN RUN ...`` sets finished runs side by side (`sgpo_client.report.compare`).

Runs on one rank as it is, on N with ``--nproc N`` or under torchrun. The configuration is read and checked before
torch is imported.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from sgpo_client.config import load_config
from sgpo_client.errors import ConfigError, DataError, ModelError, SgpoError
from sgpo_client.ranks.launch import launch_ranks, note_stop, noted_stop


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``sgpo-train``. Returns 0, 2 for wrong input, 1 when the run had to stop."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["compare"]:
        from sgpo_client.report.compare import main as compare

        return compare(arguments[1:])
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.nproc < 1:
        parser.error(f"--nproc {options.nproc}: give 1 or more")
    if options.max_restarts < 0:
        parser.error(f"--max-restarts {options.max_restarts}: give 0 or more")
    if (code := noted_stop()) is not None:
        return code  # started again after a stop with a message, which another start would only repeat
    rank = int(os.environ.get("RANK", "0"))
    logging.basicConfig(
        level=logging.INFO if rank == 0 else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("stamina").setLevel(logging.ERROR)  # the client says once that it tries again
    try:
        config = load_config(options.config, options.set)
        if (options.nproc > 1 or options.max_restarts) and "RANK" not in os.environ:
            return launch_ranks(options.nproc, _without_launch(options), options.max_restarts)

        from sgpo_client.assembly import run_training

        run_training(config, command=" ".join(["sgpo-train", *arguments]))
    except (ConfigError, DataError, ModelError) as error:
        return _complain(error, rank, 2)
    except SgpoError as error:
        return _complain(error, rank, 1)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sgpo-train",
        description="Train a language model with SGPO or GRPO.",
        epilog="sgpo-train compare RUN RUN ... [--output page.html] sets runs side by side.",
    )
    parser.add_argument("config", type=Path, help="TOML file, see configs/")
    parser.add_argument(
        "--set", action="append", default=[], metavar="TABLE.KEY=VALUE", help="override a setting (repeatable)"
    )
    parser.add_argument("--nproc", type=int, default=1, metavar="N", help="ranks on this machine (FSDP2); default 1")
    parser.add_argument(
        "--max-restarts",
        type=int,
        default=0,
        metavar="N",
        help="how often to start all ranks again, from the newest checkpoint, when one died; default 0",
    )
    return parser


def _without_launch(options: argparse.Namespace) -> list[str]:
    return [str(options.config), *(part for override in options.set for part in ("--set", override))]


def _complain(error: SgpoError, rank: int, code: int) -> int:
    if rank == 0:  # every rank meets the same error: say it once
        note_stop(code)
        sys.stderr.write(f"error: {error}\n")
    return code


def _exit_now(code: int) -> NoReturn:
    """End the process without tearing the interpreter down.

    Everything is put away by now. In a teardown right after distributed work a background thread of torch is sometimes
    unwound through C++ and aborts the process (exit code 134): a launcher would report a crash that never was.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _exit_now(main())
