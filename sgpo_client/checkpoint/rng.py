"""This process's random number generators as data that loads without running code."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def get_state() -> dict[str, Any]:
    """States of the generators of Python, NumPy and PyTorch (CPU and the present GPU)."""
    numpy_state: dict[str, Any] = dict(np.random.get_state(legacy=False))
    mersenne = numpy_state["state"]
    return {
        "python": random.getstate(),
        # An int64 tensor, since loading NumPy arrays would take pickle.
        "numpy": {**numpy_state, "state": {**mersenne, "key": torch.from_numpy(mersenne["key"].astype(np.int64))}},
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def set_state(state: dict[str, Any]) -> None:
    """Undo `get_state`."""
    random.setstate(state["python"])
    mersenne = state["numpy"]["state"]
    key = mersenne["key"].numpy().astype(np.uint32)
    np.random.set_state({**state["numpy"], "state": {**mersenne, "key": key}})
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
