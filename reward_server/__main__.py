"""``sgpo-serve``: starts the reward server.

Arguments are parsed before anything heavy is imported. Exit status: 0 after a clean shutdown, 2 when the server cannot
start because of its settings, its port or its judge.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT."""
    args = parse_args(argv)
    # Asked for before the imports, which take long enough for a parent to die meanwhile.
    parent = os.getppid()

    import logging

    from judge.errors import JudgeError
    from reward_server.process import serve, watch_parent

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if args.exit_with_parent:
        watch_parent(parent)
    try:
        serve(args.config, host=args.host, port=args.port, judge=args.judge, url_file=args.url_file)
    except (JudgeError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line; what it leaves out comes from the configuration file."""
    parser = argparse.ArgumentParser(prog="sgpo-serve", description="Serve SGPO rewards over HTTP.")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML configuration; without it, the defaults")
    parser.add_argument("--host", help="address to listen on; anything but loopback needs an API key")
    parser.add_argument("--port", type=int, metavar="N", help="port to listen on; 0 lets the system choose")
    parser.add_argument(
        "--judge",
        metavar="KIND",
        help="default, rules, critic ..., a judge's folder, or a TOML file; overrides [judge]",
    )
    parser.add_argument("--url-file", type=Path, metavar="FILE", help="write the base URL here once the server listens")
    parser.add_argument("--exit-with-parent", action="store_true", help="shut down when the starting process is gone")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
