"""Checkpoints of a sharded run: weights, optimiser, each rank's random state and the caller's own state.

A checkpoint is a folder ``step-000010``. It is written as ``step-000010.tmp`` and renamed when all ranks are done, so
a run that is killed while it writes, or meets a full disk, keeps the former one. Of a model with adapters only these
are written. Nothing in it is unpickled freely: loading runs no code.
"""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import set_optimizer_state_dict
from torch.optim import Optimizer
from transformers import PreTrainedModel

from sgpo_client.checkpoint import rng
from sgpo_client.checkpoint.dcp_reader import SafeReader
from sgpo_client.checkpoint.state import optimizer_state_of, shapes, tensors
from sgpo_client.checkpoint.writer import FORMAT, METADATA, rank_name, step_name, steps_in
from sgpo_client.errors import CheckpointError
from sgpo_client.ranks.agreement import together

logger = logging.getLogger(__name__)

_DAMAGE = (OSError, RuntimeError, EOFError, pickle.UnpicklingError)


@dataclass(frozen=True, slots=True)
class Restored:
    """What `load` gives back besides the weights, optimiser and random state that it has put in place."""

    step: int
    extra: dict[str, Any]
    """What this rank gave to `save`."""


def latest(folder: Path) -> int | None:
    """Step of the newest complete checkpoint; None when there is none."""
    steps = steps_in(folder)
    return steps[-1] if steps else None


def load(folder: Path, step: int, policy: PreTrainedModel, optimizer: Optimizer, *, fingerprint: str) -> Restored:
    """Put a checkpoint's state into ``policy``, ``optimizer`` and this process's random generators.

    With another number of ranks weights and optimiser are redistributed; the random state is left alone, and every
    rank gets rank 0's ``extra``.

    Raises:
        CheckpointError: when it is missing, damaged, or belongs to another model or configuration.
    """
    source = folder / step_name(step)
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
        optimizer_state = optimizer_state_of(policy, optimizer)
        dcp.load(tensors(policy, optimizer_state), storage_reader=SafeReader(source))
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


def _read_rank(source: Path, rank: int) -> dict[str, Any]:
    """What one rank gave to `save`."""
    try:
        own: dict[str, Any] = torch.load(source / rank_name(rank), weights_only=True)
    except _DAMAGE as error:
        raise _damaged(source, error) from error
    return own


def _damaged(source: Path, error: BaseException) -> CheckpointError:
    return CheckpointError(
        f"{source}: damaged checkpoint ({type(error).__name__}); remove the folder to go on from a former one"
    )


def _read_metadata(source: Path) -> dict[str, Any]:
    try:
        metadata = json.loads((source / METADATA).read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{source}: no such checkpoint, or it is incomplete") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{source / METADATA}: cannot be read: {error}") from error
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise CheckpointError(f"{source / METADATA}: not a checkpoint of this version (format {FORMAT})")
    return metadata


def _check_same_run(source: Path, metadata: Mapping[str, Any], policy: PreTrainedModel, fingerprint: str) -> None:
    present, saved = shapes(policy), metadata["parameters"]
    for name in sorted(present.keys() | saved.keys()):
        if present.get(name) != saved.get(name):
            raise CheckpointError(
                f"{source}: made with another model: {name} is {saved.get(name, 'absent')} there and "
                f"{present.get(name, 'absent')} here; set model.name and model.lora to those of that run, or "
                "run.output_dir to another folder"
            )
    if metadata["fingerprint"] != fingerprint:
        raise CheckpointError(
            f"{source}: made with another configuration (fingerprint {metadata['fingerprint']}, this run has "
            f"{fingerprint}); resume with that run's settings, or set run.output_dir to another folder"
        )
