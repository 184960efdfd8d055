"""Notices an event loop that stands still: then nothing is read, timed or answered, and nobody else would say so."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

logger = logging.getLogger(__name__)

TICK_S = 0.25
STALL_S = 1.0
"""A tick that comes so much too late is a stall."""
REMEMBERED_S = 60.0
"""How long ``/livez`` speaks of one."""


class Watchdog:
    """Ticks on the event loop and measures how late each tick comes.

    Args:
        registry: takes the counts.
        clock: seconds, never going back.
    """

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stalls = Counter(
            "sgpo_event_loop_stalls", "Times that the event loop stood still for over a second.", registry=registry
        )
        self._lag = Gauge("sgpo_event_loop_lag_seconds", "How late the last tick came.", registry=registry)
        self._last: tuple[float, float] | None = None
        """When the last stall ended, and how long it was."""

    def saw(self, late_s: float) -> None:
        """Take in one tick that came so late."""
        self._lag.set(max(late_s, 0.0))
        if late_s > STALL_S:
            self._last = (self._clock(), late_s)
            self._stalls.inc()
            logger.warning("the event loop stood still for %.1f s", late_s)

    def recent_stall_s(self) -> float:
        """Seconds of the last stall when it was within the last minute, else 0.0."""
        if self._last is None or self._clock() - self._last[0] > REMEMBERED_S:
            return 0.0
        return self._last[1]

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            before = self._clock()
            await asyncio.sleep(TICK_S)
            self.saw(self._clock() - before - TICK_S)
