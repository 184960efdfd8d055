"""How much arithmetic a training step needs, how fast the machine multiplies, and what a step's time is spent on."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from torch.profiler import ProfilerActivity, profile
from transformers import PreTrainedModel

from sgpo_client.types import Example

GROUPS = {
    "matrix products": ("mm", "addmm", "bmm", "linear", "mkldnn"),
    "attention": ("attention",),
    "optimiser": ("adam",),
    "copies and gathers": ("copy", "cat", "c10d", "fsdp", "index", "clone", "split", "slice_scatter"),
}
"""Kind of operation -> what is in its name; the first that fits counts, the rest is element-wise work and Python."""


def training_flops(model: PreTrainedModel, examples: Sequence[Example]) -> float:
    """Multiplications and additions of forward and backward: 3 times those of the forward pass.

    Linear layers for every token, the output head for response tokens, causal attention; embeddings and what is
    element-wise count nothing, nor does padding or what activation checkpointing computes twice.
    """
    config, head = model.config, model.get_output_embeddings()
    linear = sum(
        module.in_features * module.out_features
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    )
    tokens = sum(example.num_tokens for example in examples)
    responses = sum(len(example.response_ids) for example in examples)
    pairs = sum(example.num_tokens**2 / 2 for example in examples)
    attention = 2 * pairs * config.hidden_size * config.num_hidden_layers
    return float(3 * 2 * (linear * tokens + head.in_features * head.out_features * responses + attention))


def matmul_peak(dtype: torch.dtype, rows: int = 1024, width: int = 2048, repeats: int = 10) -> float:
    """FLOP/s of the best of several [rows, width] x [width, width] products."""
    a, b = torch.randn(rows, width, dtype=dtype), torch.randn(width, width, dtype=dtype)
    best = min(_seconds(lambda: a @ b) for _ in range(repeats))
    return 2 * rows * width * width / best


def time_shares(work: Callable[[], object]) -> dict[str, float]:
    """Run ``work`` under PyTorch's profiler; share of its wall time by kind of operation, summing to 1."""
    with profile(activities=[ProfilerActivity.CPU]) as record:
        total = _seconds(work)
    seconds: dict[str, float] = defaultdict(float)
    for event in record.key_averages():
        kind = next((kind for kind, parts in GROUPS.items() if any(part in event.key.lower() for part in parts)), None)
        if event.key.startswith(("aten::", "c10d::", "fsdp::")):
            seconds[kind or "element-wise"] += event.self_cpu_time_total / 1e6
    shares = {kind: value / total for kind, value in sorted(seconds.items(), key=lambda item: -item[1])}
    return shares | {"outside of operations": max(0.0, 1 - sum(shares.values()))}


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
