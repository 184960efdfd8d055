"""The policy: a decoder-only transformer of some 80,000 parameters, with a cache of keys and values for sampling."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

Cache = list[tuple[torch.Tensor, torch.Tensor]]
"""Per layer the keys and values, [batch, heads, positions, head_dim]."""


class Block(nn.Module):  # type: ignore[misc]
    """Pre-norm attention and MLP."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.head_width = width // num_heads
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.norm_mlp = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(
        self, x: torch.Tensor, past: tuple[torch.Tensor, torch.Tensor] | None, start: int
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """[B, T, width] to [B, T - start, width], and the keys and values up to here. With a past, T is 1."""
        batch, length, width = x.shape
        normed = self.norm_attention(x)
        key, value = self.heads(self.key_value(normed)).chunk(2, dim=1)
        query = self.heads(self.query(normed[:, start:]))
        if past is not None:
            key, value = torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)
        # A row of the mask per query; the queries are the last positions.
        rows = length - start
        mask = None if past is not None else torch.ones(rows, length, dtype=torch.bool).tril(length - rows)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = x[:, start:] + self.out(mixed.transpose(1, 2).reshape(batch, rows, width))
        return x + self.down(F.relu(self.up(self.norm_mlp(x)))), (key, value)

    def heads(self, x: torch.Tensor) -> torch.Tensor:
        """[B, T, heads * head_width] to [B, heads, T, head_width]."""
        return x.unflatten(-1, (-1, self.head_width)).transpose(1, 2)


class Policy(nn.Module):  # type: ignore[misc]
    """Logits of the next token. Positions are learned; input and output embeddings are apart."""

    def __init__(
        self, vocab_size: int, max_tokens: int, width: int = 64, num_layers: int = 1, num_heads: int = 2
    ) -> None:
        """One layer is enough: each step attends to its operation and looks the result up."""
        super().__init__()
        self.tokens = nn.Embedding(vocab_size, width)
        self.positions = nn.Embedding(max_tokens, width)
        self.blocks = nn.ModuleList(Block(width, num_heads) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocab_size, bias=False)

    def forward(self, tokens: torch.Tensor, start: int = 0) -> torch.Tensor:
        """[B, T] tokens to [B, T - start, vocab] logits of the tokens after positions ``start``..T-1."""
        return self.advance(tokens, None, start)[0]

    def advance(self, tokens: torch.Tensor, cache: Cache | None, start: int = 0) -> tuple[torch.Tensor, Cache]:
        """Logits as `forward`, and the cache with these tokens; with a cache, one token is added to it."""
        offset = 0 if cache is None else cache[0][0].shape[2]
        x = self.tokens(tokens) + self.positions.weight[offset : offset + tokens.shape[1]]
        grown: Cache = []
        for index, block in enumerate(self.blocks):
            # Only the last block may leave positions out: no later one needs their keys.
            is_last = index == len(self.blocks) - 1
            x, kept = block(x, None if cache is None else cache[index], start if is_last else 0)
            grown.append(kept)
        return self.head(self.norm(x)), grown
