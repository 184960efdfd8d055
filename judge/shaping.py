"""From the first wrong step to a reward: pure functions, no I/O.

Source: SGPO (arXiv 2505.11595). The reward of a wrong response in an all-negative group is
``cap * sigmoid(beta * (rts - gamma))``: it *increases* with rts, the share of the response before its first error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from judge.errors import ConfigError

LengthUnit = Literal["steps", "characters", "tokens"]
ApplyTo = Literal["all_negative", "every_wrong", "none"]

MAX_BETA = 30.0
"""Beyond this the sigmoid is a step function, and its largest value is no longer below 1 in double precision."""


@dataclass(frozen=True, slots=True)
class Shaping:
    """The curve of the shaped reward.

    Raises:
        ConfigError: when a parameter is out of its range.

    >>> shaped_reward(0.5, Shaping())
    0.25
    """

    beta: float = 10.0
    """Steepness, in (0, 30]."""
    gamma: float = 0.5
    """The rts that earns half of `cap`, in [0, 1]."""
    cap: float = 0.5
    """Upper bound (never reached) of a wrong response's reward, in (0, 1); a correct one gets 1."""

    def __post_init__(self) -> None:
        if not 0 < self.beta <= MAX_BETA:
            raise ConfigError(f"shaping.beta = {self.beta!r}: must be above 0 and at most {MAX_BETA:g}")
        if not 0 <= self.gamma <= 1:
            raise ConfigError(f"shaping.gamma = {self.gamma!r}: must be between 0 and 1")
        if not 0 < self.cap < 1:
            raise ConfigError(
                f"shaping.cap = {self.cap!r}: must be above 0 and below 1, the reward of a correct response"
            )


def rts(first_error: int, lengths: Sequence[int]) -> float:
    """Length of the steps before the first wrong one over the length of all steps (the paper's RTS), in [0, 1).

    Args:
        first_error: 0-based index of the first wrong step.
        lengths: [num_steps] length of each step, each at least 1 (`step_lengths`).

    Raises:
        ValueError: when `first_error` is not a step, or a length is below 1.
    """
    if not 0 <= first_error < len(lengths):
        raise ValueError(f"first_error = {first_error} is not one of the {len(lengths)} steps")
    if min(lengths) < 1:
        raise ValueError("every step must have a length of at least 1")
    return sum(lengths[:first_error]) / sum(lengths)


def shaped_reward(rts: float, shaping: Shaping) -> float:
    """``cap / (1 + exp(beta * (gamma - rts)))``: increasing in rts, in (0, cap).

    Raises:
        ValueError: when rts is not in [0, 1].
    """
    if not 0 <= rts <= 1:
        raise ValueError(f"rts = {rts!r} is not between 0 and 1")
    return shaping.cap / (1 + math.exp(shaping.beta * (shaping.gamma - rts)))


def step_lengths(steps: Sequence[str], unit: LengthUnit, count_tokens: Callable[[str], int] | None = None) -> list[int]:
    """[num_steps] length of each step in ``unit``, each at least 1.

    ``count_tokens`` gives the number of tokens of a text; only ``tokens`` needs it.

    Raises:
        ConfigError: when tokens are asked for without a way to count them.
    """
    if unit == "steps":
        return [1] * len(steps)
    if unit == "characters":
        return [max(1, len(step)) for step in steps]
    if count_tokens is None:
        raise ConfigError("shaping.length = 'tokens': no tokenizer is configured; use 'steps' or 'characters'")
    return [max(1, count_tokens(step)) for step in steps]


def is_all_negative(outcomes: Sequence[bool | None]) -> bool:
    """True when every outcome is known and wrong: a response with an unknown one (None) may still be right."""
    return bool(outcomes) and all(outcome is False for outcome in outcomes)


def group_rewards(
    outcomes: Sequence[bool | None], rts_values: Sequence[float | None], shaping: Shaping, apply_to: ApplyTo
) -> list[float | None]:
    """The reward of every response to one problem, in order. None means unscored, which is not a reward of 0.

    A correct response gets 1, an unknown outcome None. A wrong response gets its shaped reward when the group is
    all-negative (`is_all_negative`) or ``apply_to`` is ``every_wrong``, and None there when its rts is unknown;
    otherwise 0. With ``none`` a wrong response always gets 0 (GRPO).

    Args:
        outcomes: [group] whether each response's final answer is right; None where that is unknown.
        rts_values: [group] the judged rts of each response, None where it was not or could not be judged.
        shaping: the curve from rts to reward.
        apply_to: which wrong responses are shaped: those of all-negative groups, every one, or none.

    Raises:
        ValueError: when the two lists differ in length.
    """
    shapes = apply_to == "every_wrong" or (apply_to == "all_negative" and is_all_negative(outcomes))
    rewards: list[float | None] = []
    for outcome, value in zip(outcomes, rts_values, strict=True):
        if outcome is None:
            rewards.append(None)
        elif outcome:
            rewards.append(1.0)
        elif not shapes:
            rewards.append(0.0)
        else:
            rewards.append(None if value is None else shaped_reward(value, shaping))
    return rewards
