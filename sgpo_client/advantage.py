"""Rewards of a group to advantages: pure functions.

GRPO divides by the group's standard deviation (arXiv 2402.03300, eq. 4); Dr. GRPO (arXiv 2503.20783) does not.
An unscored response is not a reward of 0: it takes no part in mean and deviation and gets advantage 0.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Literal, Protocol

from sgpo_client.types import ScoredGroup

Normalize = Literal["none", "std"]


class AdvantageSettings(Protocol):
    """What `scored_group_advantages` reads of the configuration."""

    @property
    def normalize(self) -> Normalize:
        """For groups with a correct or an unchecked answer."""

    @property
    def normalize_all_negative(self) -> Normalize:
        """For groups in which every answer is wrong."""


def group_advantages(rewards: Sequence[float | None], normalize: Normalize, eps: float = 1e-4) -> list[float]:
    """Reward minus the mean of the group's scored rewards, optionally over their standard deviation.

    Args:
        rewards: [G] one per response; None where it could not be scored.
        normalize: ``std`` divides by (sample standard deviation + ``eps``).
        eps: keeps a group with hardly any spread finite.

    Returns:
        [G] advantages. All 0.0 when fewer than two rewards are known or all of them are equal.

    >>> group_advantages([1.0, 0.0, None, 0.5], "none")
    [0.5, -0.5, 0.0, 0.0]
    """
    scored = [reward for reward in rewards if reward is not None]
    # Equal rewards are caught by value: their floating-point mean may differ from them in the last bit.
    if len(scored) < 2 or min(scored) == max(scored):
        return [0.0] * len(rewards)
    mean = statistics.fmean(scored)
    scale = statistics.stdev(scored) + eps if normalize == "std" else 1.0
    return [0.0 if reward is None else (reward - mean) / scale for reward in rewards]


def scored_group_advantages(group: ScoredGroup, settings: AdvantageSettings) -> list[float]:
    """[G] advantages of a group that the reward server has scored.

    All-negative groups have a setting of their own. Their rewards differ only by the judge's partial credit;
    dividing by the deviation would blow any spread, noise included, up to full size and cancel beta and cap.
    """
    normalize = settings.normalize_all_negative if group.all_negative else settings.normalize
    return group_advantages([score.reward for score in group.scores], normalize)
