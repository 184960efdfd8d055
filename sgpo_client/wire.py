"""The native HTTP contract of the reward server, as the client sees it (``POST /v1/rewards``).

Kept apart from ``reward_server.schemas`` on purpose: the client installs without the server. A test sends every field
through both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["correct", "wrong", "judged", "unscored"]
ApplyTo = Literal["all_negative", "every_wrong", "none"]
LengthUnit = Literal["steps", "characters", "tokens"]


@dataclass(frozen=True, slots=True)
class ShapingParams:
    """How a wrong response's verdict becomes a reward: ``cap * sigmoid(beta * (rts - gamma))``.

    None: as the server's ``[shaping]`` says.
    """

    beta: float | None = 10.0
    gamma: float | None = 0.5
    cap: float | None = 0.5
    length: LengthUnit | None = "steps"
    apply_to: ApplyTo | None = "all_negative"
    """``none``: outcome rewards only, nothing is judged (the GRPO baseline, and evaluation)."""


@dataclass(frozen=True, slots=True)
class RewardResponse:
    """One response to be rewarded."""

    id: str
    text: str
    outcome: bool | None = None
    """True or False when the caller already knows whether the answer is right; None lets the server check it."""


@dataclass(frozen=True, slots=True)
class RewardGroup:
    """All responses to one problem."""

    group_id: str
    problem: str
    responses: tuple[RewardResponse, ...]
    reference_answer: str | None = None
    reference_solution: str | None = None


@dataclass(frozen=True, slots=True)
class ItemError:
    """Why a response has no reward."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ResponseScore:
    """What the server said of one response."""

    id: str
    reward: float | None
    """None when unscored: it must leave its group's baseline and get advantage 0."""
    status: Status
    acc: int | None
    """1 right, 0 wrong, None when the answer could not be checked."""
    rts: float | None = None
    """Share that the reward is made of, after the server's defences."""
    rts_raw: float | None = None
    """Plain share of the response before its first error; None where no judge was asked."""
    first_error: int | None = None
    num_steps: int | None = None
    step_offsets: tuple[tuple[int, int], ...] | None = None
    """[num_steps] start and end character of each step in the response's text."""
    error: ItemError | None = None
    cached: bool = False
    flags: tuple[str, ...] = ()
    """What looked like reward hacking to the server."""


@dataclass(frozen=True, slots=True)
class GroupScores:
    """Scores of one group, in the order of its responses."""

    group_id: str
    all_negative: bool
    responses: tuple[ResponseScore, ...]
