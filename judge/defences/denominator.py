"""What the right steps are a share of.

A share of the response's own steps pays for stopping right after the first error, and for putting everything after it
on one line. So a response is measured against the usual length of a solution to its problem when that is longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median


def typical_length(lengths: Sequence[float], reference: float | None = None) -> float | None:
    """The usual length of a solution: the median of a group, or the reference solution where that is longer.

    Args:
        lengths: of the group's wrong responses, neutral steps not counted.
        reference: the same of the reference solution, None where there is none.

    >>> typical_length([2, 5, 6], 4), typical_length([], 4), typical_length([])
    (5, 4, None)
    """
    known = ([median(lengths)] if lengths else []) + ([] if reference is None else [reference])
    return max(known, default=None)


def sentence_weights(steps: Sequence[str], counts: Sequence[bool]) -> list[int]:
    """[num_steps] how many steps each step is: 1, or 0 where a sentence goes on in a later step that counts.

    So a sentence that is cut at its commas is one step still. Lower case says nothing: some write all lines so.

    >>> sentence_weights(["First 3 + 4 = 7,", "then 7 - 2 = 5.", "Left: 5."], [True, True, True])
    [0, 1, 1]
    """
    weights = [int(counted) for counted in counts]
    last: int | None = None
    for index, counted in enumerate(counts):
        if index and not steps[index - 1].endswith((",", ";")):
            last = None
        if counted:
            if last is not None:
                weights[last] = 0
            last = index
    return weights
