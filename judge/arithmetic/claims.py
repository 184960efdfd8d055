"""Which equalities a text claims, and whether they hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from judge.arithmetic.compare import Outcome, compare
from judge.arithmetic.sides import Side, read_sides
from judge.arithmetic.tokens import Kind, Token, tokenize
from judge.arithmetic.words import resolve_words


@dataclass(frozen=True, slots=True)
class Claim:
    """One checked equality.

    >>> [claim.critique for claim in check_text("So 3 * 4 = 13 apples.")]
    ['3 * 4 = 13, should be 12']
    """

    text: str
    """The two sides as written."""
    holds: bool
    computed: Fraction
    """What the side that is computed really comes to."""

    @property
    def critique(self) -> str:
        """What to tell a reader about a claim that does not hold."""
        return f"{self.text}, should be {show(self.computed)}"


def check_text(text: str, context: str = "") -> list[Claim]:
    """Every equality in a text that can be checked, in order.

    Args:
        text: prose, LaTeX, or calculator marks.
        context: the problem's text; where it redefines arithmetic (bases, remainders, new operations), nothing
            is held against `text`.
    """
    tokens = resolve_words(tokenize(text))
    words = frozenset(token.text for token in tokens)
    claims = []
    for members, signs, question in _chains(tokens):
        sides = read_sides(members)
        for index, sign in enumerate(signs):
            left, right = sides[index], sides[index + 1]
            outcome, computed = compare(left, right, sign, words)
            if outcome is Outcome.UNKNOWN or (outcome is Outcome.WRONG and question):
                continue
            claims.append(Claim(_written(text, left, right), outcome is Outcome.RIGHT, computed))
    return claims


def show(value: Fraction) -> str:
    """A number for people: exact when it is a short decimal, else to four decimals."""
    if value.denominator == 1:
        return str(value.numerator)
    short = f"{float(value):.4f}".rstrip("0").rstrip(".")
    return short if Fraction(short) == value else f"{value} (about {short})"


def _chains(tokens: list[Token]) -> Iterator[tuple[list[list[Token]], list[str], bool]]:
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
                if inner.signs:
                    yield inner.members, inner.signs, False
                inner = None
            else:
                inner.add(token)
        elif token.kind in (Kind.BREAK, Kind.MARK_CLOSE):
            if outer.signs:
                yield outer.members, outer.signs, token.text == "?"
            outer = _Chain()
        else:
            outer.add(token)
    if outer.signs:
        yield outer.members, outer.signs, False


class _Chain:
    def __init__(self) -> None:
        self.members: list[list[Token]] = [[]]
        self.signs: list[str] = []

    def add(self, token: Token) -> None:
        if token.kind is Kind.EQUALS:
            self.signs.append(token.text)
            self.members.append([])
        else:
            self.members[-1].append(token)


def _written(text: str, left: Side, right: Side) -> str:
    """The claim as the reader sees it; an operator word or unit between the sides is kept."""
    sides = [text[side.tokens[0].start : side.tokens[-1].end] for side in (left, right)]
    return f"{sides[0]} = {sides[1]}"
