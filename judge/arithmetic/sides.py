"""The sides of an equality in prose: which of the words and numbers around an equals sign belong to the expression.

The left side is the longest readable end of what stands before the sign, the right side the beginning of what stands
behind it; a side between two equals signs must be an expression as a whole. Units are set aside, not computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from judge.arithmetic import vocabulary
from judge.arithmetic.tokens import Kind, Token

MAX_UNIT_WORDS: Final = 4
"""More words than this between an operand and the next operator are not its unit."""


@dataclass(slots=True)
class Side:
    """One side of an equality: the tokens to compute, and the words set aside."""

    tokens: list[Token]
    units: list[str] = field(default_factory=list)
    """Words behind operands, in order."""
    before: list[str] = field(default_factory=list)
    """Words right before the expression."""
    after: list[str] = field(default_factory=list)
    """Words right behind a result."""
    readable: bool = True

    @property
    def is_literal(self) -> bool:
        """One number, perhaps with a sign, and nothing to compute."""
        return len(self.tokens) == 1 or (len(self.tokens) == 2 and self.tokens[0].text == "-")

    @property
    def is_plain_fraction(self) -> bool:
        r"""``3/4`` or ``\frac{3}{4}``, which may be a number just as well as a division."""
        if len(self.tokens) == 3:
            return self.tokens[1].text == "/"
        return len(self.tokens) in (3, 7) and self.tokens[0].kind is Kind.FRACTION

    @property
    def is_calculation(self) -> bool:
        """Whether it adds, subtracts, multiplies or divides."""
        return any(token.text in ("+", "-", "*", "/") for token in self.tokens[1:])

    @property
    def is_sum(self) -> bool:
        """Whether it adds or subtracts."""
        return any(token.text in ("+", "-") for token in self.tokens[1:])


def read_sides(members: Sequence[list[Token]]) -> list[Side]:
    """The sides of a chain ``a = b = c``, one per member."""
    last = len(members) - 1
    sides = []
    for index, member in enumerate(members):
        if index == 0:
            sides.append(_ending(_segments(member)))
        elif index == last:
            sides.append(_beginning(_segments(_without_lead(member), is_result=True)))
        else:
            segments = _segments(_without_lead(member))
            side = segments[0]
            side.readable = side.readable and len(segments) == 1 and _unmatched(side.tokens) == []
            sides.append(side)
    return sides


def _segments(member: list[Token], *, is_result: bool = False) -> list[Side]:
    """Cut a member at the words that are no units; at least one segment.

    Args:
        is_result: the member is the last of its chain, so that any words may stand behind its last operand.
    """
    segments = [Side([])]
    position = 0
    while position < len(member):
        side = segments[-1]
        token = member[position]
        if token.kind is not Kind.WORD:
            side.tokens.append(token)
            position += 1
            continue
        end = position
        while end < len(member) and member[end].kind is Kind.WORD:
            end += 1
        words = [token.text for token in member[position:end]]
        if is_result and end == len(member) and side.tokens and words not in (["a"], ["i"]):
            side.after = words  # "9 apples are left for the others": however it goes on, the result was read
            side.units += words
            side.readable = side.readable and side.tokens[-1].kind in (Kind.NUMBER, Kind.CLOSE)
        else:
            _place(words, side, member[end] if end < len(member) else None, segments)
        position = end
    return segments


def _place(words: list[str], side: Side, following: Token | None, segments: list[Side]) -> None:
    """Take a run of words as a unit, as an adjective, or as the end of the segment."""
    previous = side.tokens[-1] if side.tokens else None
    closes = following is None or following.kind in (Kind.OPERATOR, Kind.CLOSE)
    if previous is not None and previous.kind is Kind.OPERATOR:
        if previous.text == "/" and closes and len(words) <= MAX_UNIT_WORDS and len(side.tokens) > 1:
            side.tokens.pop()  # $2/apple, 60 minutes / hour
            side.units += words
            return
        adjective = (
            previous.text in "+-" and len(words) <= 2 and (vocabulary.NUMERIC | vocabulary.LABELS).isdisjoint(words)
        )
        if adjective and following is not None and following.kind in (Kind.NUMBER, Kind.FRACTION):
            return
        side.readable = False  # an operator without its operand: "3 * apples"
    elif previous is not None and previous.kind in (Kind.NUMBER, Kind.CLOSE) and closes:
        if words in (["a"], ["i"]) or len(words) > MAX_UNIT_WORDS or not vocabulary.CONNECTIVES.isdisjoint(words):
            side.readable = False
        if following is None:
            side.after = words
        side.units += words
        return
    side.after = words
    torn = previous is not None and previous.kind is Kind.OPERATOR
    segments.append(Side([], before=words, readable=not torn))


def _ending(segments: list[Side]) -> Side:
    """The left side: the last segment, from behind its last unmatched parenthesis."""
    side = segments[-1]
    unmatched = _unmatched(side.tokens)
    if unmatched:
        cut = unmatched[-1]
        side.readable = side.readable and _is_remark(side.tokens, cut)
        side.tokens = side.tokens[cut + 1 :]
        side.before = []
    side.readable = side.readable and bool(side.tokens) and not _is_cut_off(side)
    return side


def _is_cut_off(side: Side) -> bool:
    """Whether the operand before the first operator is missing, as in "cost - 3 = 5"; a sign sticks to its number."""
    if side.tokens[0].kind is not Kind.OPERATOR:
        return False
    return bool(side.before) or len(side.tokens) == 1 or side.tokens[0].end < side.tokens[1].start


def _is_remark(tokens: list[Token], cut: int) -> bool:
    r"""Whether the parenthesis opened at `cut` holds a statement of its own, unlike that of ``f(3`` or ``\frac{3``."""
    if tokens[cut].kind is Kind.CLOSE:
        return False
    return cut == 0 or (tokens[cut].text == "(" and tokens[cut - 1].end < tokens[cut].start)


def _beginning(segments: list[Side]) -> Side:
    """The right side: the first segment, up to its first unmatched parenthesis or remark in parentheses."""
    side = segments[0]
    unmatched = _unmatched(side.tokens)
    if unmatched:
        remark = side.tokens[unmatched[0]]
        side.readable = side.readable and (remark.kind is Kind.CLOSE or unmatched[0] > 0)
        side.tokens = side.tokens[: unmatched[0]]
    side.readable = side.readable and bool(side.tokens)
    return side


def _without_lead(member: list[Token]) -> list[Token]:
    """Drop "a total of" and "about" between the sign and the result."""
    start = 0
    while start < len(member) and member[start].kind is Kind.WORD and member[start].text in vocabulary.RESULT_LEADS:
        start += 1
    return member[start:]


def _unmatched(tokens: Sequence[Token]) -> list[int]:
    """Positions of the parentheses that have no partner, in order."""
    opened: list[int] = []
    closed: list[int] = []
    for position, token in enumerate(tokens):
        if token.kind is Kind.OPEN:
            opened.append(position)
        elif token.kind is Kind.CLOSE:
            if opened:
                opened.pop()
            else:
                closed.append(position)
    return sorted(closed + opened)
