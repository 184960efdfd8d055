r"""Reads a verdict: the last ``\boxed{...}`` of the model's own reply, and nothing else.

The critic's box holds an index, the scan's ``correct`` or ``incorrect``. Off the menu is not guessed at: no box,
something else in the last one, an index that does not exist, or -1 for a solution that is known to be wrong.
ProcessBench's script takes the last box too, but lets any text stand in it.
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
BOXED_WORD: Final = re.compile(r"\\boxed\s{0,8}\{\s{0,8}(correct|incorrect)\s{0,8}\}", re.IGNORECASE)


class OffMenu(ValueError):
    """A reply that is not a verdict; the message says why."""


def parse_verdict(reply: str, num_steps: int, *, known_wrong: bool) -> int:
    r"""Index of the first wrong step, or `NO_ERROR`.

    >>> parse_verdict(r"Not \boxed{0}: the sum in paragraph 2 is wrong. \boxed{2}", 4, known_wrong=True)
    2

    Raises:
        OffMenu: when the last box holds no possible verdict, or there is none.
    """
    index = int(last_box(reply, BOXED_INDEX, "index"))
    if index == NO_ERROR and known_wrong:
        raise OffMenu("the reply says that nothing is wrong, but the final answer is known to be wrong")
    if index >= num_steps:
        raise OffMenu(f"the reply names step {index}, but the last one is {num_steps - 1}")
    return index


def parse_step_verdict(reply: str, step: int) -> int:
    r"""The verdict on one step (0-based): ``step`` itself when it is wrong, `NO_ERROR` when it is right.

    >>> parse_step_verdict(r"3 + 4 is 7, not 8. \boxed{incorrect}", 5)
    5

    Raises:
        OffMenu: when the last box holds neither of the two words, or there is none.
    """
    word = last_box(reply, BOXED_WORD, "correct} or \\boxed{incorrect")
    return step if word.lower() == "incorrect" else NO_ERROR


def last_box(reply: str, menu: re.Pattern[str], name: str) -> str:
    """What the last box holds; ``menu`` matches a whole box that is allowed, ``name`` is for the message."""
    verdict = after_thoughts(reply)
    start = verdict.rfind(BOX)
    if start < 0:
        raise OffMenu(f"the reply holds no \\boxed{{{name}}}")
    match = menu.match(verdict, start)
    if match is None:
        raise OffMenu(f"the last \\boxed{{...}} of the reply is no \\boxed{{{name}}}")
    return match[1]


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
