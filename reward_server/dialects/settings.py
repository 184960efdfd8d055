"""Table ``[dialects]``: how each trainer is answered.

The time-outs come from the trainers' own clients, and leave room for the network and for a queue at the client:

| trainer  | client's time-out       | tries | reply by (`reply_timeout_s`) | wait for siblings (`join_timeout_s`) |
|----------|-------------------------|-------|------------------------------|--------------------------------------|
| OpenRLHF | 180 s                   | 5     | 160 s                        | 90 s                                 |
| slime    | 120 s, its queue counts | 10    | 90 s                         | 30 s                                 |
| NeMo-Gym | none                    | 1     | 600 s                        | 300 s                                |
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from judge.settings import Settings

Fallback = Literal["error", "neutral", "outcome", "floor"]
MAX_GROUP_SIZE = 4096


class DialectSettings(Settings):
    """What every dialect's table has."""

    group_size: int = Field(0, ge=0, le=MAX_GROUP_SIZE)
    """Responses of a group where the request does not say; 0: each response is scored by itself. Where the request has
    no group id either, equal prompts and labels are taken for one group."""
    join_timeout_s: float = Field(90.0, gt=0, le=3600)
    """How long a response waits for the others of its group."""
    reply_timeout_s: float = Field(160.0, gt=0, le=3600)
    """When every request is answered, counted from its arrival; below the client's own time-out."""
    on_unscored: Fallback = "error"
    """What a group gets when its judgement failed in a way that a retry may cure (judge down or late). ``error``: the
    trainer's kind of failure, never a number. ``outcome``: 1 for right and 0 for wrong responses, the whole group
    alike. ``floor``: the same, wrong ones with the least that a judged one can get. ``neutral``: those without a
    verdict get the mean of the others, which leaves the group's mean alone and makes their own advantage 0."""
    on_unjudgeable: Fallback = "neutral"
    """The same for what no retry cures: the judge has nothing to go by, found no error in a wrong answer or gave an
    unreadable verdict; the response is too long or has no step; its answer could not be compared."""
    reward_decimals: int = Field(6, ge=2, le=15)
    """Rewards are rounded, so that equal verdicts are equal to the last bit and a zero spread is zero."""

    @model_validator(mode="after")
    def _joining_leaves_time_to_judge(self) -> Self:
        if self.join_timeout_s >= self.reply_timeout_s:
            raise ValueError(
                f"join_timeout_s = {self.join_timeout_s:g} leaves no time to judge before reply_timeout_s ="
                f" {self.reply_timeout_s:g}; make it smaller"
            )
        return self


class OpenRLHFSettings(DialectSettings):
    """Table ``[dialects.openrlhf]``."""

    scores: Literal["reward", "correctness"] = "reward"
    """What the reply's ``scores`` hold. OpenRLHF's dynamic filtering keeps a group when ``min < mean(scores) < max``:
    with ``correctness`` and the range 0 1 it throws away every all-negative group, the very ones that SGPO is for."""


class SlimeSettings(DialectSettings):
    """Table ``[dialects.slime]``; miles sends the same."""

    join_timeout_s: float = Field(30.0, gt=0, le=3600)
    reply_timeout_s: float = Field(90.0, gt=0, le=3600)
    reward_key: str = Field("", max_length=64, pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")
    """Empty: the reply is a number. Otherwise an object that holds the reward under this key, as slime's
    ``--reward-key`` expects it; ``?reward_key=`` says the same for one run."""


class NemoGymSettings(DialectSettings):
    """Table ``[dialects.nemo_gym]``."""

    join_timeout_s: float = Field(300.0, gt=0, le=3600)
    reply_timeout_s: float = Field(600.0, gt=0, le=3600)
    at_root: bool = False
    """Answer at ``/verify``, ``/seed_session`` and ``/aggregate_metrics`` too: NeMo-Gym builds a server's URL from its
    host and port alone."""


class DialectsSettings(Settings):
    """Table ``[dialects]``."""

    openrlhf: OpenRLHFSettings = OpenRLHFSettings()
    slime: SlimeSettings = SlimeSettings()
    nemo_gym: NemoGymSettings = NemoGymSettings()
