"""A worked solution as data: its numbers, and which calculation gives each result.

A step's calculations are those that `judge.arithmetic` can read in its text, and those of its calculator marks
(GSM8K's ``<<7*6=42>>42``), which stand for a calculation that the prose may not spell out.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from judge.arithmetic.claims import chains
from judge.arithmetic.expressions import evaluate
from judge.arithmetic.sides import read_sides
from judge.arithmetic.tokens import Kind, Token, tokenize
from judge.arithmetic.words import resolve_words

_MARK: Final = re.compile(r"<<([^<>]*)>>")
_DIGITS: Final = re.compile(r"[0-9]{1,12}")
MAX_MARK_GAP: Final = 2
"""Characters between a mark and the result that it stands for, such as a currency sign."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How an expression gives the number that is written for it."""

    percent: int | Fraction
    """What a percent sign multiplies by."""
    scale: int
    """100 where the result is written in percent."""
    exact: bool
    """False where the written result is rounded or cut."""


@dataclass(frozen=True, slots=True)
class Derivation:
    """One calculation and its result."""

    result: Token
    """Where the result stands in the step's text."""
    expression: tuple[Token, ...]
    """What it is computed from. Positions in the step's text when `visible`, else inside the mark."""
    reading: Reading
    visible: bool
    num_sides: int = 2
    """Members of the chain ``a = b = c`` that it was read from."""
    mark_position: int | None = None
    """Where its calculator mark stood in the step's text."""


@dataclass(frozen=True, slots=True)
class WorkedStep:
    """One step without its calculator marks."""

    raw: str
    text: str
    numbers: tuple[Token, ...]
    derivations: tuple[Derivation, ...]
    """In the order of their results."""
    unread_numbers: frozenset[Fraction]
    """What looks like a number but is read as something else, such as the 210 in "week 3:210"."""
    unread: bool
    """Whether it states an equality that could not be followed."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A calculator mark and where it stood."""

    position: int
    expression: tuple[Token, ...]
    result: int | Fraction | None


def read_step(raw: str) -> WorkedStep:
    """Find the numbers and calculations of a step.

    >>> step = read_step("She has 3 + 4 = <<3+4=7>>7 eggs.")
    >>> step.text, [d.result.value for d in step.derivations]
    ('She has 3 + 4 = 7 eggs.', [7])
    """
    text, marks = without_marks(raw)
    tokens = resolve_words(tokenize(text))
    found: dict[int, Derivation] = {}
    unread = False
    for mark in marks:
        derivation = _from_mark(mark, tokens)
        if derivation is not None:
            found[derivation.result.start] = derivation
    for members in _chained(tokens):
        derivation = _from_chain(members)
        if derivation is not None:
            start = derivation.result.start
            mark_position = found[start].mark_position if start in found else None
            found[start] = dataclasses.replace(derivation, mark_position=mark_position)
        else:
            inside = [token for member in members for token in member]
            unread = unread or not any(inside[0].start <= start <= inside[-1].start for start in found)
    derivations = tuple(found[start] for start in sorted(found))
    numbers = tuple(token for token in tokens if token.kind is Kind.NUMBER)
    between = text
    for token in reversed(numbers):
        between = between[: token.start] + " " + between[token.end :]
    unread_numbers = frozenset(map(Fraction, _DIGITS.findall(between)))
    return WorkedStep(raw, text, numbers, derivations, unread_numbers, unread)


def without_marks(raw: str) -> tuple[str, list[Mark]]:
    """The text without its calculator marks, and the marks."""
    marks: list[Mark] = []
    parts: list[str] = []
    length = end = 0
    for match in _MARK.finditer(raw):
        parts.append(raw[end : match.start()])
        length += match.start() - end
        expression, _, result = match[1].rpartition("=")
        values = [token.value for token in tokenize(result) if token.kind is Kind.NUMBER]
        marks.append(Mark(length, tuple(tokenize(expression)), values[0] if len(values) == 1 else None))
        end = match.end()
    parts.append(raw[end:])
    return "".join(parts), marks


def _from_mark(mark: Mark, tokens: Sequence[Token]) -> Derivation | None:
    behind = next((token for token in tokens if token.kind is Kind.NUMBER and token.start >= mark.position), None)
    if behind is None or behind.start > mark.position + MAX_MARK_GAP or behind.value != mark.result:
        return None
    if len(mark.expression) < 2:
        return None
    reading = read_result(mark.expression, behind)
    if reading is None:
        return None
    return Derivation(behind, mark.expression, reading, visible=False, mark_position=mark.position)


def _chained(tokens: list[Token]) -> Iterator[list[list[Token]]]:
    for members, _signs, _question in chains(tokens):
        if all(members):
            yield members


def _from_chain(members: list[list[Token]]) -> Derivation | None:
    sides = read_sides(members)
    result = sides[-1]
    if not all(side.readable for side in sides) or len(result.tokens) != 1 or not sides[0].is_calculation:
        return None
    token = result.tokens[0]
    if token.kind is not Kind.NUMBER:
        return None
    readings = [read_result(side.tokens, token) for side in sides[:-1]]
    if readings[0] is None or None in readings:
        return None
    return Derivation(token, tuple(sides[0].tokens), readings[0], visible=True, num_sides=len(sides))


def read_result(expression: Sequence[Token], result: Token) -> Reading | None:
    """How the expression gives the written result; None when it does not, up to rounding."""
    for percent in (Fraction(1, 100), 1):
        value = evaluate(expression, percent)
        for scale in (1, 100) if result.percent and value is not None else (1,):
            if value is not None and abs(value.exact * scale - result.value) * 10**result.decimals < 1:
                return Reading(percent, scale, value.exact * scale == result.value)
    return None
