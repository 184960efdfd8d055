"""The exact companion: a policy whose steps are independent coins, and its expected update without sampling.

Step t of n is right with probability ``p_t = sigmoid(theta_t)`` while all before it are; the answer is right when all
are. A group of G responses is then a draw of G first errors, and the expected policy-gradient update of theta under
an arm's advantages is a finite sum over the multisets of first errors. Steps behind the first error are left out: their
part of the expected update is 0 where a response has one advantage (prefix credit, which punishes them, moves only the
skill at steps that follow an error). Picture for the claim that diversification accelerates the dynamics (SGPO, arXiv
2505.11595).
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations_with_replacement
from math import factorial, prod

import torch

from benchmarks.learning.arms import Arm
from benchmarks.learning.credit import Facts, score_group, token_advantages
from benchmarks.learning.oracle import Truth


class ExactUpdate:
    """The expected update of one arm, for any skill; the sum over multisets is laid out once."""

    def __init__(self, arm: Arm, num_steps: int, group_size: int) -> None:
        """``num_steps`` n, at least 1; ``group_size`` G, at least 2; the memory grows as (n + G choose G)."""
        self.num_steps = num_steps
        multisets = list(combinations_with_replacement(range(num_steps + 1), group_size))
        self.outcomes = torch.tensor(multisets)
        """[M, G] first errors; ``num_steps`` where there is none."""
        counts = [Counter(multiset).values() for multiset in multisets]
        orders = [factorial(group_size) / prod(map(factorial, count)) for count in counts]
        self.orders = torch.tensor(orders, dtype=torch.float64)
        """[M] number of ordered draws that make each multiset."""
        self.advantages = _advantages(arm, self.outcomes, num_steps)
        """[M, G, n]"""

    def update(self, theta: torch.Tensor) -> torch.Tensor:
        """[n] expected mean over a group of ``sum_t A_t * d log p(step t) / d theta_t``, at [n] float64 ``theta``."""
        skill = theta.sigmoid()
        reach = torch.cat([torch.ones(1, dtype=torch.float64), skill.cumprod(0)])
        first_error = reach * torch.cat([1 - skill, torch.ones(1, dtype=torch.float64)])
        probability = self.orders * first_error[self.outcomes].prod(1)
        steps = torch.arange(self.num_steps)
        k = self.outcomes.unsqueeze(2)
        score = (steps < k) * (1 - skill) - (steps == k) * skill
        return torch.einsum("m,mgn->n", probability, self.advantages * score) / self.outcomes.shape[1]

    def path(self, theta: torch.Tensor, num_updates: int, lr: float) -> tuple[list[float], list[float]]:
        """Success probability before each of ``num_updates`` expected updates of size ``lr``, and its growth rate.

        The growth rate is the derivative of log success by time along the update.
        """
        success, growth = [], []
        for _ in range(num_updates):
            direction, skill = self.update(theta), theta.sigmoid()
            success.append(float(skill.prod()))
            growth.append(float(((1 - skill) * direction).sum()))
            theta = theta + lr * direction
        return success, growth


def _advantages(arm: Arm, outcomes: torch.Tensor, num_steps: int) -> torch.Tensor:
    num, group_size = outcomes.shape
    first_error = outcomes.flatten()
    length = torch.full_like(first_error, num_steps)
    truth = Truth(
        correct=first_error == num_steps,
        num_steps=length,
        num_claims=length,
        first_error=first_error,
        claims_before=torch.arange(num_steps + 1).expand(len(first_error), -1),
        slips=torch.empty(0),
        progress=first_error / num_steps,
    )
    facts, named = Facts(truth), first_error.tolist()
    groups = [
        score_group(arm, facts, range(first, first + group_size), named, num_steps)
        for first in range(0, num * group_size, group_size)
    ]
    lengths = [num_steps] * group_size
    return torch.stack([token_advantages(arm, group, lengths, num_steps, (0, 1)) for group in groups]).double()
