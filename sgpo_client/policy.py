"""The policy that is trained: a loaded model with what the settings add to it, sharded."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel
from transformers.utils import is_liger_kernel_available

from sgpo_client.config import TrainConfig
from sgpo_client.errors import ConfigError
from sgpo_client.model import load_policy
from sgpo_client.ranks.distributed import World
from sgpo_client.ranks.fsdp import Sharding, blocks_of, shard
from sgpo_client.ranks.precision import compute_dtype
from sgpo_client.settings.model import ModelTable


def make_policy(config: TrainConfig, world: World) -> tuple[PreTrainedModel, Sharding]:
    """Load the model in float32, add adapters, kernels and recomputation as configured, and shard it.

    Raises:
        ModelError: when the model cannot be loaded or sharded, or lacks what `model.lora` names.
        ConfigError: when a setting needs a GPU or a package that is not there.
    """
    _check_machine(config.model, world)
    model = load_policy(config.model.name, torch.float32)
    if config.model.lora is not None:
        from sgpo_client.lora import add_adapters

        torch.manual_seed(config.run.seed)  # adapters begin at random
        model = add_adapters(model, config.model.lora, config.model.name)
    if config.model.liger:
        from transformers.integrations.liger import apply_liger_kernel

        # Liger's own cross entropy would compute the loss of the model's forward, which is not used here.
        apply_liger_kernel(model, {"cross_entropy": False, "fused_linear_cross_entropy": False})
    model.to(world.device)
    if config.optim.activation_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if config.model.compile:
        for block in blocks_of(model):
            block.compile(dynamic=True)
    sharding = Sharding(compute_dtype(config.model.dtype, world.device), config.optim.reshard)
    return shard(model, world, sharding), sharding


def _check_machine(table: ModelTable, world: World) -> None:
    if world.device.type != "cuda":
        for name in ("compile", "liger"):
            if getattr(table, name):
                raise ConfigError(f"model.{name} = true needs a GPU, and there is none here; leave it out")
    if table.liger and not is_liger_kernel_available():
        raise ConfigError("model.liger = true needs the package liger-kernel: install it, or leave the setting out")
