"""Examples to micro-batches: rows of similar length under a budget of padded tokens.

Sequences are padded on the right. Under causal attention padding after a sequence cannot reach it, so neither an
attention mask nor position ids are needed, and attention takes its fast causal kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter

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
    """[B, T] 0 outside the response, as in the ones below."""
    weights: torch.Tensor
    """[B, T] of the tokens in the loss of the step."""
    old_logprobs: torch.Tensor | None = None
    """[B, T] None when the policy itself is the centre of the clipping range."""
    sampler_logprobs: torch.Tensor | None = None
    """[B, T] None when the policy itself has sampled."""
    ref_logprobs: torch.Tensor | None = None
    """[B, T] under the reference model; None without one."""

    def to(self, device: torch.device) -> MicroBatch:
        """The same on another device."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        return MicroBatch(**{name: None if value is None else value.to(device) for name, value in tensors.items()})


def make_micro_batches(
    examples: Sequence[Example], max_tokens: int, token_weight: Callable[[Example], float], pad_token_id: int = 0
) -> list[MicroBatch]:
    """Pack examples, longest first, so that rows x longest row stays within ``max_tokens``.

    An example longer than ``max_tokens`` gets a micro-batch of its own, one without a response none. The order depends
    on the examples alone.

    Args:
        examples: in any order.
        max_tokens: the budget.
        token_weight: weight of each token of an example in the loss of the step.
        pad_token_id: any.
    """
    kept = sorted((example for example in examples if example.response_ids), key=attrgetter("num_tokens"), reverse=True)
    micro_batches = []
    while kept:
        num_rows = max(1, max_tokens // kept[0].num_tokens)
        micro_batches.append(_collate(kept[:num_rows], token_weight, pad_token_id))
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
        advantages=torch.zeros(1, 1),
        weights=torch.zeros(1, 1),
    )
    return [*micro_batches, *[empty] * (count - len(micro_batches))]


def partition(examples: Sequence[Example], num_parts: int) -> list[list[Example]]:
    """Split examples into parts of nearly equal token counts: longest first, each to the lightest part so far."""
    parts: list[list[Example]] = [[] for _ in range(num_parts)]
    loads = [0] * num_parts
    for example in sorted(examples, key=attrgetter("num_tokens"), reverse=True):
        lightest = loads.index(min(loads))
        parts[lightest].append(example)
        loads[lightest] += example.num_tokens
    return parts


def _collate(examples: Sequence[Example], token_weight: Callable[[Example], float], pad_token_id: int) -> MicroBatch:
    num_tokens = max(example.num_tokens for example in examples)
    input_ids = torch.full((len(examples), num_tokens), pad_token_id, dtype=torch.long)
    response_mask = torch.zeros(len(examples), num_tokens - 1, dtype=torch.bool)
    for row, example in enumerate(examples):
        input_ids[row, : example.num_tokens] = torch.tensor(example.prompt_ids + example.response_ids)
        response_mask[row, _columns(example)] = True
    return MicroBatch(
        input_ids=input_ids,
        response_mask=response_mask,
        advantages=_at_responses(examples, num_tokens, [example.advantages for example in examples]),
        weights=_at_responses(examples, num_tokens, [token_weight(example) for example in examples]),
        old_logprobs=_if_any(examples, num_tokens, [example.old_logprobs for example in examples]),
        sampler_logprobs=_if_any(examples, num_tokens, [example.sampler_logprobs for example in examples]),
    )


def _columns(example: Example) -> slice:
    return slice(len(example.prompt_ids) - 1, example.num_tokens - 1)


def _at_responses(examples: Sequence[Example], num_tokens: int, values: Sequence[list[float] | float]) -> torch.Tensor:
    """[B, T] each example's values at its response, 0 elsewhere."""
    filled = torch.zeros(len(examples), num_tokens - 1)
    for row, (example, value) in enumerate(zip(examples, values, strict=True)):
        filled[row, _columns(example)] = torch.tensor(value)
    return filled


def _if_any(examples: Sequence[Example], num_tokens: int, values: Sequence[list[float] | None]) -> torch.Tensor | None:
    given = [value for value in values if value is not None]
    if not given:
        return None
    if len(given) < len(values):
        raise ValueError("log-probabilities must be given for all examples of a step or for none")
    return _at_responses(examples, num_tokens, given)
