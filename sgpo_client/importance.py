"""Weights for tokens that another program, or an older policy, has sampled.

Truncated importance sampling: ``min(p_policy / p_sampler, cap)``, as TRL's ``vllm_importance_sampling_correction`` and
verl's rollout correction. Without it a sampler that computes slightly otherwise makes the gradient biased.
"""

from __future__ import annotations

from typing import NamedTuple

import torch


class Mismatch(NamedTuple):
    """How far policy and sampler are apart: detached sums over response tokens, and a maximum."""

    abs_sum: torch.Tensor
    """Of the absolute differences of log-probabilities."""
    kl_sum: torch.Tensor
    """Of the k3 estimates of KL(sampler, policy), ``ratio - 1 - log ratio`` of the tokens that the sampler drew."""
    max_ratio: torch.Tensor
    """Largest probability under the policy / under the sampler."""


def truncated_weights(
    logprobs: torch.Tensor, sampler_logprobs: torch.Tensor, mask: torch.Tensor, cap: float
) -> torch.Tensor:
    """[B, T] weights in (0, cap], without gradient; 1 outside the response.

    Args:
        logprobs: [B, T] under the policy, at the centre of the clipping range.
        sampler_logprobs: [B, T] as the sampler drew them.
        mask: [B, T] True on response tokens.
        cap: > 0.
    """
    log_ratio = (logprobs.detach() - sampler_logprobs).masked_fill(~mask.bool(), 0.0)
    return torch.exp(log_ratio).clamp(max=cap).masked_fill(~mask.bool(), 1.0)


def mismatch(logprobs: torch.Tensor, sampler_logprobs: torch.Tensor, mask: torch.Tensor) -> Mismatch:
    """See `Mismatch`; the arguments are those of `truncated_weights`."""
    log_ratio = (logprobs.detach() - sampler_logprobs)[mask.bool()]
    ratio = torch.exp(log_ratio)
    largest = ratio.max() if ratio.numel() else ratio.new_zeros(())
    return Mismatch(log_ratio.abs().sum(), (ratio - 1 - log_ratio).sum(), largest)
