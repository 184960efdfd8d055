"""``[sgpo]``: what partial credit does to the advantages; works with any algorithm of ``[algo]``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from sgpo_client.settings.table import Table

Groups = Literal["none", "all_negative", "every_wrong"]
Scale = Literal["none", "constant", "std", "std_floor"]
Schedule = Literal["constant", "linear", "cosine"]
Credit = Literal["response", "prefix"]


class SgpoTable(Table):
    """``[sgpo]``."""

    groups: Groups | None = None
    """Whose wrong responses are judged: ``all_negative`` groups', every group's, or none. Not set: all_negative with
    algo.name = "sgpo", none with the others."""
    scale: Scale = "none"
    """How the advantages of an all-negative group are scaled. ``none``: reward minus baseline, at most [reward.shaping]
    cap; ``constant``: divided by `scale_value`; ``std``: by the group's deviation, which blows any spread, the judge's
    noise included, up to full size; ``std_floor``: by the deviation, but by no less than `scale_value`."""
    scale_value: float = Field(default=0.25, gt=0)
    weight: float = Field(default=1.0, ge=0)
    """Factor on the advantages of all-negative groups at the first step."""
    weight_end: float | None = Field(default=None, ge=0)
    """The factor at the last step (run.steps), for `schedule` linear or cosine."""
    schedule: Schedule = "constant"
    quantum: float = Field(default=0.0, ge=0, lt=1)
    """Rewards of wrong responses are rounded to multiples of this; 0: not. Differences within the judge's noise then
    make no advantage."""
    credit: Credit | None = None
    """``response``: every token has its response's advantage (the paper). ``prefix``: in judged responses the tokens
    before the first wrong step are never punished and those from it on never rewarded (arXiv 2601.18984). Not set:
    prefix, where tokens have ratios of their own and it is known where steps begin (docs/results/learning.md)."""
    suffix_penalty: float = Field(default=0.0, ge=0)
    """With prefix credit: taken off the advantage of every token from the first wrong step on, whatever `weight` is."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.schedule != "constant" and self.weight_end is None:
            raise ValueError(f"schedule = '{self.schedule}' needs weight_end, the weight at the last step")
        if self.schedule == "constant" and self.weight_end is not None:
            raise ValueError(f"weight_end = {self.weight_end:g} does nothing: set schedule = 'linear' or 'cosine'")
        if "scale_value" in self.model_fields_set and self.scale in ("none", "std"):
            raise ValueError(
                f"scale_value does nothing with scale = '{self.scale}': set scale = 'constant' or 'std_floor'"
            )
        if self.suffix_penalty and self.credit == "response":
            raise ValueError("suffix_penalty does nothing with credit = 'response': set credit = 'prefix'")
        return self
