"""How often a key or an address may do something: counts in windows of one minute."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import TTLCache

WINDOW_S = 60.0
MAX_NAMES = 100_000
"""Names counted at a time; beyond that the one seen longest ago is forgotten."""


@dataclass(slots=True)
class Window:
    """Events of one name since its window began."""

    started: float
    count: int = 0


class Rate:
    """At most ``limit`` events in a minute for each name; a name's minute begins with its first event.

    Bounded memory and a clock that never jumps, because both are in reach of whoever is being limited.

    Args:
        limit: events in a minute; 0: no bound.
        clock: seconds, never going back.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._windows: TTLCache[str, Window] = TTLCache(MAX_NAMES, WINDOW_S, timer=clock)

    def hit(self, name: str) -> float:
        """Count one event; 0.0 when it is within the bound, otherwise the seconds until the minute is over."""
        if not self._limit:
            return 0.0
        window = self._windows.get(name)
        if window is None:
            window = self._windows[name] = Window(self._clock())
        # Changed in place: putting it anew would begin its minute anew, and a patient guesser would never be let in.
        window.count += 1
        if window.count <= self._limit:
            return 0.0
        return max(window.started + WINDOW_S - self._clock(), 1.0)
