"""What is done to texts before a judge sees them: cutting into steps, and the defences' examination. No I/O.

Functions for `reward_server.cpu_pool`: only light imports, so that its processes start fast and stay small.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from judge.defences import DefenceSettings, Examined, examine
from judge.steps import Step, segment

Steps = tuple[Step, ...]


class Read(NamedTuple):
    """What is known of a text."""

    steps: Steps
    examined: Examined | None
    """None where there are too many steps for a judge."""


def cut_texts(texts: Sequence[str]) -> list[Steps]:
    """The steps of every text."""
    return [segment(text) for text in texts]


def read_texts(texts: Sequence[str], problem: str, settings: DefenceSettings, max_steps: int | None) -> list[Read]:
    """Steps and examination of every text; what has more than ``max_steps`` steps is not examined."""
    return [read_text(text, problem, settings, max_steps) for text in texts]


def read_text(text: str, problem: str, settings: DefenceSettings, max_steps: int | None) -> Read:
    """Steps and examination of one text."""
    steps = segment(text)
    if max_steps is not None and len(steps) > max_steps:
        return Read(steps, None)
    return Read(steps, examine(text, [step.text for step in steps], problem, settings))
