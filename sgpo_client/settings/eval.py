"""``[eval]``: how often held-out problems are tried."""

from __future__ import annotations

from pydantic import Field

from sgpo_client.settings.table import Table


class EvalTable(Table):
    """``[eval]``: final-answer accuracy (greedy) on held-out problems, before and after."""

    enabled: bool = True
    every: int = Field(default=0, ge=0)
    """Steps between evaluations; 0: only before the first step and after the last."""
    max_new_tokens: int = Field(default=160, ge=1)
