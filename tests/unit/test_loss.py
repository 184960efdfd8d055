"""The loss against a brute-force loop and TRL's own code: values and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpo_client.advantage import group_advantages
from sgpo_client.logprobs import response_logprobs
from sgpo_client.loss import policy_loss
from sgpo_client.microbatch import make_micro_batches
from sgpo_client.types import Example
from tests.distributed.tiny import make_examples, tiny_model

LOW, HIGH = 0.2, 0.28


def _tensors(seed: int, rows: int = 5, columns: int = 7) -> dict[str, torch.Tensor]:
    """Ratios from 0.5 to 2, so that both bounds cut; the last row has no response at all."""
    torch.manual_seed(seed)
    old = -3 * torch.rand(rows, columns)
    mask = torch.rand(rows, columns) < 0.7
    mask[-1] = False
    return {
        "logprobs": (old + 1.4 * (torch.rand(rows, columns) - 0.5)).requires_grad_(),
        "old_logprobs": old,
        "advantages": torch.randn(rows),
        "mask": mask,
    }


def _brute_force(tensors: dict[str, torch.Tensor], num_tokens: int) -> tuple[torch.Tensor, int, float]:
    """Loss, clipped tokens and sum of ratios, one token at a time."""
    loss, clipped, ratios = torch.zeros(()), 0, 0.0
    for row, advantage in enumerate(tensors["advantages"].tolist()):
        for column in range(tensors["mask"].shape[1]):
            if not tensors["mask"][row, column]:
                continue
            ratio = torch.exp(tensors["logprobs"][row, column] - tensors["old_logprobs"][row, column])
            ratios += ratio.item()
            if advantage > 0 and ratio > 1 + HIGH:
                clipped, term = clipped + 1, torch.tensor((1 + HIGH) * advantage)
            elif advantage < 0 and ratio < 1 - LOW:
                clipped, term = clipped + 1, torch.tensor((1 - LOW) * advantage)
            else:
                term = ratio * advantage
            loss = loss - term / num_tokens
    return loss, clipped, ratios


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), num_tokens=st.integers(1, 500))
def test_agrees_with_brute_force(seed: int, num_tokens: int) -> None:
    tensors = _tensors(seed)
    output = policy_loss(**tensors, clip_eps_low=LOW, clip_eps_high=HIGH, num_tokens=num_tokens)
    loss, clipped, ratios = _brute_force(tensors, num_tokens)
    torch.testing.assert_close(output.loss, loss, rtol=1e-5, atol=1e-6)
    assert (int(output.num_clipped), int(output.num_tokens)) == (clipped, int(tensors["mask"].sum()))
    assert float(output.ratio_sum) == pytest.approx(ratios, rel=1e-5)
    (gradient,) = torch.autograd.grad(output.loss, tensors["logprobs"])
    (expected,) = torch.autograd.grad(loss, tensors["logprobs"])
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-7)


def test_micro_batches_and_ranks_add_up() -> None:
    """Shares of the loss, each over the global count of tokens, sum to the loss of the whole."""
    tensors = _tensors(3, rows=6)
    whole = policy_loss(**tensors, clip_eps_low=LOW, clip_eps_high=HIGH, num_tokens=40).loss
    parts = []
    for rows in (slice(0, 1), slice(1, 4), slice(4, 6)):
        share = {name: value[rows] for name, value in tensors.items()}
        parts.append(policy_loss(**share, clip_eps_low=LOW, clip_eps_high=HIGH, num_tokens=40).loss)
    torch.testing.assert_close(sum(parts), whole)


def test_without_old_logprobs_the_gradient_is_that_of_plain_policy_gradient() -> None:
    tensors = _tensors(4)
    output = policy_loss(**{**tensors, "old_logprobs": None}, clip_eps_low=LOW, clip_eps_high=HIGH, num_tokens=10)
    output.loss.backward()
    expected = -tensors["advantages"][:, None] * tensors["mask"] / 10
    torch.testing.assert_close(tensors["logprobs"].grad, expected)
    assert int(output.num_clipped) == 0


def test_nothing_leaks_from_behind_the_mask() -> None:
    tensors = _tensors(5)
    clean = policy_loss(**tensors, clip_eps_low=LOW, clip_eps_high=HIGH, num_tokens=10)
    (expected,) = torch.autograd.grad(clean.loss, tensors["logprobs"])
    for garbage in (float("nan"), float("-inf"), 1e9):
        dirty = {**tensors, "old_logprobs": tensors["old_logprobs"].masked_fill(~tensors["mask"], garbage)}
        output = policy_loss(**dirty, clip_eps_low=LOW, clip_eps_high=HIGH, num_tokens=10)
        (gradient,) = torch.autograd.grad(output.loss, tensors["logprobs"])
        assert torch.equal(output.loss, clean.loss)
        assert torch.equal(gradient, expected)


def _example_gradients(examples: list[Example], num_tokens: int) -> dict[str, torch.Tensor]:
    model = tiny_model()
    for batch in make_micro_batches(examples, 64):
        logprobs = response_logprobs(model, batch, 0.8).logprobs
        arguments = (batch.old_logprobs, batch.advantages, batch.response_mask, LOW, HIGH, num_tokens)
        policy_loss(logprobs, *arguments).loss.backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def test_an_unscored_response_has_no_part_in_the_gradient() -> None:
    """Followed from the reward through advantage and micro-batches to the gradient of the weights."""
    drawn = make_examples(4)
    num_tokens = sum(len(example.response_ids) for example in drawn)

    def gradients(rewards: list[float | None], kept: list[int]) -> dict[str, torch.Tensor]:
        advantages = group_advantages(rewards, "none")
        examples = [
            Example(drawn[index].prompt_ids, drawn[index].response_ids, advantage)
            for index, advantage in zip(kept, advantages, strict=True)
        ]
        return _example_gradients(examples, num_tokens)

    unscored = gradients([0.4, None, 0.2, 0.1], [0, 1, 2, 3])
    absent = gradients([0.4, 0.2, 0.1], [0, 2, 3])
    counted_as_zero = gradients([0.4, 0.0, 0.2, 0.1], [0, 1, 2, 3])
    for name, gradient in absent.items():
        torch.testing.assert_close(unscored[name], gradient, rtol=1e-5, atol=1e-7)
        assert not torch.allclose(counted_as_zero[name], gradient, rtol=1e-2)


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tests.unit.trl_reference import make_trainer

    trainer = make_trainer(
        tmp_path_factory.mktemp("trl"), loss_type="dapo", epsilon=LOW, epsilon_high=HIGH, temperature=0.7, beta=0.0
    )
    trainer.current_gradient_accumulation_steps = trainer.args.steps_per_generation = 1
    return trainer


@pytest.mark.slow
@pytest.mark.parametrize("with_old", [True, False])
def test_agrees_with_trl_on_the_same_tensors(with_old: bool, trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = _tensors(7)
    if not with_old:
        tensors.pop("old_logprobs")
    ids = torch.zeros(5, 7, dtype=torch.long)
    inputs = {
        "prompt_ids": ids[:, :1],
        "prompt_mask": torch.ones(5, 1),
        "completion_ids": ids,
        "completion_mask": tensors["mask"].int(),
        "advantages": tensors["advantages"],
        "num_items_in_batch": torch.tensor(33),
    }
    if with_old:
        inputs["old_per_token_logps"] = tensors["old_logprobs"]
    given_logprobs = (tensors["logprobs"], torch.zeros(5, 7), None)
    monkeypatch.setattr(trainer, "_get_per_token_logps_and_entropies", lambda *_, **__: given_logprobs)
    theirs = trainer._compute_loss(trainer.model, inputs)
    ours = policy_loss(
        tensors["logprobs"], tensors.get("old_logprobs"), tensors["advantages"], tensors["mask"], LOW, HIGH, 33
    ).loss
    torch.testing.assert_close(ours, theirs)
    (our_gradient,) = torch.autograd.grad(ours, tensors["logprobs"])
    (their_gradient,) = torch.autograd.grad(theirs, tensors["logprobs"])
    torch.testing.assert_close(our_gradient, their_gradient)


@pytest.mark.slow
@pytest.mark.parametrize("old_logprobs", [True, False])
def test_agrees_with_trl_from_tokens_to_the_gradients_of_the_weights(old_logprobs: bool, trainer: Any) -> None:
    """TRL pads prompts on the left and uses a mask; the micro-batches here pad on the right and use none."""
    examples = make_examples(6, old_logprobs=old_logprobs)
    num_tokens = sum(len(example.response_ids) for example in examples)
    prompts = [torch.tensor(example.prompt_ids) for example in examples]
    responses = [torch.tensor(example.response_ids) for example in examples]

    def pad(rows: list[torch.Tensor], side: str) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_side=side)

    inputs = {
        "prompt_ids": pad(prompts, "left"),
        "prompt_mask": pad([torch.ones_like(row) for row in prompts], "left"),
        "completion_ids": pad(responses, "right"),
        "completion_mask": pad([torch.ones_like(row) for row in responses], "right"),
        "advantages": torch.tensor([example.advantage for example in examples]),
        "num_items_in_batch": torch.tensor(num_tokens),
    }
    if old_logprobs:
        inputs["old_per_token_logps"] = pad([torch.tensor(example.old_logprobs) for example in examples], "right")
    trainer.model.zero_grad()
    trainer._compute_loss(trainer.model, inputs).backward()
    model = tiny_model()
    for batch in make_micro_batches(examples, 64):
        logprobs = response_logprobs(model, batch, 0.7).logprobs
        arguments = (batch.old_logprobs, batch.advantages, batch.response_mask, LOW, HIGH, num_tokens)
        policy_loss(logprobs, *arguments).loss.backward()
    theirs = dict(trainer.model.named_parameters())
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().max() > 1e-4
        torch.testing.assert_close(parameter.grad, theirs[name].grad, rtol=1e-3, atol=2e-5)
