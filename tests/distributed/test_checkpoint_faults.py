"""Checkpoints that meet a full disk or a kill -9 while they are written, at once or in the background."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch.distributed.checkpoint import FileSystemWriter
from torch.optim import AdamW, Optimizer
from transformers import PreTrainedModel

from sgpo_client.checkpoint import checkpoint
from sgpo_client.checkpoint.writer import CheckpointWriter
from sgpo_client.errors import CheckpointError
from sgpo_client.ranks.distributed import World
from sgpo_client.ranks.fsdp import Sharding, full_parameters, shard
from tests.distributed.spawn import run_here, run_ranks
from tests.distributed.tiny import tiny_model

Parts = tuple[PreTrainedModel, Optimizer]
Weights = dict[str, torch.Tensor]


def _start(world: World, seed: int = 0) -> Parts:
    policy = shard(tiny_model(seed=seed), world, Sharding())
    return policy, AdamW(policy.parameters(), lr=0.1)


def _writer(folder: Path, *, background: bool) -> CheckpointWriter:
    return CheckpointWriter(folder, fingerprint="f", keep=1, background=background)


def _change(parts: Parts) -> None:
    for parameter in parts[0].parameters():
        parameter.grad = torch.ones_like(parameter)
    parts[1].step()


def _weights(parts: Parts) -> Weights:
    return {name: value.clone() for name, value in full_parameters(parts[0], torch.float32)}


def _loaded(folder: Path, step: int, world: World) -> Weights:
    parts = _start(world, seed=5)
    checkpoint.load(folder, step, *parts, fingerprint="f")
    return _weights(parts)


@contextmanager
def _full_disk() -> Iterator[None]:
    """No file of this process may grow beyond 8 KiB: a write fails as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _fill_the_disk(world: World, folder: Path, background: bool) -> dict[str, Any]:
    parts, writer = _start(world), _writer(folder, background=background)
    writer.save(1, *parts)
    writer.wait()
    first = _weights(parts)
    _change(parts)
    message = ""
    # Results of a rank come back through a file as well: the limit ends with the block.
    with _full_disk() if world.rank == world.size - 1 else patch.dict({}):
        try:
            writer.save(2, *parts)
            writer.wait()
        except CheckpointError as error:
            message = str(error)
    found = {"message": message, "left": sorted(path.name for path in folder.iterdir()), "first": first}
    found["loaded"] = _loaded(folder, 1, world)
    writer.save(2, *parts)  # there is room again
    writer.wait()
    return found | {"second": _weights(parts), "again": _loaded(folder, 2, world)}


@pytest.mark.slow
@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("num_ranks", [1, 2])
def test_on_a_full_disk_the_former_checkpoint_survives(num_ranks: int, background: bool, tmp_path: Path) -> None:
    """With two ranks the disk is full for the second only, and both hear of it."""
    folder = tmp_path / "checkpoints"
    if num_ranks == 1:
        results = [run_here(_fill_the_disk, folder, background)]
    else:
        results = run_ranks(2, _fill_the_disk, folder, background, folder=tmp_path / "ranks")
    for found in results:
        assert "step-000002: cannot be written (" in found["message"]
        assert "run.output_dir" in found["message"]
        assert found["left"] == ["step-000001"]
        assert all(torch.equal(found["loaded"][name], value) for name, value in found["first"].items())
        assert all(torch.equal(found["again"][name], value) for name, value in found["second"].items())


def test_a_checkpoint_in_the_background_holds_the_state_of_its_moment(tmp_path: Path) -> None:
    """Writing waits until the weights have changed."""

    def save(world: World) -> tuple[Weights, Weights, Weights]:
        parts, writer = _start(world), _writer(tmp_path, background=True)
        _change(parts)
        at_save = _weights(parts)
        changed = multiprocessing.Event()
        own = FileSystemWriter.write_data

        def late(self: FileSystemWriter, *args: Any) -> Any:
            assert changed.wait(60)
            return own(self, *args)

        with patch.object(FileSystemWriter, "write_data", late):
            writer.save(3, *parts)
            assert checkpoint.latest(tmp_path) is None
            _change(parts)
            changed.set()
            writer.wait()
        assert checkpoint.latest(tmp_path) == 3
        return at_save, _loaded(tmp_path, 3, world), _weights(parts)

    at_save, loaded, after = run_here(save)
    for name, value in at_save.items():
        assert torch.equal(loaded[name], value)
        assert not torch.equal(after[name], value)


def _hang_while_writing(folder: Path, background: bool, ready: Connection) -> None:
    def hang(*_args: Any, **_kwargs: Any) -> None:
        ready.send("writing")
        ready.recv()  # never comes

    def save(world: World) -> None:
        parts, writer = _start(world), _writer(folder, background=background)
        writer.save(1, *parts)
        writer.wait()
        with patch.object(FileSystemWriter, "finish", hang):
            writer.save(2, *parts)
            writer.wait()

    run_here(save)


@pytest.mark.slow
@pytest.mark.parametrize("background", [False, True])
def test_a_process_killed_while_it_writes_leaves_the_former_checkpoint(background: bool, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    ours, its = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_hang_while_writing, args=(folder, background, its))
    process.start()
    its.close()  # so that the end of the process ends the wait
    try:
        assert ours.poll(200)
        assert ours.recv() == "writing"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    assert (folder / "step-000002.tmp").is_dir()
    assert checkpoint.latest(folder) == 1

    def go_on(world: World) -> Weights:
        loaded = _loaded(folder, 1, world)
        parts = _start(world)
        writer = _writer(folder, background=background)
        writer.save(2, *parts)
        writer.wait()
        return loaded

    expected = dict(tiny_model().named_parameters())
    assert all(torch.equal(value, expected[name]) for name, value in run_here(go_on).items())
    assert [path.name for path in folder.iterdir()] == ["step-000002"]
