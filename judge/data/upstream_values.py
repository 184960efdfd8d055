"""Values as upstream files write them: lists inside strings, numbers as text, and many ways to say "none"."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection
from typing import Final

from judge.data.load_report import BadRow, LoadReport

_STEP_NAME: Final = re.compile(r"(?:step)?\s*(-?\d+)", re.IGNORECASE)


def text_list(value: list[str] | str, field: str, report: LoadReport) -> list[str]:
    """A list of texts, also one that was written into a string (as Python or as JSON).

    Raises:
        BadRow: when the string holds no such list.
    """
    if not isinstance(value, str):
        return value
    parsed = _literal(value)
    if not isinstance(parsed, list) or not all(isinstance(text, str) for text in parsed):
        raise BadRow(f"'{field}' is no list", f"'{field}': a list of texts is needed, found {value[:60]!r}")
    report.repaired[f"'{field}' read from a list inside a string"] += 1
    return parsed


def number_list(value: list[int | float | str] | str, field: str, report: LoadReport) -> list[int]:
    """A list of step numbers, also one that was written into a string, or whose numbers were.

    Raises:
        BadRow: when it is no such list.
    """
    parsed = _literal(value) if isinstance(value, str) else value
    if not isinstance(parsed, list):
        raise BadRow(f"'{field}' is no list", f"'{field}': a list of numbers is needed, found {value[:60]!r}")
    numbers = [step_number(number, no_error=()) for number in parsed]
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers):
        raise BadRow("label is no step number", f"'{field}' = {value!r:.60} holds an empty entry")
    if isinstance(value, str):
        report.repaired[f"'{field}' read from a list inside a string"] += 1
    return known


def step_number(value: object, no_error: Collection[str]) -> int | None:
    """A step's number as it is written, None for "no error".

    Args:
        value: 3, 3.0, "3" or "Step 3"; null, NaN or a code for "no error".
        no_error: the codes, in lower case.

    Raises:
        BadRow: for anything else.
    """
    if value is None or value != value:
        return None
    if isinstance(value, str):
        text = value.strip()
        if text.lower() in no_error:
            return None
        match = _STEP_NAME.fullmatch(text)
        if match is None:
            raise BadRow("label is no step number", f"the label {text[:60]!r} is no step number")
        return int(match.group(1))
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1 != 0:
        raise BadRow("label is no step number", f"the label {value!r:.60} is no step number")
    return int(value)


def _literal(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None
