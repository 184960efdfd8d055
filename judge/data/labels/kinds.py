"""The kinds of error: for each, the changes to a worked solution that make one.

Every maker yields candidates in random order. Whether a candidate holds together is for `carry` to say.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final

from judge.arithmetic.claims import show
from judge.arithmetic.tokens import Kind, Token
from judge.data.labels.carry import Change, Number
from judge.data.labels.slips import CONVERSIONS, Conversion, misread, slipped_result
from judge.data.labels.worked import Derivation, WorkedStep
from judge.data.labels.written_numbers import given_values, is_plain

_OTHER_SIGNS: Final = {"+": "-*", "-": "++*", "*": "+/", "/": "**-"}
"""What each operator is taken for; the more often, the likelier."""
_VERBS: Final = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}
_MIN_MISREAD: Final = 2


class ErrorKind(StrEnum):
    """What is wrong with the first wrong step."""

    WRONG_ARITHMETIC = "wrong_arithmetic"
    """The calculation is the right one, its result is not."""
    WRONG_OPERAND = "wrong_operand"
    """Another number of the problem, or an earlier result, takes the place of the right one."""
    WRONG_OPERATION = "wrong_operation"
    """Plus for minus, times for divided by ..."""
    MISREAD_QUANTITY = "misread_quantity"
    """A number of the problem is copied wrongly where it is first used, and used so from there on."""
    UNIT_SLIP = "unit_slip"
    """A wrong factor between units (100 minutes an hour), or the right one used the wrong way round."""
    SKIPPED_STEP = "skipped_step"
    """A calculation is left out, and what a later step uses for its result is wrong: the first such step."""


@dataclass(frozen=True)
class Worked:
    """A problem and its right solution."""

    problem: str
    steps: tuple[WorkedStep, ...]
    answer: Number

    @cached_property
    def given_counts(self) -> Counter[Number]:
        """How often the problem names each number."""
        return Counter(given_values(self.problem))

    @cached_property
    def given(self) -> frozenset[Number]:
        """The numbers of the problem."""
        return frozenset(self.given_counts)

    @cached_property
    def ambiguous(self) -> frozenset[Number]:
        """Numbers that may stand for themselves: the problem's, and factors between units that it speaks of."""
        return self.given | {c.factor for c in CONVERSIONS if c.units.search(self.problem)}

    def derivations(self) -> Iterator[tuple[int, Derivation]]:
        """Every calculation with its step."""
        for index, step in enumerate(self.steps):
            for derivation in step.derivations:
                yield index, derivation

    def first_use(self, value: Number) -> int | None:
        """The first step that names a number."""
        named = (i for i, step in enumerate(self.steps) if any(t.value == value for t in step.numbers))
        return next(named, None)


def changes(kind: ErrorKind, worked: Worked, rng: random.Random) -> Iterator[Change]:
    """Candidates for an error of this kind, in random order."""
    return _MAKERS[kind](worked, rng)


def _shuffled(worked: Worked, rng: random.Random) -> list[tuple[int, Derivation]]:
    return rng.sample(pairs := list(worked.derivations()), len(pairs))


def _wrong_arithmetic(worked: Worked, rng: random.Random) -> Iterator[Change]:
    for index, derivation in _shuffled(worked, rng):
        value = derivation.result.value
        wrong = slipped_result(value, rng)
        if wrong is not None:
            reason = f"The result should be {show(value)}, not {show(wrong)}."
            yield Change(index, reason, results={(index, derivation.result.start): wrong})


def _wrong_operand(worked: Worked, rng: random.Random) -> Iterator[Change]:
    for index, derivation in _editable(worked, rng):
        known = set(worked.given)
        known |= {d.result.value for i, d in worked.derivations() if i < index}
        operands = [token for token in derivation.expression if _is_operand(token, worked.steps[index])]
        for token in rng.sample(operands, len(operands)):
            others = sorted(known - {token.value, derivation.result.value})
            if others:
                wrong = rng.choice(others)
                reason = f"It computes with {show(wrong)} where {show(token.value)} belongs."
                yield Change(index, reason, operands={(index, token.start): wrong})


