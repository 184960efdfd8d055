"""Before RL: supervised training to a set skill at each operation, the same for all arms of a seed.

The targets are distributions: at a step whose operation has skill ``s`` the right value has probability ``s``,
the value beside it ``(1 - s) / 2`` (a systematic error, the likeliest token where s is below a third), and the rest is
spread over all values. The chains it reads hold wrong values too, so that the policy goes on from its own errors.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch.nn import functional as F

from benchmarks.learning.policy import Policy
from benchmarks.learning.task import Task, draw_prompts

NO_CLAIM_SHARE = 0.02
"""Of free-form steps; stopping early has the same probability."""


def operation_skills(task: Task, seed: int) -> torch.Tensor:
    """[num_operations] the skill of each operation: evenly spread, in an order of the seed's own."""
    order = torch.randperm(task.num_operations, generator=torch.Generator().manual_seed(seed))
    spread = torch.linspace(-task.skill_spread, task.skill_spread, task.num_operations)
    return (task.skill + spread)[order].clamp(0.01, 0.99)


def step_distribution(task: Task, skills: torch.Tensor, operations: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """[B, vocab] distribution over the next value, for [B] operations (from 0) on the [B] values before."""
    right = task.results[operations, before]
    skill = skills[operations].unsqueeze(1)
    target = torch.zeros(len(right), task.vocab_size)
    target[:, : task.modulus] = (1 - skill) / 2 / task.modulus
    target.scatter_add_(1, right.unsqueeze(1), skill)
    return target.scatter_add_(1, ((right + 1) % task.modulus).unsqueeze(1), (1 - skill) / 2)


def draw_chains(
    task: Task, skills: torch.Tensor, num: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Chains as the warm policy will write them: [num, P + R] tokens and [num, R, vocab] targets."""
    prompts = draw_prompts(task, num, generator)
    rows = torch.arange(num)
    value, done, ended = prompts[:, -1], torch.zeros(num, dtype=torch.long), torch.zeros(num, dtype=torch.bool)
    tokens, targets = [prompts], []
    for _ in range(task.max_response_tokens):
        operations = prompts[rows, done.clamp(max=task.length - 1)] - task.modulus
        target = step_distribution(task, skills, operations, value)
        if task.free_form:
            target *= 1 - 2 * NO_CLAIM_SHARE
            target[:, task.no_claim] = target[:, task.end] = NO_CLAIM_SHARE
            target[(done >= task.length) | ended] = F.one_hot(torch.tensor(task.end), task.vocab_size).float()
        token = torch.multinomial(target, 1, generator=generator)[:, 0]
        claims = token < task.modulus
        value, done, ended = torch.where(claims, token, value), done + claims.long(), ended | (token == task.end)
        tokens.append(token.unsqueeze(1))
        targets.append(target)
    return torch.cat(tokens, 1), torch.stack(targets, 1)


def warm_policy(task: Task, seed: int, folder: Path, steps: int = 500) -> Policy:
    """A policy with the task's skills; kept in ``folder`` and read from there the next time.

    The shape of the task is learned once, at the default skill, and then the skill is set in ``steps / 5`` more.
    """
    shape = f"n{task.length}-m{task.modulus}-o{task.num_operations}-{'free' if task.free_form else 'fixed'}"
    file = folder / f"{shape}-{task.skill:g}-{task.skill_spread:g}-{steps}-{seed}.pt"
    torch.manual_seed(seed)
    policy = Policy(task.vocab_size, task.prompt_tokens + task.max_response_tokens)
    if file.exists():
        policy.load_state_dict(torch.load(file, weights_only=True))
        return policy
    base = replace(task, skill=Task.skill, skill_spread=Task.skill_spread)
    if task != base:
        policy = warm_policy(base, seed, folder, steps)
    teach(policy, task, seed, lr=4e-3 if task == base else 1e-3, steps=steps if task == base else steps // 5)
    folder.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    torch.save(policy.state_dict(), part)
    part.replace(file)
    return policy


def teach(policy: Policy, task: Task, seed: int, lr: float, steps: int, batch: int = 192) -> None:
    """Supervised training towards the task's step distributions."""
    generator = torch.Generator().manual_seed(seed)
    skills = operation_skills(task, seed)
    optimizer = torch.optim.Adam(policy.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        tokens, targets = draw_chains(task, skills, batch, generator)
        logits = policy(tokens[:, :-1], task.prompt_tokens - 1).masked_fill(~task.allowed, -1e9)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(0, 1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
