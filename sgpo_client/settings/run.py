"""``[run]``: how long, where to, and what is kept."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from sgpo_client.settings.table import Table


class RunTable(Table):
    """``[run]``: how long, where to, and what is kept."""

    output_dir: Path = Path("runs/sgpo")
    """The run folder: metrics.jsonl, samples.jsonl, checkpoints/, model/, report.html."""
    steps: int = Field(default=20, ge=1)
    seed: int = Field(default=0, ge=0)
    resume: bool = False
    """Go on from the newest checkpoint in `output_dir`."""
    overwrite: bool = False
    """Remove a former run in `output_dir` first; with `resume` nothing is removed."""
    save_every: int = Field(default=10, ge=0)
    """Steps between checkpoints; 0: only at the end and when the run has to stop."""
    keep_checkpoints: int = Field(default=1, ge=1)
    async_save: bool = False
    """Write checkpoints while training goes on, from a copy in the CPU's memory: weights and optimiser once more."""
    samples_per_step: int = Field(default=4, ge=0)
    """Responses per step that are written to samples.jsonl, of the first rank's problems."""
    save_rollouts: bool = False
    """Write every response of every step, with its reward and verdict, to rollouts.jsonl."""
    export: bool = True
    """Write the trained model as a Hugging Face folder at the end."""
