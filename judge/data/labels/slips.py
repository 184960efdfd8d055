"""Wrong numbers that people and models write in the place of right ones."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

Number = int | Fraction

_SMALL: Final = 10
MAX_TRIES: Final = 8


def slipped_result(value: Number, rng: random.Random) -> Number | None:
    """A wrong result of a calculation: a carry forgotten, one off, a digit wrong or left out, a point misplaced."""
    small = value < _SMALL
    return _slip(value, rng, (_one_off,) if small else (_one_off, _one_off, _carry, _carry, _digit, _swap, _scale))


def misread(value: Number, rng: random.Random) -> Number | None:
    """A number copied wrongly: digits swapped, one wrong, one left out or added, or one off."""
    small = value < _SMALL
    return _slip(value, rng, (_digit, _one_off) if small else (_digit, _digit, _swap, _scale, _one_off, _left_out))


def _slip(value: Number, rng: random.Random, ways: tuple[Callable[[int, random.Random], int], ...]) -> Number | None:
    """Slip in the digits of a number, its decimal point kept; None when no way gives another positive number."""
    scale = 1 if value.denominator == 1 else 100
    digits = value * scale
    if digits.denominator != 1 or digits < 1:
        return None
    for _ in range(MAX_TRIES):
        wrong = rng.choice(ways)(int(digits), rng)
        if wrong > 0 and wrong != digits:
            return wrong if scale == 1 else Fraction(wrong, scale)
    return None


def _one_off(digits: int, rng: random.Random) -> int:
    return digits + rng.choice((-2, -1, 1, 2))


def _carry(digits: int, rng: random.Random) -> int:
    """One off in a place that a carry reaches: tens, hundreds ..."""
    places = len(str(digits))
    return digits + rng.choice((-1, 1)) * int(10 ** rng.randint(min(1, places - 1), max(places - 1, 1)))


def _digit(digits: int, rng: random.Random) -> int:
    text = list(str(digits))
    position = rng.randrange(len(text))
    text[position] = rng.choice("123456789" if position == 0 else "0123456789")
    return int("".join(text))


def _swap(digits: int, rng: random.Random) -> int:
    text = list(str(digits))
    if len(text) < 2:
        return digits
    position = rng.randrange(len(text) - 1)
    text[position], text[position + 1] = text[position + 1], text[position]
    return int("".join(text)) if text[0] != "0" else digits


def _left_out(digits: int, rng: random.Random) -> int:
    text = str(digits)
    position = rng.randrange(len(text))
    left = text[:position] + text[position + 1 :]
    return int(left) if left and left[0] != "0" else digits


def _scale(digits: int, _rng: random.Random) -> int:
    return digits // 10 if digits % 10 == 0 else digits * 10


@dataclass(frozen=True, slots=True)
class Conversion:
    """How many of one unit make another."""

    factor: int
    units: re.Pattern[str]
    """Words that tell that the factor is one."""
    mistaken: tuple[int, ...]
    """Factors that are taken for it."""


def _conversion(factor: int, units: str, *mistaken: int) -> Conversion:
    return Conversion(factor, re.compile(rf"\b(?:{units})s?\b", re.IGNORECASE), mistaken)


CONVERSIONS: Final = (
    _conversion(60, "second|minute|hour|min|hr", 100, 6, 30),
    _conversion(24, "day|hour", 12, 20, 60),
    _conversion(7, "week|weekly", 5, 6, 10),
    _conversion(30, "month|monthly", 28, 31, 20),
    _conversion(52, "week|weekly|year|annually", 50, 48, 12),
    _conversion(365, "day|year", 360, 356, 300),
    _conversion(12, "dozen|foot|feet|inch|inche|inches|month|year|annual|annually", 10, 100, 6),
    _conversion(3, "yard|feet|foot", 12, 10),
    _conversion(36, "yard|inch|inche", 12, 30),
    _conversion(16, "ounce|pound|oz|lb|cup|gallon", 12, 10, 8),
    _conversion(4, "quart|gallon|quarter", 8, 2),
    _conversion(100, "cent|dollar|meter|centimeter|cm|percent|penny|pennie", 10, 1000),
    _conversion(1000, "gram|kilogram|kg|ml|liter|milliliter|meter|kilometer|km|mm", 100, 10),
    _conversion(10, "dime|millimeter|mm|decade", 100, 5),
    _conversion(25, "quarter", 20, 10),
    _conversion(5, "nickel", 10, 1),
)
