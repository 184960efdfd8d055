"""Where a row's steps stand in its file: loaders leave blank steps out, predictions made elsewhere count them."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True)
class StepMap:
    """From upstream's indices to those of the steps with text. All indices are from 0.

    A blank step has no index of its own here. It stands for the next step with text: as many such steps come before
    either, so the share of the solution before the error is the same. It is not that step, though (see `is_blank`):
    published scripts compare the indices as they are written.

    >>> steps = StepMap(kept=(0, 2, 3), total=5)
    >>> [steps.index(upstream) for upstream in range(6)]
    [0, 1, 1, 2, 3, 3]
    """

    kept: tuple[int, ...]
    """[steps with text] the upstream index of each, rising; at least one."""
    total: int
    """Steps upstream, the blank ones included."""

    def index(self, upstream: int) -> int:
        """The index that stands for an upstream one of 0 or more; beyond the last step when no text follows."""
        return bisect_left(self.kept, upstream) + max(0, upstream - self.total)

    def is_blank(self, upstream: int) -> bool:
        """True for a step that is there, and has no text."""
        return 0 <= upstream < self.total and upstream not in self.kept

    def indices(self, upstream: Collection[int]) -> tuple[int, ...]:
        """The indices of those that have text."""
        return tuple(index for index, number in enumerate(self.kept) if number in upstream)

    def values(self, of_each: Sequence[ValueT]) -> tuple[ValueT, ...]:
        """Of ``total`` values, those of the steps with text."""
        return tuple(of_each[number] for number in self.kept)


def all_of(num_steps: int) -> StepMap:
    """The map of a row without blank steps."""
    return StepMap(tuple(range(num_steps)), num_steps)


def of_texts(steps: Sequence[str]) -> StepMap:
    """The map of a list of steps, as `judge.data.source.checked` leaves the blank ones out."""
    return StepMap(tuple(index for index, step in enumerate(steps) if step.strip()), len(steps))


def of_numbers(numbers: Sequence[int]) -> StepMap:
    """The map of steps that are named "Step 1:", "Step 2:", ...: upstream's labels and predictions name these numbers.

    Args:
        numbers: [steps with text] from 1. Where they do not rise (a solution that starts anew), positions count.

    >>> of_numbers([1, 2, 4]).index(3)
    2
    """
    rising = bool(numbers) and numbers[0] > 0 and all(a < b for a, b in itertools.pairwise(numbers))
    return StepMap(tuple(number - 1 for number in numbers), numbers[-1]) if rising else all_of(len(numbers))
