"""Checkpoints: an interrupted run goes on bit for bit, and what does not fit is refused."""

from __future__ import annotations

import os
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import AdamW, Optimizer
from transformers import PreTrainedModel

from sgpo_client.checkpoint import checkpoint
from sgpo_client.checkpoint.dcp_reader import SafeReader
from sgpo_client.checkpoint.writer import CheckpointWriter
from sgpo_client.errors import CheckpointError
from sgpo_client.logprobs import response_logprobs
from sgpo_client.loss import policy_loss
from sgpo_client.microbatch import make_micro_batches
from sgpo_client.ranks.distributed import World
from sgpo_client.ranks.fsdp import Sharding, begin_micro_batch, full_parameters, shard
from tests.distributed.spawn import run_here, run_ranks
from tests.distributed.tiny import make_examples, tiny_model

FINGERPRINT = "abc"
Parts = tuple[PreTrainedModel, Optimizer]


def _start(world: World, *, lr: float = 1e-2, **model: Any) -> Parts:
    policy = shard(tiny_model(**model), world, Sharding())
    return policy, AdamW(policy.parameters(), lr=lr, weight_decay=0.1)


def _step(world: World, parts: Parts) -> None:
    """A step on data drawn from this rank's own generators, so that their state decides it."""
    policy, optimizer = parts
    seed = random.randrange(1000) + int(np.random.randint(1000)) + int(torch.randint(1000, ()))
    batches = make_micro_batches(make_examples(4, seed=seed + world.rank), 1000, lambda _: 0.01)
    begin_micro_batch(policy, Sharding(), is_last=True)
    (batch,) = batches
    logprobs = response_logprobs(policy, batch, 1.0).logprobs
    policy_loss(logprobs, None, batch.advantages, batch.weights, batch.response_mask, 0.2, 0.2).loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def _seed(world: World) -> None:
    random.seed(world.rank)
    np.random.seed(world.rank)
    torch.manual_seed(world.rank)


def _weights(parts: Parts) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in full_parameters(parts[0], torch.float32)}


def _save(folder: Path, step: int, parts: Parts, world: World, keep: int = 2) -> None:
    extra = {"cursor": step * 10 + world.rank, "table": torch.tensor([world.rank])}
    CheckpointWriter(folder, fingerprint=FINGERPRINT, keep=keep).save(step, *parts, extra)


def _straight(world: World, folder: Path) -> list[dict[str, torch.Tensor]]:
    """Three steps with a checkpoint after each of the first two."""
    parts = _start(world)
    _seed(world)
    after = []
    for step in (1, 2, 3):
        _step(world, parts)
        after.append(_weights(parts))
        if step < 3:
            _save(folder, step, parts, world)
    return after


def _resumed(world: World, folder: Path) -> tuple[list[dict[str, torch.Tensor]], dict[str, Any], float]:
    """In a fresh process, with other initial weights, settings and random state: the checkpoint decides them."""
    parts = _start(world, seed=5, lr=0.5)
    restored = checkpoint.load(folder, 1, *parts, fingerprint=FINGERPRINT)
    assert restored.step == 1
    after = [_weights(parts)]
    for _ in range(2):
        _step(world, parts)
        after.append(_weights(parts))
    return after, restored.extra, parts[1].param_groups[0]["lr"]


def _weights_only(world: World, folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    parts = _start(world, seed=5)
    restored = checkpoint.load(folder, 2, *parts, fingerprint=FINGERPRINT)
    return _weights(parts), restored.extra


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def straight(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, torch.Tensor]]]:
    return run_ranks(2, _straight, folder, folder=tmp_path_factory.mktemp("straight"))


@pytest.mark.slow
def test_a_resumed_run_takes_the_same_steps_bit_for_bit(straight: list, folder: Path, tmp_path: Path) -> None:
    for rank, (after, extra, lr) in enumerate(run_ranks(2, _resumed, folder, folder=tmp_path)):
        assert extra == {"cursor": 10 + rank, "table": torch.tensor([rank])}
        assert lr == 1e-2
        for step in range(3):
            for name, value in straight[rank][step].items():
                assert torch.equal(after[step][name], value), f"step {step + 1}: {name}"
    first, last = straight[0][0], straight[0][2]
    assert all(not torch.equal(first[name], last[name]) for name in first), "the steps changed nothing"


def test_another_number_of_ranks_gets_the_weights(straight: list, folder: Path) -> None:
    weights, extra = run_here(_weights_only, folder)
    assert all(torch.equal(weights[name], value) for name, value in straight[0][1].items())
    assert extra["cursor"] == 20


