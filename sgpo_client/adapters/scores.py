"""What an adapter knows of one response, and the rule for responses that could not be judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final

from sgpo_client.adapters.settings import OnUnscored
from sgpo_client.errors import RewardUnavailable
from sgpo_client.wire import GroupScores, ResponseScore

REWARD_DECIMALS: Final = 6
"""Rewards are rounded, so that equal verdicts are equal to the last bit and a group's zero spread is zero."""
NUMBERS: Final = (
    "acc",
    "sgpo_reward",
    "sgpo_rts",
    "sgpo_first_error",
    "sgpo_judged",
    "sgpo_unscored",
    "sgpo_fallback",
    "sgpo_all_negative",
    "sgpo_group_size",
)
"""The keys of `SampleScore.numbers`."""


@dataclass(frozen=True, slots=True)
class SampleScore:
    """Reward and correctness of one response, apart."""

    reward: float | None
    """SGPO reward, rounded; None when unscored: it must leave its group's baseline."""
    acc: int | None
    """1 right, 0 wrong, None when the answer could not be checked."""
    rts: float | None = None
    first_error: int | None = None
    judged: bool = False
    fallback: bool = False
    """The whole group has outcome rewards because a verdict of it was missing."""
    all_negative: bool = False
    group_size: int = 1
    error: str | None = None
    """Why there is no verdict, as ``code: message``; kept under a fallback."""

    def numbers(self) -> dict[str, float]:
        """Always the same keys (`NUMBERS`), and numbers only: -1 for what there is not, 1 and 0 for yes and no."""
        return dict.fromkeys(NUMBERS, -1.0) | self.known()

    def known(self) -> dict[str, float]:
        """`numbers` without what there is not, for averages."""
        values = (
            self.acc,
            self.reward,
            self.rts,
            self.first_error,
            self.judged,
            self.error is not None,
            self.fallback,
            self.all_negative,
            self.group_size,
        )
        return {name: float(value) for name, value in zip(NUMBERS, values, strict=True) if value is not None}


def means(scores: Sequence[SampleScore]) -> dict[str, float]:
    """The mean of each of `NUMBERS` over the scores that have it; what none of them has is left out."""
    rows = [score.known() for score in scores]
    columns = {name: [row[name] for row in rows if name in row] for name in NUMBERS}
    return {name: fmean(values) for name, values in columns.items() if values}


def quantised(reward: float) -> float:
    """The reward on the grid of `REWARD_DECIMALS`."""
    return round(reward, REWARD_DECIMALS)


def sample_scores(group: GroupScores) -> list[SampleScore]:
    """The scores of a group in the adapters' form."""
    return [_sample_score(score, group) for score in group.responses]


def _sample_score(score: ResponseScore, group: GroupScores) -> SampleScore:
    return SampleScore(
        reward=None if score.reward is None else quantised(score.reward),
        acc=score.acc,
        rts=score.rts,
        first_error=score.first_error,
        judged=score.status == "judged",
        all_negative=group.all_negative,
        group_size=len(group.responses),
        error=None if score.error is None else f"{score.error.code}: {score.error.message}",
    )


def apply_policy(scores: Sequence[SampleScore], policy: OnUnscored) -> list[SampleScore]:
    """The scores of one whole group, with the rule for unscored responses in force.

    Raises:
        RewardUnavailable: under ``raise``, when a response of the group has no verdict.
    """
    missing = [score for score in scores if score.reward is None]
    if not missing or policy == "none":
        return list(scores)
    if policy == "raise":
        raise RewardUnavailable(
            f"{len(missing)} of {len(scores)} responses of a group have no verdict: {missing[0].error}; set "
            "on_unscored = 'outcome' (or SGPO_ON_UNSCORED) to give such groups outcome rewards instead"
        )
    # An answer that could not be compared is no right one; the reply says that this is a fallback.
    return [replace(score, reward=float(score.acc or 0), fallback=True) for score in scores]
