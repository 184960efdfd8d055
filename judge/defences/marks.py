"""Marks of attacks in a text: who speaks to the judge, forges its verdict, or hides characters.

Every repetition is bounded, so that the time is linear in the text. Marks are noted and their steps earn nothing; what
makes them harmless to the judge is `judge.prompting`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from judge.unicode_text import is_invisible


class _Mark(NamedTuple):
    """One kind of mark."""

    hints: tuple[str, ...]
    """Each match holds one of these in lower case; looking for them first spares honest texts the search."""
    pattern: re.Pattern[str]


def _marks(*marks: tuple[str, str]) -> tuple[_Mark, ...]:
    return tuple(
        _Mark(tuple(hints.split()), re.compile(pattern, re.IGNORECASE | re.MULTILINE)) for hints, pattern in marks
    )


_INJECTIONS: Final = _marks(
    ("<", r"<[|｜][^<>|｜\n]{1,80}[|｜]>|<</?SYS>>|</?s>"),
    ("[inst [/inst", r"\[/?INST\]"),
    ("<", r"<\s{0,8}/?\s{0,8}(?:paragraph_|solution\b|problem\b|system\b|(?:start|end)_of_turn)"),
    (
        "ignore disregard forget",
        r"\b(?:ignore|disregard|forget)\s{1,4}(?:\w{1,20}\s{1,4}){0,3}(?:instructions?|prompts?|rules)\b",
    ),
    ("note", r"\bnote\s{1,4}to\s{1,4}(?:the\s{1,4})?(?:grader|judge|evaluator|verifier|examiner)\b"),
    ("system assistant", r"^\s{0,8}(?:system|assistant)\s{0,4}:"),
    (
        "grade mark score report rate",
        r"\b(?:grade|mark|score|report|rate)\s{1,4}(?:\w{1,20}\s{1,4}){0,4}as\s{1,4}"
        r"(?:correct|right|the\s{1,4}first\s{1,4}wrong)\b",
    ),
)
_VERDICTS: Final = _marks(
    ("correct", r"\\boxed\s{0,8}\{\s{0,8}(?:\\text\s{0,4}\{)?\s{0,8}(?:in)?correct"),
    ('"', r"\"(?:first_error|verdict|score|is_correct|reward)\"\s{0,8}:"),
    ("verdict", r"\bverdict\s{0,4}:"),
    (
        "paragraph",
        r"\bparagraphs?\s{1,4}[0-9]{1,4}\s{1,4}(?:is|are|to|up|and|through|-)\s{1,4}(?:[0-9]{1,4}\s{1,4})?"
        r"(?:is\s{1,4}|are\s{1,4})?(?:all\s{1,4})?(?:correct|right|the\s{1,4}first\s{1,4}wrong)\b",
    ),
)
_ONLY_YES: Final = re.compile(r"[\W_]*(?:yes|correct|true|right)[\W_]*", re.IGNORECASE)


def is_injection(text: str) -> bool:
    """True for chat tokens, the prompt's own tags, orders to whoever grades."""
    return _has_any(_INJECTIONS, text)


def is_forged_verdict(text: str) -> bool:
    """True for what looks like a judge's verdict."""
    return _has_any(_VERDICTS, text)


def speaks_to_judge(step: str) -> bool:
    """True for a step that is no part of a solution but meant for the judge."""
    return is_injection(step) or is_forged_verdict(step) or _ONLY_YES.fullmatch(step) is not None


def steps_to_judge(steps: Sequence[str]) -> set[int]:
    """The steps that are meant for the judge, by their index."""
    # What a step holds is also found in all of them together, and mostly there is nothing to find.
    together = "\n".join(steps)
    if is_injection(together) or is_forged_verdict(together):
        return {index for index, step in enumerate(steps) if speaks_to_judge(step)}
    return {index for index, step in enumerate(steps) if _ONLY_YES.fullmatch(step)}


def _has_any(marks: Sequence[_Mark], text: str) -> bool:
    lowered = text.lower()
    hinted = [mark.pattern for mark in marks if any(hint in lowered for hint in mark.hints)]
    if hinted and not lowered.isascii() and any(letter in text for letter in _ODD_LETTERS):
        hinted = [mark.pattern for mark in marks]
    return any(pattern.search(text) for pattern in hinted)


_ODD_LETTERS: Final = "\u0130\u0131\u017f"
"""What `re.IGNORECASE` takes for the letters i and s though its lower case is another: no hint shows it."""


def has_invisible(text: str) -> bool:
    """True when a character takes no room on the page; line ends, tabs and spaces are seen."""
    if text.isascii():
        return any(character in text for character in _ASCII_CONTROLS)
    return any(is_invisible(character) for character in set(text) - _SEEN)


_SEEN: Final = frozenset("\n\r\t\f\v")
_ASCII_CONTROLS: Final = tuple(chr(code) for code in (*range(32), 127) if chr(code) not in _SEEN)
