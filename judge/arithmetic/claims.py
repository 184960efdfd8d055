"""Which equalities a text claims, and whether they hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from judge.arithmetic.compare import Outcome, compare
from judge.arithmetic.sides import Side, read_sides
from judge.arithmetic.tokens import Kind, Token, tokenize
from judge.arithmetic.words import resolve_words

_OTHER_ARITHMETIC: Final = re.compile(
    r"\\p?mod\b"
    r"|\b(?:mod|modulo|modulus|binary|octal|hexadecimal|clock|operations?|congruent|bases?[ -]\$?(?:\d++|b))\b",
    re.IGNORECASE,
)
MAX_SIGNS: Final = 100
"""A longer chain ``a = b = c ...`` is not read."""
MAX_CLAIMS: Final = 1000
"""Of a text with more equalities the rest is not read."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One checked equality.

    >>> [claim.critique for claim in check_text("So 3 * 4 = 13 apples.")]
    ['3 * 4 = 13, should be 12']
    """

    text: str
    """The two sides as written."""
    holds: bool
    computed: int | Fraction
    """What the side that is computed really comes to."""

    @property
    def critique(self) -> str:
        """What to tell a reader about a claim that does not hold."""
        return f"{self.text}, should be {show(self.computed)}"


def check_text(text: str) -> list[Claim]:
    """The equalities in a text (prose, LaTeX, calculator marks) that can be checked, in order; at most `MAX_CLAIMS`."""
    tokens = resolve_words(tokenize(text))
    words = frozenset(token.text for token in tokens)
    claims: list[Claim] = []
    for members, signs, question in chains(tokens):
        if len(claims) >= MAX_CLAIMS:
            break
        sides = read_sides(members)
        for index, sign in enumerate(signs):
            left, right = sides[index], sides[index + 1]
            outcome, computed = compare(left, right, sign, words)
            if outcome is Outcome.UNKNOWN or (outcome is Outcome.WRONG and question):
                continue
            claims.append(Claim(_written(text, left, right), outcome is Outcome.RIGHT, computed))
    return claims


def redefines_arithmetic(problem: str) -> bool:
    """Whether a problem counts in another way (number bases, remainders, operations of its own).

    >>> redefines_arithmetic("Express $45_6 + 3_6$ in base 6.")
    True
    """
    return _OTHER_ARITHMETIC.search(problem) is not None


def show(value: int | Fraction) -> str:
    """A number for people: exact when it is a short decimal, else to four decimals."""
    if value.denominator == 1:
        return str(value.numerator)
    short = f"{float(value):.4f}".rstrip("0").rstrip(".")
    return short if Fraction(short) == value else f"{value} (about {short})"


def chains(tokens: list[Token]) -> Iterator[tuple[list[list[Token]], list[Token], bool]]:
    """Chains of members between equals signs; a calculator mark is a chain of its own.

    Yields:
        The members, the signs between them, and whether a question mark follows.
    """
    outer, inner = _Chain(), None
    for token in tokens:
        if token.kind is Kind.MARK_OPEN:
            inner = _Chain()
        elif inner is not None:
            if token.kind in (Kind.MARK_CLOSE, Kind.BREAK):
                if 0 < len(inner.signs) <= MAX_SIGNS:
                    yield inner.members, inner.signs, False
                inner = None
            else:
                inner.add(token)
        elif token.kind in (Kind.BREAK, Kind.MARK_CLOSE):
            if 0 < len(outer.signs) <= MAX_SIGNS:
                yield outer.members, outer.signs, token.text == "?"
            outer = outer.rest(token)
        else:
            outer.add(token)
    if 0 < len(outer.signs) <= MAX_SIGNS:
        yield outer.members, outer.signs, False


class _Chain:
    def __init__(self) -> None:
        self.members: list[list[Token]] = [[]]
        self.signs: list[Token] = []

    def rest(self, stop: Token) -> _Chain:
        """The chain behind a break; it keeps an operand or operator that the break may have torn off.

        ". 84 + .82" lacks its beginning, and so do "14, 400 / 80" and "3, 4 + 5".
        """
        chain = _Chain()
        member = self.members[-1]
        if member and (
            member[-1].kind is Kind.OPERATOR or (stop.text == "," and not self.signs and member[-1].kind is Kind.NUMBER)
        ):
            chain.members[0].append(member[-1])
        return chain

    def add(self, token: Token) -> None:
        if token.kind is Kind.EQUALS:
            self.signs.append(token)
            self.members.append([])
        else:
            self.members[-1].append(token)


def _written(text: str, left: Side, right: Side) -> str:
    """The claim as the reader sees it; an operator word or unit between the sides is kept."""
    sides = [text[side.tokens[0].start : side.tokens[-1].end] for side in (left, right)]
    return f"{sides[0]} = {sides[1]}"
