"""Start several ranks on this machine: what ``torchrun --standalone`` does, without its traceback on a clean stop."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence


def launch_ranks(num_ranks: int, arguments: Sequence[str]) -> int:
    """Run ``python -m sgpo_client.train`` on ``num_ranks`` processes and return the first failure's exit code."""
    import torch.distributed.launcher.api as launcher
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # the ranks speak for themselves
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // num_ranks)))
    config = launcher.LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=num_ranks,
        run_id=f"sgpo-{os.getpid()}",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        local_addr="localhost",
    )
    try:
        launcher.elastic_launch(config, sys.executable)("-m", "sgpo_client.train", *arguments)
    except ChildFailedError as error:
        # The rank has said what went wrong; a rank ended by a signal has a negative code.
        code: int = error.get_first_failure()[1].exitcode
        return code if code > 0 else 128 - code
    return 0
