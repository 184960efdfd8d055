"""Attention for decoding: query heads that share keys and values become further queries of one head.

transformers repeats keys and values for each query head where there is padding; for one token after a long context
that copy costs several times the attention itself.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME: Final = "sgpo_decode"


def decode_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """[B, H, Q, D] queries over [B, K, L, D] keys and values -> [B, Q, H, D], as PyTorch's attention."""
    batch, heads, length, width = query.shape
    shared = key.shape[1]
    if length > 1 or shared == heads or kwargs.get("position_bias") is not None or kwargs.get("cache") is not None:
        output: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return output
    folded = query.reshape(batch, shared, heads // shared, width)
    attended = scaled_dot_product_attention(folded, key, value, attn_mask=attention_mask, scale=scaling)
    return attended.reshape(batch, 1, heads, width), None


def use_decode_attention(model: PreTrainedModel) -> None:
    """Let a model that has PyTorch's attention decode with `decode_attention`; another one stays as it is."""
    if model.config._attn_implementation == "sdpa":
        AttentionInterface.register(NAME, decode_attention)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        model.set_attn_implementation(NAME)
