"""Writing checkpoints, at once or while training goes on; see `sgpo_client.checkpoint.checkpoint` for what they are."""

from __future__ import annotations

import io
import json
import logging
import re
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException
from torch.optim import Optimizer
from transformers import PreTrainedModel

from sgpo_client.checkpoint import rng
from sgpo_client.checkpoint.folders import put_in_place, temporary_sibling
from sgpo_client.checkpoint.state import optimizer_state_of, shapes, tensors
from sgpo_client.errors import CheckpointError
from sgpo_client.ranks.agreement import together
from sgpo_client.ranks.distributed import barrier

logger = logging.getLogger(__name__)

METADATA = "metadata.json"
FORMAT = 1
_STEP_NAME = re.compile(r"step-(\d{6,})")
_FAULTS = (OSError, RuntimeError, CheckpointException)


class CheckpointWriter:
    """Writes ``folder/step-XXXXXX``, one after the other. All ranks make it and call it; they share the file system.

    Args:
        folder: of all checkpoints of the run.
        fingerprint: of the configuration; loading refuses a checkpoint with another one.
        keep: how many of the newest checkpoints remain, >= 1.
        background: write while training goes on, from a copy in the CPU's memory.
    """

    def __init__(self, folder: Path, *, fingerprint: str, keep: int, background: bool = False) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._keep = keep
        # A group of its own: collectives of the writing thread must not get between those of training.
        self._group = dist.new_group(backend="gloo") if background else None
        self._finisher = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None
        self._newest: Path | None = None

    def save(
        self, step: int, policy: PreTrainedModel, optimizer: Optimizer, extra: Mapping[str, Any] | None = None
    ) -> None:
        """Write a checkpoint; in the background what is written is the state at this moment.

        A step that was written before is left as it is. That the one before could not be written is only logged.

        Args:
            step: steps done.
            policy: sharded.
            optimizer: over the policy's parameters.
            extra: this rank's own state: numbers, strings, tensors, and lists, tuples and dicts of them.

        Raises:
            CheckpointError: on all ranks, when it cannot be written; in the background `wait` raises it.
        """
        target = self._folder / step_name(step)
        if target == self._newest:
            return
        try:
            self.wait()
        except CheckpointError as error:
            if dist.get_rank() == 0:
                logger.warning("%s", error)
        temporary = target.with_name(target.name + ".tmp")
        is_main = dist.get_rank() == 0
        _all_or_none(target, lambda: temporary_sibling(target) if is_main else None)
        _all_or_none(target, lambda: _write_rank(temporary, extra or {}))
        optimizer_state = optimizer_state_of(policy, optimizer)
        metadata = {
            "format": FORMAT,
            "step": step,
            "world_size": dist.get_world_size(),
            "fingerprint": self._fingerprint,
            "parameters": shapes(policy),
            "param_groups": optimizer_state["param_groups"],
        }
        state = tensors(policy, optimizer_state)

        def finish() -> None:
            if is_main:
                (temporary / METADATA).write_text(json.dumps(metadata))
                put_in_place(temporary, target)
                self._remove_former()

        if self._group is None:
            _all_or_none(target, lambda: dcp.save(state, checkpoint_id=temporary))
            _all_or_none(target, finish)
        else:
            written = dcp.async_save(state, checkpoint_id=temporary, process_group=self._group)
            self._pending = self._finisher.submit(_after, written, finish)
        self._newest = target

    def wait(self) -> None:
        """Until nothing is being written any more.

        Raises:
            CheckpointError: on all ranks, when it could not be written.
        """
        pending, self._pending = self._pending, None
        if pending is not None and self._newest is not None:
            target, self._newest = self._newest, None
            _all_or_none(target, pending.result)
            self._newest = target

    def _remove_former(self) -> None:
        for former in steps_in(self._folder)[: -self._keep]:
            shutil.rmtree(self._folder / step_name(former))


def step_name(step: int) -> str:
    """Name of a checkpoint's folder."""
    return f"step-{step:06d}"


def rank_name(rank: int) -> str:
    """Name of the file with a rank's own state."""
    return f"rank-{rank:05d}.pt"


def steps_in(folder: Path) -> list[int]:
    """Steps of the complete checkpoints, in order."""
    if not folder.is_dir():
        return []
    matches = [_STEP_NAME.fullmatch(path.name) for path in folder.iterdir()]
    return sorted(int(match[1]) for match in matches if match and (folder / match[0] / METADATA).is_file())


def _after(written: Future[Any], finish: Callable[[], None]) -> None:
    written.result()
    finish()


def _write_rank(folder: Path, extra: Mapping[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save({"rng": rng.get_state(), "extra": dict(extra)}, buffer)
    (folder / rank_name(dist.get_rank())).write_bytes(buffer.getvalue())


def _all_or_none(target: Path, work: Callable[[], Any]) -> None:
    """Run ``work`` on every rank; when it fails on any, remove what was written and raise on all."""

    def attempt() -> None:
        try:
            work()
        except _FAULTS as error:
            raise CheckpointError(
                f"{target}: cannot be written ({_cause(error)}); checkpoints of before are still there. Make room, or "
                "set run.output_dir to a folder on another disk"
            ) from error

    try:
        together(attempt)
    except CheckpointError:
        if dist.get_rank() == 0:
            shutil.rmtree(target.with_name(target.name + ".tmp"), ignore_errors=True)
        barrier()
        raise


def _cause(error: BaseException) -> str:
    """The first rank's own error, without DCP's wrapping and without its traceback."""
    if isinstance(error, CheckpointException) and error.failures:
        error = next(iter(error.failures.values()))[0]
    if "inline_container" in str(error):  # what torch's file format makes of a write that failed
        return "a file could not be written whole: the disk is full, or files may not become this large"
    return str(error).strip().split("\n")[0] or type(error).__name__
