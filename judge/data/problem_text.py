"""When two problem texts are the same problem: the key for splits and for the overlap check."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final

FINGERPRINT_BYTES: Final = 8
_LAYOUT: Final = re.compile(r"\\(?:left|right|displaystyle|[,;:!> \[\]()])")
_SMALL_FRACTION: Final = re.compile(r"\\[dt]frac")
_DROPPED: Final = re.compile(r"[\s$\\{}\"'`‘’“”,;:?!_~&]|(?<!\d)\.|\.(?!\d)")


def problem_key(text: str) -> str:
    r"""The text without what copies of a problem differ in: case, spaces, punctuation, LaTeX layout and braces.

    Operators, brackets and decimal points stay: ``8/4/2`` is not ``8/(4/2)``.

    >>> problem_key(r"What is $\dfrac{1}{2} + 1.5$?") == problem_key(r"what is \frac{1}{2}+1.5")
    True
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    text = _SMALL_FRACTION.sub(r"\\frac", _LAYOUT.sub("", text))
    return _DROPPED.sub("", text)


def fingerprint(text: str) -> bytes:
    """`FINGERPRINT_BYTES` bytes that stand for a problem: BLAKE2b of its key."""
    return hashlib.blake2b(problem_key(text).encode("utf-8", "surrogatepass"), digest_size=FINGERPRINT_BYTES).digest()
