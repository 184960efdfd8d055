"""Chains of arithmetic modulo a prime: the problems of the study, with every dial of their difficulty.

A problem is a start value and ``length`` operations (``+ a`` or ``* a`` modulo ``modulus``); a right response writes
the value after each of them, one step a value, and the last one is the final answer. Each operation is a bijection, so
a wrong value leads to a wrong answer unless a later error happens to undo it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch


@dataclass(frozen=True)
class Task:
    """The dials of the task. Tokens: values are 0..modulus-1, then the operations, then NO_CLAIM and END."""

    length: int = 8
    """Operations of a problem, so steps of a right response."""
    modulus: int = 199
    """Prime. A guessed final answer is right with probability 1 / modulus."""
    num_operations: int = 8
    """Different operations; half of them add, half of them multiply (fewer where the modulus has not so many)."""
    skill: float = 0.5
    """Mean probability over the operations that the policy does a step right, before RL."""
    skill_spread: float = 0.2
    """The operations' skills are spread evenly over ``skill`` plus or minus this."""
    free_form: bool = False
    """The policy may stop when it likes and write steps that claim nothing; otherwise it writes ``length`` values."""

    @property
    def no_claim(self) -> int:
        """Token of a step that claims nothing."""
        return self.modulus + self.num_operations

    @property
    def end(self) -> int:
        """Token that ends a response of free form."""
        return self.modulus + self.num_operations + 1

    @property
    def vocab_size(self) -> int:
        """Number of tokens."""
        return self.modulus + self.num_operations + 2

    @property
    def prompt_tokens(self) -> int:
        """Length of a prompt."""
        return self.length + 1

    @property
    def max_response_tokens(self) -> int:
        """Longest response; of free form with room to pad, its END included."""
        return 2 * self.length + 1 if self.free_form else self.length

    @cached_property
    def results(self) -> torch.Tensor:
        """[num_operations, modulus] the value after each operation on each value."""
        values = torch.arange(self.modulus)
        half = self.num_operations // 2
        adds = [(values + 1 + 5 * i) % self.modulus for i in range(half)]
        multiplies = [(values * (2 + i % (self.modulus - 2))) % self.modulus for i in range(self.num_operations - half)]
        return torch.stack([*adds, *multiplies])

    @cached_property
    def allowed(self) -> torch.Tensor:
        """[vocab_size] True on the tokens that a response may have."""
        allowed = torch.zeros(self.vocab_size, dtype=torch.bool)
        allowed[: self.modulus] = True
        allowed[self.no_claim :] = self.free_form
        return allowed


def draw_prompts(task: Task, num: int, generator: torch.Generator) -> torch.Tensor:
    """[num, length + 1] problems: the operations' tokens, then the start value."""
    operations = torch.randint(task.num_operations, (num, task.length), generator=generator) + task.modulus
    start = torch.randint(task.modulus, (num, 1), generator=generator)
    return torch.cat([operations, start], dim=1)


def right_values(task: Task, prompts: torch.Tensor) -> torch.Tensor:
    """[num, length] the value after each operation."""
    values, out = prompts[:, -1], []
    for step in range(task.length):
        values = task.results[prompts[:, step] - task.modulus, values]
        out.append(values)
    return torch.stack(out, dim=1)
