"""Error injection: from right worked solutions to solutions with exactly one first error, whose place is known.

The first error is where the text first differs from the right solution. What follows is carried on from the error, so
that it is wrong in value and right as a conclusion. A solution whose final answer would still be right is not written.
Everything is decided by the seed and the record's id, whatever else is in the input.
"""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Final

from pydantic import Field, field_validator

from judge.arithmetic import check_text
from judge.arithmetic.claims import show
from judge.data.labels.carry import Carried, Number, Refused, carry
from judge.data.labels.kinds import ErrorKind, Worked, changes
from judge.data.labels.style import ANSWERS, AnswerStyle, merge_steps
from judge.data.labels.worked import read_step
from judge.final_answer import reference_answer
from judge.settings import Settings
from judge.types import NO_ERROR, Record

MAX_CANDIDATES: Final = 12
"""Changes of one kind that are tried on a solution."""
_ANSWER_LINE: Final = re.compile(r"####.*")
_NUMBER: Final = re.compile(r"(-?)\\?\$?(\d[\d,]*(?:\.\d+)?|\.\d+)")


class InjectSettings(Settings):
    """What to inject, and how the results are laid out."""

    kinds: dict[ErrorKind, float] = Field(
        default={
            ErrorKind.WRONG_ARITHMETIC: 0.2,
            ErrorKind.WRONG_OPERAND: 0.2,
            ErrorKind.WRONG_OPERATION: 0.2,
            ErrorKind.MISREAD_QUANTITY: 0.2,
            ErrorKind.UNIT_SLIP: 0.6,
            ErrorKind.SKIPPED_STEP: 0.2,
        }
    )
    """Weights of the kinds; a kind that is not named is not used. Where a solution has no room for the kind that was
    drawn, the next one is drawn, so a kind that seldom has room (unit_slip) wants a large weight. The report gives the
    mix that came out."""
    per_solution: int = Field(default=1, ge=0)
    """Wrong solutions to make of each right one, each with an error of its own."""
    correct_share: float = Field(default=0.3, ge=0, le=1)
    """Share of the right solutions that are written as well, with label -1."""
    seed: int = 0
    keep_marks: bool = False
    """Keep calculator marks; policies do not write them."""
    merge: float = Field(default=0.25, ge=0, le=1)
    """Probability that a step is joined to the one before, so that the length of steps varies."""
    max_merged: int = Field(default=3, ge=1)
    """Steps that become one at the most."""
    answers: dict[AnswerStyle, float] = Field(
        default={AnswerStyle.NONE: 0.4, AnswerStyle.HASHES: 0.1, AnswerStyle.SENTENCE: 0.2, AnswerStyle.BOXED: 0.3}
    )
    """Weights of the ways to state the final answer; the right solutions get the same mix."""

    @field_validator("kinds", "answers")
    @classmethod
    def _weights(cls, weights: dict[str, float]) -> dict[str, float]:
        if not weights or min(weights.values()) < 0 or sum(weights.values()) <= 0:
            raise ValueError("needs weights of at least 0, one of them above 0")
        return weights


@dataclass
class InjectReport:
    """What became of the right solutions."""

    num_read: int = 0
    unusable: Counter[str] = field(default_factory=Counter)
    """Solutions that were not used at all, by reason."""
    not_injectable: int = 0
    """Usable solutions in which no change of any kind held together."""
    injected: Counter[str] = field(default_factory=Counter)
    """Wrong solutions written, by kind."""
    num_correct: int = 0
    """Right solutions written."""
    refused_changes: Counter[str] = field(default_factory=Counter)
    """Changes that were tried and given up, by reason."""


@dataclass(frozen=True)
class Injected:
    """Labelled solutions, and how they came about."""

    records: list[Record]
    report: InjectReport


class Unusable(Exception):
    """A solution that nothing can be injected into; the message is the reason, for counting."""


