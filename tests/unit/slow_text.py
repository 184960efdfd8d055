"""The defences' reading of texts without any short cut, to compare the fast one with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from unittest import mock

from judge import final_answer as answers
from judge.defences import after_answer, marks
from judge.defences.reading import Reading
from judge.defences.vocabulary import COMMON, NUMBER_WORDS, OPERATORS, RELATIONS

SCRIPTS = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
TOKEN = re.compile(
    rf"[0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+|\\[a-z]+|[{SCRIPTS}]"
    rf"|[^\W\d_{SCRIPTS}]+(?:['’][^\W\d_{SCRIPTS}]+)*|[=<>≤≥≈≡≠+*/^×÷√%-]"
)
LABEL = re.compile(
    r"[\s>*#•-]*(?:(?:step|part|line|point|stage)\s{0,3})?\(?[0-9]{1,3}[.):][\s*]|[\s*#]*step\s{1,3}[0-9]{1,3}\b"
)


def read(text: str) -> Reading:
    """Token by token."""
    lowered = text.lower()
    label = LABEL.match(lowered)
    tokens = TOKEN.findall(lowered, label.end() if label else 0)
    numbers, words, operands, equalities = set(), set(), set(), set()
    has_maths = False
    for index, token in enumerate(tokens):
        if token[0].isdigit() or token[0] == ".":
            whole, _, fraction = token.replace(",", "").partition(".")
            number = (whole.lstrip("0") or "0") + (f".{fraction.rstrip('0')}" if fraction.rstrip("0") else "")
            numbers.add(number)
            if index == 0 or tokens[index - 1] not in RELATIONS:
                operands.add(number)
        elif token in RELATIONS:
            equalities.add(tuple(tokens[max(0, index - 3) : index + 4]))
        elif token in NUMBER_WORDS:
            numbers.add(NUMBER_WORDS[token])
        elif token[0].isalpha():
            if token not in COMMON:
                words.add(token)
                has_maths = has_maths or (len(token) == 1 and token.isascii())
        elif token[0] == "\\" or token in OPERATORS:
            has_maths = True
    return Reading(numbers, words, equalities, operands, has_maths or bool(numbers or equalities))


def has_any(kinds: Sequence[marks._Mark], text: str) -> bool:
    """One search of everything, in texts that hold any hint at all."""
    hinted = any(hint in text.lower() for kind in kinds for hint in kind.hints)
    whole = re.compile("|".join(kind.pattern.pattern for kind in kinds), re.IGNORECASE | re.MULTILINE)
    return hinted and whole.search(text) is not None


def steps_to_judge(steps: Sequence[str]) -> set[int]:
    """Step by step."""
    yes = re.compile(r"[\W_]*(?:yes|correct|true|right)[\W_]*", re.IGNORECASE)
    return {
        index
        for index, step in enumerate(steps)
        if has_any(marks._INJECTIONS, step) or has_any(marks._VERDICTS, step) or yes.fullmatch(step)
    }


def final_answer(text: str) -> str | None:
    """Every expression searched in the whole text."""
    with mock.patch.multiple(
        answers,
        _last_marker=lambda tail: next(reversed(list(answers._MARKER.finditer(tail))), None),
        _last_value=answers._last_formula_or_token,
        _plain=lambda tail: answers._EMPHASIS.sub("", answers._CALCULATOR_MARK.sub("", tail)),
        _after_hashes=lambda tail: next(reversed(answers._HASHES.findall(tail)), None),
    ):
        return answers.final_answer(text)


def answer_step(steps: Sequence[str], answer: str | None) -> int | None:
    """Every step searched."""
    states = after_answer._STATES_ANSWER
    return next((i for i, step in enumerate(steps) if states.search(step) and final_answer(step) == answer), None)
