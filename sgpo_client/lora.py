"""LoRA (arXiv 2106.09685) with PEFT's layers: adapters put into a policy, merged weights, and the adapter's own folder.

The policy stays the transformers model that it was. Under FSDP2 its own weights are sharded without gradients.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.distributed.tensor import DTensor, Replicate
from transformers import PreTrainedModel

from sgpo_client.errors import ModelError
from sgpo_client.settings.model import LoraTable

_ADAPTER = "default"
_BASE = ".base_layer"
"""What PEFT puts into the names of the weights beneath an adapter."""


def add_adapters(model: PreTrainedModel, table: LoraTable, name: str) -> PreTrainedModel:
    """Freeze the weights and put adapters, at first without effect, into the linear layers that ``table`` names.

    Args:
        model: not sharded yet.
        table: rank, scale and targets.
        name: of the model, for the folder of the adapter alone.

    Raises:
        ModelError: when a target is no linear layer of the model; the ones that are are offered.
    """
    from peft import LoraConfig, inject_adapter_in_model  # seconds to import, and few runs need it

    targets = _targets(model, table)
    config = LoraConfig(
        r=table.r,
        lora_alpha=table.alpha,
        lora_dropout=table.dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
        base_model_name_or_path=name,
    )
    inject_adapter_in_model(config, model, adapter_name=_ADAPTER)  # leaves gradients to the adapters alone
    return model


def plain_weights(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Name and value of each parameter as the model without adapters has them, adapters merged into the weights.

    Shared weights come once. Of a sharded model the values are this rank's shards: all ranks must iterate.
    """
    merged = {id(module.base_layer.weight): module for module in model.modules() if hasattr(module, "lora_A")}
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            continue
        module = merged.get(id(parameter))
        yield name.replace(_BASE, ""), parameter.detach() if module is None else _merged(module)


def adapter_weights(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Name, as in PEFT's adapter files, and value of each adapter weight; shards where the model is sharded."""
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            yield f"base_model.model.{name.replace(f'.{_ADAPTER}', '')}", parameter.detach()


def write_adapter(model: PreTrainedModel, weights: dict[str, torch.Tensor], folder: Path) -> None:
    """Write whole `adapter_weights` so that ``PeftModel.from_pretrained(base, folder)`` loads them."""
    model.peft_config[_ADAPTER].save_pretrained(str(folder))
    save_file({name: value.contiguous() for name, value in weights.items()}, folder / "adapter_model.safetensors")


def _merged(module: nn.Module) -> torch.Tensor:
    """W + (alpha / r) B A. Rows of W and of B are sharded alike, so only the small A has to be gathered."""
    a, b = module.lora_A[_ADAPTER].weight.detach(), module.lora_B[_ADAPTER].weight.detach()
    if isinstance(a, DTensor):
        a = a.redistribute(placements=[Replicate()])
    merged: torch.Tensor = module.base_layer.weight.detach() + (b @ a) * module.scaling[_ADAPTER]
    return merged


def _targets(model: PreTrainedModel, table: LoraTable) -> list[str]:
    head = model.get_output_embeddings()
    linear = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head
    }
    if table.target_modules == "all-linear":
        return sorted(linear)
    unknown = sorted(set(table.target_modules) - linear)
    if unknown or not table.target_modules:
        closest = {name: difflib.get_close_matches(name, sorted(linear), n=1) for name in unknown}
        meant = "".join(f"; for {name!r} you may mean {match[0]!r}" for name, match in closest.items() if match)
        raise ModelError(
            f"model.lora.target_modules = {table.target_modules!r}: {type(model).__name__} has no linear layer "
            f"{', '.join(map(repr, unknown)) or 'of that empty list'}{meant}; choose from {', '.join(sorted(linear))}, "
            "or set all-linear"
        )
    return sorted(table.target_modules)