@pytest.fixture
def world() -> World:
    """A world of one in this process."""
    from sgpo_client.ranks.distributed import init, shutdown

    assert "RANK" not in os.environ
    yield init()
    shutdown()


def test_the_newest_complete_checkpoint_counts_and_old_ones_go(world: World, tmp_path: Path) -> None:
    parts = _start(world)
    folder = tmp_path / "checkpoints"
    assert checkpoint.latest(folder) is None
    for step in (5, 10, 15):
        _save(folder, step, parts, world, keep=2)
    assert sorted(path.name for path in folder.iterdir()) == ["step-000010", "step-000015"]
    # A run killed while it writes leaves a temporary folder; one killed by an older version's bug, no metadata.
    (folder / "step-000020.tmp").mkdir()
    (folder / "step-000025").mkdir()
    assert checkpoint.latest(folder) == 15
    _save(folder, 20, parts, world, keep=1)
    assert checkpoint.latest(folder) == 20
    assert not (folder / "step-000020.tmp").exists()


def test_a_checkpoint_can_be_written_again(world: World, tmp_path: Path) -> None:
    parts = _start(world)
    _save(tmp_path, 5, parts, world)
    _step(world, parts)
    _save(tmp_path, 5, parts, world)
    expected = _weights(parts)
    _step(world, parts)
    checkpoint.load(tmp_path, 5, *parts, fingerprint=FINGERPRINT)
    assert all(torch.equal(value, expected[name]) for name, value in _weights(parts).items())
    assert [path.name for path in tmp_path.iterdir()] == ["step-000005"]


def test_a_checkpoint_before_the_first_step_changes_nothing(world: World, tmp_path: Path) -> None:
    """Adam counts its steps: a checkpoint that counts as one would bend the bias correction of all later ones."""
    straight, saved, resumed = (_start(world) for _ in range(3))
    _save(tmp_path, 0, saved, world)
    checkpoint.load(tmp_path, 0, *resumed, fingerprint=FINGERPRINT)
    for parts in (straight, saved, resumed):
        _seed(world)
        _step(world, parts)
    for parts in (saved, resumed):
        assert all(torch.equal(value, _weights(straight)[name]) for name, value in _weights(parts).items())


def test_what_does_not_fit_is_refused(world: World, tmp_path: Path) -> None:
    parts = _start(world)
    _save(tmp_path, 5, parts, world)
    before = _weights(parts)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        checkpoint.load(tmp_path, 6, *parts, fingerprint=FINGERPRINT)
    with pytest.raises(CheckpointError, match=r"another configuration.*abc.*xyz"):
        checkpoint.load(tmp_path, 5, *parts, fingerprint="xyz")
    wider = _start(world, hidden_size=64)
    with pytest.raises(CheckpointError, match=r"another model: \S+ is \[.*32.*\] there and \[.*64.*model\.name"):
        checkpoint.load(tmp_path, 5, *wider, fingerprint=FINGERPRINT)
    untied = _start(world, tied=False)
    with pytest.raises(CheckpointError, match=r"lm_head\.weight is absent there"):
        checkpoint.load(tmp_path, 5, *untied, fingerprint=FINGERPRINT)
    assert all(torch.equal(value, before[name]) for name, value in _weights(parts).items())


@pytest.mark.parametrize("name", [".metadata", "rank-00000.pt", "__0_0.distcp", "metadata.json"])
def test_a_damaged_checkpoint_is_a_clear_error(name: str, world: World, tmp_path: Path) -> None:
    parts = _start(world)
    _step(world, parts)
    _save(tmp_path, 5, parts, world)
    damaged = tmp_path / "step-000005" / name
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    with pytest.raises(CheckpointError, match="step-000005"):
        checkpoint.load(tmp_path, 5, *parts, fingerprint=FINGERPRINT)


class _Attack:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("pwned",)


@pytest.mark.parametrize("name", [".metadata", "rank-00000.pt"])
def test_loading_runs_no_code(name: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parts = _start(world)
    _save(tmp_path, 5, parts, world)
    target = tmp_path / "step-000005" / name
    if name == ".metadata":
        target.write_bytes(pickle.dumps(_Attack()))
        with pytest.raises(pickle.UnpicklingError, match="mkdir"):
            SafeReader(target.parent).read_metadata()
    else:
        torch.save({"rng": _Attack(), "extra": {}}, target)
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(tmp_path, 5, *parts, fingerprint=FINGERPRINT)
    assert not Path("pwned").exists()
