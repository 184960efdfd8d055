"""Checkpoints of a sharded run: weights, optimiser, each rank's random state and the caller's own state.

A checkpoint is a folder ``step-000010``. It is written as ``step-000010.tmp`` and renamed when all ranks are done, so
a run that is killed while it writes keeps the former one. Nothing in it is unpickled freely: loading runs no code.
"""

from __future__ import annotations

import json
import logging
import pickle
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
from torch.optim import Optimizer
from transformers import PreTrainedModel

from sgpo_client import rng
from sgpo_client.agreement import together
from sgpo_client.dcp_reader import SafeReader
from sgpo_client.distributed import barrier
from sgpo_client.errors import CheckpointError
from sgpo_client.folders import put_in_place, temporary_sibling

logger = logging.getLogger(__name__)

_STEP_NAME = re.compile(r"step-(\d{6,})")
_METADATA = "metadata.json"
_FORMAT = 1
_DAMAGE = (OSError, RuntimeError, EOFError, pickle.UnpicklingError)


@dataclass(frozen=True, slots=True)
class Restored:
    """What `load` gives back besides the weights, optimiser and random state that it has put in place."""

    step: int
    extra: dict[str, Any]
    """What this rank gave to `save`."""


def save(
    folder: Path,
    step: int,
    policy: PreTrainedModel,
    optimizer: Optimizer,
    extra: Mapping[str, Any],
    *,
    fingerprint: str,
    keep: int,
) -> Path:
    """Write ``folder/step-XXXXXX``. All ranks must call it; they share the file system.

    Args:
        folder: of all checkpoints of the run.
        step: steps done.
        policy: sharded.
        optimizer: over the policy's parameters.
        extra: this rank's own state: numbers, strings, tensors, and lists, tuples and dicts of them.
        fingerprint: of the configuration; `load` refuses a checkpoint with another one.
        keep: how many of the newest checkpoints remain, >= 1.
    """
    target = folder / f"step-{step:06d}"
    is_main = dist.get_rank() == 0
    if is_main:
        temporary_sibling(target)
    barrier()
    temporary = target.with_name(target.name + ".tmp")
    optimizer_state = _optimizer_state(policy, optimizer)
    dcp.save(_tensors(policy, optimizer_state), checkpoint_id=temporary)
    torch.save({"rng": rng.get_state(), "extra": dict(extra)}, temporary / _rank_name(dist.get_rank()))
    barrier()
    if is_main:
        metadata = {
            "format": _FORMAT,
            "step": step,
            "world_size": dist.get_world_size(),
            "fingerprint": fingerprint,
            "parameters": _shapes(policy),
            "param_groups": optimizer_state["param_groups"],
        }
        (temporary / _METADATA).write_text(json.dumps(metadata))
        put_in_place(temporary, target)
        for former in _steps(folder)[:-keep]:
            shutil.rmtree(folder / f"step-{former:06d}")
    barrier()
    return target


def latest(folder: Path) -> int | None:
    """Step of the newest complete checkpoint; None when there is none."""
    steps = _steps(folder)
    return steps[-1] if steps else None


def load(folder: Path, step: int, policy: PreTrainedModel, optimizer: Optimizer, *, fingerprint: str) -> Restored:
    """Put a checkpoint's state into ``policy``, ``optimizer`` and this process's random generators.

    With another number of ranks weights and optimiser are redistributed; the random state is left alone, and every
    rank gets rank 0's ``extra``.

    Raises:
        CheckpointError: when it is missing, damaged, or belongs to another model or configuration.
    """
    source = folder / f"step-{step:06d}"
    metadata = _read_metadata(source)
    _check_same_run(source, metadata, policy, fingerprint)
    same_ranks = metadata["world_size"] == dist.get_world_size()
    if not same_ranks:
        logger.warning(
            "%s was written by %s ranks and is read by %s: sampling goes on with other random numbers",
            source,
            metadata["world_size"],
            dist.get_world_size(),
        )
    own = together(lambda: _read_rank(source, dist.get_rank() if same_ranks else 0))
    try:
        optimizer_state = get_optimizer_state_dict(policy, optimizer)
        dcp.load(_tensors(policy, optimizer_state), storage_reader=SafeReader(source))
    except (*_DAMAGE, CheckpointException) as error:
        raise _damaged(source, error) from error
    # DCP has read into the weights and the optimiser's tensors in place; this hands the optimiser its settings too.
    param_groups = [{**group, "betas": tuple(group["betas"])} for group in metadata["param_groups"]]
    set_optimizer_state_dict(
        policy, optimizer, optim_state_dict={"state": optimizer_state["state"], "param_groups": param_groups}
    )
    if same_ranks:
        rng.set_state(own["rng"])
    return Restored(step=metadata["step"], extra=own["extra"])


def _steps(folder: Path) -> list[int]:
    """Steps of the complete checkpoints, in order."""
    if not folder.is_dir():
        return []
    matches = [_STEP_NAME.fullmatch(path.name) for path in folder.iterdir()]
    return sorted(int(match[1]) for match in matches if match and (folder / match[0] / _METADATA).is_file())


def _optimizer_state(policy: PreTrainedModel, optimizer: Optimizer) -> dict[str, Any]:
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


def _read_rank(source: Path, rank: int) -> dict[str, Any]:
    """What one rank gave to `save`."""
    try:
        own: dict[str, Any] = torch.load(source / _rank_name(rank), weights_only=True)
    except _DAMAGE as error:
        raise _damaged(source, error) from error
    return own


def _damaged(source: Path, error: BaseException) -> CheckpointError:
    return CheckpointError(
        f"{source}: damaged checkpoint ({type(error).__name__}); remove the folder to go on from a former one"
    )


def _tensors(policy: PreTrainedModel, optimizer_state: Mapping[str, Any]) -> dict[str, Any]:
    """What DCP writes and reads in place: shards of this rank, weights that modules share once."""
    weights = {name: parameter.detach() for name, parameter in policy.named_parameters()}
    return {"model": weights, "optimizer": optimizer_state["state"]}


def _shapes(policy: PreTrainedModel) -> dict[str, list[int]]:
    return {name: list(parameter.shape) for name, parameter in policy.named_parameters()}


def _rank_name(rank: int) -> str:
    return f"rank-{rank:05d}.pt"


def _read_metadata(source: Path) -> dict[str, Any]:
    try:
        metadata = json.loads((source / _METADATA).read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{source}: no such checkpoint, or it is incomplete") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{source / _METADATA}: cannot be read: {error}") from error
    if not isinstance(metadata, dict) or metadata.get("format") != _FORMAT:
        raise CheckpointError(f"{source / _METADATA}: not a checkpoint of this version (format {_FORMAT})")
    return metadata


def _check_same_run(source: Path, metadata: Mapping[str, Any], policy: PreTrainedModel, fingerprint: str) -> None:
    present, saved = _shapes(policy), metadata["parameters"]
    for name in sorted(present.keys() | saved.keys()):
        if present.get(name) != saved.get(name):
            raise CheckpointError(
                f"{source}: made with another model: {name} is {saved.get(name, 'absent')} there and "
                f"{present.get(name, 'absent')} here; set model.name to the model of that run, or run.output_dir to "
                "another folder"
            )
    if metadata["fingerprint"] != fingerprint:
        raise CheckpointError(
            f"{source}: made with another configuration (fingerprint {metadata['fingerprint']}, this run has "
            f"{fingerprint}); resume with that run's settings, or set run.output_dir to another folder"
        )
