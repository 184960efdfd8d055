"""Gradients of several FSDP2 ranks against one plain process on the whole batch.

Gradients, not losses or weights after a step: Adam and clipping hide a wrong constant factor.
"""

from __future__ import annotations

from typing import NamedTuple
from unittest.mock import patch

import pytest
import torch
from transformers import PreTrainedModel

from sgpo_client.logprobs import response_logprobs
from sgpo_client.loss import policy_loss
from sgpo_client.microbatch import MicroBatch, make_micro_batches, pad_to
from sgpo_client.ranks.distributed import (
    World,
    all_gather_objects,
    all_reduce_max,
    all_reduce_sums,
    barrier,
    broadcast_object,
)
from sgpo_client.ranks.fsdp import Sharding, begin_micro_batch, clip_grad_norm, copy_weights, full_parameters, shard
from sgpo_client.types import Example
from tests.distributed.spawn import run_here, run_ranks
from tests.distributed.tiny import make_examples, tiny_model

TEMPERATURE = 0.7
Gradients = dict[str, torch.Tensor]


def _loss(model: PreTrainedModel, batch: MicroBatch) -> torch.Tensor:
    logprobs = response_logprobs(model, batch, TEMPERATURE).logprobs
    return policy_loss(
        logprobs, batch.old_logprobs, batch.advantages, batch.weights, batch.response_mask, 0.2, 0.28
    ).loss


def _reference(examples: list[Example], *, tied: bool) -> Gradients:
    """Plain autograd on an unsharded model, one example at a time, without padding or masks."""
    model = tiny_model(tied=tied)
    num_tokens = sum(len(example.response_ids) for example in examples)
    loss = torch.zeros(())
    for example in examples:
        ids = torch.tensor([example.prompt_ids + example.response_ids])
        logprobs = torch.log_softmax(model(input_ids=ids).logits[0] / TEMPERATURE, dim=-1)
        start = len(example.prompt_ids)
        for offset, token in enumerate(example.response_ids):
            new = logprobs[start + offset - 1, token]
            old = new.detach() if example.old_logprobs is None else torch.tensor(example.old_logprobs[offset])
            ratio = torch.exp(new - old)
            advantage = example.advantages[offset]
            loss = loss - torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.28) * advantage) / num_tokens
    loss.backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


class Case(NamedTuple):
    tied: bool
    reshard: bool
    old_logprobs: bool
    shares: tuple[int, int]
    """Examples of each rank."""
    max_tokens: tuple[int, int]
    checkpointing: bool = False
    max_logits: int = 1 << 26


def _sharded_gradients(world: World, case: Case) -> tuple[Gradients, float, float]:
    """Gradients of this rank's share, gathered, with the norm before clipping and the norm after."""
    examples = make_examples(sum(case.shares), old_logprobs=case.old_logprobs)
    num_tokens = sum(len(example.response_ids) for example in examples)
    mine = examples[: case.shares[0]] if world.rank == 0 else examples[case.shares[0] :]
    batches = make_micro_batches(mine, case.max_tokens[world.rank], lambda _: 1 / num_tokens)
    batches = pad_to(batches, int(all_reduce_max(len(batches))))
    sharding = Sharding(reshard=case.reshard)
    model = tiny_model(tied=case.tied)
    if case.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    shard(model, world, sharding)
    with patch("sgpo_client.logprobs._MAX_LOGITS", case.max_logits):
        for index, batch in enumerate(batches):
            begin_micro_batch(model, sharding, is_last=index == len(batches) - 1)
            _loss(model, batch).backward()
    gradients = {name: parameter.grad.full_tensor().clone() for name, parameter in model.named_parameters()}
    norm = clip_grad_norm(model, max_norm=0.01)
    clipped = {name: parameter.grad.full_tensor() for name, parameter in model.named_parameters()}
    return gradients, norm, _norm(clipped)


def _norm(gradients: Gradients) -> float:
    return float(torch.cat([gradient.flatten() for gradient in gradients.values()]).norm())


def _assert_equal(actual: Gradients, expected: Gradients) -> None:
    assert actual.keys() == expected.keys()
    for name, gradient in expected.items():
        assert gradient.abs().max() > 1e-4, f"{name} has no gradient: the test would prove nothing"
        torch.testing.assert_close(actual[name], gradient, rtol=1e-4, atol=1e-6)


CASES = {
    "tied": Case(True, False, False, (4, 4), (64, 64)),
    "untied, resharded": Case(False, True, False, (4, 4), (64, 64)),
    "uneven micro-batches": Case(True, True, False, (2, 9), (200, 40)),
    "uneven micro-batches, gathered once": Case(True, False, False, (9, 2), (40, 200)),
    "old log-probabilities": Case(True, False, True, (5, 3), (64, 64)),
    "a rank without examples": Case(True, False, False, (0, 6), (64, 64)),
    "a rank without examples, untied, resharded": Case(False, True, False, (6, 0), (40, 40)),
    "logits in chunks": Case(True, False, True, (5, 3), (64, 64), max_logits=64 * 7),
    "logits in chunks, untied, resharded": Case(False, True, False, (6, 0), (64, 64), max_logits=64 * 7),
    "blocks computed again": Case(True, False, False, (2, 9), (200, 40), checkpointing=True),
    "all of it, resharded": Case(True, True, False, (4, 4), (64, 64), checkpointing=True, max_logits=64),
}


