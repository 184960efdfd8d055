"""From what the reward service says to the one number that a trainer takes, with what is to be known about it.

The native wire format says ``null`` for a response that could not be judged. These trainers have no null, so each
group follows a stated rule instead (`Fallback`), and the reply says that it did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from judge.shaping import shaped_reward
from judge.types import UnscoredReason
from reward_server.config import ShapingSettings
from reward_server.dialects.settings import DialectSettings, Fallback
from reward_server.schemas import ResponseOut

RETRYABLE: Final = frozenset({UnscoredReason.JUDGE_UNAVAILABLE.value, UnscoredReason.JUDGE_TIMEOUT.value})
"""Reasons that may be gone at the next try. The others lie in the response, its label, or the verdict itself."""
GROUP_INCOMPLETE: Final = "group_incomplete"
Grouping = Literal["alone", "joined", "incomplete"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a trainer is told of one response."""

    reward: float | None
    """None: nothing that is a number may be said."""
    acc: bool | None
    """Whether the final answer is right; None where that is not known."""
    grouping: Grouping
    """Scored by itself, in its whole group, or in what came of its group."""
    all_negative: bool = False
    rts: float | None = None
    first_error: int | None = None
    num_steps: int | None = None
    judged: bool = False
    reason: str = ""
    """Why there is no verdict where there should be one: an error code of the native format."""
    fallback: Fallback | None = None
    """The rule that this response's group follows because of a missing verdict; None: there was no need."""
    num_flags: int = 0
    """Oddities that the server saw in the response."""

    def numbers(self) -> dict[str, float]:
        """The same keys for every answer, and numbers only: -1 for what there is not, 1 and 0 for yes and no."""
        return {
            "acc": -1.0 if self.acc is None else float(self.acc),
            "rts": -1.0 if self.rts is None else self.rts,
            "first_error": -1.0 if self.first_error is None else float(self.first_error),
            "num_steps": -1.0 if self.num_steps is None else float(self.num_steps),
            "judged": float(self.judged),
            "judge_failed": float(bool(self.reason)),
            "fell_back": float(self.fallback is not None),
            "group_joined": float(self.grouping == "joined"),
            "group_incomplete": float(self.grouping == "incomplete"),
            "group_all_negative": float(self.all_negative),
            "num_flags": float(self.num_flags),
        }


def from_service(out: ResponseOut, grouping: Grouping, all_negative: bool) -> Answer:
    """One response as the reward service sees it."""
    return Answer(
        reward=out.reward,
        acc=None if out.acc is None else bool(out.acc),
        grouping=grouping,
        all_negative=all_negative,
        rts=out.rts,
        first_error=out.first_error,
        num_steps=out.num_steps,
        judged=out.status == "judged",
        reason="" if out.error is None else out.error.code,
        num_flags=len(getattr(out, "flags", None) or ()),
    )


def apply_fallback(
    answers: Sequence[Answer], settings: DialectSettings, shaping: ShapingSettings, *, shapes: bool
) -> list[Answer]:
    """The answers to a group, rounded, with the stated rule in force where a verdict is missing.

    Args:
        answers: of the whole group, or of what there is of it.
        settings: the dialect's.
        shaping: whose curve gives the floor.
        shapes: whether wrong responses of this group earn partial credit at all.
    """
    missing = [answer for answer in answers if answer.reward is None]
    if not missing:
        return [rounded(answer, settings) for answer in answers]
    retryable = is_retryable(answers)
    policy = settings.on_unscored if retryable else settings.on_unjudgeable
    scored = [answer.reward for answer in answers if answer.reward is not None]
    if policy == "error":
        # A retry may change the whole group; what no retry changes concerns the response alone.
        return [replace(answer, reward=None) if retryable else rounded(answer, settings) for answer in answers]
    if policy == "neutral" and scored:
        mean = sum(scored) / len(scored)
        filled = [answer if answer.reward is not None else replace(answer, reward=mean) for answer in answers]
    else:
        policy = "floor" if policy == "neutral" else policy
        least = shaped_reward(0.0, shaping.curve()) if policy == "floor" and shapes else 0.0
        filled = [replace(answer, reward=1.0 if answer.acc else least) for answer in answers]
    return [replace(rounded(answer, settings), fallback=policy) for answer in filled]


def is_retryable(answers: Sequence[Answer]) -> bool:
    """True when a later try may judge what is missing now."""
    return any(answer.reward is None and answer.reason in RETRYABLE for answer in answers)


def rounded(answer: Answer, settings: DialectSettings) -> Answer:
    """Equal verdicts get rewards that are equal to the last bit."""
    return answer if answer.reward is None else replace(answer, reward=round(answer.reward, settings.reward_decimals))
