"""LoRA under FSDP2 on one and two ranks: gradients, merged weights, checkpoints and exports against PEFT by value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from torch.optim import AdamW
from transformers import AutoModelForCausalLM, PreTrainedModel

from sgpo_client.checkpoint import checkpoint
from sgpo_client.checkpoint.writer import CheckpointWriter
from sgpo_client.errors import CheckpointError, ModelError
from sgpo_client.logprobs import response_logprobs
from sgpo_client.lora import adapter_weights, add_adapters
from sgpo_client.loss import policy_loss
from sgpo_client.microbatch import make_micro_batches
from sgpo_client.model import export
from sgpo_client.ranks.distributed import World
from sgpo_client.ranks.fsdp import Sharding, begin_micro_batch, copy_weights, full_parameters, shard, whole
from sgpo_client.settings.model import LoraTable
from tests.distributed.spawn import run_here, run_ranks
from tests.distributed.tiny import make_examples, tiny_model
from tests.unit.test_policy_model import _tokenizer

TABLE = LoraTable(r=3, alpha=5, target_modules=["q_proj", "down_proj"])
Weights = dict[str, torch.Tensor]


def adapted(seed: int = 7) -> PreTrainedModel:
    """A tiny policy with adapters that have an effect: B is not 0."""
    model = tiny_model()
    torch.manual_seed(seed)
    add_adapters(model, TABLE, "tiny")
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def backward(model: PreTrainedModel, rank: int | None) -> None:
    """Gradients of one rank's half of the examples, or of all."""
    examples = make_examples(6)
    num_tokens = sum(len(example.response_ids) for example in examples)
    mine = examples if rank is None else examples[rank::2]
    (batch,) = make_micro_batches(mine, 1000, lambda _: 1 / num_tokens)
    logprobs = response_logprobs(model, batch, 1.0).logprobs
    policy_loss(logprobs, None, batch.advantages, batch.weights, batch.response_mask, 0.2, 0.2).loss.backward()


def _start(world: World, seed: int = 7) -> tuple[PreTrainedModel, AdamW]:
    policy = shard(adapted(seed), world, Sharding())
    return policy, AdamW([each for each in policy.parameters() if each.requires_grad], lr=0.01, weight_decay=0.1)


def _step(policy: PreTrainedModel, optimizer: AdamW, world: World) -> Weights:
    begin_micro_batch(policy, Sharding(), is_last=True)
    backward(policy, world.rank if world.size == 2 else None)
    gradients = {name: whole(p.grad).clone() for name, p in policy.named_parameters() if p.grad is not None}
    optimizer.step()
    optimizer.zero_grad()
    return gradients


def _everything(world: World, folder: Path) -> dict[str, Any]:
    policy, optimizer = _start(world)
    found: dict[str, Any] = {"start": dict(full_parameters(policy, torch.float32))}
    found["gradients"] = _step(policy, optimizer, world)
    CheckpointWriter(folder / "checkpoints", fingerprint="f", keep=1).save(1, policy, optimizer)
    sampler = tiny_model(seed=3)
    copy_weights(policy, sampler)
    found["sampler"] = sampler.state_dict()
    found["frozen"] = {name: whole(p.detach()) for name, p in policy.named_parameters() if "lora_" not in name}
    tokenizer = _tokenizer()
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    export(policy, tokenizer, folder / "model", torch.float32)
    _step(policy, optimizer, world)
    found["next"] = {name: whole(value).clone() for name, value in adapter_weights(policy)}
    resumed = _start(world, seed=11)
    checkpoint.load(folder / "checkpoints", 1, *resumed, fingerprint="f")
    _step(*resumed, world)
    found["resumed"] = {name: whole(value).clone() for name, value in adapter_weights(resumed[0])}
    return found


@pytest.fixture(scope="module", params=[1, 2])
def outcome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict], Path]:
    """What each rank found, and the folder that they wrote to."""
    folder = tmp_path_factory.mktemp(f"lora-{request.param}")
    if request.param == 1:
        return [run_here(_everything, folder)], folder
    return run_ranks(2, _everything, folder, folder=folder / "ranks"), folder


