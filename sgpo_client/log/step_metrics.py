"""What a step's groups add up to: sums on each rank, shares over all ranks."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from sgpo_client.advantage import is_informative
from sgpo_client.types import ScoredGroup

NUM_RTS_BINS: Final = 10
"""Bins of equal width over [0, 1] in ``rts_histogram``; each holds its lower bound, the last one 1 as well."""


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


def is_rescued(group: ScoredGroup, quantum: float = 0.0) -> bool:
    """True for an all-negative group in which the judge made a difference: at least two different rewards.

    Such a group teaches nothing under outcome rewards alone.
    """
    return group.all_negative and is_informative(group, quantum)


def group_sums(groups: Sequence[ScoredGroup], quantum: float = 0.0) -> dict[str, float]:
    """Counts and sums over this rank's groups, to be added up over the ranks; ``quantum`` as in `SgpoTable`."""
    sums: Counter[str] = Counter()
    for group in groups:
        sums["groups"] += 1
        sums["all_negative"] += group.all_negative
        sums["rescued"] += is_rescued(group, quantum)
        for rollout, score in zip(group.rollouts, group.scores, strict=True):
            sums["responses"] += 1
            sums["response_tokens"] += len(rollout.response_ids)
            sums["truncated"] += rollout.truncated
            sums["empty"] += not rollout.text.strip()
            sums["unscored"] += score.reward is None
            _add_known(sums, "reward", score.reward)
            _add_known(sums, "correct", score.acc)
            _add_known(sums, "rts", score.rts)
            _add_known(sums, "num_steps", score.num_steps)
            if score.rts is not None:
                sums[f"rts_bin_{rts_bin(score.rts)}"] += 1
        _add_spread(sums, "num_steps", [(score.num_steps, score.reward) for score in group.scores])
        sizes = [len(rollout.response_ids) for rollout in group.rollouts]
        _add_spread(sums, "tokens", list(zip(sizes, [score.reward for score in group.scores], strict=True)))
    return {name: float(sums[name]) for name in _SUM_NAMES}


def step_metrics(sums: Mapping[str, float]) -> dict[str, float | list[int] | None]:
    """Means and shares from the sums over all ranks; None where nothing was counted.

    ``reward_per_step`` and ``reward_per_token`` are slopes of the reward over the number of steps and tokens *within
    groups*, and ``reward_num_steps_correlation`` and ``reward_tokens_correlation``, in [-1, 1], their correlations:
    only differences inside a group train, so these say whether training pays for longer responses.
    """
    return {
        "reward_mean": _ratio(sums, "reward", "reward_known"),
        "accuracy": _ratio(sums, "correct", "correct_known"),
        "num_groups": int(sums["groups"]),
        "all_negative_share": _ratio(sums, "all_negative", "groups"),
        "num_rescued": int(sums["rescued"]),
        "rescued_share": _ratio(sums, "rescued", "all_negative"),
        "unscored_share": _ratio(sums, "unscored", "responses"),
        "rts_mean": _ratio(sums, "rts", "rts_known"),
        "rts_histogram": [int(sums[f"rts_bin_{index}"]) for index in range(NUM_RTS_BINS)],
        "num_steps_mean": _ratio(sums, "num_steps", "num_steps_known"),
        "num_responses": int(sums["responses"]),
        "num_empty_responses": int(sums["empty"]),
        "response_tokens": int(sums["response_tokens"]),
        "response_tokens_mean": _ratio(sums, "response_tokens", "responses"),
        "truncated_share": _ratio(sums, "truncated", "responses"),
        "reward_per_step": _ratio(sums, "num_steps_xy", "num_steps_xx"),
        "reward_num_steps_correlation": _correlation(sums, "num_steps"),
        "reward_per_token": _ratio(sums, "tokens_xy", "tokens_xx"),
        "reward_tokens_correlation": _correlation(sums, "tokens"),
    }


def rts_bin(rts: float) -> int:
    """Index of the bin of ``rts_histogram`` that an rts in [0, 1] falls into.

    >>> rts_bin(0.0), rts_bin(0.3), rts_bin(1.0)
    (0, 3, 9)
    """
    # Sums of whole steps over whole steps: 3/10 must not land below its bin by the last bit.
    return min(NUM_RTS_BINS - 1, math.floor(rts * NUM_RTS_BINS + 1e-9))


_MEANS = ("reward", "correct", "rts", "num_steps")
_SPREADS = ("num_steps", "tokens")
# Every rank must bring the same names to the all-reduce, also when it had no group.
_SUM_NAMES = (
    *("groups", "all_negative", "rescued", "responses", "response_tokens", "truncated", "empty", "unscored"),
    *_MEANS,
    *(f"{name}_known" for name in _MEANS),
    *(f"rts_bin_{index}" for index in range(NUM_RTS_BINS)),
    *(f"{name}_{product}" for name in _SPREADS for product in ("xx", "xy", "yy")),
)


def _add_known(sums: Counter[str], name: str, value: float | None) -> None:
    if value is not None:
        sums[name] += value  # type: ignore[assignment]
        sums[f"{name}_known"] += 1


def _add_spread(sums: Counter[str], name: str, pairs: Sequence[tuple[float | None, float | None]]) -> None:
    """Add a group's sums of squares and products of x and reward around the group's own means."""
    known = [(x, y) for x, y in pairs if x is not None and y is not None]
    if len(known) < 2:
        return
    mean_x, mean_y = (sum(values) / len(known) for values in zip(*known, strict=True))
    for product, value in (
        ("xx", math.fsum((x - mean_x) ** 2 for x, _ in known)),
        ("xy", math.fsum((x - mean_x) * (y - mean_y) for x, y in known)),
        ("yy", math.fsum((y - mean_y) ** 2 for _, y in known)),
    ):
        sums[f"{name}_{product}"] += value  # type: ignore[assignment]


def _correlation(sums: Mapping[str, float], name: str) -> float | None:
    scale = math.sqrt(sums[f"{name}_xx"] * sums[f"{name}_yy"])
    return max(-1.0, min(1.0, sums[f"{name}_xy"] / scale)) if scale else None


def _ratio(sums: Mapping[str, float], total: str, count: str) -> float | None:
    return sums[total] / sums[count] if sums[count] else None
