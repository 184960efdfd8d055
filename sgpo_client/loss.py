"""The clipped policy-gradient loss, normalised by the tokens of all ranks."""

from __future__ import annotations

from typing import NamedTuple

import torch


class LossOutput(NamedTuple):
    """Loss of one micro-batch. All fields are scalars; all but ``loss`` are detached sums over response tokens."""

    loss: torch.Tensor
    """This micro-batch's share of the loss: the sum over micro-batches and ranks is the loss of the step."""
    num_tokens: torch.Tensor
    num_clipped: torch.Tensor
    """Tokens whose gradient the clipping removed."""
    ratio_sum: torch.Tensor
    """Sum of new probability / old probability."""


def policy_loss(
    logprobs: torch.Tensor,
    old_logprobs: torch.Tensor | None,
    advantages: torch.Tensor,
    mask: torch.Tensor,
    clip_eps_low: float,
    clip_eps_high: float,
    num_tokens: int,
) -> LossOutput:
    """``-sum(min(ratio * A, clip(ratio, 1 - low, 1 + high) * A)) / num_tokens`` over the response tokens.

    PPO's clipped objective (arXiv 1707.06347, eq. 7) with separate bounds and the token-level normalisation of DAPO
    (arXiv 2503.14476, eq. 8).

    Args:
        logprobs: [B, T] float32, with gradient.
        old_logprobs: [B, T] log-probabilities at the centre of the clipping range; None means ``logprobs`` itself
            (the first step on fresh responses: the ratio is 1 and only the gradient matters).
        advantages: [B].
        mask: [B, T] True (or 1) on response tokens. What stands elsewhere in the other tensors is ignored, NaN too.
        clip_eps_low: in [0, 1).
        clip_eps_high: >= 0.
        num_tokens: response tokens of the whole step over all ranks and micro-batches, those of examples that were
            left out because their advantage is 0 included. Gradients must then be summed over ranks, not averaged.
    """
    mask = mask.bool()
    old = logprobs.detach() if old_logprobs is None else old_logprobs
    # Masked before exp: a NaN or inf behind the mask would survive a product with 0 and spoil the gradient.
    ratio = torch.exp((logprobs - old).masked_fill(~mask, 0.0))
    clipped_ratio = ratio.clamp(1 - clip_eps_low, 1 + clip_eps_high)
    advantage = advantages.unsqueeze(1)
    objective = torch.minimum(ratio * advantage, clipped_ratio * advantage)
    loss = -(objective * mask).sum() / num_tokens
    with torch.no_grad():
        too_low = (ratio < 1 - clip_eps_low) & (advantage < 0)
        too_high = (ratio > 1 + clip_eps_high) & (advantage > 0)
        return LossOutput(
            loss=loss,
            num_tokens=mask.sum(),
            num_clipped=((too_low | too_high) & mask).sum(),
            ratio_sum=(ratio * mask).sum(),
        )
