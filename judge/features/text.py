"""Features of a step's text: pure, linear in the text.

Nothing here may know how many steps follow: in data whose solutions end at the first error that would give the label
away.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from fractions import Fraction
from typing import Final

from judge.arithmetic import check_text, redefines_arithmetic
from judge.final_answer import final_answer
from judge.types import Solution

UNKNOWN: Final = -1.0
"""A feature that cannot be known, such as agreement with a reference where there is none."""

NAMES: Final = (
    "position", "log_characters", "num_numbers", "num_claims", "num_wrong_claims", "wrong_claims_before",
    "new_numbers", "new_number_share", "new_numbers_before", "largest_log", "has_fraction", "num_equals",
    "num_operators", "has_answer", "hedges", "therefore", "repetition", "problem_overlap", "problem_numbers_left",
    "reference_share", "reference_new", "answer_agrees",
)  # fmt: skip
"""Columns of `text_features`."""

_NUMBER: Final = re.compile(r"(?<![\w.])\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+")
_WORD: Final = re.compile(r"[a-z]{3,}")
_HEDGE: Final = re.compile(
    r"\b(?:wait|however|but|assum\w+|approximately|about|maybe|perhaps|let's say|suppose)\b", re.I
)
_THEREFORE: Final = re.compile(r"\b(?:therefore|thus|so|hence|finally|answer)\b", re.I)
_OPERATOR: Final = re.compile(r"[+*/×÷^]|\\times|\\cdot|\\frac|(?<=[\d) ])-(?=[\d( ])")
MAX_CHARACTERS: Final = 4000
"""A longer step is read up to here: features are for scoring, and nothing of a step this long decides."""
MAX_KNOWN: Final = 40
"""Newest known numbers that are tried in pairs to explain a new one."""


def text_features(solution: Solution) -> list[list[float]]:
    """One row per step, one column per name in `NAMES`."""
    problem_numbers = numbers(solution.problem)
    problem_words = set(_WORD.findall(solution.problem.lower()))
    reference = set(numbers(solution.reference_solution or ""))
    plain = not redefines_arithmetic(solution.problem)
    known = list(dict.fromkeys([*problem_numbers, Fraction(0), Fraction(1), Fraction(2), Fraction(100)]))
    unused = set(problem_numbers)
    wrong_before = new_before = 0
    rows: list[list[float]] = []
    for position, whole in enumerate(solution.steps):
        step = whole[:MAX_CHARACTERS]
        found = numbers(step)
        claims = check_text(step) if plain else []
        num_wrong = sum(not claim.holds for claim in claims)
        new = _unexplained(found, known)
        unused -= set(found)
        words = set(_WORD.findall(step.lower()))
        rows.append(
            [
                float(position),
                math.log1p(len(whole)),
                float(len(found)),
                float(len(claims)),
                float(num_wrong),
                float(wrong_before),
                float(len(new)),
                len(new) / len(found) if found else 0.0,
                float(new_before),
                math.log1p(float(min(max(found, default=Fraction(0)), Fraction(10**12)))),
                float("/" in step or "\\frac" in step),
                float(step.count("=")),
                float(len(_OPERATOR.findall(step))),
                float("\\boxed" in step or "####" in step or "answer is" in step.lower()),
                float(len(_HEDGE.findall(step))),
                float(bool(_THEREFORE.search(step))),
                _repetition(step, solution.steps[:position]),
                len(words & problem_words) / len(words) if words else 0.0,
                len(unused) / len(set(problem_numbers)) if problem_numbers else UNKNOWN,
                _share(found, reference) if reference else UNKNOWN,
                float(len([value for value in new if value not in reference])) if reference else UNKNOWN,
                _agreement(step, solution.reference_answer),
            ]
        )
        wrong_before += num_wrong
        new_before += len(new)
        known.extend(value for value in dict.fromkeys(found) if value not in known)
    return rows


def numbers(text: str) -> list[Fraction]:
    """Plain numbers in a text, in order; thousands separators are read, signs are not.

    >>> [str(value) for value in numbers("3 boxes of 1,250 and 0.5")]
    ['3', '1250', '1/2']
    """
    return [Fraction(match.replace(",", "")) for match in _NUMBER.findall(text) if len(match) <= 30]


def _unexplained(found: Sequence[Fraction], known: Sequence[Fraction]) -> list[Fraction]:
    """Numbers that neither stand before nor come from two numbers that do (or from the step's own) by one operation."""
    have = list(dict.fromkeys([*known[-MAX_KNOWN:], *found]))
    before = set(known)
    fresh = [value for value in dict.fromkeys(found) if value not in before]
    if not fresh:
        return []
    return [value for value in fresh if not _derivable(value, [other for other in have if other != value])]


def _derivable(value: Fraction, have: Sequence[Fraction]) -> bool:
    others = set(have)
    for a in have:
        if value - a in others or value + a in others:
            return True
        if a and (value / a in others or value * a in others):
            return True
    return False


def _share(found: Sequence[Fraction], reference: set[Fraction]) -> float:
    distinct = set(found)
    return len(distinct & reference) / len(distinct) if distinct else 1.0


def _repetition(step: str, before: Sequence[str]) -> float:
    """Likeness to the most similar of the three steps before, in [0, 1]; upper bound of difflib's ratio."""
    return max(
        (SequenceMatcher(None, step, other[:MAX_CHARACTERS]).quick_ratio() for other in before[-3:]), default=0.0
    )


def _agreement(step: str, reference_answer: str | None) -> float:
    """1 when the step states the reference answer, 0 when it states another, else `UNKNOWN`."""
    if reference_answer is None or not ("\\boxed" in step or "####" in step or "answer" in step.lower()):
        return UNKNOWN
    stated = final_answer(step)
    return UNKNOWN if stated is None else float(numbers(stated) == numbers(reference_answer))
