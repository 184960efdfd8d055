"""One run: an arm on a task with a judge, from a warm policy, for a set number of sampled tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from benchmarks.learning.arms import Arm
from benchmarks.learning.credit import Facts, score_group, token_advantages
from benchmarks.learning.noise import Judge, name_first_errors
from benchmarks.learning.oracle import Truth, inspect
from benchmarks.learning.policy import Policy
from benchmarks.learning.sampling import Sample, response_logprobs, sample
from benchmarks.learning.task import Task, draw_prompts
from sgpo_client.loss import BatchSize, policy_loss, token_weight

GRAD_CLIP = 1.0


@dataclass(frozen=True)
class RunSpec:
    """Everything that a run depends on."""

    arm: Arm
    task: Task = field(default_factory=Task)
    judge: Judge = field(default_factory=Judge)
    seed: int = 0
    tokens: int = 262_144
    """Sampled response tokens of the whole run; the same for all arms of a comparison."""
    lr: float = 5e-4
    num_groups: int = 32
    group_size: int = 8
    minibatches: int = 2
    """Optimiser steps on each batch, each on its own share of the groups."""
    reference: bool = True
    """The server knows a reference solution, so its length too."""

    @property
    def num_steps(self) -> int:
        """Batches of a run without dynamic sampling, for the schedule of the weight."""
        return max(1, self.tokens // (self.num_groups * self.group_size * self.task.max_response_tokens))


@dataclass(frozen=True, slots=True)
class Batch:
    """Sampled and scored responses, those to one problem beside each other."""

    sample: Sample
    truth: Truth
    advantages: torch.Tensor
    """[B, R]"""
    scored: torch.Tensor
    """[B] bool"""
    all_negative: torch.Tensor
    """[N] bool, one per group."""
    useful: torch.Tensor
    """[N] bool: some token of the group has an advantage other than 0."""


def train(spec: RunSpec, policy: Policy) -> Iterator[dict[str, float]]:
    """Train ``policy`` in place; yields the figures of each batch, which are those of the policy before it learns."""
    optimizer = torch.optim.AdamW(policy.parameters(), lr=spec.lr, weight_decay=0.0)
    generator = torch.Generator().manual_seed(10_000 + spec.seed)
    rounds = 1 + spec.arm.algo_table.resolved.dynamic_sampling
    tokens = step = 0
    while tokens < spec.tokens:
        batches: list[Batch] = []
        while len(batches) < rounds and sum(int(batch.useful.sum()) for batch in batches) < spec.num_groups:
            batches.append(draw_batch(spec, policy, generator, step))
            tokens += int(batches[-1].sample.mask.sum())
            yield {"tokens": float(tokens), **figures(spec.task, batches[-1])}
        learn(spec, policy, optimizer, batches)
        step += 1


def draw_batch(spec: RunSpec, policy: Policy, generator: torch.Generator, step: int) -> Batch:
    """Sample, inspect, judge and score."""
    prompts = draw_prompts(spec.task, spec.num_groups, generator)
    drawn = sample(policy, spec.task, prompts, spec.group_size, generator)
    truth = inspect(spec.task, drawn)
    named = name_first_errors(spec.judge, spec.task, drawn.prompts, truth, generator)
    lengths, width = drawn.mask.sum(1).tolist(), drawn.tokens.shape[1]
    facts = Facts(truth)
    groups, advantages = [], []
    for first in range(0, len(lengths), spec.group_size):
        rows = range(first, first + spec.group_size)
        groups.append(score_group(spec.arm, facts, rows, named, spec.task.length if spec.reference else None))
        steps = (min(step, spec.num_steps - 1), spec.num_steps)
        advantages.append(
            token_advantages(spec.arm, groups[-1], lengths[first : first + spec.group_size], width, steps)
        )
    stacked = torch.stack(advantages)
    return Batch(
        sample=drawn,
        truth=truth,
        advantages=stacked.flatten(0, 1),
        scored=torch.tensor([score.reward is not None for group in groups for score in group.scores]),
        all_negative=torch.tensor([group.all_negative for group in groups]),
        useful=stacked.flatten(1).any(1),
    )


def learn(spec: RunSpec, policy: Policy, optimizer: torch.optim.Optimizer, batches: list[Batch]) -> None:
    """The optimiser steps on a batch; with dynamic sampling on the useful groups of several."""
    advantages = torch.cat([batch.advantages for batch in batches])
    scored = torch.cat([batch.scored for batch in batches])
    drawn = Sample(*(torch.cat(parts) for parts in zip(*(batch.sample.tensors for batch in batches), strict=True)))
    groups = torch.arange(len(scored)).view(-1, spec.group_size)
    if spec.arm.algo_table.resolved.dynamic_sampling:
        groups = groups[torch.cat([batch.useful for batch in batches])][: spec.num_groups]
    for part in groups.chunk(spec.minibatches):
        rows = part.flatten()
        counted = rows[scored[rows]]
        size = BatchSize(int(drawn.mask[counted].sum()), len(counted))
        # Rows without an advantage have no gradient, but count in the size.
        rows = rows[advantages[rows].any(1)]
        if len(rows):
            take_step(spec, policy, optimizer, drawn.rows(rows), advantages[rows], size)


def take_step(
    spec: RunSpec,
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    drawn: Sample,
    advantages: torch.Tensor,
    size: BatchSize,
) -> None:
    """One optimiser step on the clipped loss."""
    algorithm = spec.arm.algo_table.resolved
    limit = spec.task.max_response_tokens
    weights = [token_weight(algorithm.reduction, size, num, limit) for num in drawn.mask.sum(1).tolist()]
    loss = policy_loss(
        response_logprobs(policy, spec.task, drawn),
        drawn.logprobs,
        advantages,
        torch.tensor(weights).unsqueeze(1).expand_as(advantages),
        drawn.mask,
        algorithm.clip_eps_low,
        algorithm.clip_eps_high,
        algorithm.ratio,
    ).loss
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(policy.parameters(), GRAD_CLIP)
    optimizer.step()


def figures(task: Task, batch: Batch) -> dict[str, float]:
    """What is written down of a batch: fresh problems, so all of it is held-out."""
    truth = batch.truth
    steps = truth.num_steps.float()
    return {
        "accuracy": _mean(truth.correct),
        "sound": _mean(truth.correct & (truth.progress == 1)),
        "progress": _mean(truth.progress),
        "all_negative": _mean(batch.all_negative),
        "useful": _mean(batch.useful),
        "steps": _mean(steps),
        "no_claim": float((truth.num_steps - truth.num_claims).sum() / steps.sum().clamp(min=1)),
        "short": _mean(truth.num_claims < task.length),
        "entropy": float(-(batch.sample.logprobs * batch.sample.mask).sum() / batch.sample.mask.sum()),
    }


def _mean(values: torch.Tensor) -> float:
    return float(values.float().mean())
