"""Sampling at temperature 1 from the allowed tokens, and the log-probabilities of what was sampled."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from benchmarks.learning.policy import Policy
from benchmarks.learning.task import Task


@dataclass(frozen=True, slots=True)
class Sample:
    """``B`` responses, those to one problem beside each other; ``R`` is the longest response of the task."""

    prompts: torch.Tensor
    """[B, P]"""
    tokens: torch.Tensor
    """[B, R]; what stands behind END is no part of the response."""
    logprobs: torch.Tensor
    """[B, R] under the policy that sampled."""
    mask: torch.Tensor
    """[B, R] True up to and with END."""

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """In the order of the fields."""
        return self.prompts, self.tokens, self.logprobs, self.mask

    def rows(self, index: torch.Tensor) -> Sample:
        """Some of the responses."""
        return Sample(*(tensor[index] for tensor in self.tensors))


@torch.no_grad()  # type: ignore[untyped-decorator]
def sample(policy: Policy, task: Task, prompts: torch.Tensor, group_size: int, generator: torch.Generator) -> Sample:
    """``group_size`` responses to each of [N, P] prompts, sampled at temperature 1."""
    logits, cache = policy.advance(prompts, None, task.prompt_tokens - 1)
    logits = logits.repeat_interleave(group_size, 0)
    cache = [(key.repeat_interleave(group_size, 0), value.repeat_interleave(group_size, 0)) for key, value in cache]
    forbidden = ~task.allowed
    tokens: list[torch.Tensor] = []
    logprobs: list[torch.Tensor] = []
    for step in range(task.max_response_tokens):
        if step:
            logits, cache = policy.advance(tokens[-1], cache)
        scores = logits[:, 0].masked_fill(forbidden, -torch.inf).log_softmax(-1)
        token = draw(scores, generator)
        tokens.append(token)
        logprobs.append(scores.gather(1, token))
    ids = torch.cat(tokens, 1)
    ended_before = ((ids == task.end).cumsum(1) - (ids == task.end).long()) > 0
    return Sample(prompts.repeat_interleave(group_size, 0), ids, torch.cat(logprobs, 1), ~ended_before)


def draw(log_probs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """[B, 1] a token of each row, by inversion; torch.multinomial is several times slower on a CPU."""
    cumulative = log_probs.exp().cumsum(-1)
    # Below 1, or rounding could make it reach the total and the index leave the row.
    threshold = torch.rand(len(log_probs), 1, generator=generator).clamp(max=1 - 1e-6) * cumulative[:, -1:]
    return (cumulative <= threshold).sum(-1, keepdim=True)


def response_logprobs(policy: Policy, task: Task, batch: Sample) -> torch.Tensor:
    """[B, R] log-probabilities of the sampled tokens under the present policy, with gradient."""
    inputs = torch.cat([batch.prompts, batch.tokens[:, :-1]], dim=1)
    logits = policy(inputs, task.prompt_tokens - 1).masked_fill(~task.allowed, -torch.inf)
    return logits.log_softmax(-1).gather(2, batch.tokens.unsqueeze(2)).squeeze(2)
