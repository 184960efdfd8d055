"""Rewards of a group to advantages: pure functions.

An unscored response is not a reward of 0: it takes no part in mean and deviation and gets advantage 0.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Final

from sgpo_client.settings.algo import Algorithm, Baseline, Normalize
from sgpo_client.settings.sgpo import Scale, SgpoTable
from sgpo_client.types import ScoredGroup

EPS: Final = 1e-4
"""Keeps a group with hardly any spread finite."""


def centred(rewards: Sequence[float | None], baseline: Baseline = "mean") -> list[float]:
    """Reward minus its group's baseline.

    Args:
        rewards: [G] one per response; None where it could not be scored.
        baseline: ``mean`` of all scored rewards (GRPO, arXiv 2402.03300), or of the scored rewards of the other
            responses (RLOO, arXiv 2402.14740, eq. 8).

    Returns:
        [G]. All 0.0 when fewer than two rewards are known or all of them are equal.

    >>> centred([1.0, 0.0, None, 0.5])
    [0.5, -0.5, 0.0, 0.0]
    """
    scored = [reward for reward in rewards if reward is not None]
    # Equal rewards are caught by value: their floating-point mean may differ from them in the last bit.
    if len(scored) < 2 or min(scored) == max(scored):
        return [0.0] * len(rewards)
    mean = statistics.fmean(scored)
    # Without its own reward a response's baseline is (n * mean - r) / (n - 1): the difference grows by n / (n - 1).
    factor = len(scored) / (len(scored) - 1) if baseline == "leave_one_out" else 1.0
    return [0.0 if reward is None else (reward - mean) * factor for reward in rewards]


def deviation(rewards: Sequence[float | None]) -> float:
    """Sample standard deviation of the scored rewards of a group; 0.0 for fewer than two."""
    scored = [reward for reward in rewards if reward is not None]
    return statistics.stdev(scored) if len(scored) > 1 else 0.0


def group_advantages(rewards: Sequence[float | None], normalize: Normalize, baseline: Baseline = "mean") -> list[float]:
    """Centred rewards, with ``std`` over (sample standard deviation + 1e-4) as in GRPO.

    >>> [round(advantage, 3) for advantage in group_advantages([1.0, 0.0, 0.0, 0.0], "std")]
    [1.5, -0.5, -0.5, -0.5]
    """
    scale = deviation(rewards) + EPS if normalize == "std" else 1.0
    return [advantage / scale for advantage in centred(rewards, baseline)]


def all_negative_divisor(rewards: Sequence[float | None], scale: Scale, value: float) -> float:
    """What the advantages of an all-negative group are divided by (`SgpoTable.scale`), > 0."""
    match scale:
        case "none":
            return 1.0
        case "constant":
            return value
        case "std":
            return deviation(rewards) + EPS
        case "std_floor":
            return max(deviation(rewards), value)


def all_negative_weight(sgpo: SgpoTable, step: int, total_steps: int) -> float:
    """Factor on the advantages of all-negative groups at a step.

    Args:
        sgpo: `weight` at the first step, `weight_end` at the last, along `schedule`.
        step: finished steps, in [0, total_steps).
        total_steps: of the run.
    """
    if sgpo.schedule == "constant" or sgpo.weight_end is None:
        return sgpo.weight
    done = min(1.0, step / max(1, total_steps - 1))
    if sgpo.schedule == "cosine":
        done = (1 - math.cos(math.pi * done)) / 2
    return sgpo.weight + (sgpo.weight_end - sgpo.weight) * done


def quantized(reward: float, quantum: float) -> float:
    """The nearest multiple of ``quantum``; the reward itself for 0.

    >>> quantized(0.37, 0.125), quantized(0.37, 0)
    (0.375, 0.37)
    """
    return round(reward / quantum) * quantum if quantum else reward


def group_rewards(group: ScoredGroup, quantum: float) -> list[float | None]:
    """[G] rewards of a group; those of wrong responses rounded, whether judged or at the defences' floor."""
    return [
        score.reward if score.reward is None or score.status == "correct" else quantized(score.reward, quantum)
        for score in group.scores
    ]


def is_informative(group: ScoredGroup, quantum: float = 0.0) -> bool:
    """Whether two of the group's responses have different rewards; unscored ones do not count."""
    return len({reward for reward in group_rewards(group, quantum) if reward is not None}) > 1


def scored_group_advantages(
    group: ScoredGroup, algorithm: Algorithm, sgpo: SgpoTable, weight: float = 1.0
) -> list[float]:
    """[G] advantages of a group that the reward server has scored.

    All-negative groups have settings of their own. Their rewards differ only by the judge's partial credit; dividing by
    the deviation would blow any spread, noise included, up to full size and cancel beta and cap.

    Args:
        group: with its scores.
        algorithm: baseline and normalisation; the baseline also holds for all-negative groups.
        sgpo: rounding, and the scale of all-negative groups.
        weight: of all-negative groups at this step.
    """
    rewards = group_rewards(group, sgpo.quantum)
    if not group.all_negative:
        return group_advantages(rewards, algorithm.normalize, algorithm.baseline)
    factor = weight / all_negative_divisor(rewards, sgpo.scale, sgpo.scale_value)
    return [advantage * factor for advantage in centred(rewards, algorithm.baseline)]