def _wrong_operation(worked: Worked, rng: random.Random) -> Iterator[Change]:
    for index, derivation in _editable(worked, rng):
        signs = [t for t in derivation.expression[1:] if t.text in _OTHER_SIGNS and not t.spelled]
        for token in rng.sample(signs, len(signs)):
            sign = rng.choice(_OTHER_SIGNS[token.text])
            reason = f"It should {_VERBS[token.text]} here, not {_VERBS[sign]}."
            yield Change(index, reason, signs={(index, token.start): sign})


def _misread_quantity(worked: Worked, rng: random.Random) -> Iterator[Change]:
    once = [v for v, count in worked.given_counts.items() if count == 1 and v >= _MIN_MISREAD]
    for value in rng.sample(once, len(once)):
        index = worked.first_use(value)
        wrong = misread(value, rng)
        if index is not None and wrong is not None and wrong not in worked.given:
            yield Change(index, f"The problem says {show(value)}, not {show(wrong)}.", values={value: wrong})


def _unit_slip(worked: Worked, rng: random.Random) -> Iterator[Change]:
    for index, derivation in _editable(worked, rng):
        for token in derivation.expression:
            conversion = _conversion_by(token, worked, index)
            if conversion is None:
                continue
            if rng.random() < 0.5 and worked.first_use(token.value) == index:
                wrong = rng.choice(conversion.mistaken)
                reason = f"The factor between the units is {show(token.value)}, not {wrong}."
                yield Change(index, reason, values={token.value: wrong})
            signs = [t for t in derivation.expression if t.kind is Kind.OPERATOR]
            if len(signs) == 1 and signs[0].text in "*/" and not signs[0].spelled:
                sign = "/" if signs[0].text == "*" else "*"
                reason = f"To convert the units, it should {_VERBS[signs[0].text]}, not {_VERBS[sign]}."
                yield Change(index, reason, signs={(index, signs[0].start): sign})


def _conversion_by(token: Token, worked: Worked, index: int) -> Conversion | None:
    """The conversion that an operand stands for; a number of the problem or a result stands for itself."""
    if token.kind is not Kind.NUMBER or token.value in worked.given or token.percent:
        return None
    if any(token.value == derivation.result.value for _, derivation in worked.derivations()):
        return None
    context = worked.steps[index].text + " " + worked.problem
    return next((c for c in CONVERSIONS if c.factor == token.value and c.units.search(context)), None)


def _skipped_step(worked: Worked, rng: random.Random) -> Iterator[Change]:
    for index, derivation in _shuffled(worked, rng):
        value = derivation.result.value
        if len(worked.steps[index].derivations) > 1 or value in worked.given or worked.first_use(value) != index:
            continue
        using = next(
            (i for i in range(index + 1, len(worked.steps)) if any(t.value == value for t in worked.steps[i].numbers)),
            None,
        )
        if using is None:
            continue
        operands = {t.value for t in derivation.expression if t.kind is Kind.NUMBER and t.value > 1 and not t.percent}
        forgotten = sorted(operands - {value})
        wrong = rng.choice(forgotten) if forgotten and rng.random() < 0.5 else slipped_result(value, rng)
        if wrong is not None:
            reason = (
                f"It uses {show(wrong)}, which no step has found; a calculation that gives {show(value)} is missing."
            )
            yield Change(using, reason, values={value: wrong}, dropped=index)


def _editable(worked: Worked, rng: random.Random) -> Iterator[tuple[int, Derivation]]:
    """Calculations that the reader sees, spelled out once."""
    for index, derivation in _shuffled(worked, rng):
        if derivation.visible and derivation.num_sides == 2:
            yield index, derivation


def _is_operand(token: Token, step: WorkedStep) -> bool:
    return token.kind is Kind.NUMBER and not token.percent and is_plain(step.text[token.start : token.end])


_MAKERS: Final[Mapping[ErrorKind, Callable[[Worked, random.Random], Iterator[Change]]]] = {
    ErrorKind.WRONG_ARITHMETIC: _wrong_arithmetic,
    ErrorKind.WRONG_OPERAND: _wrong_operand,
    ErrorKind.WRONG_OPERATION: _wrong_operation,
    ErrorKind.MISREAD_QUANTITY: _misread_quantity,
    ErrorKind.UNIT_SLIP: _unit_slip,
    ErrorKind.SKIPPED_STEP: _skipped_step,
}
