"""Settings of the way to the judge: batches and queue, the judge's process, and the breaker."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from judge.settings import Settings

RunIn = Literal["auto", "process", "here"]


class BatchingSettings(Settings):
    """Table ``[batching]``: how solutions are put together, and how many may wait."""

    max_batch_tokens: int = Field(16_384, ge=1, le=100_000_000)
    """For judges that run their own model: the longest solution of a batch times their number, in tokens estimated
    from characters. A longer solution is unscored (`too_long`)."""
    max_batch_items: int = Field(64, ge=1, le=65_536)
    """Solutions in one judge call."""
    max_queued_items: int = Field(32_768, ge=1, le=10_000_000)
    """Responses of all admitted requests together. A request that would go beyond is refused whole: 503."""


class JudgeProcessSettings(Settings):
    """Table ``[judge_process]``: where the judge runs, and what happens when it dies."""

    run_in: RunIn = "auto"
    """``process``: in a process of its own, which is started again when it dies. ``here``: in the server's process.
    ``auto``: a process for every judge that computes on this machine; here for remote and scripted ones."""
    start_timeout_s: float = Field(600.0, gt=0, le=86_400)
    """Time to load the judge; a model may have to be downloaded first."""
    max_restarts_per_minute: int = Field(10, ge=1, le=10_000)
    """A judge that dies more often counts as unavailable at once; starting it goes on, more slowly."""
    hang_timeout_s: float = Field(300.0, gt=0, le=86_400)
    """A process that has work and says nothing for so long is killed and started again."""


class BreakerSettings(Settings):
    """Table ``[breaker]``: a judge that is down is not asked for a while."""

    failures: int = Field(5, ge=1, le=10_000)
    """So many calls in a row that found the judge down open the breaker: answers are `judge_unavailable` at once."""
    reset_s: float = Field(15.0, gt=0, le=3600)
    """After so long one call is let through; if it works, the breaker closes."""
