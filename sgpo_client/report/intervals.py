"""Confidence intervals for an accuracy and for the change between two accuracies.

They hold for the small evaluation sets of a first run, where the textbook normal interval does not: Wilson score
methods (Newcombe, Statistics in Medicine 17, 1998), and Bonett and Price's adjusted interval for the same problems
asked twice.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

Z_95: Final = 1.959963984540054
"""Two-sided 95% quantile of the normal distribution."""


class Interval(NamedTuple):
    """A 95% confidence interval."""

    low: float
    high: float


def wilson(num_correct: int, num_total: int) -> Interval:
    """95% Wilson score interval of a proportion, in [0, 1].

    >>> [round(x, 4) for x in wilson(15, 148)]
    [0.0624, 0.1605]

    Raises:
        ValueError: unless 0 <= num_correct <= num_total and num_total > 0.
    """
    if not 0 <= num_correct <= num_total or num_total == 0:
        raise ValueError(f"{num_correct} of {num_total} is no proportion")
    share = num_correct / num_total
    z2 = Z_95**2
    centre = 2 * num_correct + z2
    spread = Z_95 * math.sqrt(z2 + 4 * num_correct * (1 - share))
    scale = 2 * (num_total + z2)
    return Interval(max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale))


def newcombe(correct_before: int, total_before: int, correct_after: int, total_after: int) -> Interval:
    """95% interval of the change of a proportion (after minus before), in [-1, 1].

    Treats the two samples as independent (Newcombe's method 10). Where the same problems were asked both times,
    `paired_change` is narrower.
    """
    before, after = correct_before / total_before, correct_after / total_after
    low_before, high_before = wilson(correct_before, total_before)
    low_after, high_after = wilson(correct_after, total_after)
    change = after - before
    return Interval(
        change - math.hypot(after - low_after, high_before - before),
        change + math.hypot(high_after - after, before - low_before),
    )


def paired_change(num_gained: int, num_lost: int, num_total: int) -> Interval:
    """95% interval of the change of a proportion when the same problems were asked twice, in [-1, 1].

    Adjusted Wald interval of Bonett and Price (Journal of Educational and Behavioral Statistics 37, 2012): one more
    gained and one more lost among two more problems.

    Args:
        num_gained: problems that were wrong and are right.
        num_lost: problems that were right and are wrong.
        num_total: all problems, > 0.

    >>> [round(x, 3) for x in paired_change(12, 2, 50)]
    [0.051, 0.334]
    """
    if min(num_gained, num_lost) < 0 or num_gained + num_lost > num_total or num_total == 0:
        raise ValueError(f"{num_gained} gained and {num_lost} lost of {num_total} is impossible")
    gained, lost = (num_gained + 1) / (num_total + 2), (num_lost + 1) / (num_total + 2)
    spread = Z_95 * math.sqrt((gained + lost - (gained - lost) ** 2) / (num_total + 2))
    return Interval(max(-1.0, gained - lost - spread), min(1.0, gained - lost + spread))
