"""The exact companion of the study against Monte Carlo and a closed form, both written without its code."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from benchmarks.learning.arms import Arm, sgpo
from benchmarks.learning.bernoulli import ExactUpdate

N, G = 3, 4
THETA = torch.tensor([0.3, -0.4, 0.8], dtype=torch.float64)
GROUPS = 60_000


def _monte_carlo(arm: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean update and its standard error, from whole simulated responses, the steps behind an error included."""
    rng = np.random.default_rng(0)
    skill = 1 / (1 + np.exp(-THETA.numpy()))
    steps = rng.random((GROUPS, G, N)) < skill
    right = steps.all(2)
    first = np.where(right, N, (~steps).argmax(2))
    rewards = right.astype(float)
    negative = ~right.any(1, keepdims=True)
    if arm != "grpo":
        shaped = 0.5 / (1 + np.exp(-10 * (first / N - 0.5)))
        rewards = np.where(negative, shaped, rewards)
    advantages = rewards - rewards.mean(1, keepdims=True)
    deviation = rewards.std(1, ddof=1, keepdims=True) + 1e-4
    if arm == "grpo":
        advantages = advantages / deviation
    tokens = np.repeat(advantages[:, :, None], N, axis=2)
    score = np.where(steps, 1 - skill, -skill)
    if arm == "prefix":
        before = np.arange(N) < first[:, :, None]
        split = np.where(before, np.maximum(tokens, 0), np.minimum(tokens, 0))
        tokens = np.where(negative[:, :, None], split, tokens)
        # The companion leaves out what follows the first error; see its docstring.
        score = np.where(np.arange(N) <= first[:, :, None], score, 0)
    each = (tokens * score).mean(1)
    return each.mean(0), each.std(0) / math.sqrt(GROUPS)


@pytest.mark.parametrize(
    ("name", "arm"),
    [
        ("grpo", Arm("", {"name": "grpo"})),
        ("sgpo", sgpo("", credit="response")),
        ("prefix", sgpo("", credit="prefix")),
    ],
)
def test_agrees_with_monte_carlo(name: str, arm: Arm) -> None:
    mean, error = _monte_carlo(name)
    exact = ExactUpdate(arm, N, G).update(THETA).numpy()
    assert (np.abs(exact - mean) < 5 * error).all(), (exact, mean, error)
    assert (np.abs(mean) > 20 * error).all(), "the test could not tell an update from none"


def test_dr_grpo_follows_the_gradient_of_success() -> None:
    # Without division the update is (1 - 1/G) times the gradient of the success probability.
    skill = THETA.sigmoid()
    gradient = skill.prod() * (1 - skill) * (1 - 1 / G)
    exact = ExactUpdate(Arm("", {"name": "dr_grpo"}), N, G)
    assert exact.update(THETA).tolist() == pytest.approx(gradient.tolist(), rel=1e-6)
    success, growth = exact.path(THETA, 2, 0.1)
    assert success[0] == pytest.approx(float(skill.prod()))
    assert growth[0] == pytest.approx(float(((1 - skill) * gradient).sum()), rel=1e-6)
    assert success[1] == pytest.approx(float((THETA + 0.1 * gradient).sigmoid().prod()), rel=1e-6)


def test_probabilities_sum_to_one() -> None:
    exact = ExactUpdate(sgpo(""), N, G)
    skill = THETA.sigmoid()
    reach = torch.cat([torch.ones(1), skill.cumprod(0)]) * torch.cat([1 - skill, torch.ones(1)])
    assert float((exact.orders * reach[exact.outcomes].prod(1)).sum()) == pytest.approx(1)
