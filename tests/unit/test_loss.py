"""The loss against a brute-force loop: values and gradients."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpo_client.advantage import group_advantages
from sgpo_client.logprobs import response_logprobs
from sgpo_client.loss import BatchSize, policy_loss, token_weight
from sgpo_client.microbatch import make_micro_batches
from sgpo_client.settings.algo import RatioLevel, Reduction
from sgpo_client.types import Example
from tests.distributed.tiny import make_examples, tiny_model

LOW, HIGH = 0.2, 0.28
BOUNDS = {"clip_eps_low": LOW, "clip_eps_high": HIGH}


def _tensors(seed: int, rows: int = 5, columns: int = 7) -> dict[str, torch.Tensor]:
    """Ratios from 0.5 to 2, so that both bounds cut; the last row has no response at all."""
    torch.manual_seed(seed)
    old = -3 * torch.rand(rows, columns)
    mask = torch.rand(rows, columns) < 0.7
    mask[-1] = False
    return {
        "logprobs": (old + 1.4 * (torch.rand(rows, columns) - 0.5)).requires_grad_(),
        "old_logprobs": old,
        "advantages": torch.randn(rows, columns),
        "weights": torch.rand(rows, columns),
        "mask": mask,
    }


def _ratio(tensors: dict[str, torch.Tensor], row: int, column: int, level: RatioLevel) -> torch.Tensor:
    """One token's ratio, or its response's."""
    if level == "token":
        return torch.exp(tensors["logprobs"][row, column] - tensors["old_logprobs"][row, column])
    columns = tensors["mask"][row].nonzero().flatten()
    log_ratios = [tensors["logprobs"][row, c] - tensors["old_logprobs"][row, c] for c in columns]
    return torch.exp(sum(log_ratios) / (len(log_ratios) if level == "sequence" else 1))


def _brute_force(tensors: dict[str, torch.Tensor], level: RatioLevel) -> tuple[torch.Tensor, int]:
    """Loss and clipped tokens, one token at a time."""
    loss, clipped = torch.zeros(()), 0
    for row, advantages in enumerate(tensors["advantages"].tolist()):
        for column, advantage in enumerate(advantages):
            if not tensors["mask"][row, column]:
                continue
            ratio = _ratio(tensors, row, column, level)
            if advantage > 0 and ratio > 1 + HIGH:
                clipped, term = clipped + 1, torch.tensor((1 + HIGH) * advantage)
            elif advantage < 0 and ratio < 1 - LOW:
                clipped, term = clipped + 1, torch.tensor((1 - LOW) * advantage)
            else:
                term = ratio * advantage
            loss = loss - term * tensors["weights"][row, column]
    return loss, clipped


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), level=st.sampled_from(["token", "sequence", "sequence_sum"]))
def test_agrees_with_brute_force(seed: int, level: RatioLevel) -> None:
    tensors = _tensors(seed)
    output = policy_loss(**tensors, **BOUNDS, ratio_level=level)
    loss, clipped = _brute_force(tensors, level)
    torch.testing.assert_close(output.loss, loss, rtol=1e-5, atol=1e-6)
    assert (int(output.num_clipped), int(output.num_tokens)) == (clipped, int(tensors["mask"].sum()))
    (gradient,) = torch.autograd.grad(output.loss, tensors["logprobs"])
    (expected,) = torch.autograd.grad(loss, tensors["logprobs"])
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-7)


def test_micro_batches_and_ranks_add_up() -> None:
    """Shares of the loss, each over the global count of tokens, sum to the loss of the whole."""
    tensors = _tensors(3, rows=6)
    whole = policy_loss(**tensors, **BOUNDS).loss
    parts = []
    for rows in (slice(0, 1), slice(1, 4), slice(4, 6)):
        share = {name: value[rows] for name, value in tensors.items()}
        parts.append(policy_loss(**share, **BOUNDS).loss)
    torch.testing.assert_close(sum(parts), whole)


def test_without_old_logprobs_the_gradient_is_that_of_plain_policy_gradient() -> None:
    tensors = _tensors(4)
    output = policy_loss(**{**tensors, "old_logprobs": None}, **BOUNDS)
    output.loss.backward()
    expected = -tensors["advantages"] * tensors["weights"] * tensors["mask"]
    torch.testing.assert_close(tensors["logprobs"].grad, expected)
    assert int(output.num_clipped) == 0


def test_nothing_leaks_from_behind_the_mask() -> None:
    tensors = _tensors(5)
    clean = policy_loss(**tensors, **BOUNDS)
    (expected,) = torch.autograd.grad(clean.loss, tensors["logprobs"])
    for garbage in (float("nan"), float("-inf"), 1e9):
        names = ("old_logprobs", "advantages", "weights")
        dirty = tensors | {name: tensors[name].masked_fill(~tensors["mask"], garbage) for name in names}
        output = policy_loss(**dirty, **BOUNDS)
        (gradient,) = torch.autograd.grad(output.loss, tensors["logprobs"])
        assert torch.equal(output.loss, clean.loss)
        assert torch.equal(gradient, expected)


def _example_gradients(examples: list[Example], num_tokens: int) -> dict[str, torch.Tensor]:
    model = tiny_model()
    for batch in make_micro_batches(examples, 64, lambda _: 1 / num_tokens):
        logprobs = response_logprobs(model, batch, 0.8).logprobs
        columns = (batch.old_logprobs, batch.advantages, batch.weights, batch.response_mask)
        policy_loss(logprobs, *columns, LOW, HIGH).loss.backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def test_an_unscored_response_has_no_part_in_the_gradient() -> None:
    """Followed from the reward through advantage and micro-batches to the gradient of the weights."""
    drawn = make_examples(4)
    num_tokens = sum(len(example.response_ids) for example in drawn)

    def gradients(rewards: list[float | None], kept: list[int]) -> dict[str, torch.Tensor]:
        advantages = group_advantages(rewards, "none")
        examples = [
            Example(drawn[index].prompt_ids, drawn[index].response_ids, [advantage] * len(drawn[index].response_ids))
            for index, advantage in zip(kept, advantages, strict=True)
        ]
        return _example_gradients(examples, num_tokens)

    unscored = gradients([0.4, None, 0.2, 0.1], [0, 1, 2, 3])
    absent = gradients([0.4, 0.2, 0.1], [0, 2, 3])
    counted_as_zero = gradients([0.4, 0.0, 0.2, 0.1], [0, 1, 2, 3])
    for name, gradient in absent.items():
        torch.testing.assert_close(unscored[name], gradient, rtol=1e-5, atol=1e-7)
        assert not torch.allclose(counted_as_zero[name], gradient, rtol=1e-2)


def test_k3_divergence_by_hand() -> None:
    """One token, twice as probable under the reference: 2 - log 2 - 1; the gradient is log new - log ref."""
    logprobs = torch.log(torch.tensor([[0.2, 0.4]])).requires_grad_()
    reference = torch.log(torch.tensor([[0.4, 0.9]]))
    mask = torch.tensor([[True, False]])
    ones = torch.ones(1, 2)
    output = policy_loss(logprobs, None, 0 * ones, ones, mask, **BOUNDS, ref_logprobs=reference, kl_coef=0.5)
    assert float(output.kl_sum) == pytest.approx(1 - math.log(2))
    assert output.loss.item() == pytest.approx(0.5 * (1 - math.log(2)))
    output.loss.backward()
    assert logprobs.grad.tolist()[0] == pytest.approx([-0.5 * math.log(2), 0.0])


@pytest.mark.parametrize(
    ("reduction", "weights"),
    [("token_mean", [1 / 12, 1 / 12]), ("sequence_mean", [1 / 8, 1 / 40]), ("constant", [1 / 80, 1 / 80])],
)
def test_token_weights_by_hand(reduction: Reduction, weights: list[float]) -> None:
    """Two of four scored responses, of 2 and 10 tokens; 20 is the limit."""
    size = BatchSize(num_tokens=12, num_sequences=4)
    assert [token_weight(reduction, size, length, 20) for length in (2, 10)] == pytest.approx(weights)
