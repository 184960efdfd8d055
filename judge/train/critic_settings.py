"""Settings of a critic's training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from judge.data.training_set import DataSettings
from judge.settings import Settings
from judge.train.critic_text import Variants


class LoraSettings(Settings):
    """A low-rank adapter on every linear layer but the output."""

    rank: int = Field(default=16, ge=1, le=1024)
    alpha: float = Field(default=32.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)


class CriticTrainSettings(Settings):
    """One run of ``sgpo-judge train critic``."""

    base_model: str = Field(min_length=1)
    """Checkpoint folder, hub id or packaged name of an instruction-tuned model: it needs a chat template."""
    data: DataSettings
    variants: Variants = "both"
    """``cold``: as on ProcessBench, -1 is offered; ``known_wrong``: only solutions with an error, as SGPO asks."""
    use_reference: bool = True
    """Show the reference solution and answer, where there are any. Set the critic judge's setting alike."""
    max_tokens: int = Field(default=2048, ge=16)
    """Prompt and reply together; a longer example is never cut."""
    over_long: Literal["error", "skip"] = "error"
    """What a longer example does: stop before training, or be left out and counted."""
    method: Literal["lora", "full"] = "lora"
    lora: LoraSettings = LoraSettings()
    """Only for ``method = "lora"``."""
    merge: bool = True
    """Only for ``lora``: write the merged checkpoint. Else the adapter, for servers that load adapters."""
    learning_rate: float = Field(default=2e-4, gt=0, lt=1)
    """Peak, after warm-up; falls linearly to 0. For ``full`` about 2e-5."""
    warmup_share: float = Field(default=0.05, ge=0, lt=1)
    """Share of the updates."""
    epochs: float = Field(default=1.0, gt=0, le=1000)
    batch_size: int = Field(default=16, ge=1)
    """Examples per update."""
    micro_batch_size: int = Field(default=4, ge=1)
    """Examples per forward pass; divides `batch_size`."""
    gradient_checkpointing: bool = False
    """Less memory, about a third more time."""
    checkpoint_every: int = Field(default=100, ge=1)
    """Updates between validations; each also writes a checkpoint to resume from."""
    seed: int = Field(default=0, ge=0, lt=2**31)

    @field_validator("micro_batch_size")
    @classmethod
    def _divides(cls, value: int, info: ValidationInfo) -> int:
        batch_size = info.data.get("batch_size", value)
        if batch_size % value:
            raise ValueError(f"must divide batch_size = {batch_size}")
        return value

    @field_validator("lora", "merge")
    @classmethod
    def _only_for_lora(cls, value: LoraSettings | bool, info: ValidationInfo) -> LoraSettings | bool:
        if info.data.get("method") == "full":
            raise ValueError("method 'full' has no adapter; leave it out or set method = 'lora'")
        return value
