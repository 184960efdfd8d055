"""Start several ranks on this machine: what ``torchrun --standalone`` does, without its traceback on a clean stop."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import psutil

STOPPED_FILE: Final = "SGPO_STOPPED_FILE"
"""Environment variable of the ranks: the file that says with which exit code they have stopped of themselves."""


def launch_ranks(num_ranks: int, arguments: Sequence[str], max_restarts: int = 0) -> int:
    """Run ``python -m sgpo_client.train`` on ``num_ranks`` processes and return the first failure's exit code.

    When a rank dies all are started again, at most ``max_restarts`` times; not when they have stopped with a message
    (`note_stop`). SIGTERM is handed on to the ranks, which
    save a checkpoint and end with 0.
    """
    import torch.distributed.launcher.api as launcher
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # the ranks speak for themselves
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // num_ranks)))
    # Otherwise ranks that are started again meet in the store of the former ones and may call at their addresses.
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    config = launcher.LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=num_ranks,
        run_id=f"sgpo-{os.getpid()}",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=max_restarts,
        local_addr="localhost",
        signals_to_handle="SIGINT,SIGHUP,SIGQUIT",  # on SIGTERM it would kill ranks that take 30 s to end their step
    )
    try:
        with _sigterm_handed_on(), stop_noted():
            launcher.elastic_launch(config, sys.executable)("-m", "sgpo_client.train", *arguments)
    except ChildFailedError as error:
        # The rank has said what went wrong; a rank ended by a signal has a negative code.
        code: int = error.get_first_failure()[1].exitcode
        return code if code > 0 else 128 - code
    return 0


def note_stop(code: int) -> None:
    """Tell the ranks that the launcher may start in the place of this one that the run is over."""
    if name := os.environ.get(STOPPED_FILE):
        Path(name).write_text(str(code))


def noted_stop() -> int | None:
    """The exit code of a run that is over; None while it is not."""
    name = os.environ.get(STOPPED_FILE)
    return int(Path(name).read_text()) if name and Path(name).is_file() else None


@contextmanager
def stop_noted() -> Iterator[None]:
    """A place for the ranks' `note_stop`, for as long as they are started."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ[STOPPED_FILE] = str(Path(folder) / "stopped")
        try:
            yield
        finally:
            del os.environ[STOPPED_FILE]


@contextmanager
def _sigterm_handed_on() -> Iterator[None]:
    def hand_on(_number: int, _frame: FrameType | None) -> None:
        ranks = psutil.Process().children()
        if not ranks:
            sys.exit(128 + signal.SIGTERM)
        for rank in ranks:
            rank.terminate()

    former = signal.signal(signal.SIGTERM, hand_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
