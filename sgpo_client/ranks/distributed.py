"""Process group and the few collectives that the trainer needs, for 1 to N ranks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class World:
    """This process among all.

    >>> World(rank=0, size=1, local_rank=0, device=torch.device("cpu")).is_main
    True
    """

    rank: int
    size: int
    local_rank: int
    """Rank on this machine: the number of the GPU."""
    device: torch.device

    @property
    def is_main(self) -> bool:
        """The one rank that writes shared files and talks to people."""
        return self.rank == 0


def init(init_method: str = "env://", timeout_s: float = 1800.0) -> World:
    """Join the process group that torchrun described in the environment; without one be a world of 1.

    Args:
        init_method: where ranks meet, as in `torch.distributed.init_process_group`; not used by a world of 1.
        timeout_s: after which a collective fails because another rank did not come.
    """
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if torch.cuda.is_available():
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
        backend = "cpu:gloo,cuda:nccl"
    else:
        device, backend = torch.device("cpu"), "gloo"
    timeout = timedelta(seconds=timeout_s)
    if size == 1:
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1, timeout=timeout)
    else:
        dist.init_process_group(backend, init_method=init_method, rank=rank, world_size=size, timeout=timeout)
    return World(rank=rank, size=size, local_rank=local_rank, device=device)


def shutdown() -> None:
    """Leave the process group, if this process is in one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def barrier() -> None:
    """Wait for all ranks."""
    # Over the CPU: NCCL's barrier would have to guess the device.
    dist.all_reduce(torch.zeros(1))


def all_reduce_sums(values: Mapping[str, float]) -> dict[str, float]:
    """Sum each value over all ranks, in one collective of float64. Every rank must give the same keys."""
    keys = sorted(values)
    sums = torch.tensor([values[key] for key in keys], dtype=torch.float64)
    dist.all_reduce(sums)
    return dict(zip(keys, sums.tolist(), strict=True))


def all_reduce_max(value: float) -> float:
    """The largest of all ranks' values."""
    largest = torch.tensor(value, dtype=torch.float64)
    dist.all_reduce(largest, op=dist.ReduceOp.MAX)
    return float(largest)


def all_gather_objects(value: T) -> list[T]:
    """[size] every rank's value, in the order of ranks, on every rank. Values are pickled."""
    gathered: list[T | None] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, value)
    return gathered  # type: ignore[return-value]


def broadcast_object(value: T, source: int = 0) -> T:
    """The value of rank ``source``, on every rank. Values are pickled."""
    box = [value]
    dist.broadcast_object_list(box, src=source)
    return box[0]
