"""Operators written as words: "3 times 4 equals 12", "20% of 50 is 10", "the sum of 3 and 4 is 7", "5 x 4".

A word becomes an operator only between two operands that stand right beside it (a unit may stand between); everywhere
else it stays a word, and the claim around it may then be unreadable.
"""

from __future__ import annotations

from fractions import Fraction

from judge.arithmetic import vocabulary
from judge.arithmetic.tokens import Kind, Token

_SIGNS = {"times": "*", "x": "*", "plus": "+", "minus": "-"}
_BY_SIGNS = {"multiplied": "*", "divided": "/"}
_LISTS = {"sum": "+", "product": "*"}


def resolve_words(tokens: list[Token]) -> list[Token]:
    """The same tokens with operator words turned into operators; reads each token a bounded number of times."""
    out: list[Token] = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        if token.kind is not Kind.WORD:
            out.append(token)
            position += 1
            continue
        position += _resolve(token, tokens, position, out)
    return out


def _resolve(token: Token, tokens: list[Token], position: int, out: list[Token]) -> int:
    """Append what the word at `position` means; gives how many tokens were used."""
    word, following = token.text, _at(tokens, position + 1)
    if word in _SIGNS and _after_operand(out) and _begins_operand(following) and _is_apart(token, out, following):
        out.append(Token(Kind.OPERATOR, _SIGNS[word], token.start, token.end, spelled=word != "x"))
        return 1
    if word == "x":
        out.append(Token(Kind.OPAQUE, word, token.start, token.end))
        return 1
    if (
        word in _BY_SIGNS
        and _is_word(following, "by")
        and _after_operand(out)
        and _begins_operand(_at(tokens, position + 2))
    ):
        out.append(_spelled(Kind.OPERATOR, _BY_SIGNS[word], token))
        return 2
    if word in vocabulary.EQUALITY and _after_operand(out):
        return _equality(token, tokens, position, out)
    if word == "percent" and out and out[-1].kind is Kind.NUMBER:
        out[-1].percent = True
        return 1
    if word in vocabulary.MULTIPLES and out and out[-1].kind is Kind.NUMBER and out[-1].end < token.start:
        _multiply(out, token)
        return 1
    if word == "of" and _is_share(out):
        return _share(token, tokens, position, out)
    if word == "half" and _is_word(following, "of") and not (len(out) > 1 and out[-2].text == "and"):
        out.append(Token(Kind.NUMBER, word, token.start, token.end, Fraction(1, 2)))
        return 1
    if word in _LISTS and _is_word(following, "of"):
        return _list(token, tokens, position, out)
    out.append(token)
    return 1


def _equality(token: Token, tokens: list[Token], position: int, out: list[Token]) -> int:
    used, sign = 1, "="
    while (following := _at(tokens, position + used)) is not None and used < 5:
        if following.kind is Kind.NUMBER or following.kind is Kind.FRACTION:
            out.append(_spelled(Kind.EQUALS, sign, token))
            return used
        if following.kind is not Kind.WORD or following.text not in vocabulary.RESULT_LEADS | {"equal", "to"}:
            break
        sign = "≈" if following.text in vocabulary.APPROXIMATE else sign
        used += 1
    out.append(token)
    return 1


def _share(token: Token, tokens: list[Token], position: int, out: list[Token]) -> int:
    following, used = _at(tokens, position + 1), 1
    if following is not None and following.kind is Kind.WORD and following.text in vocabulary.DETERMINERS:
        following, used = _at(tokens, position + 2), 2
    if not _begins_operand(following):
        out.append(token)
        return 1
    out.append(_spelled(Kind.OPERATOR, "*", token))
    return used


def _list(token: Token, tokens: list[Token], position: int, out: list[Token]) -> int:
    """``sum of 3 [apples] and 4``: the sign takes the place of "and"."""
    first, second = _at(tokens, position + 2), _at(tokens, position + 3)
    joint = position + (4 if second is not None and second.kind is Kind.WORD and second.text != "and" else 3)
    last = _at(tokens, joint + 1)
    numbers = first is not None and last is not None and first.kind is last.kind is Kind.NUMBER
    if not (numbers and _is_word(_at(tokens, joint), "and")):
        out.append(token)
        return 1
    assert first is not None
    out.append(first)
    sign = tokens[joint]
    out.append(_spelled(Kind.OPERATOR, _LISTS[token.text], sign))
    return joint + 1 - position


def _multiply(out: list[Token], token: Token) -> None:
    number = out[-1]
    factor = vocabulary.MULTIPLES[token.text]
    number.value *= factor
    number.decimals = max(0, number.decimals - len(str(factor)) + 1)
    number.end = token.end


def _is_share(out: list[Token]) -> bool:
    r"""Whether what came last can be "of" something: ``20%``, ``half``, ``2/3`` or ``\frac{2}{3}``."""
    if not out:
        return False
    last = out[-1]
    if last.kind is Kind.NUMBER and (last.percent or last.text == "half"):
        return True
    if last.kind is Kind.NUMBER and len(out) > 2 and out[-2].text == "/" and out[-3].kind is Kind.NUMBER:
        return out[-3].end == out[-2].start and out[-2].end == last.start
    return len(out) > 6 and last.text == "}" and out[-7].kind is Kind.FRACTION


def _spelled(kind: Kind, text: str, word: Token) -> Token:
    return Token(kind, text, word.start, word.end, spelled=True)


def _after_operand(out: list[Token]) -> bool:
    """Whether the last token ends an operand, possibly with one unit word behind it."""
    if out and out[-1].kind is Kind.WORD and len(out) > 1:
        return out[-2].kind in (Kind.NUMBER, Kind.CLOSE) and out[-1].text not in vocabulary.NUMERIC | vocabulary.LINKING
    return bool(out) and out[-1].kind in (Kind.NUMBER, Kind.CLOSE)


def _begins_operand(token: Token | None) -> bool:
    return token is not None and token.kind in (Kind.NUMBER, Kind.OPEN, Kind.FRACTION)


def _is_apart(token: Token, out: list[Token], following: Token | None) -> bool:
    """``3 x 4`` and ``3x4`` multiply; the x of ``3x (4)`` is an unknown."""
    assert following is not None
    if token.text != "x" or out[-1].end < token.start:
        return True
    return following.kind is Kind.NUMBER and following.start == token.end


def _is_word(token: Token | None, text: str) -> bool:
    return token is not None and token.kind is Kind.WORD and token.text == text


def _at(tokens: list[Token], position: int) -> Token | None:
    return tokens[position] if position < len(tokens) else None
