"""``sgpo-serve probe --dialect NAME --url URL``: posts two small groups as a trainer would, and shows what it sees.

The first group is all wrong, the second has one right response. Exit status: 0 when everything is as it should be, 1
when something is wrong (it says what, and what to do), 2 for a wrong command line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from reward_server.probe.advice import advise
from reward_server.probe.asking import Target, ask, readiness, target_of
from reward_server.probe.report import render, table_of
from reward_server.probe.samples import new_groups
from reward_server.probe.trainers import TRAINERS, Trainer

READY_TIMEOUT_S: Final = 10.0
DEFAULT_TIMEOUT_S: Final = 180.0


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = parser_of()
    args = parser.parse_args(argv)
    trainer = TRAINERS[args.dialect]
    key = None
    if args.key_env is not None:
        key = os.environ.get(args.key_env)
        if not key:
            parser.error(f"--key-env {args.key_env}: no such variable, or it is empty")
    try:
        target = target_of(args.url, trainer, key)
    except ValueError as error:
        parser.error(f"--url: {error}")
    if not 0 < args.timeout <= 3600:
        parser.error("--timeout: must be more than 0 and at most 3600 seconds")
    text, well = asyncio.run(probe(trainer, target, args.label, args.timeout))
    sys.stdout.write(without_key(text, target.key))
    return 0 if well else 1


def parser_of() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="sgpo-serve probe", description="Post two small groups as a trainer would, and show what it would see."
    )
    parser.add_argument("--dialect", required=True, choices=sorted(TRAINERS), help="the trainer to be")
    parser.add_argument(
        "--url",
        required=True,
        help="the server's base URL, such as http://127.0.0.1:8100, or the whole URL that the trainer is given",
    )
    parser.add_argument("--key-env", metavar="NAME", help="environment variable with the key")
    parser.add_argument(
        "--label",
        type=label_of,
        metavar="TEXT",
        help="a label of your own data, as text or JSON, instead of the right one; '' for a row without any",
    )
    patience = "per request; without it what the trainer's client waits, at most 180 s"
    parser.add_argument("--timeout", type=float, default=DEFAULT_TIMEOUT_S, metavar="SECONDS", help=patience)
    return parser


def label_of(text: str) -> Any:
    """A JSON object as an object, all else as the text that it is."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict) else text


async def probe(trainer: Trainer, target: Target, label: Any, timeout_s: float) -> tuple[str, bool]:
    """What to print, and whether all is well."""
    ready = await readiness(target.base, min(READY_TIMEOUT_S, timeout_s))
    groups = new_groups() if label is None else new_groups()[:1]
    seen = await ask(trainer, target, groups, label, min(timeout_s, trainer.timeout_s or timeout_s))
    found = advise(trainer, target, seen, ready)
    lines = [
        f"As {trainer.title}: POST {target.url.partition('?')[0]}, {trainer.mode}",
        *([f"Not asked: {trainer.other_mode}"] if trainer.other_mode else []),
        f"/readyz: {ready[1] or ready[0]}",
        render(table_of(groups, seen)),
    ]
    rewarded = [row.told is not None and row.told.reward is not None for rows in seen for row in rows]
    if not all(rewarded):
        lines.append(f"{rewarded.count(False)} of {len(rewarded)} responses got no reward.")
    lines += [f"* {each}" for each in found]
    if not found:
        lines.append("All is well: every response has a reward, and those of the all-negative group differ.")
    return "\n".join(lines) + "\n", not found


def without_key(text: str, key: str | None) -> str:
    """The text without the key, which servers and faults may repeat."""
    for secret in filter(None, {key, quote(key or "", safe="")}):
        text = text.replace(secret, "[key]")
    return text
