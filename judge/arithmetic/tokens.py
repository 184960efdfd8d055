"""Characters to tokens, in one pass.

Every quantifier of the scanner is possessive and every look-around has a fixed width, so a character is read a bounded
number of times whatever the text. What the arithmetic does not understand becomes an `OPAQUE` token, which makes the
expression around it unreadable; it is never silently dropped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from fractions import Fraction
from typing import Final

from judge.arithmetic import vocabulary

MAX_DIGITS: Final = 30
"""Longer literals are opaque: nobody multiplies them by hand, and exact work on them is slow."""
MAX_TEXT_COMMAND: Final = 80
r"""Longest argument of ``\text{...}`` that is read; it bounds the look-ahead for the closing brace."""


class Kind(Enum):
    """What a token is for the arithmetic."""

    NUMBER = auto()
    OPERATOR = auto()
    OPEN = auto()
    CLOSE = auto()
    FRACTION = auto()
    EQUALS = auto()
    WORD = auto()
    OPAQUE = auto()
    BREAK = auto()
    MARK_OPEN = auto()
    MARK_CLOSE = auto()


@dataclass(slots=True)
class Token:
    """A piece of text ``[start, end)`` and what it means.

    `text` is lower case for words, one of ``+ - * / ^`` for operators, ``=`` or ``≈`` for equality.
    """

    kind: Kind
    text: str
    start: int
    end: int
    value: int | Fraction = 0
    """Numbers only: the literal's value, a percentage as written (20% is 20). Whole numbers stay int: it is faster."""
    decimals: int = 0
    """Numbers only: digits after the point."""
    percent: bool = False
    """Numbers only: a percent sign follows."""
    currency: bool = False
    """Numbers only: a currency sign stands right before it."""
    spelled: bool = False
    """Operators and equality only: written as words."""


