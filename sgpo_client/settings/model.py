"""``[model]`` and ``[model.lora]``: the policy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sgpo_client.settings.table import Table


class LoraTable(Table):
    """``[model.lora]``: low-rank adapters (arXiv 2106.09685) are trained and the model's own weights stay as they are.

    The learning rate wants to be some ten times that of full fine-tuning.
    """

    r: int = Field(default=16, ge=1)
    """Rank of the updates."""
    alpha: float = Field(default=32.0, gt=0)
    """The update is (alpha / r) B A."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Of an adapter's input, in training. Other than 0 it makes the policy that is trained differ from the one that
    samples."""
    target_modules: list[str] | Literal["all-linear"] = "all-linear"
    """Last parts of the names of the linear layers that get an adapter, such as ["q_proj", "v_proj"]; all-linear: every
    one but the output head."""


class ModelTable(Table):
    """``[model]``: the policy."""

    name: str
    """A local folder in Hugging Face's format, or a hub id. `make weights` makes weights/SmolLM2-135M-Instruct."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of sampling, forward and backward; auto: bfloat16 where the hardware multiplies in it. Master weights,
    reductions and the optimiser are always float32."""
    lora: LoraTable | None = None
    """Absent: all weights are trained."""
    compile: bool = False
    """torch.compile every transformer block. Needs a GPU."""
    liger: bool = False
    """Liger's fused kernels for norms, rotary embeddings and MLPs. Needs a GPU and the package liger-kernel."""
