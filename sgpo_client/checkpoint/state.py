"""What a checkpoint holds of a policy and its optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict
from torch.optim import Optimizer
from transformers import PreTrainedModel


def optimizer_state_of(policy: PreTrainedModel, optimizer: Optimizer) -> dict[str, Any]:
    """State and settings of the optimiser, with the state of one that has not stepped yet at its start."""
    if not optimizer.state:
        # PyTorch makes the state by a step with gradients of 0, and leaves it counted: Adam's bias correction of
        # every later step would be that of a run which is one step ahead.
        get_optimizer_state_dict(policy, optimizer)
        for state in optimizer.state.values():
            for value in state.values():
                value.zero_()
    optimizer_state: dict[str, Any] = get_optimizer_state_dict(policy, optimizer)
    return optimizer_state


def tensors(policy: PreTrainedModel, optimizer_state: Mapping[str, Any]) -> dict[str, Any]:
    """What DCP writes and reads in place: this rank's shards of what is trained, weights that modules share once."""
    weights = {name: parameter.detach() for name, parameter in policy.named_parameters() if parameter.requires_grad}
    return {"model": weights, "optimizer": optimizer_state["state"]}


def shapes(policy: PreTrainedModel) -> dict[str, list[int]]:
    """By which a checkpoint of another model is told."""
    return {name: list(parameter.shape) for name, parameter in policy.named_parameters()}
