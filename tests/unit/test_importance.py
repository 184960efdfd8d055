"""Importance weights and the mismatch of two samplers, against sums written out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from sgpo_client.importance import mismatch, truncated_weights

POLICY = [[-1.0, -2.0, -0.5], [-3.0, -0.1, -9.0]]
SAMPLER = [[-1.5, -2.0, -0.25], [-5.0, -0.1, -1.0]]
MASK = torch.tensor([[True, True, True], [True, True, False]])
RATIOS = [[math.exp(0.5), 1.0, math.exp(-0.25)], [math.exp(2.0), 1.0]]


def test_weights_are_ratios_up_to_the_cap_and_have_no_gradient() -> None:
    policy = torch.tensor(POLICY, requires_grad=True)
    weights = truncated_weights(policy, torch.tensor(SAMPLER), MASK, cap=2.0)
    assert not weights.requires_grad
    assert weights[0].tolist() == pytest.approx(RATIOS[0])
    assert weights[1].tolist() == pytest.approx([2.0, 1.0, 1.0])  # capped; equal; outside the response


def test_the_expected_weight_is_one_where_nothing_is_capped() -> None:
    """What makes the correction one: the sampler's expectation of the ratio is the policy's total probability."""
    policy, sampler = (torch.softmax(torch.randn(50, generator=torch.manual_seed(n)), 0) for n in (0, 1))
    weights = truncated_weights(policy.log()[None], sampler.log()[None], torch.ones(1, 50), cap=1e9)
    assert float((sampler * weights[0]).sum()) == pytest.approx(1.0, abs=1e-5)


def test_mismatch_by_hand() -> None:
    apart = mismatch(torch.tensor(POLICY), torch.tensor(SAMPLER), MASK)
    ratios = [ratio for row in RATIOS for ratio in row]
    assert float(apart.abs_sum) == pytest.approx(0.5 + 0.0 + 0.25 + 2.0 + 0.0)
    assert float(apart.kl_sum) == pytest.approx(sum(ratio - 1 - math.log(ratio) for ratio in ratios))
    assert float(apart.max_ratio) == pytest.approx(math.exp(2.0))


def test_nothing_to_compare() -> None:
    apart = mismatch(torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.bool))
    assert [float(value) for value in apart] == [0.0, 0.0, 0.0]
