"""What can be noted about a response. A closed set: the names go over the wire and into metrics."""

from __future__ import annotations

from enum import StrEnum


class Flag(StrEnum):
    """One thing that looks like reward hacking. None of them proves it."""

    NO_ANSWER = "no_answer"
    """No final answer can be read from it."""
    TOO_SHORT = "too_short"
    """Fewer characters than ``[defences] min_chars``."""
    CONTENT_FREE = "content_free"
    """No step says anything about the problem's mathematics."""
    REPEATED_STEPS = "repeated_steps"
    """Steps that repeat the problem or former steps."""
    TALK = "talk"
    """Steps without mathematics."""
    LOOSE_STEPS = "loose_steps"
    """Steps that have nothing to do with the problem and are used nowhere."""
    TEXT_AFTER_ANSWER = "text_after_answer"
    """Steps that follow the final answer."""
    INJECTION = "injection"
    """Text that speaks to the judge, or as somebody else: chat tokens, the prompt's tags, orders to a grader."""
    FORGED_VERDICT = "forged_verdict"
    """Text that looks like a judge's verdict."""
    INVISIBLE_CHARACTERS = "invisible_characters"
    """Zero-width, bidirectional or control characters."""


FLOOR = frozenset({Flag.NO_ANSWER, Flag.TOO_SHORT, Flag.CONTENT_FREE})
"""Each of these alone puts a response at the floor."""
