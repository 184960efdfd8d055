"""Which steps take a solution further. The others are neutral: they earn nothing, and they count for nothing.

A step is compared with the problem and with steps *that count*. Neutral steps are compared with nothing: so putting
more of them in changes what is made of no other step, and cannot raise a reward.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence
from typing import Final

from judge.defences.flags import Flag
from judge.defences.marks import steps_to_judge
from judge.defences.reading import Reading, read
from judge.defences.settings import DefenceSettings

NEW_WORDS_SHARE: Final = 0.15
"""A step without a new number or equality counts only when more than this share of its words is new."""


def neutral_steps(steps: Sequence[str], problem: str, settings: DefenceSettings) -> dict[int, Flag]:
    """The steps that do not count, by their index, with the reason.

    Args:
        steps: canonical steps.
        problem: as the policy read it.
        settings: which rules hold.
    """
    task = read(unicodedata.normalize("NFC", problem))
    readings = [read(step) for step in steps]
    neutral = dict.fromkeys(_talk(steps, readings, task), Flag.TALK) if settings.talk else {}
    neutral |= _compare(readings, task, settings, neutral)
    if settings.loose_steps:
        neutral |= dict.fromkeys(_loose(readings, task, neutral), Flag.LOOSE_STEPS)
    return neutral


def _talk(steps: Sequence[str], readings: Sequence[Reading], task: Reading) -> set[int]:
    """Steps that state no mathematics, unless the problem holds none either; words to the judge."""
    found = steps_to_judge(steps)
    if task.has_maths:
        found |= {index for index, reading in enumerate(readings) if not reading.has_maths}
    return found


def _compare(
    readings: Sequence[Reading], task: Reading, settings: DefenceSettings, talk: Collection[int]
) -> dict[int, Flag]:
    """Steps without a new number, a new equality or enough new words; wordless sums over numbers from nowhere."""
    numbers, words, equalities = set(task.numbers), set(task.words), set(task.equalities)
    found: dict[int, Flag] = {}
    for index, step in enumerate(readings):
        if index in talk:
            continue
        is_new = (
            not step.numbers <= numbers
            or not step.equalities <= equalities
            or len(step.words - words) > NEW_WORDS_SHARE * len(step.words)
        )
        is_bare = bool(step.equalities) and not step.words and not step.operands <= numbers
        if settings.repeats and not is_new:
            found[index] = Flag.REPEATED_STEPS
        elif settings.loose_steps and is_bare:
            found[index] = Flag.LOOSE_STEPS
        else:
            numbers |= step.numbers
            words |= step.words
            equalities |= step.equalities
    return found


def _loose(readings: Sequence[Reading], task: Reading, skipped: Collection[int]) -> set[int]:
    """Steps that share no word with the problem, and no word and none of their own numbers with a later step.

    From the last step to the first: what only loose steps use is loose itself.
    """
    counted = [index for index in range(len(readings)) if index not in skipped]
    numbers: set[str] = set()
    words = set(task.words)
    loose = set()
    for index in reversed(counted):
        found = readings[index]
        if index == counted[-1] or found.words & words or (found.numbers - task.numbers) & numbers:
            numbers |= found.numbers
            words |= found.words
        else:
            loose.add(index)
    return loose
