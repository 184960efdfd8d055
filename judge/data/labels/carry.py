"""Change something in a worked solution, and carry the change through everything that depends on it.

A ledger maps each result, and each number of the problem that was misread, to what it is after the change. Walking
through the steps, every number that is in the ledger is written anew, and every calculation is computed anew. Where it
is unclear which of two equal numbers is meant, the change is refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from judge.arithmetic import check_text
from judge.arithmetic.claims import show
from judge.arithmetic.expressions import evaluate
from judge.arithmetic.tokens import Kind, Token
from judge.data.labels.worked import Derivation, WorkedStep
from judge.data.labels.written_numbers import write_like

Number = int | Fraction
Place = tuple[int, int]
"""Step index, and position in the step's text."""


@dataclass(frozen=True, slots=True)
class Change:
    """What to do to a solution."""

    step: int
    """The first step whose text changes."""
    reason: str = ""
    """What is wrong with that step, in a sentence for people."""
    values: Mapping[Number, Number] = field(default_factory=dict)
    """Numbers that mean another one from `step` on."""
    operands: Mapping[Place, Number] = field(default_factory=dict)
    signs: Mapping[Place, str] = field(default_factory=dict)
    """Operators, as ``+ - * /``."""
    results: Mapping[Place, Number] = field(default_factory=dict)
    """Results that do not follow from their calculation."""
    dropped: int | None = None
    """A step before `step` that is left out."""


class Refused(Exception):
    """The change cannot be carried through; the message is one word or two, for counting."""


@dataclass(frozen=True, slots=True)
class Carried:
    """The solution after a change."""

    steps: tuple[str, ...]
    label: int
    answer: Number
    """What the solution's answer has become."""
    reason: str | None = None
    """What is wrong with the first wrong step."""


def carry(
    steps: Sequence[WorkedStep], given: frozenset[Number], answer: Number, change: Change, *, keep_marks: bool
) -> Carried:
    """Apply a change.

    Args:
        given: numbers of the problem.
        answer: the right answer; a result of one of the steps.

    Raises:
        Refused: when the changed solution would not hang together, or would still be right.
    """
    ledger = Ledger(given - change.values.keys(), dict(change.values))
    for index, step in enumerate(steps[: change.step]):
        for derivation in step.derivations if index != change.dropped else ():
            ledger.enter(derivation.result.value, derivation.result.value)
    originals = [step.raw if keep_marks else step.text for step in steps]
    texts = originals[: change.step]
    if any(step.unread for step in steps[change.step :]):
        raise Refused("unread equation")
    rewritten = [Rewriting(steps[index], index, change, ledger) for index in range(change.step, len(steps))]
    new_answer = ledger.meaning(answer)
    if new_answer == answer:
        raise Refused("answer unchanged")
    texts += [each.text(marks=keep_marks) for each in rewritten]
    if texts[change.step] == originals[change.step]:
        raise Refused("nothing to see")
    for each in rewritten[bool(change.results) :]:
        _check(each)
    label = change.step
    if change.dropped is not None:
        del texts[change.dropped]
        label -= 1
    return Carried(tuple(texts), label, new_answer, change.reason)


@dataclass(slots=True)
class Ledger:
    """What each number means after the change."""

    given: frozenset[Number]
    meanings: dict[Number, Number]
    unclear: set[Number] = field(default_factory=set)

    def enter(self, old: Number, new: Number) -> None:
        """A calculation gave ``old``, and gives ``new`` now."""
        if self.meanings.setdefault(old, new) != new:
            self.unclear.add(old)

    def meaning(self, old: Number) -> Number:
        """What a number has become.

        Raises:
            Refused: when it may mean two things.
        """
        new = self.meanings.get(old, old)
        if old in self.unclear or (new != old and old in self.given):
            raise Refused("unclear number")
        return new


class Rewriting:
    """One step after a change."""

    def __init__(self, step: WorkedStep, index: int, change: Change, ledger: Ledger) -> None:
        self._step, self._index, self._change, self._ledger = step, index, change, ledger
        self._edits: dict[int, tuple[int, str]] = {}
        self._marks: dict[int, str] = {}
        for derivation in step.derivations:
            self._compute(derivation)
        for token in step.numbers:
            if token.start not in self._edits:
                self._write(token, ledger.meaning(token.value))
        if any(ledger.meaning(value) != value for value in step.unread_numbers):
            raise Refused("unread number")

    @property
    def is_changed(self) -> bool:
        """Whether anything is different now."""
        return bool(self._edits)

    def text(self, *, marks: bool) -> str:
        """The step's new text, with or without calculator marks."""
        edits = [(start, end, new) for start, (end, new) in self._edits.items()]
        if marks:
            edits += [(position, position, mark) for position, mark in self._marks.items()]
        text = self._step.text
        for start, end, new in sorted(edits, reverse=True):
            text = text[:start] + new + text[end:]
        return text

    def _compute(self, derivation: Derivation) -> None:
        result, reading = derivation.result, derivation.reading
        tokens = [self._operand(token, derivation) for token in derivation.expression]
        new = self._change.results.get((self._index, result.start), result.value)
        if tokens != list(derivation.expression):
            value = evaluate(tokens, reading.percent)
            if value is None:
                raise Refused("not computable")
            new = value.exact * reading.scale
        new = self._write(result, new, rounded=not reading.exact)
        self._ledger.enter(result.value, new)
        if derivation.mark_position is not None:
            self._marks[derivation.mark_position] = f"<<{''.join(map(_in_mark, tokens))}={show(new)}>>"

    def _operand(self, token: Token, derivation: Derivation) -> Token:
        """The token with its new value or sign."""
        place = (self._index, token.start)
        if derivation.visible and place in self._change.signs:
            sign = self._change.signs[place]
            self._edits[token.start] = (token.end, sign)
            return dataclasses.replace(token, text=sign)
        if token.kind is not Kind.NUMBER:
            return token
        new = self._ledger.meaning(token.value)
        if derivation.visible:
            new = self._write(token, self._change.operands.get(place, new))
        return token if new == token.value else dataclasses.replace(token, value=new)

    def _write(self, token: Token, value: Number, *, rounded: bool = False) -> Number:
        """Put a value in the place of a number; gives it as it is written, which may be rounded."""
        if value == token.value:
            return value
        written = write_like(self._step.text[token.start : token.end], value, rounded=rounded)
        if written is None:
            raise Refused("odd number")
        self._edits[token.start] = (token.end, written)
        return Fraction(written.replace(",", ""))


def _in_mark(token: Token) -> str:
    """A token as calculator marks have it."""
    if token.kind is not Kind.NUMBER:
        return token.text
    return show(token.value) + "%" * token.percent


def _check(rewritten: Rewriting) -> None:
    """A second reading of a new text: what it states has to hold."""
    if rewritten.is_changed and not all(claim.holds for claim in check_text(rewritten.text(marks=False))):
        raise Refused("does not follow")
