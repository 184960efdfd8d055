"""The exact value of an expression of plain numbers, with how far the written numbers may be rounded.

Recursive descent with bounds on depth, length, exponents and size of numbers: what goes beyond is unreadable, so that
``9**9**9`` or a wall of parentheses costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final, NamedTuple

from judge.arithmetic.tokens import Kind, Token

MAX_DEPTH: Final = 24
MAX_TOKENS: Final = 400
MAX_EXPONENT: Final = 64
MAX_BITS: Final = 512
"""Largest numerator or denominator, in bits."""

_PAIRS: Final = {"(": ")", "[": "]", "{": "}"}


class Value(NamedTuple):
    """An exact number, and the largest error that it may carry because its literals were rounded."""

    exact: int | Fraction
    slack: int | Fraction = 0


class _UnreadableError(Exception):
    """The tokens are no expression of plain numbers within the bounds."""


def evaluate(tokens: Sequence[Token], percent: int | Fraction = Fraction(1, 100)) -> Value | None:
    """Value of an expression, or None when it is not one.

    Args:
        tokens: numbers, operators, parentheses and fraction commands only.
        percent: what a percent sign multiplies by: 1/100, or 1 to read "20%" as 20.
    """
    if not 0 < len(tokens) <= MAX_TOKENS:
        return None
    parser = _Parser(tokens, percent)
    try:
        value = parser.sum(0)
    except _UnreadableError:
        return None
    return value if parser.position == len(tokens) else None


class _Parser:
    def __init__(self, tokens: Sequence[Token], percent: int | Fraction) -> None:
        self.tokens = tokens
        self.percent = percent
        self.position = 0

    def sum(self, depth: int) -> Value:
        value = self.product(depth)
        while sign := self.take("+", "-"):
            right = self.product(depth)
            value = _bounded(_add(value, right if sign == "+" else Value(-right.exact, right.slack)))
        return value

    def product(self, depth: int) -> Value:
        value, divided = self.signed(depth), False
        while True:
            if sign := self.take("*", "/"):
                right = self.signed(depth)
                if divided and sign == "/":  # 2 / 1/3 is read both ways
                    raise _UnreadableError
                divided = divided or sign == "/"
                value = _bounded(_multiply(value, right) if sign == "*" else _divide(value, right))
            elif self.is_implicit_product():
                if divided:  # 1/2(3) is read both ways
                    raise _UnreadableError
                value = _bounded(_multiply(value, self.power(depth)))
            else:
                return value

    def is_implicit_product(self) -> bool:
        """A parenthesis right behind an operand, as in ``2(3)``; braces never multiply."""
        token = self.peek()
        if token is None or token.kind is not Kind.OPEN or token.text == "{":
            return False
        if self.tokens[self.position - 1].end != token.start:
            raise _UnreadableError
        return True

    def signed(self, depth: int) -> Value:
        if not self.take("-"):
            return self.power(depth)
        start = self.position
        value = self.power(depth)
        if any(token.text == "^" for token in self.tokens[start : self.position]):
            raise _UnreadableError  # -3^2 is -9, but many write it for 9
        return Value(-value.exact, value.slack)

    def power(self, depth: int) -> Value:
        value = self.primary(depth)
        if not self.take("^"):
            return value
        negative = bool(self.take("-"))
        exponent = self.primary(depth).exact * (-1 if negative else 1)
        if self.peek_text() == "^" or exponent.denominator != 1 or size(exponent) > MAX_EXPONENT:
            raise _UnreadableError
        return _power(value, int(exponent))

    def primary(self, depth: int) -> Value:
        token = self.peek()
        if token is None or depth > MAX_DEPTH:
            raise _UnreadableError
        self.position += 1
        if token.kind is Kind.NUMBER:
            return self.mixed(token)
        if token.kind is Kind.FRACTION:
            top, bottom = self.argument(depth), self.argument(depth)
            following = self.peek()
            if following is not None and following.kind in (Kind.NUMBER, Kind.FRACTION):
                raise _UnreadableError
            return _bounded(_divide(top, bottom))
        if token.kind is Kind.OPEN:
            value = self.sum(depth + 1)
            if self.peek_text() != _PAIRS[token.text]:
                raise _UnreadableError
            self.position += 1
            return value
        raise _UnreadableError

    def argument(self, depth: int) -> Value:
        r"""One argument of ``\frac``: a group in braces, or a number."""
        token = self.peek()
        if token is None or token.kind not in (Kind.NUMBER, Kind.OPEN):
            raise _UnreadableError
        if token.kind is Kind.NUMBER:
            self.position += 1
            return self.literal(token)
        return self.primary(depth)

    def mixed(self, token: Token) -> Value:
        """A literal, or a mixed number such as ``1 1/2``."""
        whole = self.literal(token)
        rest = self.tokens[self.position : self.position + 3]
        if not rest or rest[0].kind is not Kind.NUMBER:
            return whole
        if len(rest) < 3 or rest[1].text != "/" or rest[2].kind is not Kind.NUMBER:
            raise _UnreadableError
        top, bottom = rest[0], rest[2]
        written_together = top.end == rest[1].start and rest[1].end == bottom.start
        if token.decimals or not written_together or not 0 < top.value < bottom.value:
            raise _UnreadableError
        self.position += 3
        return _add(whole, _divide(self.literal(top), self.literal(bottom)))

    def literal(self, token: Token) -> Value:
        if not token.percent:
            return Value(token.value, rounding(token) if token.decimals > 1 else 0)
        return Value(token.value * self.percent, rounding(token) * self.percent)

    def peek(self) -> Token | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def peek_text(self) -> str:
        token = self.peek()
        return token.text if token is not None else ""

    def take(self, *signs: str) -> str:
        token = self.peek()
        if token is None or token.kind is not Kind.OPERATOR or token.text not in signs:
            return ""
        self.position += 1
        return token.text


def rounding(token: Token) -> Fraction:
    """How far a literal may be from the number it stands for: one unit in the last place where it looks rounded.

    Two decimals or more may be a rounded or cut 1/3; fewer, and round ones such as 0.25 or 12.50, are taken at their
    word. So is a percentage that is a multiple of 5.
    """
    hundredths = token.value * 100
    if token.decimals == 2 and hundredths % 5 == 0:
        return Fraction(0)
    if token.decimals >= 2:
        return Fraction(1, 10**token.decimals)
    return Fraction(1, 10**token.decimals) if token.percent and token.value % 5 != 0 else Fraction(0)


def size(number: int | Fraction) -> int | Fraction:
    """The absolute value (of an int without making it a Fraction)."""
    return number if number >= 0 else -number


def _add(left: Value, right: Value) -> Value:
    return Value(left.exact + right.exact, left.slack + right.slack)


def _multiply(left: Value, right: Value) -> Value:
    if not left.slack and not right.slack:
        return Value(left.exact * right.exact)
    slack = size(left.exact) * right.slack + size(right.exact) * left.slack + left.slack * right.slack
    return Value(left.exact * right.exact, slack)


def _divide(left: Value, right: Value) -> Value:
    if size(right.exact) <= right.slack:
        raise _UnreadableError
    exact = Fraction(left.exact) / right.exact
    if not left.slack and not right.slack:
        return Value(exact)
    return Value(exact, Fraction(left.slack + size(exact) * right.slack) / (size(right.exact) - right.slack))


def _power(base: Value, exponent: int) -> Value:
    if base.exact == 0 and exponent <= 0:
        raise _UnreadableError
    bits = max(base.exact.numerator.bit_length(), base.exact.denominator.bit_length())
    if bits * size(exponent) > MAX_BITS:
        raise _UnreadableError
    value = Value(1)
    for _ in range(abs(exponent)):
        value = _multiply(value, base)
    return value if exponent >= 0 else _divide(Value(1), value)


def _bounded(value: Value) -> Value:
    for number in value:
        if number.numerator.bit_length() > MAX_BITS or number.denominator.bit_length() > MAX_BITS:
            raise _UnreadableError
    return value
