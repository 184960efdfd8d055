"""The interval for the same problems asked twice: how often it holds the truth, by enumeration."""

from __future__ import annotations

from itertools import product

import pytest
from scipy.stats import multinomial

from sgpo_client.report.intervals import newcombe, paired_change


@pytest.mark.parametrize(
    ("gain", "loss", "total"),
    [(0.3, 0.1, 20), (0.1, 0.1, 30), (0.5, 0.02, 20), (0.2, 0.2, 12)],
)
def test_the_truth_is_inside_at_least_94_of_100_times(gain: float, loss: float, total: int) -> None:
    """Every outcome of ``total`` problems, weighted by its probability."""
    covered = 0.0
    for gained, lost in product(range(total + 1), repeat=2):
        if gained + lost <= total:
            low, high = paired_change(gained, lost, total)
            if low <= gain - loss <= high:
                covered += multinomial.pmf([gained, lost, total - gained - lost], total, [gain, loss, 1 - gain - loss])
    assert 0.94 <= covered <= 0.99  # one that always covers says nothing


def test_asking_the_same_problems_is_worth_something() -> None:
    """100 problems, 40 right before, 50 after, 10 changed: far narrower than two independent samples."""
    paired, independent = paired_change(10, 0, 100), newcombe(40, 100, 50, 100)
    assert paired.low > 0 > independent.low
    assert paired.high - paired.low < (independent.high - independent.low) / 2


def test_it_mirrors_and_stays_in_range() -> None:
    assert paired_change(2, 9, 30) == pytest.approx([-x for x in reversed(paired_change(9, 2, 30))])
    assert paired_change(1, 0, 1).high <= 1
    assert paired_change(0, 1, 1).low >= -1


@pytest.mark.parametrize(("gained", "lost", "total"), [(1, 1, 1), (-1, 0, 3), (0, 0, 0)])
def test_impossible_counts_are_refused(gained: int, lost: int, total: int) -> None:
    with pytest.raises(ValueError, match="impossible"):
        paired_change(gained, lost, total)
