"""Unicode in one form: composed (NFC), without characters that cannot be seen, combining marks in bounded runs."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import chain
from typing import Final

MAX_MARKS: Final = 30
"""Combining marks kept after one base character (Unicode's stream-safe limit): normalising longer runs is quadratic."""

_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs"})
"""Controls, formats (zero-width and bidirectional marks, soft hyphen, byte-order mark), lone surrogates."""
_INVISIBLE = frozenset(
    map(
        chr,
        chain(
            (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),  # joiner and fillers, blank Braille
            range(0x180B, 0x1810),  # Mongolian variation selectors
            range(0xFE00, 0xFE10),  # variation selectors
            range(0xE0000, 0xE1000),  # tags and more variation selectors
        ),
    )
)


def canonical_word(word: str) -> str:
    r"""NFC of ``word`` (no white space) without invisible characters; may be empty. Idempotent.

    >>> canonical_word("e\u0301\u200btude")
    'étude'
    """
    if word.isascii():
        return word if word.isprintable() else "".join(c for c in word if c.isprintable())
    visible = "".join(c for c in word if not is_invisible(c))
    if len(visible) > MAX_MARKS // 4:  # a shorter one has no run to bound: a character decomposes into 4 at most
        # Bounded before decomposing (for time) and after (a mark may decompose into two).
        visible = _bound_marks(unicodedata.normalize("NFD", _bound_marks(visible)))
    return unicodedata.normalize("NFC", visible)


def is_invisible(character: str) -> bool:
    """True for what takes no room on the page. White space counts as visible but for the controls among it."""
    return unicodedata.category(character) in _INVISIBLE_CATEGORIES or character in _INVISIBLE


def clusters(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The ranges of ``text[start:end]`` that can be put in canonical form one by one.

    Canonical forms of the parts, joined, are the canonical form of the whole.
    """
    first = start
    for position in range(start + 1, end):
        if not (_extends(text[position]) or is_invisible(text[position])):
            yield first, position
            first = position
    if first < end:
        yield first, end


def _bound_marks(characters: str) -> str:
    kept = []
    run = 0
    for character in characters:
        run = run + 1 if _extends(character) else 0
        if run <= MAX_MARKS:
            kept.append(character)
    return "".join(kept)


def _extends(character: str) -> bool:
    """True when the character may join, or change places with, the one before it."""
    if character < "\u0300":
        return False
    # Hangul vowels and finals are letters, yet they compose with what is before them.
    is_jamo = "\u1160" <= character <= "\u11ff" or "\ud7b0" <= character <= "\ud7ff"
    return is_jamo or unicodedata.category(character)[0] == "M"
