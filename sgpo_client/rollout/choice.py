"""Choosing the next token of each row, by one uniform number per token."""

from __future__ import annotations

from typing import Final

import torch
from torch.nn.functional import pad

_BLOCK: Final = 256


def choose(
    logits: torch.Tensor, uniform: torch.Tensor, temperature: float, top_p: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The next token of each row and its log-probability under the distribution that it is drawn from.

    Args:
        logits: [B, V].
        uniform: [B] float64 in [0, 1): the token is the one at that place of the cumulated probabilities.
        temperature: 0 takes the most probable token, whose log-probability is that at temperature 1.
        top_p: in (0, 1]; only the fewest most probable tokens that together have at least this probability.

    Returns:
        [B] int64 tokens, [B] float32 log-probabilities.
    """
    logprobs = torch.log_softmax(logits.float() / (temperature or 1.0), dim=-1)
    if temperature == 0:
        best = logprobs.max(dim=-1)
        return best.indices, best.values
    if top_p < 1:
        logprobs = _nucleus(logprobs, top_p)
    tokens = _at(logprobs.exp(), uniform)
    return tokens, logprobs.gather(1, tokens[:, None]).squeeze(1)


def _nucleus(logprobs: torch.Tensor, top_p: float) -> torch.Tensor:
    """[B, V] log-probabilities among the most probable tokens alone; -inf for the others."""
    ordered = logprobs.sort(dim=-1, descending=True)
    probs = ordered.values.exp()
    before = probs.cumsum(dim=-1) - probs  # the most probable token has 0 before it and always stays
    dropped = torch.zeros_like(logprobs, dtype=torch.bool).scatter_(1, ordered.indices, before >= top_p)
    return torch.log_softmax(logprobs.masked_fill(dropped, float("-inf")), dim=-1)


def _at(probs: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """[B] index at which the cumulated [B, V] probabilities pass ``uniform``.

    First among blocks, then within one: cumulating a whole vocabulary in float64 takes longer than its softmax.
    """
    blocks = pad(probs, (0, -probs.shape[1] % _BLOCK)).unflatten(1, (-1, _BLOCK))
    mass = blocks.sum(dim=2, dtype=torch.float64)
    block, rest = _search(mass, uniform * mass.sum(dim=1))
    within, _ = _search(blocks[torch.arange(len(block), device=block.device), block].double(), rest)
    return block * _BLOCK + within


def _search(mass: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[B] first index whose cumulated [B, N] mass is above ``target``, and what of the target lies within its mass."""
    cumulated = mass.cumsum(dim=1)
    # Rounding may put the target at the very end, where only tokens without probability are left.
    target = torch.minimum(target, cumulated[:, -1] * (1 - 1e-12))
    index = torch.searchsorted(cumulated, target[:, None], right=True).squeeze(1)
    before = (cumulated - mass).gather(1, index[:, None]).squeeze(1)
    return index, (target - before).clamp(min=0.0)
