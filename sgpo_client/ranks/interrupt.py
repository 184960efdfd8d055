"""SIGTERM as a wish to stop: noted when it comes, met by all ranks together between two steps."""

from __future__ import annotations

import signal
import time
from types import FrameType, TracebackType
from typing import Any, Final, Self

from sgpo_client.ranks.distributed import all_reduce_max

GRACE_S: Final = 10.0
"""What a step under way gets to have its rewards, before it is given up."""


class StopSignal:
    """Within its block SIGTERM does not end this process. To be entered in the main thread."""

    def __init__(self) -> None:
        self._received_s: float | None = None
        self._former: Any = None

    def __enter__(self) -> Self:
        self._former = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGTERM, self._former)

    def on_any_rank(self) -> bool:
        """Whether any rank has received SIGTERM; all must ask at the same point."""
        return all_reduce_max(float(self._received_s is not None)) > 0

    def is_overdue(self) -> bool:
        """Whether SIGTERM came to this process longer ago than a server is waited for after it."""
        return self._received_s is not None and time.monotonic() - self._received_s > GRACE_S

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self._received_s is None:
            self._received_s = time.monotonic()
