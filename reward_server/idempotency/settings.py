"""Table ``[idempotency]``: replies kept for retries with the same ``Idempotency-Key``."""

from __future__ import annotations

from pydantic import Field

from judge.settings import Settings


class IdempotencySettings(Settings):
    """How many finished replies are kept, and for how long. They are in memory, one store for each server process."""

    max_entries: int = Field(10_000, ge=1, le=10_000_000)
    """Replies kept; the oldest goes first."""
    max_bytes: int = Field(67_108_864, ge=1024, le=1 << 40)
    """Memory they may take, about. A larger reply is not kept."""
    ttl_s: float = Field(3600.0, gt=0, le=604_800)
    """A retry that comes later is answered anew."""
