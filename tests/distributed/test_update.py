"""`PolicyUpdater` on one rank: what is skipped, and what moves the weights."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.distributed.tensor import DTensor

from sgpo_client.config import parse_config
from sgpo_client.distributed import World
from sgpo_client.fsdp import Sharding, shard
from sgpo_client.types import Example
from sgpo_client.update import PolicyUpdater, UpdateStats
from tests.distributed.spawn import run_here
from tests.distributed.tiny import make_examples, tiny_model

CONFIG = parse_config({"model": {"name": "tiny"}, "data": {}, "optim": {"lr": 1e-2}}, "test")


def update(world: World, examples: list[Example]) -> tuple[UpdateStats, float]:
    """One update; how far it moved the weights."""
    policy = shard(tiny_model(), world, Sharding())
    optimizer = torch.optim.AdamW(policy.parameters(), lr=CONFIG.optim.lr, weight_decay=0.1)
    before = [whole(parameter).clone() for parameter in policy.parameters()]
    updater = PolicyUpdater(policy, optimizer, Sharding(), CONFIG, world)
    stats = updater.update(examples, sum(len(example.response_ids) for example in examples), step=0)
    after = [whole(parameter) for parameter in policy.parameters()]
    return stats, max(float((new - old).abs().max()) for new, old in zip(after, before, strict=True))


def whole(parameter: torch.Tensor) -> torch.Tensor:
    value = parameter.detach()
    return value.full_tensor() if isinstance(value, DTensor) else value


def test_examples_with_advantages_move_the_weights() -> None:
    stats, moved = run_here(update, make_examples(4))
    assert stats.num_sequences == 4
    assert stats.grad_norm is not None
    assert stats.grad_norm > 0
    assert moved == pytest.approx(1e-2, rel=0.2)  # Adam's first step is the learning rate, weight decay aside


def test_without_advantages_nothing_moves() -> None:
    """Not even by weight decay: there was no update."""
    stats, moved = run_here(update, [replace(example, advantage=0.0) for example in make_examples(4)])
    assert (stats.num_sequences, stats.loss, moved) == (0, None, 0.0)


def test_a_gradient_that_is_not_finite_never_reaches_the_weights() -> None:
    examples = make_examples(4)
    stats, moved = run_here(update, [replace(examples[0], advantage=math.inf), *examples[1:]])
    assert not math.isfinite(stats.grad_norm or 0.0)
    assert moved == 0.0
