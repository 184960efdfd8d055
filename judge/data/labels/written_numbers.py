"""Numbers as they stand in a text: writing another one in the same style, and the values that a problem gives."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from typing import Final

from judge.arithmetic.tokens import Kind, tokenize
from judge.arithmetic.words import resolve_words

MAX_DECIMALS: Final = 2
"""A result with more decimals than this is not written where a shorter one stood."""
MAX_VALUE: Final = 10**9

_PLAIN: Final = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+")
_WORDS: Final = {
    word: value
    for value, words in {
        1: "one once single",
        2: "two twice double doubled doubles couple pair pairs both second half halves",
        3: "three thrice triple tripled triples third thirds",
        4: "four quarter quarters fourth quadruple",
        5: "five fifth fifths",
        6: "six sixth",
        7: "seven seventh",
        8: "eight eighth",
        9: "nine ninth",
        10: "ten tenth",
        11: "eleven",
        12: "twelve",
        15: "fifteen",
        20: "twenty",
        30: "thirty",
        40: "forty",
        50: "fifty",
        100: "hundred",
    }.items()
    for word in words.split()
}
_WORD: Final = re.compile(r"[a-z]+")


def is_plain(written: str) -> bool:
    """Whether the text is a number in digits and nothing else."""
    return _PLAIN.fullmatch(written) is not None


def write_like(written: str, value: int | Fraction, *, rounded: bool = False) -> str | None:
    """The value in the style of the number that it takes the place of; None when it would look out of place.

    Args:
        written: the number that stood there, in digits.
        value: from 0 (excluded) to `MAX_VALUE`.
        rounded: whether the old number was rounded; then the new one is rounded to as many decimals.

    >>> write_like("1,148", 2296), write_like("3.50", 4), write_like("7", Fraction(1, 3))
    ('2,296', '4.00', None)
    """
    if not 0 < value < MAX_VALUE or not is_plain(written):
        return None
    old_decimals = len(written.partition(".")[2])
    decimals = old_decimals
    if not rounded:
        decimals = next((d for d in range(7) if (value * 10**d).denominator == 1), 7)
        if decimals > max(old_decimals, MAX_DECIMALS):
            return None
        if old_decimals and (written.endswith("0") or (decimals and old_decimals == MAX_DECIMALS)):
            decimals = max(decimals, old_decimals)  # money: 3.50
    with localcontext() as context:
        context.prec = 40
        exact = Decimal(value.numerator) / Decimal(value.denominator)
        text = f"{exact.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP):f}"
    if Decimal(text) == 0:
        return None
    if "," in written or (value >= 10**4 and old_decimals == 0 and len(written) < 4):
        return f"{Decimal(text):,}"
    return text.removeprefix("0") if written.startswith(".") else text


def given_values(problem: str) -> list[int | Fraction]:
    """The numbers of a problem, in digits and in words, as often as they occur.

    >>> given_values("She has two boxes of eggs and eats 5 of them twice.")
    [5, 2, 2]
    """
    digits = [token.value for token in resolve_words(tokenize(problem)) if token.kind is Kind.NUMBER]
    return digits + [_WORDS[word] for word in _WORD.findall(problem.lower()) if word in _WORDS]
