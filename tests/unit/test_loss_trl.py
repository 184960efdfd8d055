"""Every algorithm's loss against TRL's own code: values and gradients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sgpo_client.logprobs import response_logprobs
from sgpo_client.loss import BatchSize, policy_loss, token_weight
from sgpo_client.microbatch import make_micro_batches
from sgpo_client.settings.algo import AlgoTable
from tests.distributed.tiny import make_examples, tiny_model
from tests.unit.trl_reference import make_rloo_trainer, make_trainer

LOW, HIGH, MAX_NEW_TOKENS, TEMPERATURE = 0.2, 0.28, 20, 0.7
BOUNDS = {"clip_eps_low": LOW, "clip_eps_high": HIGH}
COMMON = {"epsilon": LOW, "epsilon_high": HIGH, "max_completion_length": MAX_NEW_TOKENS, "temperature": TEMPERATURE}

Case = tuple[AlgoTable, Callable[..., Any], dict[str, Any]]
CASES: dict[str, Case] = {
    "grpo": (AlgoTable(name="grpo", **BOUNDS), make_trainer, {"loss_type": "grpo"}),
    "grpo with a reference model": (
        AlgoTable(name="grpo", kl_coef=0.3, **BOUNDS),
        make_trainer,
        {"loss_type": "grpo"},
    ),
    "dr_grpo": (AlgoTable(name="dr_grpo", **BOUNDS), make_trainer, {"loss_type": "dr_grpo"}),
    "dapo": (AlgoTable(name="dapo", **BOUNDS), make_trainer, {"loss_type": "dapo"}),
    "sgpo": (AlgoTable(name="sgpo", **BOUNDS), make_trainer, {"loss_type": "dapo"}),
    "gspo": (
        AlgoTable(name="grpo", ratio="sequence", **BOUNDS),
        make_trainer,
        {"loss_type": "grpo", "importance_sampling_level": "sequence"},
    ),
    "rloo": (AlgoTable(name="rloo", **BOUNDS), make_rloo_trainer, {}),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[AlgoTable, Any]:
    algo, make, settings = CASES[request.param]
    trainer = make(tmp_path, **{"beta": 0.0, **COMMON, **settings})
    trainer.beta = algo.kl_coef  # set afterwards: a trainer made with it would load a reference model by name
    trainer.current_gradient_accumulation_steps = trainer.args.steps_per_generation = 1
    return algo, trainer


def _tensors() -> dict[str, torch.Tensor]:
    """Ratios from 0.5 to 2, so that both bounds cut; every response has a token at least."""
    torch.manual_seed(7)
    old = -3 * torch.rand(5, MAX_NEW_TOKENS)
    mask = torch.arange(MAX_NEW_TOKENS) < torch.tensor([20, 3, 1, 12, 7])[:, None]
    return {
        "logprobs": (old + 1.4 * (torch.rand_like(old) - 0.5)).requires_grad_(),
        "old_logprobs": old,
        "advantages": torch.tensor([1.0, -0.7, 0.4, -1.2, 0.3]),
        "mask": mask,
        "ref_logprobs": old + 0.3 * torch.randn_like(old),
    }


def _ours(algo: AlgoTable, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    lengths = tensors["mask"].sum(1).tolist()
    size = BatchSize(sum(lengths), len(lengths))
    algorithm = algo.resolved
    weights = torch.tensor([[token_weight(algorithm.reduction, size, length, MAX_NEW_TOKENS)] for length in lengths])
    return policy_loss(
        tensors["logprobs"],
        tensors["old_logprobs"],
        tensors["advantages"][:, None].expand_as(tensors["mask"]),
        weights.expand_as(tensors["mask"]),
        tensors["mask"],
        algorithm.clip_eps_low,
        algorithm.clip_eps_high,
        algorithm.ratio,
        tensors["ref_logprobs"] if algo.kl_coef else None,
        algo.kl_coef,
    ).loss


def test_agrees_with_trl_on_the_same_tensors(case: tuple[AlgoTable, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    algo, trainer = case
    tensors = _tensors()
    ids = torch.zeros(5, MAX_NEW_TOKENS, dtype=torch.long)
    inputs = {
        "prompt_ids": ids[:, :1],
        "prompt_mask": torch.ones(5, 1),
        "completion_ids": ids,
        "completion_mask": tensors["mask"].int(),
        "advantages": tensors["advantages"],
        "num_items_in_batch": tensors["mask"].sum(),
        "old_per_token_logps": tensors["old_logprobs"],
        "old_logps": (tensors["old_logprobs"] * tensors["mask"]).sum(1),
        "ref_per_token_logps": tensors["ref_logprobs"],
    }
    given_logprobs = (tensors["logprobs"], torch.zeros_like(tensors["logprobs"]), None)
    monkeypatch.setattr(trainer, "_get_per_token_logps_and_entropies", lambda *_, **__: given_logprobs)
    theirs = trainer._compute_loss(trainer.model, inputs)
    ours = _ours(algo, tensors)
    torch.testing.assert_close(ours, theirs)
    (our_gradient,) = torch.autograd.grad(ours, tensors["logprobs"])
    (their_gradient,) = torch.autograd.grad(theirs, tensors["logprobs"])
    torch.testing.assert_close(our_gradient, their_gradient)


@pytest.mark.parametrize("old_logprobs", [True, False])
def test_agrees_with_trl_from_tokens_to_the_gradients_of_the_weights(old_logprobs: bool, tmp_path: Path) -> None:
    """TRL pads prompts on the left and uses a mask; the micro-batches here pad on the right and use none."""
    trainer = make_trainer(tmp_path, loss_type="dapo", beta=0.0, **COMMON)
    trainer.current_gradient_accumulation_steps = trainer.args.steps_per_generation = 1
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
        "advantages": torch.tensor([example.advantages[0] for example in examples]),
        "num_items_in_batch": torch.tensor(num_tokens),
    }
    if old_logprobs:
        inputs["old_per_token_logps"] = pad([torch.tensor(example.old_logprobs) for example in examples], "right")
    trainer.model.zero_grad()
    trainer._compute_loss(trainer.model, inputs).backward()
    model = tiny_model()
    for batch in make_micro_batches(examples, 64, lambda _: 1 / num_tokens):
        logprobs = response_logprobs(model, batch, TEMPERATURE).logprobs
        columns = (batch.old_logprobs, batch.advantages, batch.weights, batch.response_mask)
        policy_loss(logprobs, *columns, LOW, HIGH).loss.backward()
    theirs = dict(trainer.model.named_parameters())
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().max() > 1e-4
        torch.testing.assert_close(parameter.grad, theirs[name].grad, rtol=1e-3, atol=2e-5)
