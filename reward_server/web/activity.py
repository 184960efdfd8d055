"""What the server did in the last hour, in counts of ten seconds each. No text, no names: numbers only."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Final

from reward_server.web.recent import ScoredGroup

BUCKET_S: Final = 10
NUM_BUCKETS: Final = 360
"""One hour."""


@dataclass(slots=True)
class Counts:
    """What happened in one stretch of time."""

    groups: int = 0
    responses: int = 0
    all_negative: int = 0
    """Groups without a right answer."""
    rescued: int = 0
    """All-negative groups whose rewards differ thanks to the judge."""
    unscored: int = 0
    """Responses without a reward."""
    judge_s: float = 0.0
    """For each request the seconds of its longest judge call, added up."""
    queue: int = 0
    """The most responses that were seen waiting for the judge at a time."""

    def add(self, groups: Sequence[ScoredGroup], judge_s: float, queue: int) -> None:
        """Take one finished request in."""
        self.groups += len(groups)
        self.judge_s += judge_s
        self.queue = max(self.queue, queue)
        for group in groups:
            self.responses += len(group.out.responses)
            self.all_negative += group.out.all_negative
            self.rescued += group.rescued
            self.unscored += sum(response.reward is None for response in group.out.responses)


class Activity:
    """The counts of the last hour, and of the time since the start.

    Args:
        queue_length: how many responses wait for the judge now.
        clock: seconds that never run backwards.
    """

    def __init__(self, queue_length: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self.totals = Counts()
        self.queue_length = queue_length
        self._clock = clock
        self._newest = self._bucket_now()
        self._buckets: deque[Counts] = deque([Counts()], maxlen=NUM_BUCKETS)

    def saw(self, groups: Sequence[ScoredGroup], judge_s: float) -> None:
        """Count one finished request."""
        queue = self.queue_length()
        self._current().add(groups, judge_s, queue)
        self.totals.add(groups, judge_s, queue)

    def series(self) -> dict[str, list[float]]:
        """For each count [at most 360] values, oldest first; the last one is of the stretch that has begun."""
        current = self._current()
        # A server whose judge hangs finishes nothing, and its queue is what one wants to see then.
        current.queue = max(current.queue, self.queue_length())
        rows = [asdict(bucket) for bucket in self._buckets]
        return {field.name: [row[field.name] for row in rows] for field in fields(Counts)}

    def totals_out(self) -> dict[str, float]:
        """The counts since the start, as plain data."""
        return asdict(self.totals)

    def _bucket_now(self) -> int:
        return int(self._clock() // BUCKET_S)

    def _current(self) -> Counts:
        now = self._bucket_now()
        for _ in range(min(now - self._newest, NUM_BUCKETS)):
            self._buckets.append(Counts())
        self._newest = max(now, self._newest)
        return self._buckets[-1]
