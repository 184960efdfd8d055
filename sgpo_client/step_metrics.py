"""What a step's groups add up to: sums on each rank, shares over all ranks."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from sgpo_client.types import ScoredGroup


class PhaseClock:
    """Seconds spent in each named phase of a step.

    >>> clock = PhaseClock()
    >>> with clock.phase("sample"):
    ...     pass
    >>> list(clock.seconds)
    ['sample']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time spent inside to ``name``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - start


def is_rescued(group: ScoredGroup) -> bool:
    """True for an all-negative group in which the judge made a difference: at least two different rewards.

    Such a group teaches nothing under outcome rewards alone.
    """
    rewards = {score.reward for score in group.scores if score.reward is not None}
    return group.all_negative and len(rewards) > 1


def group_sums(groups: Sequence[ScoredGroup]) -> dict[str, float]:
    """Counts and sums over this rank's groups, to be added up over the ranks."""
    sums: Counter[str] = Counter()
    for group in groups:
        sums["groups"] += 1
        sums["all_negative"] += group.all_negative
        sums["rescued"] += is_rescued(group)
        for rollout, score in zip(group.rollouts, group.scores, strict=True):
            sums["responses"] += 1
            sums["response_tokens"] += len(rollout.response_ids)
            sums["truncated"] += rollout.truncated
            sums["unscored"] += score.reward is None
            _add_known(sums, "reward", score.reward)
            _add_known(sums, "correct", score.acc)
            _add_known(sums, "rts", score.rts)
            _add_known(sums, "num_steps", score.num_steps)
    return {name: float(sums[name]) for name in _SUM_NAMES}


def step_metrics(sums: Mapping[str, float]) -> dict[str, float | None]:
    """Means and shares from the sums over all ranks; None where nothing was counted."""
    return {
        "reward_mean": _ratio(sums, "reward", "reward_known"),
        "accuracy": _ratio(sums, "correct", "correct_known"),
        "num_groups": sums["groups"],
        "all_negative_share": _ratio(sums, "all_negative", "groups"),
        "num_rescued": sums["rescued"],
        "unscored_share": _ratio(sums, "unscored", "responses"),
        "rts_mean": _ratio(sums, "rts", "rts_known"),
        "num_steps_mean": _ratio(sums, "num_steps", "num_steps_known"),
        "response_tokens_mean": _ratio(sums, "response_tokens", "responses"),
        "truncated_share": _ratio(sums, "truncated", "responses"),
    }


_MEANS = ("reward", "correct", "rts", "num_steps")
# Every rank must bring the same names to the all-reduce, also when it had no group.
_SUM_NAMES = (
    *("groups", "all_negative", "rescued", "responses", "response_tokens", "truncated", "unscored"),
    *_MEANS,
    *(f"{name}_known" for name in _MEANS),
)


def _add_known(sums: Counter[str], name: str, value: float | None) -> None:
    if value is not None:
        sums[name] += value  # type: ignore[assignment]
        sums[f"{name}_known"] += 1


def _ratio(sums: Mapping[str, float], total: str, count: str) -> float | None:
    return sums[total] / sums[count] if sums[count] else None
