"""Packing: nothing lost, the budget kept, little padding, and the same gradient whatever the packing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sgpo_client.logprobs import response_logprobs
from sgpo_client.loss import policy_loss
from sgpo_client.microbatch import MicroBatch, make_micro_batches, pad_to, partition
from sgpo_client.types import Example
from tests.distributed.tiny import equal_weights, make_examples, tiny_model

TOKENS = st.lists(st.integers(0, 63), min_size=1, max_size=12)


@st.composite
def examples_strategy(draw: st.DrawFn) -> list[Example]:
    with_old, with_sampler = draw(st.booleans()), draw(st.booleans())
    examples = []
    for _ in range(draw(st.integers(0, 12))):
        response = draw(TOKENS)
        old = [draw(st.floats(-9, 0, width=32)) for _ in response] if with_old else None
        advantages = [draw(st.sampled_from([-1.0, 0.0, 0.5])) for _ in response]
        sampler = [draw(st.floats(-9, 0, width=32)) for _ in response] if with_sampler else None
        examples.append(Example(draw(TOKENS), response, advantages, old, sampler))
    return examples


def _unpack(batches: list[MicroBatch]) -> list[Example]:
    """Every row as the example that it was made of (prompt and response ids told apart by the mask)."""
    examples = []
    for batch in batches:
        for row, mask in enumerate(batch.response_mask):
            positions = (mask.nonzero().flatten() + 1).tolist()
            assert positions == list(range(positions[0], positions[-1] + 1))
            ids = batch.input_ids[row].tolist()
            columns = [
                None if values is None else values[row][mask].tolist()
                for values in (batch.advantages, batch.old_logprobs, batch.sampler_logprobs)
            ]
            examples.append(Example(ids[: positions[0]], ids[positions[0] : positions[-1] + 1], *columns))
            weight = token_weight(examples[-1])
            torch.testing.assert_close(batch.weights[row], mask * weight)
            assert float(batch.advantages[row][~mask].abs().sum()) == 0
    return examples


def token_weight(example: Example) -> float:
    return 1 / (1 + len(example.response_ids) + example.prompt_ids[0])


def _key(example: Example) -> str:
    return repr(example)


@given(examples=examples_strategy(), max_tokens=st.integers(1, 80))
def test_every_example_comes_out_once_within_the_budget(examples: list[Example], max_tokens: int) -> None:
    empty = Example([1, 2], [], [])
    batches = make_micro_batches([*examples, empty], max_tokens, token_weight, pad_token_id=63)
    assert sorted(map(_key, _unpack(batches))) == sorted(map(_key, examples))
    for batch in batches:
        assert batch.input_ids.numel() <= max_tokens or batch.input_ids.shape[0] == 1
        assert batch.response_mask.shape == (batch.input_ids.shape[0], batch.input_ids.shape[1] - 1)


def test_rows_of_a_micro_batch_are_alike_in_length() -> None:
    examples = [Example([1], [2] * length, [1.0] * length) for length in (9, 1, 5, 1, 9, 5, 9, 1, 5)]
    shapes = [tuple(batch.input_ids.shape) for batch in make_micro_batches(examples, 30, equal_weights)]
    assert shapes == [(3, 10), (5, 6), (1, 2)], "longest first: hardly any padding"


def test_an_example_over_the_budget_gets_its_own_micro_batch() -> None:
    examples = [Example([1], [2] * length, [1.0] * length) for length in (50, 60, 3)]
    assert [tuple(b.input_ids.shape) for b in make_micro_batches(examples, 20, equal_weights)] == [
        (1, 61),
        (1, 51),
        (1, 4),
    ]


def _gradients(batches: list[MicroBatch]) -> dict[str, torch.Tensor]:
    model = tiny_model()
    for batch in batches:
        logprobs = response_logprobs(model, batch, 1.0).logprobs
        arguments = (batch.old_logprobs, batch.advantages, batch.weights, batch.response_mask, 0.2, 0.2)
        policy_loss(logprobs, *arguments).loss.backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("old_logprobs", [True, False])
def test_dropping_zero_advantages_and_adding_empty_batches_leaves_the_gradient(old_logprobs: bool) -> None:
    examples = make_examples(8, old_logprobs=old_logprobs)
    for index in (1, 4, 5):
        examples[index] = replace(examples[index], advantages=[0.0] * len(examples[index].response_ids))
    all_of_them = make_micro_batches(examples, 10_000, token_weight)
    fewer = make_micro_batches([example for example in examples if example.has_advantage], 40, token_weight)
    padded = pad_to(fewer, len(fewer) + 2)
    assert len(padded) == len(fewer) + 2
    assert sum(len(batch.input_ids) for batch in fewer) == 5
    expected = _gradients(all_of_them)
    for name, gradient in _gradients(padded).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6)


def test_padding_to_fewer_changes_nothing() -> None:
    batches = make_micro_batches(make_examples(6), 40, equal_weights)
    assert pad_to(batches, 1) == batches


@given(lengths=st.lists(st.integers(1, 200), max_size=40), num_parts=st.integers(1, 5))
def test_parts_hold_every_example_and_nearly_equal_loads(lengths: list[int], num_parts: int) -> None:
    examples = [Example([1], [2] * length, [float(index)]) for index, length in enumerate(lengths)]
    parts = partition(examples, num_parts)
    assert len(parts) == num_parts
    assert sorted(e.advantages for part in parts for e in part) == [e.advantages for e in examples]
    loads = [sum(1 + len(e.response_ids) for e in part) for part in parts]
    assert max(loads) - min(loads) <= max(lengths, default=0) + 1


def test_log_probabilities_of_some_examples_only_are_refused() -> None:
    examples = [Example([1], [2], [1.0], sampler_logprobs=[-1.0]), Example([1], [2], [1.0])]
    with pytest.raises(ValueError, match="all examples of a step or for none"):
        make_micro_batches(examples, 10, equal_weights)
