"""What one piece of text says, as sets that can be compared: its numbers, its words, its equalities.

One pass of a compiled expression; everything is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from typing import Final, NamedTuple

from judge.defences.vocabulary import NUMBER_WORDS, OPERATORS, RELATIONS, VOCABULARY

Equality = tuple[str, ...]

_SCRIPTS: Final = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Written without spaces, or with few: a character counts as a word."""
_NUMBER: Final = r"[0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+"
_ASCII_TOKEN: Final = re.compile(rf"[a-z]+(?:'[a-z]+)*|{_NUMBER}|[=<>+*/^%-]|\\[a-z]+")
"""What `_TOKEN` finds where there is nothing but ASCII, in half the time."""
_TOKEN: Final = re.compile(
    rf"[^\W\d_{_SCRIPTS}]+(?:['’][^\W\d_{_SCRIPTS}]+)*|{_NUMBER}|[=<>≤≥≈≡≠+*/^×÷√%-]|\\[a-z]+|[{_SCRIPTS}]"
)
_LABEL: Final = re.compile(
    r"[\s>*#•-]*(?:(?:step|part|line|point|stage)\s{0,3})?\(?[0-9]{1,3}[.):][\s*]|[\s*#]*step\s{1,3}[0-9]{1,3}\b"
)
"""The number of a step is no number of the problem's."""
_WINDOW: Final = 3
"""Tokens on either side of a relation that make up its identity."""


class Reading(NamedTuple):
    """What a text says.

    >>> read("Step 2: Ann sells 1,200.50 pears, so x = 2 are left").numbers == {"1200.5", "2"}
    True
    """

    numbers: Set[str]
    words: Set[str]
    """Lower case, without `COMMON` ones; single letters are names of quantities."""
    equalities: Set[Equality]
    """Each with a few of the tokens on its either side."""
    operands: Set[str]
    """The numbers that do not stand right behind a relation."""
    has_maths: bool


def read(text: str) -> Reading:
    """Read a text."""
    lowered = text.lower()
    label = _LABEL.match(lowered)
    tokens = (_ASCII_TOKEN if lowered.isascii() else _TOKEN).findall(lowered, label.end() if label else 0)
    # Sets do most of the work: a token is looked at by itself only where none of the vocabulary is.
    distinct = set(tokens)
    relations = [] if RELATIONS.isdisjoint(distinct) else [i for i, token in enumerate(tokens) if token in RELATIONS]
    operand_tokens = _not_behind(relations, tokens) if relations else distinct
    has_maths = bool(relations) or not OPERATORS.isdisjoint(distinct)
    numbers = (
        set()
        if NUMBER_WORDS.keys().isdisjoint(distinct)
        else {NUMBER_WORDS[word] for word in NUMBER_WORDS.keys() & distinct}
    )
    words: set[str] = set()
    operands: set[str] = set()
    for token in distinct - VOCABULARY:
        first = token[0]
        if first.isalpha():
            words.add(token)
            has_maths = has_maths or (len(token) == 1 and token.isascii())
        elif first.isdigit() or first == ".":
            number = _number(token)
            numbers.add(number)
            if token in operand_tokens:
                operands.add(number)
        elif first == "\\":
            has_maths = True
    equalities = {tuple(tokens[max(0, i - _WINDOW) : i + _WINDOW + 1]) for i in relations}
    return Reading(numbers, words, equalities, operands, has_maths or bool(numbers))


def _not_behind(relations: Sequence[int], tokens: Sequence[str]) -> set[str]:
    """The tokens but those that stand right behind a relation only."""
    found: set[str] = set()
    start = 0
    for index in relations:
        found.update(tokens[start : index + 1])
        start = index + 2
    found.update(tokens[start:])
    return found


def _number(token: str) -> str:
    """One spelling of a number: ``1,200.50`` and ``01200.5`` are ``1200.5``."""
    if token.isdecimal() and token[0] != "0":
        return token
    whole, _, fraction = token.replace(",", "").partition(".")
    fraction = fraction.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{fraction}" if fraction else "")
