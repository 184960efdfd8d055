"""Where the trainer's problems come from (``[data]``)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Source = Literal["jsonl", "hub", "reasoning_gym"]


class DataSettings(BaseModel):
    """Settings of `sgpo_client.data.order`.

    >>> DataSettings(source="reasoning_gym", name="gsm_symbolic", num_problems=100).answer_field
    'answer'
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    source: Source = "jsonl"
    """``jsonl``: a file; ``hub``: a data set of the Hugging Face hub; ``reasoning_gym``: generated, no files needed."""
    path: Path | None = None
    """jsonl: the file, one JSON object per line, plain or gzipped (.gz)."""
    eval_path: Path | None = None
    """jsonl: file of the evaluation problems; without it they are held out from `path`."""
    name: str | None = None
    """hub: id of the data set, or a folder of data files; reasoning_gym: name of the task, such as gsm_symbolic."""
    subset: str | None = None
    """hub: configuration of the data set (`main` for openai/gsm8k)."""
    split: str = "train"
    """hub: split of the training problems."""
    eval_split: str | None = None
    """hub: split of the evaluation problems; without it they are held out from `split`."""
    task_options: dict[str, bool | int | float | str] = {}
    """reasoning_gym: options of the task, such as `max_digits` of chain_sum; gsm_symbolic has one difficulty only."""
    problem_field: str = "question"
    answer_field: str = "answer"
    """Text or number. Of a text with `####` (GSM8K) the part behind is the answer, and the whole the solution."""
    solution_field: str | None = None
    """Worked reference solution, where a field of its own holds it."""
    skip_unanswered: bool = False
    """Leave out problems without an answer, and count them; otherwise the first one is an error."""
    num_problems: int | None = Field(default=None, ge=1)
    """Training problems; all when not set. reasoning_gym generates as many as this says."""
    num_eval_problems: int = Field(default=0, ge=0)
    """Evaluation problems, none of them among the training problems; 0: no evaluation."""
    seed: int = Field(default=0, ge=0)
    """Decides which problems are held out and taken, and what reasoning_gym generates."""
