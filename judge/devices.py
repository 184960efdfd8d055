"""Where a model runs, and in which precision."""

from __future__ import annotations

from typing import Any

from judge.errors import ConfigError, ModelError


def resolve(device: str, dtype: str) -> tuple[Any, Any]:
    """The torch device and type of numbers that settings name.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:1``; ``auto`` takes a GPU where there is one.
        dtype: ``float32``, ``bfloat16``, ``float16``; ``auto`` is bfloat16 on a GPU and float32 elsewhere (most CPUs
            emulate bfloat16, several times slower).

    Raises:
        ConfigError: an unknown name, or a GPU that is not there.
        ModelError: there is no torch.
    """
    try:
        import torch
    except ImportError:
        raise ModelError("local models need the extra 'local'; run: pip install 'sgpo[local]'") from None
    try:
        where = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    except RuntimeError:
        raise ConfigError(f"'device' = {device!r}: give auto, cpu, cuda or cuda:N") from None
    if where.type == "cuda" and (where.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"'device' = {device!r}: there are {torch.cuda.device_count()} GPUs; set device = 'cpu'")
    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype == "auto":
        return where, torch.bfloat16 if where.type == "cuda" else torch.float32
    if dtype not in dtypes:
        raise ConfigError(f"'dtype' = {dtype!r}: one of auto, {', '.join(dtypes)}")
    return where, dtypes[dtype]
