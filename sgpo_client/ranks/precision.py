"""Which precision the forward and backward pass run in."""

from __future__ import annotations

from typing import Literal

import torch

DtypeName = Literal["auto", "float32", "bfloat16"]


def compute_dtype(name: DtypeName, device: torch.device) -> torch.dtype:
    """The precision that a setting means on a device.

    ``auto`` is bfloat16 where the hardware multiplies in it, float32 elsewhere: a CPU without such instructions
    emulates bfloat16 several times slower than float32.
    """
    if name != "auto":
        return torch.bfloat16 if name == "bfloat16" else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    capabilities = torch.cpu.get_capabilities()
    native = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16")
    return torch.bfloat16 if native else torch.float32