def plain_peft() -> PeftModel:
    """PEFT's own model with the same adapters, not sharded."""
    config = LoraConfig(r=3, lora_alpha=5, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")
    model = get_peft_model(tiny_model(), config)
    values = dict(adapted().named_parameters())
    for name, parameter in model.base_model.model.named_parameters():
        parameter.data = values[name].detach().clone()
    return model


def test_gradients_are_those_of_a_plain_peft_model_and_only_of_adapters(outcome: tuple[list[dict], Path]) -> None:
    model = plain_peft()
    backward(model.base_model.model, None)
    expected = {name: p.grad for name, p in model.base_model.model.named_parameters() if p.grad is not None}
    for found in outcome[0]:
        assert found["gradients"].keys() == expected.keys()
        assert len(expected) == 2 * 2 * 2  # A and B of two layers in two blocks
        for name, gradient in expected.items():
            assert gradient.abs().max() > 1e-4
            torch.testing.assert_close(found["gradients"][name], gradient, rtol=1e-4, atol=1e-6)


def test_merged_weights_are_those_of_peft(outcome: tuple[list[dict], Path]) -> None:
    merged = plain_peft().merge_and_unload()
    for found in outcome[0]:
        _assert_close(found["start"], dict(merged.named_parameters()))
        base = tiny_model().state_dict()
        assert all(torch.equal(value, base[name.replace(".base_layer", "")]) for name, value in found["frozen"].items())


def test_sampler_and_exports_hold_the_trained_adapters(outcome: tuple[list[dict], Path], tmp_path: Path) -> None:
    ranks, folder = outcome
    tiny_model().save_pretrained(tmp_path / "base")
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    merged = PeftModel.from_pretrained(base, folder / "adapter").merge_and_unload()
    exported = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)
    _assert_close(dict(exported.named_parameters()), dict(merged.named_parameters()))
    for found in ranks:
        _assert_close(found["sampler"], exported.state_dict())
        assert not torch.equal(
            found["sampler"]["model.layers.0.self_attn.q_proj.weight"],
            found["start"]["model.layers.0.self_attn.q_proj.weight"],
        )


def test_a_resumed_run_takes_the_same_step_and_only_adapters_are_saved(outcome: tuple[list[dict], Path]) -> None:
    ranks, folder = outcome
    for found in ranks:
        assert all(torch.equal(found["resumed"][name], value) for name, value in found["next"].items())
    assert found["next"].keys() == load_file(folder / "adapter" / "adapter_model.safetensors").keys()
    tensors = checkpoint.SafeReader(folder / "checkpoints" / "step-000001").read_metadata().state_dict_metadata
    assert len([name for name in tensors if name.startswith("model.")]) == len(found["next"])


def test_a_checkpoint_without_adapters_does_not_fit(outcome: tuple[list[dict], Path]) -> None:
    def load(world: World) -> None:
        policy = shard(tiny_model(), world, Sharding())
        checkpoint.load(outcome[1] / "checkpoints", 1, policy, AdamW(policy.parameters()), fingerprint="f")

    with pytest.raises(CheckpointError, match=r"model\.lora"):
        run_here(load)


def _assert_close(actual: Weights, expected: Weights) -> None:
    names = actual.keys() & expected.keys()  # the tied head has a name in a state dict and none among parameters
    assert len(names) >= len(expected) - 1
    for name in names:
        torch.testing.assert_close(actual[name], expected[name], rtol=1e-5, atol=1e-6)


def test_all_linear_leaves_the_head_alone() -> None:
    model = tiny_model(tied=False)
    add_adapters(model, LoraTable(r=2), "tiny")
    adapted_names = {name.split(".lora_")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert {name.rpartition(".")[2] for name in adapted_names} == {
        *("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    }
    assert len(adapted_names) == 14


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (["q_pro", "v_proj"], ["'q_pro'", "you may mean 'q_proj'", "down_proj, gate_proj", "all-linear"]),
        (["lm_head"], ["'lm_head'", "choose from"]),
        ([], ["empty list", "choose from"]),
    ],
)
def test_targets_that_do_not_exist_are_refused_with_those_that_do(targets: list[str], words: list[str]) -> None:
    with pytest.raises(ModelError) as caught:
        add_adapters(tiny_model(), LoraTable(target_modules=targets), "tiny")
    assert all(word in str(caught.value) for word in ["model.lora.target_modules", *words]), caught.value
