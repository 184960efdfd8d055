"""From response texts to what a judge reads: canonical steps, and whether there is anything to judge."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from judge.steps import Step, segment

from judge.types import UnscoredReason
from reward_server.outcomes import Failure

Steps = tuple[Step, ...]


async def segment_all(texts: Sequence[str]) -> list[Steps]:
    """Segment every text, in order, beside the event loop: a long text takes its time."""
    return await asyncio.to_thread(lambda: [segment(text) for text in texts]) if texts else []


def unjudgeable(num_steps: int, max_steps: int) -> Failure | None:
    """Why a response of so many steps is not shown to a judge, or None when it is."""
    if num_steps == 0:
        return Failure(UnscoredReason.NO_STEPS, "the response holds nothing that counts as a step")
    if num_steps > max_steps:
        return Failure(
            UnscoredReason.TOO_LONG, f"{num_steps} steps, at most {max_steps} are judged ([limits] max_steps)"
        )
    return None


def offsets(steps: Steps) -> list[tuple[int, int]]:
    """[num_steps] start and end character of each step in the text."""
    return [(step.start, step.end) for step in steps]
