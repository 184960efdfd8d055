"""How a solution is laid out: the length of its steps, and whether it states its answer."""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import StrEnum
from typing import Final


class AnswerStyle(StrEnum):
    """How a solution ends."""

    NONE = "none"
    """With its last step."""
    HASHES = "hashes"
    """``#### 18``"""
    SENTENCE = "sentence"
    """``The answer is 18.``"""
    BOXED = "boxed"
    r"""``Therefore, the answer is $\boxed{18}$.``"""


ANSWERS: Final = {
    AnswerStyle.NONE: "",
    AnswerStyle.HASHES: "#### {}",
    AnswerStyle.SENTENCE: "The answer is {}.",
    AnswerStyle.BOXED: "Therefore, the answer is $\\boxed{{{}}}$.",
}


def merge_steps(
    steps: Sequence[str], label: int, probability: float, at_most: int, rng: random.Random
) -> tuple[list[str], int]:
    """Join neighbouring steps at random.

    A step that holds the first wrong one is the first wrong one: what is before it is right.

    Args:
        label: index of the first wrong step, or -1.
        probability: that a step is joined to the one before, in [0, 1].
        at_most: steps that become one, at least 1.

    Returns:
        The new steps, and the label among them.
    """
    groups: list[list[str]] = []
    new_label = -1
    for index, step in enumerate(steps):
        if groups and len(groups[-1]) < at_most and rng.random() < probability:
            groups[-1].append(step)
        else:
            groups.append([step])
        if index == label:
            new_label = len(groups) - 1
    return [" ".join(_sentence(step, last=step is group[-1]) for step in group) for group in groups], new_label


def _sentence(step: str, *, last: bool) -> str:
    """A step that others follow on the same line ends with a full stop."""
    return step if last or step.rstrip().endswith((".", "!", "?", ":", ";", ",")) else step.rstrip() + "."
