"""From response texts to what a judge reads: canonical steps, and whether there is anything to judge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cachetools import LRUCache

from judge.steps import Step, segment
from judge.types import UnscoredReason
from reward_server.outcomes import Failure

Steps = tuple[Step, ...]
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
NOT_SEGMENTED = Failure(
    UnscoredReason.JUDGE_TIMEOUT, "the response was not cut into steps before the request's deadline"
)
NO_STEPS = Failure(UnscoredReason.NO_STEPS, "the response holds nothing that counts as a step")


class Segmenter:
    """Cuts texts into steps beside the event loop.

    In one thread only: the work is pure Python, so that more of them would not be faster and would keep the event loop
    waiting for the interpreter. What was cut lately is kept, so that a retry costs next to nothing.

    Args:
        kept_chars: characters of texts whose steps are kept, in all; 0 keeps none.
    """

    def __init__(self, kept_chars: int = 10_000_000) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="segmenter")
        self._kept: LRUCache[str, Steps] = LRUCache(kept_chars, getsizeof=_covered)

    async def segment_all(self, texts: Sequence[str], deadline: float) -> list[Steps | None]:
        """The steps of every text, in order; None for those not done by ``deadline`` (event loop's clock)."""
        found = {text: self._kept.get(text) for text in texts}
        missing = [text for text, steps in found.items() if steps is None]
        if missing:
            found.update(zip(missing, await self._segment(missing, deadline), strict=True))
        return [found[text] for text in texts]

    async def _segment(self, texts: Sequence[str], deadline: float) -> list[Steps | None]:
        results = await self.run_all(segment, texts, deadline)
        for text, steps in zip(texts, results, strict=True):
            if steps is not None and _covered(steps) <= self._kept.maxsize // 100:
                self._kept[text] = steps
        return results

    async def run_all(
        self, function: Callable[[ItemT], ResultT], items: Sequence[ItemT], deadline: float
    ) -> list[ResultT | None]:
        """``function`` of every item, one after the other in the thread; None for those not done by ``deadline``."""
        if not items:
            return []
        loop = asyncio.get_running_loop()
        futures = [loop.run_in_executor(self._thread, function, item) for item in items]
        try:
            done, _ = await asyncio.wait(futures, timeout=max(0.0, deadline - loop.time()))
        finally:
            for future in futures:
                future.cancel()
        return [future.result() if future in done else None for future in futures]

    def close(self) -> None:
        """Drop what has not begun."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _covered(steps: Steps) -> int:
    """Characters that steps stand for, with a constant for what each one takes besides."""
    return 100 + sum(len(step.text) + 100 for step in steps)


def unjudgeable(num_steps: int | None, max_steps: int) -> Failure | None:
    """Why a response of so many steps (None: not known) is not shown to a judge, or None when it is."""
    if num_steps is None:
        return NOT_SEGMENTED
    if num_steps == 0:
        return NO_STEPS
    if num_steps > max_steps:
        return Failure(
            UnscoredReason.TOO_LONG, f"{num_steps} steps, at most {max_steps} are judged ([limits] max_steps)"
        )
    return None


def offsets(steps: Steps) -> list[tuple[int, int]]:
    """[num_steps] start and end character of each step in the text."""
    return [(step.start, step.end) for step in steps]
