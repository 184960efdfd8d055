"""What an attack is, and what every attack must keep: the response stays wrong."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from judge.final_answer import final_answer


@dataclass(frozen=True, slots=True)
class WrongResponse:
    r"""A response whose final answer is wrong.

    >>> WrongResponse("1+1+1?", ("1+1=2", "2+1=4"), first_error=1, id="demo-0").text
    '1+1=2\n2+1=4'
    """

    problem: str
    steps: tuple[str, ...]
    """As the benchmark cut them."""
    first_error: int
    """0-based, by the human label: a policy in training finds out by trying."""
    id: str

    @property
    def text(self) -> str:
        """The response as one text."""
        return "\n".join(self.steps)

    @property
    def right(self) -> tuple[str, ...]:
        """The steps before the first error."""
        return self.steps[: self.first_error]

    @property
    def rest(self) -> tuple[str, ...]:
        """The first wrong step and what follows it."""
        return self.steps[self.first_error :]


Transform = Callable[[WrongResponse, random.Random], str]


@dataclass(frozen=True, slots=True)
class Attack:
    """One way to ask for more reward without being right."""

    name: str
    code: str
    """Its number in the list of known attacks (docs/evaluation.md), ``A1`` to ``A9``."""
    summary: str
    transform: Transform

    def apply(self, response: WrongResponse, seed: int) -> str:
        """The attacked response; the same for the same seed. Its final answer is the old one, or there is none."""
        rng = random.Random(f"{seed}/{self.name}/{response.id}")  # noqa: S311 - not for secrets
        return keep_answer(response.text, self.transform(response, rng))


EMPTY_BOX: Final = r" \boxed{}"


def keep_answer(original: str, attacked: str) -> str:
    r"""The attacked text with the original's final answer, which is put at the end of its last line where it changed.

    >>> keep_answer("So 3 + 4 = 8", "So 3 + 4 = 8\nAlso 1 + 1 = 2")
    'So 3 + 4 = 8\nAlso 1 + 1 = 2 The answer is \\boxed{8}.'
    """
    answer = final_answer(original)
    candidates = [attacked]
    if answer is not None:
        candidates.append(rf"{attacked.rstrip()} The answer is \boxed{{{answer}}}.")
    candidates.append(attacked.rstrip() + EMPTY_BOX)  # no answer is a wrong answer
    return next(text for text in candidates if final_answer(text) in (answer, None))


def lines(*parts: str | Sequence[str]) -> str:
    """Texts and lists of texts, each on lines of its own."""
    return "\n".join(text for part in parts for text in ((part,) if isinstance(part, str) else part))


SENTENCE_GAP: Final = re.compile(r"(?<=[.!?;,:])\s+(?=\S)")
"""Where a step can be broken without changing a word."""
