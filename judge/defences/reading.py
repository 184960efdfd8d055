"""What one piece of text says, as sets that can be compared: its numbers, its words, its equalities.

One pass of a compiled expression; everything is linear in the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from judge.defences.vocabulary import COMMON, NUMBER_WORDS, OPERATORS, RELATIONS

Equality = tuple[str, ...]

_SCRIPTS: Final = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Written without spaces, or with few: a character counts as a word."""
_TOKEN: Final = re.compile(
    rf"[0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+|\\[a-z]+|[{_SCRIPTS}]"
    rf"|[^\W\d_{_SCRIPTS}]+(?:['’][^\W\d_{_SCRIPTS}]+)*|[=<>≤≥≈≡≠+*/^×÷√%-]"
)
_LABEL: Final = re.compile(
    r"[\s>*#•-]*(?:(?:step|part|line|point|stage)\s{0,3})?\(?[0-9]{1,3}[.):][\s*]|[\s*#]*step\s{1,3}[0-9]{1,3}\b"
)
"""The number of a step is no number of the problem's."""
_WINDOW: Final = 3
"""Tokens on either side of a relation that make up its identity."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says.

    >>> read("Step 2: Ann sells 1,200.50 pears, so x = 2 are left").numbers == {"1200.5", "2"}
    True
    """

    numbers: frozenset[str]
    words: frozenset[str]
    """Lower case, without `COMMON` ones; single letters are names of quantities."""
    equalities: frozenset[Equality]
    """Each with a few of the tokens on its either side."""
    operands: frozenset[str]
    """The numbers that do not stand right behind a relation."""
    has_maths: bool


def read(text: str) -> Reading:
    """Read a text."""
    lowered = text.lower()
    label = _LABEL.match(lowered)
    tokens = _TOKEN.findall(lowered, label.end() if label else 0)
    numbers: set[str] = set()
    words: set[str] = set()
    operands: set[str] = set()
    equalities: set[Equality] = set()
    has_maths = False
    for index, token in enumerate(tokens):
        first = token[0]
        if first.isdigit() or first == ".":
            number = _number(token)
            numbers.add(number)
            if index == 0 or tokens[index - 1] not in RELATIONS:
                operands.add(number)
        elif token in RELATIONS:
            equalities.add(tuple(tokens[max(0, index - _WINDOW) : index + _WINDOW + 1]))
        elif token in NUMBER_WORDS:
            numbers.add(NUMBER_WORDS[token])
        elif first.isalpha():
            if token not in COMMON:
                words.add(token)
                has_maths = has_maths or (len(token) == 1 and token.isascii())
        elif first == "\\" or first in OPERATORS:
            has_maths = True
    has_maths = has_maths or bool(numbers or equalities)
    return Reading(frozenset(numbers), frozenset(words), frozenset(equalities), frozenset(operands), has_maths)


def _number(token: str) -> str:
    """One spelling of a number: ``1,200.50`` and ``01200.5`` are ``1200.5``."""
    whole, _, fraction = token.replace(",", "").partition(".")
    fraction = fraction.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{fraction}" if fraction else "")
