"""From response texts to what a judge reads: canonical steps, and whether there is anything to judge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from cachetools import LRUCache

from judge.types import UnscoredReason
from reward_server.cpu_pool import CpuPool
from reward_server.outcomes import Failure
from reward_server.reading import Steps, cut_texts

ResultT = TypeVar("ResultT")
CHUNK_CHARS = 65_536
"""Characters of one call of the pool: some 30 ms of work, which cannot be dropped once it has begun."""
NOT_SEGMENTED = Failure(
    UnscoredReason.JUDGE_TIMEOUT, "the response was not cut into steps before the request's deadline"
)
NO_STEPS = Failure(UnscoredReason.NO_STEPS, "the response holds nothing that counts as a step")


class Segmenter:
    """Cuts texts into steps beside the event loop. What was cut lately is kept, so that a retry costs next to nothing.

    Args:
        kept_chars: characters of texts whose steps are kept, in all; 0 keeps none.
        pool: does the work; without one, a thread.
    """

    def __init__(self, kept_chars: int = 10_000_000, pool: CpuPool | None = None) -> None:
        self.pool = pool or CpuPool()
        self._kept: LRUCache[str, Steps] = LRUCache(kept_chars, getsizeof=covered)

    async def segment_all(self, texts: Sequence[str], deadline: float) -> list[Steps | None]:
        """The steps of every text, in order; None for those not done by ``deadline`` (event loop's clock)."""
        found = {text: self._kept.get(text) for text in texts}
        missing = [text for text, steps in found.items() if steps is None]
        if missing:
            found.update(zip(missing, await self._segment(missing, deadline), strict=True))
        return [found[text] for text in texts]

    async def _segment(self, texts: Sequence[str], deadline: float) -> list[Steps | None]:
        results = await in_chunks(self.pool, texts, deadline, cut_texts)
        for text, steps in zip(texts, results, strict=True):
            if steps is not None and covered(steps) <= self._kept.maxsize // 100:
                self._kept[text] = steps
        return results

    def close(self) -> None:
        """Drop what has not begun."""
        self.pool.close()


async def in_chunks(
    pool: CpuPool, texts: Sequence[str], deadline: float, function: Callable[[list[str]], Sequence[ResultT]]
) -> list[ResultT | None]:
    """``function`` of all texts, a few at a time; None for those not done by ``deadline``."""
    parts = list(chunks(texts))
    found = await asyncio.gather(*(pool.run(deadline, function, part) for part in parts))
    results: list[ResultT | None] = []
    for part, result in zip(parts, found, strict=True):
        results.extend([None] * len(part) if result is None else result)
    return results


def chunks(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in order, in lists of no more than `CHUNK_CHARS` characters but for the first of each."""
    part: list[str] = []
    size = 0
    for text in texts:
        if part and size + len(text) > CHUNK_CHARS:
            yield part
            part, size = [], 0
        part.append(text)
        size += len(text)
    if part:
        yield part


def covered(steps: Steps) -> int:
    """Characters that steps stand for, with a constant for what each one takes besides."""
    return 100 + (steps[-1].end - steps[0].start + 100 * len(steps) if steps else 0)


def unjudgeable(num_steps: int | None, max_steps: int) -> Failure | None:
    """Why a response of so many steps (None: not known) is not shown to a judge, or None when it is."""
    if num_steps is None:
        return NOT_SEGMENTED
    if num_steps == 0:
        return NO_STEPS
    return too_many_steps(num_steps, max_steps) if num_steps > max_steps else None


def too_many_steps(num_steps: int, max_steps: int | None) -> Failure:
    """Why a response of so many steps is not judged."""
    return Failure(UnscoredReason.TOO_LONG, f"{num_steps} steps, at most {max_steps} are judged ([limits] max_steps)")


def offsets(steps: Steps) -> list[tuple[int, int]]:
    """[num_steps] start and end character of each step in the text."""
    return [(step.start, step.end) for step in steps]
