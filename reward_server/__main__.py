"""``sgpo-serve``: starts the reward server; ``check`` says whether it could be started, ``probe`` asks a running one.

Arguments are parsed before anything heavy is imported. Exit status: 0 after a clean shutdown or a check without fault,
2 when the server cannot start because of its settings, its port or its judge.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT, or check."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["probe"]:
        from reward_server.probe.command import main as probe

        return probe(given[1:])
    args = parse_args(given)
    if args.verb == "check":
        return run_check(args)
    # Asked for before the imports, which take long enough for a parent to die meanwhile.
    parent = os.getppid()

    from judge.errors import JudgeError
    from reward_server.running.process import serve, watch_parent

    if args.exit_with_parent:
        watch_parent(parent)
    try:
        serve(args.config, host=args.host, port=args.port, judge=args.judge, url_file=args.url_file)
    except (JudgeError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def run_check(args: argparse.Namespace) -> int:
    """Print what would be served, and what would keep it from being served."""
    from reward_server.check import check

    findings = check(args.config, host=args.host, port=args.port, judge=args.judge)
    sys.stdout.write(findings.report())
    return 2 if findings.problems else 0


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line; what it leaves out comes from the configuration file."""
    parser = argparse.ArgumentParser(
        prog="sgpo-serve",
        description="Serve SGPO rewards over HTTP, or look at a configuration or a running server.",
    )
    parser.add_argument(
        "verb",
        nargs="?",
        choices=("serve", "check", "probe"),
        default="serve",
        help="serve, which is the default; check: look at the configuration, ask the judge once, start nothing; probe:"
        " ask a running server as a trainer would, with options of its own (sgpo-serve probe --help)",
    )
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
    args = parser.parse_args(argv)
    if args.verb == "probe":
        parser.error("probe has options of its own and must come first: sgpo-serve probe --help")
    return args


if __name__ == "__main__":
    sys.exit(main())
