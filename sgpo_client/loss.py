"""The clipped policy-gradient loss: a weighted sum over response tokens."""

from __future__ import annotations

from typing import NamedTuple

import torch

from sgpo_client.settings.algo import RatioLevel, Reduction


class LossOutput(NamedTuple):
    """Loss of one micro-batch. All fields are scalars; all but ``loss`` are detached sums over response tokens."""

    loss: torch.Tensor
    """This micro-batch's share of the loss: the sum over micro-batches and ranks is the loss of the step."""
    num_tokens: torch.Tensor
    num_clipped: torch.Tensor
    """Tokens whose gradient the clipping removed."""
    kl_sum: torch.Tensor
    """Divergence from the reference model (k3), 0 without one."""


class BatchSize(NamedTuple):
    """What the loss of a step is divided by: sums over all ranks and micro-batches.

    Examples of advantage 0 count too, although nothing is learned from them.
    """

    num_tokens: int
    """Response tokens of scored responses."""
    num_sequences: int
    """Scored responses."""


def token_weight(reduction: Reduction, batch: BatchSize, num_tokens: int, max_new_tokens: int) -> float:
    """Weight of each token of a response in the loss of the step.

    Args:
        reduction: ``token_mean`` (DAPO, arXiv 2503.14476, eq. 8), ``sequence_mean`` (GRPO, arXiv 2402.03300, eq. 3),
            ``constant`` (Dr. GRPO, arXiv 2503.20783: the sum over tokens by the token limit).
        batch: of the step.
        num_tokens: of this response, >= 1.
        max_new_tokens: the token limit.

    >>> token_weight("sequence_mean", BatchSize(num_tokens=30, num_sequences=4), num_tokens=5, max_new_tokens=10)
    0.05
    """
    match reduction:
        case "token_mean":
            return 1 / batch.num_tokens
        case "sequence_mean":
            return 1 / (batch.num_sequences * num_tokens)
        case "constant":
            return 1 / (batch.num_sequences * max_new_tokens)


def policy_loss(
    logprobs: torch.Tensor,
    old_logprobs: torch.Tensor | None,
    advantages: torch.Tensor,
    weights: torch.Tensor,
    mask: torch.Tensor,
    clip_eps_low: float,
    clip_eps_high: float,
    ratio_level: RatioLevel = "token",
    ref_logprobs: torch.Tensor | None = None,
    kl_coef: float = 0.0,
) -> LossOutput:
    """``-sum(w * (min(ratio * A, clip(ratio, 1 - low, 1 + high) * A) - kl_coef * ratio * kl))`` over response tokens.

    PPO's clipped objective (arXiv 1707.06347, eq. 7) with separate bounds (DAPO, arXiv 2503.14476, eq. 8). Gradients
    must be summed over ranks, not averaged.

    Args:
        logprobs: [B, T] float32, with gradient.
        old_logprobs: [B, T] log-probabilities at the centre of the clipping range; None means ``logprobs`` itself
            (the first step on fresh responses: the ratio is 1 and only the gradient matters).
        advantages: [B, T].
        weights: [B, T] >= 0, see `token_weight`.
        mask: [B, T] True (or 1) on response tokens. What stands elsewhere in the other tensors is ignored, NaN too.
        clip_eps_low: in [0, 1).
        clip_eps_high: >= 0.
        ratio_level: one ratio per token; per response as the geometric mean over its tokens (GSPO, arXiv 2507.18071,
            eq. 7); or per response as their product.
        ref_logprobs: [B, T] under the reference model.
        kl_coef: weight of the k3 estimate ``exp(ref - new) - (ref - new) - 1`` (GRPO, eq. 4), times the ratio, which
            makes its gradient that of the reverse divergence (DeepSeek-V3.2, arXiv 2512.02556, eq. 7; TRL's default).
    """
    mask = mask.bool()
    old = logprobs.detach() if old_logprobs is None else old_logprobs
    # Masked before exp: a NaN or inf behind the mask would survive a product with 0 and spoil the gradient.
    ratio = torch.exp(_at_level((logprobs - old).masked_fill(~mask, 0.0), mask, ratio_level))
    clipped_ratio = ratio.clamp(1 - clip_eps_low, 1 + clip_eps_high)
    advantages = advantages.masked_fill(~mask, 0.0)
    loss = -torch.minimum(ratio * advantages, clipped_ratio * advantages)
    kl = torch.zeros_like(logprobs)
    if ref_logprobs is not None:
        difference = (ref_logprobs - logprobs).masked_fill(~mask, 0.0)
        kl = torch.exp(difference) - difference - 1
        loss = loss + kl_coef * ratio * kl
    with torch.no_grad():
        too_low = (ratio < 1 - clip_eps_low) & (advantages < 0)
        too_high = (ratio > 1 + clip_eps_high) & (advantages > 0)
    return LossOutput(
        loss=(loss * weights.masked_fill(~mask, 0.0)).sum(),
        num_tokens=mask.sum(),
        num_clipped=((too_low | too_high) & mask).sum(),
        kl_sum=kl.detach().sum(),
    )


def _at_level(log_ratio: torch.Tensor, mask: torch.Tensor, level: RatioLevel) -> torch.Tensor:
    """[B, T] log-ratios, or one for each response [B, 1]. Masked positions are 0."""
    if level == "token":
        return log_ratio
    total = log_ratio.sum(dim=1, keepdim=True)
    return total if level == "sequence_sum" else total / mask.sum(dim=1, keepdim=True).clamp(min=1)
