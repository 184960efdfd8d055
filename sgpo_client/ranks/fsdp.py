"""FSDP2: float32 master weights sharded over ranks, gradients as plain sums, and gathered weights for sampling."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from transformers import PreTrainedModel

from sgpo_client.errors import ModelError
from sgpo_client.lora import plain_weights
from sgpo_client.ranks.distributed import World


@dataclass(frozen=True, slots=True)
class Sharding:
    """How the policy is sharded.

    >>> Sharding(param_dtype=torch.bfloat16).reshard
    False
    """

    param_dtype: torch.dtype = torch.float32
    """Precision of forward and backward. Master weights, gradient sums over ranks and the optimiser are float32."""
    reshard: bool = False
    """False gathers weights and reduces gradients once per step: fastest, every rank holds a whole copy of the
    weights and of their float32 gradients meanwhile. True does both for every block of every micro-batch."""


def shard(model: PreTrainedModel, world: World, sharding: Sharding) -> PreTrainedModel:
    """Shard in place, one unit per transformer block and one for the rest, over all ranks (also when there is one).

    Embeddings and output head stay in the same, outermost unit, so weights that they share remain one parameter.
    Gradients become plain sums over ranks: divide the loss by global counts. Create the optimiser afterwards.

    Raises:
        ModelError: when the model does not name its block classes.
    """
    mesh = init_device_mesh(world.device.type, (world.size,))
    policy = MixedPrecisionPolicy(param_dtype=sharding.param_dtype, reduce_dtype=torch.float32)
    for module in (*blocks_of(model), model):
        fully_shard(module, mesh=mesh, mp_policy=policy, reshard_after_forward=sharding.reshard)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            # A factor other than the default makes FSDP ask for a pre-multiplied sum, which gloo does not know.
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
    return model


def blocks_of(model: PreTrainedModel) -> list[nn.Module]:
    """The transformer blocks, in order.

    Raises:
        ModelError: when the model does not name their classes.
    """
    names = set(model._no_split_modules or ())
    blocks = [module for module in model.modules() if type(module).__name__ in names]
    if not blocks:
        raise ModelError(
            f"model.name: {type(model).__name__} does not name its transformer blocks (_no_split_modules), so it "
            "cannot be sharded; choose a causal language model of the transformers library"
        )
    return blocks


def begin_micro_batch(model: PreTrainedModel, sharding: Sharding, *, is_last: bool) -> None:
    """Call before the forward pass of every micro-batch of a step; all ranks give the same ``is_last``.

    Before the last one gradients stay on their rank (summed in float32) and weights stay gathered.
    """
    model.set_is_last_backward(is_last)
    model.set_requires_gradient_sync(is_last or sharding.reshard)
    model.set_reshard_after_backward(is_last or sharding.reshard)


def free_gathered(model: nn.Module) -> None:
    """Give up gathered weights after forward passes that no backward pass follows; all ranks must call it.

    Until then the model's parameters are not those that the optimiser and checkpoints know.
    """
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def clip_grad_norm(model: nn.Module, max_norm: float) -> float:
    """Scale the gradients so that their L2 norm over all ranks is at most ``max_norm``; returns the norm before."""
    parameters = [parameter for parameter in model.parameters() if parameter.grad is not None]
    norm = get_total_norm([parameter.grad for parameter in parameters])
    if isinstance(norm, DTensor):
        norm = norm.full_tensor()
    clip_grads_with_norm_(parameters, max_norm, norm)
    return float(norm)


def full_parameters(model: nn.Module, dtype: torch.dtype) -> Iterator[tuple[str, torch.Tensor]]:
    """Name and whole value of each parameter in ``dtype``, one at a time; shared weights once. All ranks must iterate.

    Adapters are merged: names and values are those of the plain model. Shards are converted before they are gathered:
    a bfloat16 copy costs half the traffic.
    """
    for name, value in plain_weights(model):
        yield name, whole(value.to(dtype))


def whole(value: torch.Tensor) -> torch.Tensor:
    """A tensor gathered from its shards; all ranks must call it."""
    return value.full_tensor() if isinstance(value, DTensor) else value


@torch.no_grad()  # type: ignore[untyped-decorator]
def copy_weights(policy: nn.Module, target: nn.Module) -> None:
    """Copy the weights of the sharded policy into a plain model of the same architecture on every rank."""
    parameters = dict(target.named_parameters())
    dtype = next(iter(parameters.values())).dtype
    for name, value in full_parameters(policy, dtype):
        parameters[name].copy_(value)
