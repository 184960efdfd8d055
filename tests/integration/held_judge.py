"""A judge that answers when it is told to, so that a test decides how long requests are in flight."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from judge.types import Solution, Unscored, Verdict


class HeldJudge:
    """Finds step 0 wrong, once it is released."""

    judge_id = "held@1"

    def __init__(self) -> None:
        self.release = threading.Event()
        self.called = threading.Semaphore(0)
        """Counts the solutions that have arrived."""
        self.calls = self.most = 0
        """Solutions at the judge now, and the most there ever were."""

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        self.calls += len(batch)
        self.most = max(self.most, self.calls)
        for _ in batch:
            self.called.release()
        await asyncio.to_thread(self.release.wait)
        self.calls -= len(batch)
        return [Verdict(0, self.judge_id) for _ in batch]

    async def aclose(self) -> None:
        self.release.set()
