"""Responses that hold nothing to judge. They get the lowest reward of a wrong response, and no judge is asked.

Strings like "Thought process:" or ":" get good marks from strong judges (arXiv 2507.08794), so no judge sees them. This
is no failure of the judge: it is known what they are worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from judge.defences.flags import Flag
from judge.defences.reading import read
from judge.defences.settings import DefenceSettings

MASTER_KEYS: Final = (
    "Thought process:",
    "Let's solve this problem step by step.",
    "Let's think step by step.",
    "Solution",
    "Answer",
    "Explanation",
    "Reasoning",
    "Proof",
    "The final answer is",
    ":",
    ".",
    ",",
    "{",
    "解",
    "解答",
    "かいせつ",
    "Respuesta",
    "Lösung",
    "Solución",
)
"""Strings that judges took for a right answer, and their like."""


def floor_flags(
    text: str, answer: str | None, steps: Sequence[str], counts: Sequence[bool], settings: DefenceSettings
) -> list[Flag]:
    """Why a response is at the floor; empty when it is not.

    Args:
        text: the response.
        answer: its final answer, None where none can be read.
        steps: its canonical steps.
        counts: [num_steps] which of them take the solution further.
        settings: which rules hold.
    """
    found = []
    if settings.require_answer and answer is None:
        found.append(Flag.NO_ANSWER)
    if is_short(text, settings.min_chars):
        found.append(Flag.TOO_SHORT)
    if not any(counted and has_content(step) for step, counted in zip(steps, counts, strict=True)):
        found.append(Flag.CONTENT_FREE)
    return found


def is_short(text: str, min_chars: int) -> bool:
    """True when fewer than ``min_chars`` characters are no spaces."""
    needed = min_chars
    for character in text:
        if needed <= 0:
            return False
        needed -= not character.isspace()
    return needed > 0


def has_content(step: str) -> bool:
    """False for master keys, and for an answer that stands alone or behind one."""
    found = read(step)
    return bool(found.equalities or len(found.numbers) > 1 or found.words - _EMPTY_WORDS)


_EMPTY_WORDS: Final = frozenset().union(*(read(key).words for key in MASTER_KEYS)) | {"answers", r"\boxed", r"\text"}
