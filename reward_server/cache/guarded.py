"""Makes a `VerdictStore` of rows that may fail: a failure is a miss, is counted, and costs no more than a time-out."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

from judge.types import Verdict
from reward_server.cache.codec import NotAVerdict
from reward_server.cache.metrics import CacheMetrics, FaultKind
from reward_server.cache.rows import CacheFault, RowStore
from reward_server.cache.seal import BrokenSeal, Seal

logger = logging.getLogger(__name__)

WARN_EVERY_S: Final = 60.0
FAILURES_BEFORE_PAUSE: Final = 3
PAUSE_S: Final = 5.0
"""A store that failed so many times in a row is left alone for so long: its time-out is not paid by every request."""

ResultT = TypeVar("ResultT")


class GuardedStore:
    """Rows with their seals checked, behind a time-out and a pause after repeated failure.

    Args:
        rows: the file or the Redis.
        seal: writes and checks rows.
        metrics: takes hits, misses, errors and size.
        timeout_s: for one read, and for one write.
        clock: seconds, monotonic; for tests.
    """

    def __init__(
        self,
        rows: RowStore,
        seal: Seal,
        metrics: CacheMetrics,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rows = rows
        self._seal = seal
        self._metrics = metrics
        self._timeout_s = timeout_s
        self._clock = clock
        self._failures = 0
        self._paused_until = float("-inf")
        self._quiet_until = float("-inf")
        self._unsaid = 0

    async def get_many(self, keys: Sequence[str]) -> list[Verdict | None]:
        """One entry for each key, in order."""
        if not keys:
            return []
        rows = await self._attempt(lambda: self._rows.read(keys))
        verdicts: list[Verdict | None] = [None] * len(keys)
        if rows is not None:
            verdicts = [self._open(key, row) for key, row in zip(keys, rows, strict=True)]
        self._metrics.looked_up(self._rows.tier, sum(verdict is not None for verdict in verdicts), len(keys))
        return verdicts

    async def put_many(self, items: Mapping[str, Verdict]) -> None:
        """Keep what can be kept."""
        rows: dict[str, bytes] = {}
        for key, verdict in items.items():
            try:
                rows[key] = self._seal.pack(key, verdict)
            except NotAVerdict as error:
                self._complain("not_kept", str(error))
        if rows:
            await self._attempt(lambda: self._rows.write(rows))

    async def aclose(self) -> None:
        """Close the rows."""
        try:
            await self._rows.aclose()
        except CacheFault as fault:
            self._complain(fault.kind, str(fault))

    def _open(self, key: str, row: bytes | None) -> Verdict | None:
        if row is None:
            return None
        try:
            return self._seal.unpack(key, row)
        except BrokenSeal as error:
            self._complain("checksum", str(error))
        except NotAVerdict as error:
            self._complain("format", str(error))
        return None

    async def _attempt(self, operation: Callable[[], Awaitable[ResultT]]) -> ResultT | None:
        """What the operation gives, or None when it fails or the store is being left alone."""
        if self._clock() < self._paused_until:
            return None
        try:
            async with asyncio.timeout(self._timeout_s):
                result = await operation()
        except TimeoutError:
            self._failed("timeout", f"no answer within {self._timeout_s:g} s ([cache] timeout_s)")
            return None
        except CacheFault as fault:
            self._failed(fault.kind, str(fault))
            return None
        except Exception as error:  # the edge to drivers that others write: their bug must not fail a request
            frames = "".join(traceback.format_tb(error.__traceback__))
            self._failed("other", f"{type(error).__name__}\n{frames}")
            return None
        self._failures = 0
        if self._rows.size is not None:
            self._metrics.holds(self._rows.tier, self._rows.size)
        return result

    def _failed(self, kind: FaultKind, message: str) -> None:
        self._complain(kind, message)
        self._failures += 1
        if self._failures >= FAILURES_BEFORE_PAUSE:
            self._paused_until = self._clock() + PAUSE_S

    def _complain(self, kind: FaultKind, message: str) -> None:
        """Count it, and say so once a minute."""
        self._metrics.errors.labels(tier=self._rows.tier, kind=kind).inc()
        now = self._clock()
        if now < self._quiet_until:
            self._unsaid += 1
            return
        more = f" ({self._unsaid} earlier faults were not logged)" if self._unsaid else ""
        logger.warning("verdict cache (%s): %s: %s; such verdicts are judged%s", self._rows.tier, kind, message, more)
        self._quiet_until = now + WARN_EVERY_S
        self._unsaid = 0
