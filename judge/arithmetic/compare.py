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
from judge.arithmetic.expressions import Value, evaluate, size
from judge.arithmetic.sides import Side
from judge.arithmetic.tokens import Token

APPROXIMATE_SHARE: Final = Fraction(1, 20)
"""How far "about" reaches, as a share of the value."""
FLOAT_NOISE: Final = Fraction(1, 10**9)
"""Relative error of a result copied from a calculator ("14.999999999999998")."""
FLOAT_DECIMALS: Final = 9

_SCALES: Final = frozenset({1000, 10**6, 10**9})
"""Factors that a word such as "million" may stand for."""
_CONVERSIONS: Final = frozenset(
    _SCALES
    | {2, 3, 4, 5, 7, 8, 10, 12, 16, 20, 24, 25, 30, 36, 50, 52, 60, 100, 365, 1000, 1440, 1760, 2000, 3600, 5280}
)
"""Factors between common units: a result that is off by one of these may have changed its unit."""


class Outcome(Enum):
    """What recomputing a claim says."""

    RIGHT = auto()
    WRONG = auto()
    UNKNOWN = auto()


def compare(left: Side, right: Side, sign: Token, words: Set[str]) -> tuple[Outcome, int | Fraction]:
    """Recompute an equality.

    Args:
        sign: the token between them.
        words: every word of the text around it.

    Returns:
        The outcome, and the value of the side that is computed (the left one, unless only the right one is).
    """
    unknown = Outcome.UNKNOWN, 0
    if not (left.readable and right.readable) or (left.is_literal and right.is_literal):
        return unknown
    if sign.spelled and not (right.is_literal and left.is_calculation):  # "the 2^3 digit is 1"
        return unknown
    if left.is_literal and (left.before or left.units):  # "3 days = 65 * 3" names a quantity
        return unknown
    readings = _readings(left, right)
    if not readings:
        return unknown
    first, second = readings[0]
    computed = second.exact if left.is_literal else first.exact
    approximate = sign.text == "≈" or not vocabulary.ROUNDING.isdisjoint(words)
    if any(_agree(*reading, left, right, approximate) for reading in readings):
        return Outcome.RIGHT, computed
    excused = _is_doubtful(left, right, words) or _names_share(left, first, second)
    if excused or _changes_unit(left, right, first, second):
        return unknown
    return Outcome.WRONG, computed


def _readings(left: Side, right: Side) -> list[tuple[Value, Value]]:
    """The values of both sides; with a percent sign also as if it were not there (5 / 20 * 100 = 25%)."""
    first, second = evaluate(left.tokens), evaluate(right.tokens)
    if first is None or second is None:
        return []
    readings = [(first, second)]
    if _has_percent(left) or _has_percent(right):
        plain_first, plain_second = evaluate(left.tokens, percent=1), evaluate(right.tokens, percent=1)
        if plain_first is not None and plain_second is not None:
            readings += [(first, plain_second), (plain_first, second), (plain_first, plain_second)]
    return readings


def _has_percent(side: Side) -> bool:
    return any(token.percent for token in side.tokens)


def _agree(first: Value, second: Value, left: Side, right: Side, approximate: bool) -> bool:
    """Equal, or equal after rounding or cutting to the decimals that a literal side shows."""
    gap = size(first.exact - second.exact)
    room = first.slack + second.slack
    if gap <= room:
        return True
    for side in (left, right):
        if side.is_literal:
            number = side.tokens[-1]
            if (gap - room) * 10 ** (number.decimals + 2 * number.percent) < 1:
                return True
    from_calculator = any(side.is_literal and side.tokens[-1].decimals >= FLOAT_DECIMALS for side in (left, right))
    share = APPROXIMATE_SHARE if approximate else FLOAT_NOISE if from_calculator else 0
    return gap <= share * max(size(first.exact), size(second.exact))


def _is_doubtful(left: Side, right: Side, words: Set[str]) -> bool:
    """Whether the words leave room for another reading."""
    if not vocabulary.DOUBTING.isdisjoint(words) or not vocabulary.OTHER_ARITHMETIC.isdisjoint(words):
        return True
    if not vocabulary.NUMERIC.isdisjoint(left.before[-4:]):
        return True
    tied = vocabulary.LABELS | vocabulary.LINKING
    if left.before and left.before[-2:] != ["total", "of"] and left.before[-1].removesuffix("s") in tied:
        return True
    if any(token.spelled for token in right.tokens):  # "3/3 - 2/3 = 1/3 of 150"
        return True
    return _compares(right)


def _compares(result: Side) -> bool:
    """Whether the words behind a result say that it is a part of, or a distance to, something else.

    A whole number is a result all the same in "3 of them" and in "3 more", unless "than" follows.
    """
    number, after = result.tokens[-1], result.after
    is_whole = result.is_literal and not number.decimals and not number.percent
    if is_whole and after[:2] == ["of", "them"]:
        after = after[2:]
    comparing = vocabulary.COMPARING - {"more"} if is_whole and "than" not in after else vocabulary.COMPARING
    return not (vocabulary.SHARING.isdisjoint(after[:1]) and comparing.isdisjoint(after[:3]))


def _names_share(left: Side, first: Value, second: Value) -> bool:
    """Whether a proper fraction stands for a share: "1/2 inch = 20 miles", "since 4/7 is 24"."""
    if not left.is_plain_fraction or size(first.exact) >= 1:
        return False
    return size(second.exact) >= 1 or bool(left.units)


def _changes_unit(left: Side, right: Side, first: Value, second: Value) -> bool:
    """Whether units explain the difference: "30 + 30 minutes = 1 hour", "2 adults + 3 children = 50 dollars"."""
    units = {vocabulary.UNITS.get(word, "") for side in (left, right) for word in side.units} - {""}
    percents = _has_percent(left) or _has_percent(right)
    currency = [any(token.currency for token in side.tokens) for side in (left, right)]
    low, high = sorted((size(first.exact), size(second.exact)))
    if low and Fraction(high) / low in (_CONVERSIONS if units or percents or any(currency) else _SCALES):
        return True
    if not (left.is_sum or right.is_sum):
        return False
    kinds = _unit_kinds(left) | _unit_kinds(right)
    if percents or len(kinds) > 1:
        return True
    return len(set(left.units)) > 1 or (bool(left.units) and currency[0] != currency[1])


def _unit_kinds(side: Side) -> set[str]:
    """The units that a side is counted in; of a result's only the first: the others tell more ("$11 per day")."""
    kinds = ["dollar"] if any(token.currency for token in side.tokens) else []
    kinds += [vocabulary.UNITS[word] for word in side.units if word in vocabulary.UNITS]
    return set(kinds[:1] if side.is_literal else kinds)