_SCANNER: Final = re.compile(
    r"""
      (?P<space>[^\S\n]++)
    | (?P<number>(?:\d++(?:(?:\{,\}|,\\!|\\,|,)\d{3}(?!\d))*+(?:\.\d++)?+|(?<![\w.])\.\d++))
    | (?P<hyphen>(?<=\w)-(?=[^\W\d_]))
    | (?P<word>[^\W\d_]++(?:['’][^\W\d_]++)*+)
    | (?P<degree>\^\\circ|\^\{\\circ\}|°)
    | (?P<prose>\\(?:text|mbox|mathrm|textbf|textit|textrm|mathbf)\s*+\{(?P<inside>[^{}\\]{0,80}+)\})
    | (?P<command>\\[A-Za-z]++|\\.)
    | (?P<mark><<|>>)
    | (?P<arrow>=>|->|→|⇒|==+>)
    | (?P<equals>=++|≈)
    | (?P<power>\*\*|\^)
    | (?P<operator>[-+*/×÷·−–])
    | (?P<open>[(\[{])
    | (?P<close>[)\]}])
    | (?P<dots>\.\.++|…)
    | (?P<newline>\n)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_OPERATORS: Final = {"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", r"\times": "*", r"\cdot": "*", r"\div": "/"}
_FRACTIONS: Final = frozenset({r"\frac", r"\dfrac", r"\tfrac", r"\cfrac"})
_IGNORED_COMMANDS: Final = frozenset({
    r"\left", r"\right", r"\big", r"\Big", r"\bigg", r"\Bigg", r"\bigl", r"\bigr", r"\displaystyle", r"\boxed",
    r"\(", r"\)", r"\,", r"\!", r"\;", r"\:", r"\ ", r"\$",
})  # fmt: skip
_BREAK_COMMANDS: Final = frozenset({
    r"\[", r"\]", r"\quad", r"\qquad", r"\implies", r"\Rightarrow", r"\rightarrow", r"\to", r"\Longrightarrow",
    r"\therefore", r"\le", r"\leq", r"\ge", r"\geq", r"\lt", r"\gt", r"\ne", r"\neq", r"\iff", r"\begin", r"\end",
    r"\item", "\\\n",
})  # fmt: skip
_IGNORED_CHARACTERS: Final = frozenset('"`&“”\u200b\u200c\u200d\ufeff')
_BREAK_CHARACTERS: Final = frozenset(",;:.?!<>≤≥≠—•")


def tokenize(text: str) -> list[Token]:
    """Tokens of a text, in order; white space, formatting and the dollar signs of LaTeX are left out."""
    tokens: list[Token] = []
    read_to = 0
    for match in _SCANNER.finditer(text):
        if match.lastgroup == "space" or match.end() <= read_to:
            continue
        token = _token(match, text, tokens)
        if match.start() < read_to:  # the 3 of \frac123
            token = Token(Kind.OPAQUE, match.group(), match.start(), match.end())
        if token is None:
            continue
        tokens.append(token)
        if token.kind is Kind.FRACTION:
            read_to = _short_fraction(text, match.end(), tokens)
    return tokens


def _token(match: re.Match[str], text: str, before: list[Token]) -> Token | None:
    group, found, (start, end) = match.lastgroup, match.group(), match.span()
    previous = before[-1] if before else None
    match group:
        case "number":
            return _number(text, found, start, end)
        case "word":
            return _word(text, found, start, end, previous)
        case "prose" | "inside":
            return Token(Kind.WORD, str(match["inside"]).strip().lower() or "text", start, end)
        case "degree":
            return Token(Kind.WORD, "degrees", start, end)
        case "command":
            return _command(text, found, start, end, previous)
        case "mark":
            return Token(Kind.MARK_OPEN if found == "<<" else Kind.MARK_CLOSE, found, start, end)
        case "equals":
            known = found in ("=", "==", "≈")
            return Token(Kind.EQUALS if known else Kind.BREAK, found[0], start, end)
        case "power" | "operator":
            return _operator(text, found, start, end, previous)
        case "open" | "close":
            return Token(Kind.OPEN if group == "open" else Kind.CLOSE, found, start, end)
        case "newline":
            return _newline(text, start, end)
        case "arrow":
            return Token(Kind.BREAK, found, start, end)
        case "other":
            return _other(text, found, start, end, previous)
    return None if group == "hyphen" else Token(Kind.OPAQUE, found, start, end)


def _number(text: str, found: str, start: int, end: int) -> Token:
    digits = found.replace(r"\!", "").replace(r"\,", ",").replace("{,}", ",")
    head, *groups = digits.split(".")[0].split(",")
    plain = digits.replace(",", "")
    # "3,5" is a list or a decimal comma, "1.2.3" a version, "3:30" a time: not numbers to compute with.
    glued = end + 1 < len(text) and text[end] in ",.:" and text[end + 1].isdecimal()
    glued = glued or (start > 1 and text[start - 1] in ",.:" and text[start - 2].isdecimal())
    glued = glued or (len(plain) > 1 and plain[0] == "0" and plain[1] != ".")  # 0730 is a time or a code
    if glued or len(plain) > MAX_DIGITS or (groups and not 1 <= len(head) <= 3) or not plain.isascii():
        return Token(Kind.OPAQUE, found[:MAX_DIGITS], start, end)
    whole, _, fraction = plain.partition(".")
    value = Fraction(int(whole + fraction), 10 ** len(fraction)) if fraction else int(whole)
    token = Token(Kind.NUMBER, plain, start, end, value, len(fraction))
    token.currency = text[start - 1 : start] in ("$", "£", "€")
    return token


def _word(text: str, found: str, start: int, end: int, previous: Token | None) -> Token:
    word = found.replace("’", "'")
    lower = word.lower()
    glued = previous is not None and previous.end == start and previous.kind in (Kind.NUMBER, Kind.CLOSE)
    if lower in ("a", "i"):  # an article or an unknown
        in_prose = text[start - 1 : start] in ("", " ", "\n") and re.match(r" \w", text[end : end + 2])
        kind = Kind.WORD if in_prose else Kind.OPAQUE
    elif lower == "x":  # a sign or an unknown: `words` decides
        kind = Kind.WORD
    elif lower in vocabulary.FUNCTIONS or len(word) == 1 or (word.isupper() and len(word) <= 3):
        kind = Kind.OPAQUE
    elif glued or len(word) == 2:
        kind = Kind.WORD if lower in vocabulary.SHORT_WORDS else Kind.OPAQUE
    else:
        kind = Kind.WORD
    return Token(kind, lower, start, end)


def _command(text: str, found: str, start: int, end: int, previous: Token | None) -> Token | None:
    if found in _OPERATORS:
        return Token(Kind.OPERATOR, _OPERATORS[found], start, end)
    if found in _FRACTIONS:
        return Token(Kind.FRACTION, found, start, end)
    if found == r"\approx":
        return Token(Kind.EQUALS, "≈", start, end)
    if found == "\\\\":  # the next line of an aligned display may go on with "&= 7"
        return _newline(text, start, end)
    if found in _BREAK_COMMANDS:
        return Token(Kind.BREAK, found, start, end)
    if found == r"\%":
        return _percent(found, start, end, previous)
    return None if found in _IGNORED_COMMANDS else Token(Kind.OPAQUE, found, start, end)


def _percent(found: str, start: int, end: int, previous: Token | None) -> Token | None:
    if previous is None or previous.kind is not Kind.NUMBER:
        return Token(Kind.OPAQUE, found, start, end)
    previous.percent = True
    return None


def _operator(text: str, found: str, start: int, end: int, previous: Token | None) -> Token | None:
    operand_before = previous is not None and previous.kind in (Kind.NUMBER, Kind.CLOSE)
    if found == "**":  # bold text in Markdown, unless it stands between operands
        after = text[end : end + 2].lstrip()[:1]
        found = "^" if operand_before and (after.isdecimal() or after in ("(", "-")) else ""
        return Token(Kind.OPERATOR, found, start, end) if found else None
    if found == "^" and previous is not None and previous.kind is Kind.WORD:
        return Token(Kind.WORD, "squared", start, end)  # cm^2
    if found in "-*" and (previous is None or previous.kind is Kind.BREAK) and text[end : end + 1] == " ":
        return None  # a bullet
    return Token(Kind.OPERATOR, _OPERATORS.get(found, found), start, end)


def _newline(text: str, start: int, end: int) -> Token | None:
    goes_on = text[end : end + 8].lstrip(" &\t").startswith(("=", "≈"))
    return None if goes_on else Token(Kind.BREAK, "\n", start, end)


def _other(text: str, found: str, start: int, end: int, previous: Token | None) -> Token | None:
    after_operand = previous is not None and previous.end == start and previous.kind in (Kind.NUMBER, Kind.CLOSE)
    if found == "%":
        return _percent(found, start, end, previous)
    if found == "$":
        return Token(Kind.BREAK, found, start, end) if text[end : end + 1] == "$" else None
    if found in _IGNORED_CHARACTERS:
        return None
    if found == "!" and after_operand:
        return Token(Kind.OPAQUE, found, start, end)
    if found in _BREAK_CHARACTERS:
        return Token(Kind.BREAK, found, start, end)
    return Token(Kind.OPAQUE, found, start, end)


def _short_fraction(text: str, position: int, tokens: list[Token]) -> int:
    r"""Read the arguments of ``\frac12`` as two one-digit numbers; gives the position after them."""
    for _ in range(2):
        while text[position : position + 1] == " ":
            position += 1
        digit = text[position : position + 1]
        if not (digit.isascii() and digit.isdecimal()):
            break
        tokens.append(Token(Kind.NUMBER, digit, position, position + 1, int(digit)))
        position += 1
    return position
