"""How fast a line moves, and so how long one more would wait in it. No asyncio in here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

WEIGHT: Final = 0.05
"""Of the newest turn in the smoothed time between turns; the first turns count the same each."""


class Pace:
    """Seconds from one turn to the next, smoothed; measured only while somebody stands in line.

    Without a line nothing is learnt: then turns come as requests come, and say nothing of what the server can do.

    Args:
        forget_s: an estimate that is older counts for nothing.
        clock: seconds, never going back.
    """

    def __init__(self, forget_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._forget_s = forget_s
        self._clock = clock
        self._since = 0.0
        """When the last turn was given, or the line began."""
        self._num = 0
        self._step_s = 0.0

    def begins(self) -> None:
        """There was nobody in line, and now there is."""
        now = self._clock()
        if now - self._since > self._forget_s:
            self._num = 0
        self._since = now

    def moves(self) -> None:
        """The first in line has had its turn."""
        now = self._clock()
        self._num += 1
        self._step_s += (now - self._since - self._step_s) * max(WEIGHT, 1 / self._num)
        self._since = now

    def wait_s(self, num_ahead: int) -> float:
        """Seconds until the turn of one who has so many before it in line; 0 while nothing is known."""
        return (num_ahead + 1) * self._step_s if self._num else 0.0
