"""Examples to micro-batches: rows of similar length under a budget of padded tokens.

Sequences are padded on the right. Under causal attention padding after a sequence cannot reach it, so neither an
attention mask nor position ids are needed, and attention takes its fast causal kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from sgpo_client.types import Example


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """What one forward and backward pass reads: B rows of L tokens, T = L - 1.

    Column t of the [B, T] tensors belongs to token t + 1, as the logits do.
    """

    input_ids: torch.Tensor
    """[B, L] prompt, response, padding."""
    response_mask: torch.Tensor
    """[B, T] bool, True where token t + 1 is a response token."""
    advantages: torch.Tensor
    """[B]"""
    old_logprobs: torch.Tensor | None
    """[B, T] 0 outside the response; None when the policy itself is the centre of the clipping range."""

    def to(self, device: torch.device) -> MicroBatch:
        """The same on another device."""
        return MicroBatch(
            input_ids=self.input_ids.to(device),
            response_mask=self.response_mask.to(device),
            advantages=self.advantages.to(device),
            old_logprobs=None if self.old_logprobs is None else self.old_logprobs.to(device),
        )


def make_micro_batches(
    examples: Sequence[Example], max_tokens: int, pad_token_id: int = 0, drop_zero_advantage: bool = True
) -> list[MicroBatch]:
    """Pack examples, longest first, so that rows x longest row stays within ``max_tokens``.

    An example longer than ``max_tokens`` gets a micro-batch of its own. Without a KL term an example of advantage 0
    has no gradient: such examples, and empty responses, are left out unless ``drop_zero_advantage`` is False (for
    log-probabilities rather than gradients). The order depends on the examples alone.
    """
    kept = [example for example in examples if not drop_zero_advantage or _has_gradient(example)]
    kept.sort(key=_length, reverse=True)
    micro_batches = []
    while kept:
        num_rows = max(1, max_tokens // _length(kept[0]))
        micro_batches.append(_collate(kept[:num_rows], pad_token_id))
        kept = kept[num_rows:]
    return micro_batches


def pad_to(micro_batches: Sequence[MicroBatch], count: int) -> list[MicroBatch]:
    """Append micro-batches without response tokens until there are ``count``.

    Their gradient is exactly 0, but they run forward and backward: with FSDP every rank must take part in the same
    collectives, so all ranks pad to the largest count among them.
    """
    empty = MicroBatch(
        input_ids=torch.zeros(1, 2, dtype=torch.long),
        response_mask=torch.zeros(1, 1, dtype=torch.bool),
        advantages=torch.zeros(1),
        old_logprobs=None,
    )
    return [*micro_batches, *[empty] * (count - len(micro_batches))]


def partition(examples: Sequence[Example], num_parts: int) -> list[list[Example]]:
    """Split examples into parts of nearly equal token counts: longest first, each to the lightest part so far."""
    parts: list[list[Example]] = [[] for _ in range(num_parts)]
    loads = [0] * num_parts
    for example in sorted(examples, key=_length, reverse=True):
        lightest = loads.index(min(loads))
        parts[lightest].append(example)
        loads[lightest] += _length(example)
    return parts


def _has_gradient(example: Example) -> bool:
    return example.advantage != 0.0 and len(example.response_ids) > 0


def _length(example: Example) -> int:
    return len(example.prompt_ids) + len(example.response_ids)


def _collate(examples: Sequence[Example], pad_token_id: int) -> MicroBatch:
    num_tokens = max(_length(example) for example in examples)
    input_ids = torch.full((len(examples), num_tokens), pad_token_id, dtype=torch.long)
    response_mask = torch.zeros(len(examples), num_tokens - 1, dtype=torch.bool)
    old_logprobs = torch.zeros(len(examples), num_tokens - 1)
    for row, example in enumerate(examples):
        input_ids[row, : _length(example)] = torch.tensor(example.prompt_ids + example.response_ids)
        columns = slice(len(example.prompt_ids) - 1, _length(example) - 1)
        response_mask[row, columns] = True
        if example.old_logprobs is not None:
            old_logprobs[row, columns] = torch.tensor(example.old_logprobs)
    has_old = [example.old_logprobs is not None for example in examples]
    assert all(has_old) or not any(has_old), "old_logprobs must be given for all examples or for none"
    return MicroBatch(
        input_ids=input_ids,
        response_mask=response_mask,
        advantages=torch.tensor([example.advantage for example in examples], dtype=torch.float32),
        old_logprobs=old_logprobs if any(has_old) else None,
    )
