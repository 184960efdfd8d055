"""Marks of attacks in a text: who speaks to the judge, forges its verdict, or hides characters.

Every repetition is bounded, so that the time is linear in the text. Marks are noted and their steps earn nothing; what
makes them harmless to the judge is `judge.prompting`.
"""

from __future__ import annotations

import re
from typing import Final

from judge.unicode_text import is_invisible

_INJECTION: Final = re.compile(
    r"<[|｜][^<>|｜\n]{1,80}[|｜]>"
    r"|\[/?INST\]|<</?SYS>>|</?s>"
    r"|<\s{0,8}/?\s{0,8}(?:paragraph_|solution\b|problem\b|system\b|(?:start|end)_of_turn)"
    r"|\b(?:ignore|disregard|forget)\s{1,4}(?:\w{1,20}\s{1,4}){0,3}(?:instructions?|prompts?|rules)\b"
    r"|\bnote\s{1,4}to\s{1,4}(?:the\s{1,4})?(?:grader|judge|evaluator|verifier|examiner)\b"
    r"|^\s{0,8}(?:system|assistant)\s{0,4}:"
    r"|\b(?:grade|mark|score|report|rate)\s{1,4}(?:\w{1,20}\s{1,4}){0,4}as\s{1,4}(?:correct|right|the\s{1,4}first\s{1,4}wrong)\b",
    re.IGNORECASE | re.MULTILINE,
)
_VERDICT: Final = re.compile(
    r"\\boxed\s{0,8}\{\s{0,8}(?:\\text\s{0,4}\{)?\s{0,8}(?:in)?correct"
    r"|\"(?:first_error|verdict|score|is_correct|reward)\"\s{0,8}:"
    r"|\bverdict\s{0,4}:"
    r"|\bparagraphs?\s{1,4}[0-9]{1,4}\s{1,4}(?:is|are|to|up|and|through|-)\s{1,4}(?:[0-9]{1,4}\s{1,4})?(?:is\s{1,4}|are\s{1,4})?(?:all\s{1,4})?(?:correct|right|the\s{1,4}first\s{1,4}wrong)\b",
    re.IGNORECASE,
)
# Each match holds one of these; looking for them first makes honest texts ten times faster.
_INJECTION_HINTS: Final = (
    *("<", "[inst", "[/inst", "ignore", "disregard", "forget", "note", "system", "assistant"),
    *("grade", "mark", "score", "report", "rate"),
)
_VERDICT_HINTS: Final = ("correct", '"', "verdict", "paragraph")
_ONLY_YES: Final = re.compile(r"[\W_]*(?:yes|correct|true|right)[\W_]*", re.IGNORECASE)


def is_injection(text: str) -> bool:
    """True for chat tokens, the prompt's own tags, orders to whoever grades."""
    return _hinted(text, _INJECTION_HINTS) and _INJECTION.search(text) is not None


def is_forged_verdict(text: str) -> bool:
    """True for what looks like a judge's verdict."""
    return _hinted(text, _VERDICT_HINTS) and _VERDICT.search(text) is not None


def speaks_to_judge(step: str) -> bool:
    """True for a step that is no part of a solution but meant for the judge."""
    return is_injection(step) or is_forged_verdict(step) or _ONLY_YES.fullmatch(step) is not None


def _hinted(text: str, hints: tuple[str, ...]) -> bool:
    lowered = text.lower()
    return any(hint in lowered for hint in hints)


def has_invisible(text: str) -> bool:
    """True when a character takes no room on the page; line ends, tabs and spaces are seen."""
    if text.isascii():
        return any(character in text for character in _ASCII_CONTROLS)
    return any(is_invisible(character) for character in set(text) - _SEEN)


_SEEN: Final = frozenset("\n\r\t\f\v")
_ASCII_CONTROLS: Final = tuple(chr(code) for code in (*range(32), 127) if chr(code) not in _SEEN)
