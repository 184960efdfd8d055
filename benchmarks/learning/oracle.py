"""What is right and what is wrong in sampled responses, exactly.

A step is a token of a response, END not counted. A value claims to be the next result of the chain; a NO_CLAIM step
says nothing. The final answer is the last value. Where every value is right but the response stops before the last
result, its last step is wrong: it gives as the answer what is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from benchmarks.learning.sampling import Sample
from benchmarks.learning.task import Task, right_values


@dataclass(frozen=True, slots=True)
class Truth:
    """Of ``B`` responses."""

    correct: torch.Tensor
    """[B] bool: the final answer is right."""
    num_steps: torch.Tensor
    """[B] steps, those that claim nothing included."""
    num_claims: torch.Tensor
    """[B] steps that state a value."""
    first_error: torch.Tensor
    """[B] the first wrong step, ``num_steps`` where there is none."""
    claims_before: torch.Tensor
    """[B, R + 1] values among the first 0..R steps."""
    slips: torch.Tensor
    """[B, R] bool: values that do not follow from the value before, whether or not that one is right."""
    progress: torch.Tensor
    """[B] right values before the first wrong one, over the length of the chain: 1 for a whole right derivation."""


def inspect(task: Task, batch: Sample) -> Truth:
    """The truth about each response."""
    right = right_values(task, batch.prompts)
    is_step = batch.mask & (batch.tokens != task.end)
    claims = is_step & (batch.tokens < task.modulus)
    num_steps, num_claims = is_step.sum(1), claims.sum(1)
    rank = claims.cumsum(1)
    slips = find_slips(task, batch, claims)
    last_claim = torch.where(claims, torch.arange(claims.shape[1]), -1).amax(1)
    answer = batch.tokens.gather(1, last_claim.clamp(min=0).unsqueeze(1))[:, 0]
    ended = is_step.sum(1) < batch.mask.sum(1) if task.free_form else torch.ones_like(num_steps, dtype=torch.bool)
    correct = ended & (num_claims > 0) & (answer == right[:, -1])
    steps = torch.arange(claims.shape[1])
    first_wrong = torch.where(slips, steps, claims.shape[1]).amin(1)
    sound = first_wrong == claims.shape[1]
    rank_of_first = rank.gather(1, first_wrong.clamp(max=claims.shape[1] - 1).unsqueeze(1))[:, 0]
    right_claims = torch.where(sound, num_claims, rank_of_first - 1)
    # Sound but short: the last value is not the answer that it is given for.
    first_error = torch.where(sound, torch.where(correct, num_steps, last_claim.clamp(min=0)), first_wrong)
    return Truth(
        correct=correct,
        num_steps=num_steps,
        num_claims=num_claims,
        first_error=first_error,
        claims_before=torch.cat([torch.zeros_like(rank[:, :1]), rank], 1),
        slips=slips,
        progress=right_claims / task.length,
    )


def find_slips(task: Task, batch: Sample, claims: torch.Tensor) -> torch.Tensor:
    """[B, R] the values that are not the due operation's result on the value before; any value too many is one."""
    rows = torch.arange(len(batch.tokens))
    value, done = batch.prompts[:, -1], torch.zeros(len(rows), dtype=torch.long)
    slips = []
    for step in range(batch.tokens.shape[1]):
        operation = batch.prompts[rows, done.clamp(max=task.length - 1)] - task.modulus
        token, is_claim = batch.tokens[:, step], claims[:, step]
        slips.append(is_claim & ((token != task.results[operation, value]) | (done >= task.length)))
        value, done = torch.where(is_claim, token, value), done + is_claim.long()
    return torch.stack(slips, dim=1)
