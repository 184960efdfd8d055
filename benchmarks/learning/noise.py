"""A judge of any quality: the true first error, moved with a set probability.

Each kind is a distribution over the steps of a response given its true first error, so that its accuracy and the error
of its RTS can be computed as well as sampled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from benchmarks.learning.oracle import Truth
from benchmarks.learning.task import Task

Kind = Literal["moved", "early", "late", "near", "unscored", "blind"]


@dataclass(frozen=True)
class Judge:
    """What is wrong with the judge, and how often."""

    kind: Kind = "moved"
    """``moved``: names any other step. ``early``, ``late``: a step before (after) the error, where there is one.
    ``near``: another step, the likelier the nearer. ``unscored``: gives no verdict. ``blind``: never sees an error at
    a share ``rate`` of the operations, always the same ones, and names the next error that it sees."""
    rate: float = 0.0
    """Probability that the verdict is changed; 0 is the oracle."""
    decay: float = 0.75
    """Of ``near``: weight of a step per step of distance."""


PROCESSBENCH = Judge("near", 0.55)
"""Like the packaged judge on ProcessBench: names the first error of 0.45 of the responses known to be wrong, with an
error of the RTS of about 0.17 (docs/results/judges.md)."""


def verdict_distribution(judge: Judge, first_error: torch.Tensor, num_steps: torch.Tensor, width: int) -> torch.Tensor:
    """[B, width] probability that the judge names each step, for [B] true first errors; rows sum to 1."""
    steps = torch.arange(width)
    true, count = first_error.unsqueeze(1), num_steps.unsqueeze(1)
    weights = ((steps < count) & (steps != true)).float()
    if judge.kind == "early":
        weights = weights * (steps < true)
    elif judge.kind == "late":
        weights = weights * (steps > true)
    elif judge.kind == "near":
        weights = weights * judge.decay ** (steps - true).abs()
    elif judge.kind != "moved":
        weights = torch.zeros_like(weights)
    total = weights.sum(1, keepdim=True)
    moved = weights / total.clamp(min=1e-12) * judge.rate
    stays = 1 - moved.sum(1, keepdim=True)
    return moved.scatter_add(1, true, stays)


def name_first_errors(
    judge: Judge, task: Task, prompts: torch.Tensor, truth: Truth, generator: torch.Generator
) -> list[int | None]:
    """[B] the step that the judge names in each response, told that it is wrong; None where it gives no verdict."""
    width = truth.slips.shape[1]
    true = _seen_errors(judge, task, prompts, truth) if judge.kind == "blind" else truth.first_error
    true = torch.minimum(true, truth.num_steps - 1).clamp(min=0)
    if judge.rate == 0 or judge.kind == "blind":
        return list(true.tolist())
    if judge.kind == "unscored":
        lost = torch.rand(len(true), generator=generator) < judge.rate
        return [None if gone else step for gone, step in zip(lost.tolist(), true.tolist(), strict=True)]
    distribution = verdict_distribution(judge, true, truth.num_steps.clamp(min=1), width)
    return list(torch.multinomial(distribution, 1, generator=generator)[:, 0].tolist())


def _seen_errors(judge: Judge, task: Task, prompts: torch.Tensor, truth: Truth) -> torch.Tensor:
    """[B] the first slip at an operation that the judge can check, else the last step."""
    rank = (truth.claims_before[:, 1:] - 1).clamp(0, task.length - 1)
    operations = prompts.gather(1, rank) - task.modulus
    # Every so many operations one is blind, so that adding and multiplying are both among them.
    num_blind = round(judge.rate * task.num_operations)
    blind = (torch.arange(task.num_operations) * num_blind) % task.num_operations < num_blind
    seen = truth.slips & ~blind[operations]
    return torch.where(seen, torch.arange(seen.shape[1]), truth.num_steps.unsqueeze(1) - 1).amin(1)
