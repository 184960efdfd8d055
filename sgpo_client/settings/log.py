"""``[log]``: where the metrics of a run go besides its folder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sgpo_client.settings.table import Table

TrackerName = Literal["", "tensorboard", "trackio", "wandb"]


class LogTable(Table):
    """``[log]``: metrics.jsonl and the report are always written."""

    tracker: TrackerName = ""
    """Where the numbers of every step are sent as well; the package must be installed."""
    project: str = Field(default="sgpo", min_length=1)
    """Project that trackio or W&B puts the run into; the run has its folder's name."""
