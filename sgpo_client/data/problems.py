"""Raw rows to problems that can be used, with every fault named and everything left out counted."""

from __future__ import annotations

import logging
import math
import re
from dataclasses import dataclass
from typing import Final

from sgpo_client.data.rows import Row, RowSource
from sgpo_client.errors import DataError
from sgpo_client.types import Problem

log = logging.getLogger(__name__)
ANSWER_MARK: Final = "####"
GROUPED_NUMBER: Final = re.compile(r"[-+]?[$€£]?\d{1,3}(,\d{3})+(\.\d+)?")
"""A number with thousands separators and nothing else: ``{100,200}`` keeps its comma."""


@dataclass(frozen=True, slots=True)
class FieldNames:
    """Which field of a row holds what."""

    problem: str
    answer: str
    solution: str | None


def collect(source: RowSource, names: FieldNames, *, skip_unanswered: bool, enough: int | None = None) -> list[Problem]:
    """The usable problems of a source, each text once; ends early when there are ``enough``.

    Raises:
        DataError: when a row cannot be used, or no problem is left.
    """
    problems: dict[str, Problem] = {}
    num_unanswered = num_duplicates = 0
    for row in source.rows:
        problem = to_problem(row, names, skip_unanswered=skip_unanswered)
        if problem is None:
            num_unanswered += 1
        elif text_key(problem) in problems:
            num_duplicates += 1
        else:
            problems[text_key(problem)] = problem
            if len(problems) == enough:
                break
    if num_unanswered:
        log.warning("%s: %d problems without an answer left out", source.name, num_unanswered)
    if num_duplicates:
        log.warning("%s: %d repeated problems left out", source.name, num_duplicates)
    if not problems:
        left_out = f" ({num_unanswered} without an answer in '{names.answer}' left out)" if num_unanswered else ""
        raise DataError(f"{source.name}: holds no problem{left_out}; check data.path (data.name for other sources)")
    return list(problems.values())


def text_key(problem: Problem) -> str:
    """Two problems are the same when their texts differ in white space at most."""
    return " ".join(problem.text.split())


def to_problem(row: Row, names: FieldNames, *, skip_unanswered: bool) -> Problem | None:
    """The problem in a row; None when it has no answer and that is allowed.

    Raises:
        DataError: naming row and field.
    """
    text = row.fields.get(names.problem)
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{row.where}: {_fault(row, names.problem)}; set data.problem_field to the problem's text")
    whole_answer = _answer_text(row, names.answer)
    answer = final_answer(whole_answer)
    if not answer:
        if skip_unanswered:
            return None
        raise DataError(
            f"{row.where}: no answer: {_fault(row, names.answer)}; set data.answer_field, "
            "or data.skip_unanswered = true to leave such problems out"
        )
    if names.solution is not None:
        solution = _solution_text(row, names.solution)
    else:
        solution = whole_answer if ANSWER_MARK in whole_answer else None
    return Problem(id=row.id, text=text.strip(), answer=answer, solution=solution)


def final_answer(text: str) -> str:
    r"""The final answer in the answer field's text: what stands behind the last ``####``, or all of it.

    >>> final_answer("48 + 72 = <<48+72=1200>>1200\n#### 1,200"), final_answer("(1, 2)")
    ('1200', '(1, 2)')
    """
    answer = text.rpartition(ANSWER_MARK)[2].strip()
    return answer.replace(",", "") if GROUPED_NUMBER.fullmatch(answer) else answer


def _answer_text(row: Row, name: str) -> str:
    """The answer field as text; empty when it is missing, null, NaN or blank."""
    value = row.fields.get(name)
    if isinstance(value, str):
        return value.strip()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isinf(value):
        raise DataError(f"{row.where}: {_fault(row, name)}; an answer is a text or a number, see data.answer_field")
    return str(int(value)) if value == int(value) else str(value)


def _solution_text(row: Row, name: str) -> str | None:
    value = row.fields.get(name)
    if name not in row.fields or not isinstance(value, str | None):
        raise DataError(f"{row.where}: {_fault(row, name)}; set data.solution_field to a text, or leave it out")
    return value


def _fault(row: Row, name: str) -> str:
    if name not in row.fields:
        return f"no field '{name}' (it has: {', '.join(map(str, row.fields)) or 'none'})"
    value = row.fields[name]
    if value is None or (isinstance(value, str) and not value.strip()):
        return f"field '{name}' is empty"
    return f"field '{name}' is of type {type(value).__name__}: {str(value)[:60]}"
