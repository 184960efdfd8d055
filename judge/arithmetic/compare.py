"""Whether two sides agree, and whether a disagreement is really an error.

A false accusation is the worst thing that can happen here: a side that disagrees is only held to be wrong when its
words and units offer no other reading.
"""

from __future__ import annotations

from collections.abc import Set
from enum import Enum, auto
from fractions import Fraction
from typing import Final

from judge.arithmetic import vocabulary
from judge.arithmetic.expressions import Value, evaluate
from judge.arithmetic.sides import Side

APPROXIMATE_SHARE: Final = Fraction(1, 20)
"""How far "about" reaches, as a share of the value."""

_CONVERSIONS: Final = frozenset(
    {2, 3, 4, 5, 7, 8, 10, 12, 16, 20, 24, 25, 30, 36, 50, 52, 60, 100, 365, 1000, 1440, 1760, 2000, 3600, 5280}
)
"""Factors between common units: a result that is off by one of these may have changed its unit."""


class Outcome(Enum):
    """What recomputing a claim says."""

    RIGHT = auto()
    WRONG = auto()
    UNKNOWN = auto()


def compare(left: Side, right: Side, sign: str, words: Set[str]) -> tuple[Outcome, Fraction]:
    """Recompute an equality.

    Args:
        sign: ``=`` or ``≈``.
        words: every word of the text around it.

    Returns:
        The outcome, and the value of the side that is computed (the left one, unless only the right one is).
    """
    unknown = Outcome.UNKNOWN, Fraction(0)
    if not (left.readable and right.readable) or (left.is_literal and right.is_literal):
        return unknown
    values = [(evaluate(left.tokens), evaluate(right.tokens))]
    if any(token.percent for side in (left, right) for token in side.tokens):
        one = Fraction(1)
        values += [(values[0][0], evaluate(right.tokens, one)), (evaluate(left.tokens, one), values[0][1])]
        values.append((values[2][0], values[1][1]))
    pairs = [(first, second) for first, second in values if first is not None and second is not None]
    if not pairs:
        return unknown
    approximate = sign == "≈" or not vocabulary.ROUNDING.isdisjoint(words)
    if any(_agree(first, second, left, right, approximate) for first, second in pairs):
        return Outcome.RIGHT, pairs[0][0].exact
    if _is_doubtful(left, right, words) or _changes_unit(left, right, pairs[0]):
        return unknown
    computed = pairs[0][1] if left.is_literal else pairs[0][0]
    return Outcome.WRONG, computed.exact


def _agree(first: Value, second: Value, left: Side, right: Side, approximate: bool) -> bool:
    """Equal, or equal after rounding or cutting to the decimals that a literal side shows."""
    gap = abs(first.exact - second.exact)
    slack = first.slack + second.slack
    if gap <= slack:
        return True
    for side in (left, right):
        if side.is_literal:
            number = side.tokens[-1]
            place = Fraction(1, 10**number.decimals) * (Fraction(1, 100) if number.percent else 1)
            if gap < place + slack:
                return True
    return approximate and gap <= APPROXIMATE_SHARE * max(abs(first.exact), abs(second.exact))


def _is_doubtful(left: Side, right: Side, words: Set[str]) -> bool:
    """Whether the words leave room for another reading."""
    if not vocabulary.DOUBTING.isdisjoint(words) or not vocabulary.OTHER_ARITHMETIC.isdisjoint(words):
        return True
    if not vocabulary.NUMERIC.isdisjoint(left.before[-4:]):
        return True
    return not vocabulary.COMPARING.isdisjoint(right.after[:3])


def _changes_unit(left: Side, right: Side, values: tuple[Value, Value]) -> bool:
    """Whether units explain the difference: "30 + 30 minutes = 1 hour", "2 adults + 3 children = 50 dollars"."""
    units = {vocabulary.UNITS.get(word, "") for side in (left, right) for word in side.units} - {""}
    percents = any(token.percent for side in (left, right) for token in side.tokens)
    currency = [any(token.currency for token in side.tokens) for side in (left, right)]
    first, second = values[0].exact, values[1].exact
    if units or percents or any(currency):
        low, high = sorted((abs(first), abs(second)))
        if low and high / low in _CONVERSIONS:
            return True
    if not (left.is_sum or right.is_sum):
        return False
    if percents or len(units | ({"dollar"} if any(currency) else set())) > 1:
        return True
    things = {words for words in left.units}
    return len(things) > 1 or (bool(things) and currency[0] != currency[1])
