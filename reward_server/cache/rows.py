"""What a file or a Redis must be able to do to hold rows. Unlike a `VerdictStore`, it may fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from reward_server.cache.metrics import FaultKind, Size, Tier


class CacheFault(Exception):
    """A store could not be read or written; the message says what happened and what an operator may do."""

    def __init__(self, kind: FaultKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class RowStore(Protocol):
    """Bytes by key, outside this process."""

    @property
    def tier(self) -> Tier:
        """Its name in metrics and logs."""
        ...

    @property
    def size(self) -> Size | None:
        """How much it held after the last operation; None where it does not know."""
        ...

    async def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """One entry for each key, in order. Raises `CacheFault`."""
        ...

    async def write(self, rows: Mapping[str, bytes]) -> None:
        """Keep rows, in place of older ones of the same key. Raises `CacheFault`."""
        ...

    async def aclose(self) -> None:
        """Release everything. Raises `CacheFault`."""
        ...
