"""``[optim]``: AdamW and the shape of a training step."""

from __future__ import annotations

from pydantic import Field

from sgpo_client.settings.table import Table


class OptimTable(Table):
    """``[optim]``: AdamW."""

    lr: float = Field(default=2e-6, ge=0)
    warmup_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    grad_clip: float = Field(default=1.0, gt=0)
    micro_batch_tokens: int = Field(default=2048, ge=1)
    """Padded tokens in one forward and backward pass of one rank."""
    activation_checkpointing: bool = False
    """Keep only the inputs of each transformer block and compute the rest again in the backward pass: less memory, a
    third more time."""
    reshard: bool = False
    """Gather the weights and sum the gradients for every block of every micro-batch rather than once per step: less
    memory with several ranks, more traffic."""
    max_skipped: int = Field(default=5, ge=1)
    """Updates in a row that may be left out because their gradient is not finite; then the run stops."""
