"""The scenario ``model`` of `server_load`: what the server costs where the judge itself is the work."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from pathlib import Path
from typing import Any

from server_load import our_server, send

from judge.judges.base import Judge
from judge.registry import build_judge, judge_table
from judge.steps import segment
from judge.types import Solution

NUM_GROUPS = 4
GROUP = 4
ROUNDS = 3


def compare_with_direct_calls(options: argparse.Namespace, folder: Path) -> dict[str, Any]:  # noqa: ARG001
    """Solutions per second of the default judge, asked through the server and asked directly, in turn."""
    through, direct = [], []
    judge = build_judge(judge_table("default"), "default")
    with our_server(folder, '[judge]\nkind = "default"\n[cache]\nkind = "off"\n') as server:
        send(folder, server, bodies(round_number=-1)[:1], connections=1, seconds=600, most=1)
        asyncio.run(ask(judge, round_number=-1, num_groups=1))
        for round_number in range(ROUNDS):
            found = send(
                folder, server, bodies(round_number), connections=NUM_GROUPS, seconds=3600, most=NUM_GROUPS,
                patience_s=600,
            )  # fmt: skip
            through.append(GROUP * found["ok_per_s"])
            direct.append(asyncio.run(ask(judge, round_number, NUM_GROUPS)))
    ratios = [a / b for a, b in zip(through, direct, strict=True)]
    return {
        "solutions/s through the server": spread(through),
        "solutions/s called directly": spread(direct),
        "share of the direct rate": spread(ratios),
        "n": f"{ROUNDS} rounds of {NUM_GROUPS} groups of {GROUP}",
    }


def spread(values: list[float]) -> str:
    """Median, least and most."""
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def text(round_number: int, group: int, response: int) -> str:
    """A wrong solution of seven steps, unlike any other."""
    number = 100 * (round_number + 2) + 10 * group + response
    lines = [f"On day {day} the farm sells {number + day} eggs for {day} dollars each." for day in range(1, 6)]
    return "\n".join(
        [*lines, f"That makes {number} * 5 = {number * 6} dollars in all.", f"The answer is {number * 6}."]
    )


def problem(round_number: int, group: int) -> str:
    """The problem of a group."""
    return f"Farm {round_number + 1}-{group} sells eggs on five days at a price that goes up. How much does it make?"


def bodies(round_number: int) -> list[str]:
    """A request for each group."""
    return [
        json.dumps(
            {
                "groups": [
                    {
                        "group_id": str(group),
                        "problem": problem(round_number, group),
                        "responses": [
                            {"id": str(response), "text": text(round_number, group, response), "outcome": False}
                            for response in range(GROUP)
                        ],
                    }
                ]
            }
        )
        for group in range(NUM_GROUPS)
    ]


async def ask(judge: Judge, round_number: int, num_groups: int) -> float:
    """Solutions per second of all groups in one call, as the server may put them together."""
    batch = [
        Solution(
            problem(round_number, group),
            tuple(step.text for step in segment(text(round_number, group, response))),
            known_wrong=True,
        )
        for group in range(num_groups)
        for response in range(GROUP)
    ]
    started = time.perf_counter()
    await judge.judge(batch)
    return len(batch) / (time.perf_counter() - started)
