"""`PolicyUpdater` on one rank: what is skipped, and what moves the weights."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.distributed.tensor import DTensor

from sgpo_client.config import parse_config
from sgpo_client.errors import TrainingError
from sgpo_client.loss import BatchSize
from sgpo_client.ranks.distributed import World
from sgpo_client.ranks.fsdp import Sharding, shard
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
    size = BatchSize(sum(len(example.response_ids) for example in examples), len(examples))
    stats = updater.update(examples, size, step=0)
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
    examples = [replace(example, advantages=[0.0] * len(example.response_ids)) for example in make_examples(4)]
    stats, moved = run_here(update, examples)
    assert (stats.num_sequences, stats.loss, moved) == (0, None, 0.0)


def test_a_gradient_that_is_not_finite_never_reaches_the_weights() -> None:
    examples = make_examples(4)
    stats, moved = run_here(
        update, [replace(examples[0], advantages=[math.inf] * len(examples[0].response_ids)), *examples[1:]]
    )
    assert not math.isfinite(stats.grad_norm or 0.0)
    assert moved == 0.0


def updater_of(world: World, tables: dict, reference: bool = False) -> PolicyUpdater:
    config = parse_config({"model": {"name": "tiny"}, "data": {}, "optim": {"lr": 1e-2}} | tables, "test")
    policy = shard(tiny_model(), world, Sharding())
    optimizer = torch.optim.SGD(policy.parameters(), lr=config.optim.lr)
    frozen = tiny_model(seed=1).requires_grad_(False) if reference else None
    return PolicyUpdater(policy, optimizer, Sharding(), config, world, frozen)


def size_of(examples: list[Example]) -> BatchSize:
    return BatchSize(sum(len(example.response_ids) for example in examples), len(examples))


def pulled(world: World) -> tuple[UpdateStats, UpdateStats]:
    """Two updates on examples of advantage 0, with a reference model of other weights."""
    updater = updater_of(world, {"algo": {"kl_coef": 1.0}, "optim": {"lr": 0.05, "grad_clip": 100.0}}, reference=True)
    examples = [replace(example, advantages=[0.0] * len(example.response_ids)) for example in make_examples(4)]
    return updater.update(examples, size_of(examples), 0), updater.update(examples, size_of(examples), 1)


def test_the_reference_model_pulls_where_there_is_no_advantage() -> None:
    first, second = run_here(pulled)
    assert first.num_sequences == 4
    assert first.kl is not None
    assert second.kl is not None
    assert 0 < second.kl < first.kl


def kl_by_hand(world: World) -> tuple[float | None, float]:
    updater = updater_of(world, {"algo": {"kl_coef": 1.0}}, reference=True)
    examples = make_examples(3)
    stats = updater.update(examples, size_of(examples), 0)
    total, tokens = 0.0, 0
    for example in examples:
        ids = torch.tensor([example.prompt_ids + example.response_ids])
        start = len(example.prompt_ids)
        chosen = []
        for model in (tiny_model(seed=1), tiny_model()):
            rows = torch.log_softmax(model(input_ids=ids).logits[0, start - 1 : -1], dim=-1)
            chosen.append(rows.gather(1, ids[0, start:, None]).squeeze(1))
        difference = (chosen[0] - chosen[1]).detach()
        total += float((difference.exp() - difference - 1).sum())
        tokens += len(example.response_ids)
    return stats.kl, total / tokens


def test_the_reported_divergence_is_the_mean_over_tokens() -> None:
    reported, by_hand = run_here(kl_by_hand)
    assert reported == pytest.approx(by_hand, rel=1e-3)


def broken(world: World) -> tuple[int, str]:
    """Updates with an infinite advantage until the updater gives up."""
    updater = updater_of(world, {"optim": {"max_skipped": 3}})
    good = make_examples(2)
    bad = [replace(good[0], advantages=[math.inf] * len(good[0].response_ids)), good[1]]
    skipped = 0
    for examples in (bad, bad, good, bad, bad, bad):
        try:
            skipped += updater.update(examples, size_of(examples), 0).skipped
        except TrainingError as error:
            return skipped, str(error)
    return skipped, ""


def test_updates_that_break_down_in_a_row_stop_the_run() -> None:
    skipped, message = run_here(broken)
    assert skipped == 4, "a good update in between starts the count anew"
    assert "3 updates in a row (optim.max_skipped)" in message


def with_sampler(world: World, difference: float, cap: float) -> tuple[UpdateStats, float]:
    """An update on responses that the sampler gave ``difference`` less log-probability than the policy."""
    updater = updater_of(world, {"algo": {"tis_cap": cap}})
    examples = make_examples(3)
    given = []
    for example in examples:
        ids = torch.tensor([example.prompt_ids + example.response_ids])
        start = len(example.prompt_ids)
        rows = torch.log_softmax(tiny_model()(input_ids=ids).logits[0, start - 1 : -1].detach(), dim=-1)
        logprobs = rows.gather(1, ids[0, start:, None]).squeeze(1) - difference
        given.append(replace(example, sampler_logprobs=logprobs.tolist()))
    stats = updater.update(given, size_of(given), 0)
    return stats, stats.loss or 0.0


def test_the_samplers_own_log_probabilities_weight_the_tokens_up_to_the_cap() -> None:
    same, plain = run_here(with_sampler, 0.0, 2.0)
    assert same.mismatch_logprob == pytest.approx(0, abs=1e-4)
    assert same.mismatch_max_ratio == pytest.approx(1, abs=1e-3)
    apart, weighted = run_here(with_sampler, math.log(1.5), 2.0)
    assert weighted == pytest.approx(1.5 * plain, rel=1e-3)
    assert apart.mismatch_logprob == pytest.approx(math.log(1.5), rel=1e-3)
    assert apart.mismatch_kl == pytest.approx(1.5 - 1 - math.log(1.5), rel=1e-2)
    assert apart.mismatch_max_ratio == pytest.approx(1.5, rel=1e-3)
    assert run_here(with_sampler, math.log(8), 2.0)[1] == pytest.approx(2 * plain, rel=1e-3)
    assert run_here(with_sampler, math.log(8), 0.0)[1] == pytest.approx(plain, rel=1e-3), "0 leaves them alone"
