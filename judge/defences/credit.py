"""All the defences together: what a wrong response is paid for, given where a judge saw its first error.

Two steps, since a response is measured against its group: `examine` reads one response and needs no verdict, `credit`
takes the verdict and the usual length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from judge.defences.after_answer import answer_step
from judge.defences.denominator import sentence_weights
from judge.defences.flags import FLOOR, Flag
from judge.defences.floor import floor_flags
from judge.defences.marks import has_invisible, is_forged_verdict, is_injection, speaks_to_judge
from judge.defences.progress import neutral_steps
from judge.defences.settings import DefenceSettings
from judge.final_answer import final_answer


@dataclass(frozen=True, slots=True)
class Examined:
    """What is known of a wrong response before a judge is asked.

    >>> examine("Thought process:", ["Thought process:"], "What is 40 + 2?").is_floored
    True
    """

    flags: tuple[Flag, ...]
    """In the order of `Flag`."""
    counts: tuple[bool, ...]
    """[num_steps] whether a step takes the solution further."""
    weights: tuple[int, ...]
    """[num_steps] as how many steps it counts, 0 or 1."""
    answer_step: int | None = None
    """The first step that states the final answer. It is wrong, so no later step is the first error."""

    @property
    def is_floored(self) -> bool:
        """True when the response gets rts 0 and no judge is asked."""
        return not FLOOR.isdisjoint(self.flags)

    def effective(self, lengths: Sequence[int] | None = None) -> int:
        """Length of the steps that count; ``lengths`` as for `credit`."""
        return sum(self.lengths(lengths))

    def lengths(self, lengths: Sequence[int] | None) -> list[int]:
        """[num_steps] length of each step, 0 for those that do not count."""
        if lengths is None:
            return list(self.weights)
        return [length if counted else 0 for length, counted in zip(lengths, self.counts, strict=True)]


@dataclass(frozen=True, slots=True)
class Credit:
    """What a response is paid for."""

    rts: float
    """Share that the reward is made of, in [0, 1)."""
    credited: int
    """Length of the steps that earn something."""
    effective: int
    """Length of all steps that count."""
    flags: tuple[Flag, ...]


def examine(text: str, steps: Sequence[str], problem: str, settings: DefenceSettings | None = None) -> Examined:
    """What can be said of a wrong response without a judge. Time is linear in the texts.

    Args:
        text: the response.
        steps: its canonical steps (`judge.steps.segment`).
        problem: the problem.
        settings: which defences are on; default: all.
    """
    settings = settings or DefenceSettings()
    if not settings.enabled:
        return Examined((), (True,) * len(steps), (1,) * len(steps))
    answer = final_answer(text)
    neutral = neutral_steps(steps, problem, settings)
    stated = answer_step(steps, answer) if settings.after_answer else None
    if stated is not None and speaks_to_judge(steps[stated]):
        stated = None  # \boxed{correct} is no answer to the problem
    if stated is not None:
        neutral.pop(stated, None)
    counts = tuple(index not in neutral for index in range(len(steps)))
    flags = set(neutral.values())
    if settings.floor:
        flags.update(floor_flags(text, answer, steps, counts, settings))
    if stated is not None and stated < len(steps) - 1:
        flags.add(Flag.TEXT_AFTER_ANSWER)
    flags.update(mark_flags(text))
    weights = sentence_weights(steps, counts) if settings.length_neutral else map(int, counts)
    return Examined(tuple(flag for flag in Flag if flag in flags), counts, tuple(weights), stated)


def mark_flags(text: str) -> list[Flag]:
    """Marks of attacks in a text."""
    marks = {
        Flag.INJECTION: is_injection(text),
        Flag.FORGED_VERDICT: is_forged_verdict(text),
        Flag.INVISIBLE_CHARACTERS: has_invisible(text),
    }
    return [flag for flag, found in marks.items() if found]


def credit(
    examined: Examined, first_error: int, lengths: Sequence[int] | None = None, typical: float | None = None
) -> Credit:
    """The share of a wrong response that is paid.

    Args:
        examined: from `examine`.
        first_error: 0-based, as the judge found it.
        lengths: [num_steps] length of each step; None: counted in steps.
        typical: the usual length of a solution in the same unit (`typical_length`), None where nobody knows.

    Raises:
        ValueError: when ``first_error`` is not a step.
    """
    if not 0 <= first_error < len(examined.counts):
        raise ValueError(f"first_error = {first_error} is not one of the {len(examined.counts)} steps")
    parts = examined.lengths(lengths)
    effective = sum(parts)
    if examined.is_floored or effective == 0:
        return Credit(0.0, 0, effective, examined.flags)
    credited = sum(parts[: error_step(parts, first_error, examined.answer_step)])
    return Credit(credited / max(effective, typical or 0.0), credited, effective, examined.flags)


def error_step(parts: Sequence[int], first_error: int, answer: int | None) -> int:
    """The step that is taken for the first error: one that counts, and none behind the answer.

    A step that says nothing cannot be where the mathematics goes wrong. Then it is the next one that counts, or the
    last one.
    """
    latest = len(parts) - 1 if answer is None else answer
    counted = [index for index, part in enumerate(parts) if part and index <= latest]
    assert counted, "the answer's step counts, or there is no answer's step"
    return next((index for index in counted if index >= first_error), counted[-1])
