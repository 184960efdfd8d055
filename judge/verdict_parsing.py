r"""Reads the critic's verdict: the last ``\boxed{index}`` of its own reply, and nothing else.

Off the menu is not guessed at: no box, no plain integer in the last one, an index that does not exist, or -1 for a
solution that is known to be wrong. ProcessBench's script takes the last box too, but lets any text stand in it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from judge.types import NO_ERROR

BOX: Final = r"\boxed"
BOXED_INDEX: Final = re.compile(r"\\boxed\s{0,8}\{\s{0,8}(-1|[0-9]{1,6})\s{0,8}\}")


class OffMenu(ValueError):
    """A reply that is not a verdict; the message says why."""


def parse_verdict(reply: str, num_steps: int, *, known_wrong: bool) -> int:
    r"""Index of the first wrong step, or `NO_ERROR`.

    >>> parse_verdict(r"Not \boxed{0}: the sum in paragraph 2 is wrong. \boxed{2}", 4, known_wrong=True)
    2

    Raises:
        OffMenu: when the last box holds no possible verdict, or there is none.
    """
    verdict = after_thoughts(reply)
    start = verdict.rfind(BOX)
    if start < 0:
        raise OffMenu("the reply holds no \\boxed{index}")
    match = BOXED_INDEX.match(verdict, start)
    if match is None:
        raise OffMenu("the last \\boxed{...} of the reply holds no plain index")
    index = int(match[1])
    if index == NO_ERROR and known_wrong:
        raise OffMenu("the reply says that nothing is wrong, but the final answer is known to be wrong")
    if index >= num_steps:
        raise OffMenu(f"the reply names step {index}, but the last one is {num_steps - 1}")
    return index


def after_thoughts(reply: str) -> str:
    """What the model says once it has thought; thoughts that never end are left out."""
    return reply.rpartition("</think>")[2].partition("<think>")[0]


@dataclass(frozen=True, slots=True)
class Vote:
    """What the majority said."""

    first_error: int
    share: float
    """Votes for it, of all the votes that could be read; in (0, 1]."""


def majority(votes: Sequence[int]) -> Vote:
    """The most frequent verdict. Of several, the earliest step; "no error" counts as later than every step.

    >>> majority([3, 1, 1, 3, -1])
    Vote(first_error=1, share=0.4)
    """
    counts = Counter(votes)
    most = max(counts.values())
    winner = min((v for v in counts if counts[v] == most), key=lambda v: (v == NO_ERROR, v))
    return Vote(winner, most / len(votes))
