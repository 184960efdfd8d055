"""What all schemes share: one forward over a solution, a score at the last token of every step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from judge.branches import read
from judge.encoding import Encoded
from judge.errors import ModelError


@dataclass(frozen=True, slots=True)
class StepReader:
    """A model, and one way to read step scores from it."""

    encode: Callable[[str, Sequence[str]], Encoded]
    """Problem and steps to ids; the state of each step's last token decides about the step."""
    body: Any
    """The transformer without a head."""
    logits: Callable[[Any], Any]
    """[num_steps, hidden] states to [num_steps, 2] logits, of which a softmax gives the probabilities."""
    wrong: int
    """Which of the two logits stands for a wrong step."""
    identity: str
    """Names everything that can change a score."""

    @property
    def context(self) -> int:
        """Most tokens that the model can read."""
        return int(self.body.config.get_text_config().max_position_embeddings)


def read_hazards(reader: StepReader, solutions: Sequence[Encoded], token_budget: int) -> list[tuple[float, ...]]:
    """P(wrong) of every step of every solution.

    Args:
        token_budget: see `judge.branches.read`.

    Raises:
        ModelError: when a score is not a number (an overflow in float16).
    """
    import torch

    hazards: dict[int, tuple[float, ...]] = {}
    with torch.no_grad():
        for reading in read(reader.body, solutions, None, token_budget):
            solution = solutions[reading.index]
            ends = [len(solution.prompt_ids) + end - 1 for _, end in solution.spans]
            probs = reader.logits(reading.states[0, ends]).float().softmax(dim=-1)[:, reader.wrong].tolist()
            if not all(map(math.isfinite, probs)):
                raise ModelError(f"{reader.identity}: a score is not a number; set dtype = 'float32'")
            hazards[reading.index] = tuple(probs)
    return [hazards[index] for index in range(len(solutions))]
