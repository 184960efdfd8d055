"""Run a function on several gloo ranks, each in a fresh process, with a time-out; or on one rank in this process."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp

from sgpo_client.ranks.distributed import World, init, shutdown


def run_ranks(
    num_ranks: int, function: Callable[..., Any], *args: Any, folder: Path, timeout_s: float = 120.0
) -> list[Any]:
    """Call ``function(world, *args)`` on every rank and return the results in the order of ranks.

    ``function`` must be at the top level of a module; its result is handed back through a file in ``folder``.
    """
    root = str(Path(__file__).resolve().parents[2])
    if root not in sys.path:
        sys.path.append(root)  # handed on to the new processes, which import the function by its module's name
    folder.mkdir(parents=True, exist_ok=True)
    meeting = folder / "meeting-point"
    meeting.unlink(missing_ok=True)
    context = mp.start_processes(
        _run, args=(num_ranks, str(meeting), folder, function, args), nprocs=num_ranks, join=False, start_method="spawn"
    )
    deadline = time.monotonic() + timeout_s
    try:
        while not context.join(timeout=1.0):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{num_ranks} ranks did not finish within {timeout_s} s")
    finally:
        for process in context.processes:
            if process.is_alive():
                process.kill()
            process.join()
    return [torch.load(folder / f"result-{rank}.pt", weights_only=False) for rank in range(num_ranks)]


def run_here(function: Callable[..., Any], *args: Any) -> Any:
    """Call ``function(world, *args)`` in a world of one, without the time that a new process takes."""
    world = init()
    try:
        return function(world, *args)
    finally:
        shutdown()


def _run(rank: int, num_ranks: int, meeting: str, folder: Path, function: Callable[..., Any], args: tuple) -> None:
    os.environ.update({"RANK": str(rank), "WORLD_SIZE": str(num_ranks), "LOCAL_RANK": str(rank)})
    torch.set_num_threads(1)
    world: World = init(init_method=f"file://{meeting}", timeout_s=60)
    try:
        torch.save(function(world, *args), folder / f"result-{rank}.pt")
    finally:
        shutdown()