def inject(records: Iterable[Record], settings: InjectSettings) -> Injected:
    """Make labelled solutions from right ones.

    Args:
        records: right worked solutions with their reference answers (or a last step ``#### 18``); calculator marks
            in the steps are used.

    Returns:
        Records with ``source`` = ``<source>:<kind>`` or ``<source>:correct``; ``critique`` says what is wrong. They
        carry no reference solution: an injected solution differs from it by the error alone, which no real response
        does. Right ones come only from solutions that can be followed as far as injection needs, so that nothing but
        the error tells the two apart.
    """
    out: list[Record] = []
    report = InjectReport()
    for record in records:
        report.num_read += 1
        try:
            worked = read_worked(record)
        except Unusable as reason:
            report.unusable[str(reason)] += 1
            continue
        wrong = list(itertools.islice(errors(worked, record.id, settings, report), settings.per_solution))
        report.not_injectable += settings.per_solution > 0 and not wrong
        for number, (kind, carried) in enumerate(wrong):
            report.injected[kind.value] += 1
            out.append(_laid_out(record, carried, f"inject{number}", kind.value, settings))
        if stream(settings.seed, record.id, "correct").random() < settings.correct_share:
            report.num_correct += 1
            texts = tuple(step.raw if settings.keep_marks else step.text for step in worked.steps)
            right = Carried(texts, NO_ERROR, worked.answer)
            out.append(_laid_out(record, right, "correct", "correct", settings))
    return Injected(out, report)


def read_worked(record: Record) -> Worked:
    """A record's solution as data.

    Raises:
        Unusable: when it is not known to be right, or its calculations cannot be followed to the answer.
    """
    if record.label not in (None, NO_ERROR) or record.final_answer_correct is False:
        raise Unusable("not a right solution")
    steps = [step for step in record.steps if not _ANSWER_LINE.fullmatch(step.strip())]
    last = record.steps[-1] if record.steps else ""
    answer = number_in(record.reference_answer if record.reference_answer is not None else last)
    if answer is None:
        raise Unusable("no number as reference answer")
    read = tuple(map(read_step, steps))
    results = [derivation.result.value for step in read for derivation in step.derivations]
    if not results:
        raise Unusable("no calculation that can be read")
    if answer not in results:
        raise Unusable("answer is no result of a calculation")
    if not all(claim.holds for step in read for claim in check_text(step.text)):
        raise Unusable("arithmetic of the solution is wrong")
    return Worked(record.problem, read, answer)


def number_in(reference: str) -> Number | None:
    """The plain positive or negative number that a reference answer gives, or None."""
    match = _NUMBER.fullmatch(reference_answer(reference) or "")
    return Fraction(match[1] + match[2].replace(",", "")) if match else None


def errors(
    worked: Worked, record_id: str, settings: InjectSettings, report: InjectReport
) -> Iterator[tuple[ErrorKind, Carried]]:
    """Different wrong solutions, as many as can be made; each of a kind drawn anew."""
    seen: set[tuple[str, ...]] = set()
    for number in itertools.count():
        rng = stream(settings.seed, record_id, number)
        found = next(
            (pair for pair in _in_drawn_order(worked, settings, rng, report) if pair[1].steps not in seen), None
        )
        if found is None:
            return
        seen.add(found[1].steps)
        yield found


def _in_drawn_order(
    worked: Worked, settings: InjectSettings, rng: random.Random, report: InjectReport
) -> Iterator[tuple[ErrorKind, Carried]]:
    """Wrong solutions of the kind that is drawn first, then of the others."""
    for kind in drawn_order(settings.kinds, rng):
        for change in itertools.islice(changes(kind, worked, rng), MAX_CANDIDATES):
            try:
                carried = carry(worked.steps, worked.ambiguous, worked.answer, change, keep_marks=settings.keep_marks)
            except Refused as reason:
                report.refused_changes[str(reason)] += 1
                continue
            yield kind, carried


def stream(*key: object) -> random.Random:
    """A random stream of its own for every key, the same in every process."""
    return random.Random("/".join(map(str, key)))  # noqa: S311


def drawn_order(weights: Mapping[ErrorKind, float], rng: random.Random) -> list[ErrorKind]:
    """All kinds of positive weight, drawn without replacement in proportion to their weights."""
    keys = {kind: rng.expovariate(weight) for kind, weight in sorted(weights.items()) if weight > 0}
    return sorted(keys, key=keys.__getitem__)


def _laid_out(record: Record, carried: Carried, name: str, kind: str, settings: InjectSettings) -> Record:
    """The record of a solution: steps joined at random, its answer stated in one of the ways."""
    rng = stream(settings.seed, record.id, name, "style")
    steps, label = merge_steps(carried.steps, carried.label, settings.merge, settings.max_merged, rng)
    style = rng.choices(list(settings.answers), list(settings.answers.values()))[0]
    if ANSWERS[style]:
        steps.append(ANSWERS[style].format(show(carried.answer)))
    return replace(
        record,
        steps=tuple(steps),
        label=label,
        reference_solution=None,
        final_answer_correct=carried.label == NO_ERROR,
        source=f"{record.source}:{kind}",
        id=f"{record.id}-{name}",
        critique=carried.reason,
    )