def _everything(world: World) -> dict:
    """All that the tests below look at, from one start of the processes (most of which is importing torch)."""
    results = {"copies": _copies(world), "collectives": _collectives(world)}
    if world.size == 1:
        return {**results, "precisions": _precisions(world)}
    return {**results, "cases": {name: _sharded_gradients(world, case) for name, case in CASES.items()}}


@pytest.fixture(scope="module")
def by_ranks(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[dict]]:
    """Number of ranks -> the results of each."""
    return {1: [run_here(_everything)], 2: run_ranks(2, _everything, folder=tmp_path_factory.mktemp("ranks"))}


@pytest.mark.parametrize("name", CASES)
def test_two_ranks_give_the_gradients_of_one_process(name: str, by_ranks: dict[int, list[dict]]) -> None:
    case = CASES[name]
    expected = _reference(make_examples(sum(case.shares), old_logprobs=case.old_logprobs), tied=case.tied)
    for results in by_ranks[2]:
        gradients, norm, clipped_norm = results["cases"][name]
        _assert_equal(gradients, expected)
        assert norm == pytest.approx(_norm(expected), rel=1e-4)
        assert clipped_norm == pytest.approx(0.01, rel=1e-3)


def _precisions(world: World) -> tuple[Gradients, Gradients]:
    examples = make_examples(6)
    num_tokens = sum(len(example.response_ids) for example in examples)
    results = []
    for dtype in (torch.float32, torch.bfloat16):
        sharding = Sharding(param_dtype=dtype)
        model = shard(tiny_model(), world, sharding)
        batches = make_micro_batches(examples, 64, lambda _: 1 / num_tokens)
        for index, batch in enumerate(batches):
            begin_micro_batch(model, sharding, is_last=index == len(batches) - 1)
            _loss(model, batch).backward()
        results.append({name: parameter.grad.full_tensor() for name, parameter in model.named_parameters()})
    return results[0], results[1]


def _manual_bfloat16(examples: list[Example]) -> Gradients:
    """A plain bfloat16 copy of the model; gradients of the micro-batches summed in float32."""
    model = tiny_model()
    for parameter in model.parameters():  # not model.to(): the rotary frequencies are buffers and stay float32
        parameter.data = parameter.data.bfloat16()
    num_tokens = sum(len(example.response_ids) for example in examples)
    sums = {name: torch.zeros(parameter.shape) for name, parameter in model.named_parameters()}
    for batch in make_micro_batches(examples, 64, lambda _: 1 / num_tokens):
        model.zero_grad()
        _loss(model, batch).backward()
        for name, parameter in model.named_parameters():
            sums[name] += parameter.grad.float()
    return sums


def test_one_rank_runs_the_same_path_in_float32_and_bfloat16(by_ranks: dict[int, list[dict]]) -> None:
    float32, bfloat16 = by_ranks[1][0]["precisions"]
    _assert_equal(float32, _reference(make_examples(6), tied=True))
    for name, expected in _manual_bfloat16(make_examples(6)).items():
        assert bfloat16[name].dtype == torch.float32
        torch.testing.assert_close(bfloat16[name], expected, rtol=1e-2, atol=1e-4)


def _copies(world: World) -> dict[str, dict[str, torch.Tensor]]:
    results = {}
    for tied in (True, False):
        policy = shard(tiny_model(tied=tied, seed=1), world, Sharding())
        for dtype in (torch.float32, torch.bfloat16):
            target = tiny_model(tied=tied, seed=2).to(dtype)
            copy_weights(policy, target)
            results[f"{tied} {dtype}"] = target.state_dict()
        results[f"{tied} full"] = dict(full_parameters(policy, torch.float32))
    return results


@pytest.mark.parametrize("num_ranks", [1, 2])
def test_weights_are_copied_whole_to_every_rank(num_ranks: int, by_ranks: dict[int, list[dict]]) -> None:
    for results in (everything["copies"] for everything in by_ranks[num_ranks]):
        for tied in (True, False):
            source = tiny_model(tied=tied, seed=1)
            for dtype in (torch.float32, torch.bfloat16):
                for name, value in source.state_dict().items():
                    assert torch.equal(results[f"{tied} {dtype}"][name], value.to(dtype)), name
            assert results[f"{tied} full"].keys() == dict(source.named_parameters()).keys()


def _collectives(world: World) -> tuple:
    barrier()
    return (
        all_reduce_sums({"b": 1.5 * world.rank, "a": 2.0**40 + world.rank}),
        all_reduce_max(-5.0 + world.rank),
        all_gather_objects({"rank": world.rank}),
        broadcast_object(f"from {world.rank}", source=world.size - 1),
    )


@pytest.mark.parametrize("num_ranks", [1, 2])
def test_collectives(num_ranks: int, by_ranks: dict[int, list[dict]]) -> None:
    expected = {
        1: ({"a": 2.0**40, "b": 0.0}, -5.0, [{"rank": 0}], "from 0"),
        2: ({"a": 2.0**41 + 1, "b": 1.5}, -4.0, [{"rank": 0}, {"rank": 1}], "from 1"),
    }[num_ranks]
    assert [everything["collectives"] for everything in by_ranks[num_ranks]] == [expected] * num_ranks
