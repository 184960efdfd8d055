"""Settings of ``sgpo-judge train classifier``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from judge.data.training_set import DataSettings, DataSource
from judge.encoding import Template
from judge.settings import Settings
from judge.train.calibrate import Method


class LoraSettings(Settings):
    """Low-rank adapters (PEFT)."""

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32.0, gt=0)
    """The adapter's output is scaled by ``alpha / rank``."""
    target_modules: str | tuple[str, ...] = "all-linear"


class ClassifierTrainSettings(Settings):
    """A run that trains a classifier."""

    model: str = Field(min_length=1)
    """The base model: a packaged name, a checkpoint folder or a hub id."""
    data: DataSettings
    evaluation: tuple[DataSource, ...] = ()
    """What the finished judge is measured on, for its card. Problems of the training data are left out."""
    method: Literal["full", "lora"] = "lora"
    """``full`` trains every weight, and the judge folder then holds a whole model."""
    lora: LoraSettings = LoraSettings()
    template: Template = "plain"
    """How the problem is written: as text, or as the user's turn of the model's chat template."""
    separator: str = "\n\n"
    """Stands after every step; the score is read at its last token."""
    max_tokens: int = Field(default=2048, ge=1)
    """Most tokens of an example, its problem included."""
    on_too_long: Literal["error", "skip"] = "error"
    """What happens to a longer one. Skipped ones are counted; none is ever cut."""
    error_weight: float = Field(default=1.0, gt=0)
    """Weight of a wrong step in the loss, where a right one has 1."""
    epochs: int = Field(default=1, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    """Of the adapters, or of the model's own weights (there about 1e-5)."""
    head_learning_rate: float = Field(default=1e-3, gt=0)
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of the run in which the learning rates rise; then they fall to 0 along a cosine."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    batch_tokens: int = Field(default=4096, ge=1)
    """Padded tokens in one forward, at least one example's: what decides how much memory is needed."""
    accumulation: int = Field(default=4, ge=1)
    """Forwards in one optimizer step."""
    calibration: Method = "platt"
    """How raw scores are turned into probabilities."""
    seed: int = Field(default=0, ge=0)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """What is computed in; trained weights are float32 all the same. ``auto``: bfloat16 on a GPU, float32 elsewhere
    (a CPU without bfloat16 instructions is ten times slower in it)."""
    log_steps: int = Field(default=10, ge=1)
    """Optimizer steps between two losses of the curve."""
    validate_steps: int = Field(default=100, ge=1)
    """Optimizer steps between two validations."""
    validation_solutions: int = Field(default=256, ge=1)
    """Solutions of the validation split that the curve is measured on, at most; the last measurement takes all."""
    save_steps: int = Field(default=100, ge=1)
    """Optimizer steps between two checkpoints."""
