"""``[offline]``: training on recorded responses."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import model_validator

from sgpo_client.settings.table import Table


class OfflineTable(Table):
    """``[offline]``: with `path` set nothing is sampled for training."""

    path: Path | None = None
    """JSONL of recorded responses, plain or gzipped: one response a line, or one problem with all its responses."""
    verdicts: Path | None = None
    """What `sgpo-judge run` wrote for `path`. Without it, responses that have no reward of their own are rewarded once,
    by the reward server, at the start of the run."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.verdicts is not None and self.path is None:
            raise ValueError("verdicts does nothing without path, the file of the responses that were judged")
        return self
