"""Mr-Ben (arXiv 2406.13975): solutions to questions of several subjects, labelled, explained and corrected by people.

A file is one JSON object from question id to a list of solutions. ``Model_Solution_First_Error_Step`` is a string: the
number of a step ("Step k:", from 1), "N/A" for none; the coding subject quotes the wrong line instead. Steps may be
cut into several list elements, with empty ones between them; the last one is mostly no step but the choice
("Solution: Choice_B"), which is taken off.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from judge.data.items import Item
from judge.data.load_report import BadRow, LoadReport
from judge.data.mr_gsm8k import NO_ERROR_CODES, is_correct, numbered_label
from judge.data.numbered_steps import NumberedStep, numbered_steps, without_step_name
from judge.data.source import Row, Source, each_row, parse_row
from judge.data.upstream_values import step_number, text_list
from judge.types import NO_ERROR, Record

_TAIL: Final = re.compile(r"\s*(?:Step\s*\d+\s*:\s*)?Solution\s*:", re.IGNORECASE)
_BARE_TAIL: Final = re.compile(r"\s*Solution\s*:", re.IGNORECASE)
_CHOICE: Final = re.compile(r"Choice[\s_\\]*([A-Z])\b")
_STEP: Final = re.compile(r"\s*Step\s*\d+\s*:", re.IGNORECASE)
_FENCE: Final = re.compile(r"\s*```\w*\s*")


class MrBenRow(Row):
    """A row of the upstream schema."""

    Question_UUID: str
    Question: str
    Options: str | None = None
    Ground_Truth_Analysis: str | None = None
    Ground_Truth_Answer_Modified: str | None = None
    Sampled_Model: str
    Model_Solution_Steps: list[str] | str
    Model_Solution_Correctness: str
    Model_Solution_First_Error_Step: int | float | str | None
    Model_Solution_Error_Reason: list[str | None] | str | None = None
    Model_Solution_Rectified_First_Error_Step: list[str | None] | str | None = None


def read(items: Iterable[Item], report: LoadReport) -> Iterator[Record]:
    """One record a solution; the problem is the question with its options."""
    return each_row(items, report, _record)


def _record(fields: Mapping[str, Any], report: LoadReport) -> Record:
    row = parse_row(MrBenRow, fields)
    correct = is_correct(row.Model_Solution_Correctness, "Model_Solution_Correctness")
    steps, number, tail = _solution(row, report)
    if tail:
        report.repaired["'Solution: Choice_X' tail removed"] += 1
    label = numbered_label(number, [step.number for step in steps], is_correct=correct, report=report)
    return Record(
        problem="\n".join(filter(None, (row.Question.strip(), (row.Options or "").strip()))),
        steps=tuple(step.text for step in steps),
        label=label,
        reference_solution=(row.Ground_Truth_Analysis or "").strip() or None,
        reference_answer=row.Ground_Truth_Answer_Modified or None,
        final_answer_correct=_answer_correct(tail, row.Ground_Truth_Answer_Modified, is_correct=correct),
        source=report.source,
        id=f"{row.Question_UUID}-{row.Sampled_Model}",
        critique=None if label == NO_ERROR else _critique(row),
    )


def step_numbers(fields: Mapping[str, Any]) -> list[int]:
    """The numbers that a row gives to its steps with text, from 1; the row is one that makes a record."""
    steps, _, _ = _solution(parse_row(MrBenRow, fields), LoadReport("mrben", ""))
    return [step.number for step in steps if step.text.strip()]


def _solution(row: MrBenRow, report: LoadReport) -> tuple[list[NumberedStep], int | None, str]:
    """The steps, the number of the first wrong one, and what follows the steps."""
    lines = _lines(row.Model_Solution_Steps, report)
    number = _error_number(row.Model_Solution_First_Error_Step, lines)
    lines, tail = _without_tail(lines, number)
    return numbered_steps(lines), number, tail


def _lines(steps: list[str] | str, report: LoadReport) -> list[str]:
    """The solution's lines; a code solution may be one text."""
    if isinstance(steps, str) and not steps.lstrip().startswith("["):
        return [line for line in steps.splitlines() if not _FENCE.fullmatch(line)]
    return text_list(steps, "Model_Solution_Steps", report)


def _error_number(value: int | float | str | None, lines: Sequence[str]) -> int | None:
    """The number of the first wrong step, or the position (from 1) of the line of code that is quoted."""
    try:
        return step_number(value, NO_ERROR_CODES)
    except BadRow:
        if not isinstance(value, str):
            raise
    quoted = [line.strip() for line in value.splitlines() if line.strip() and not _FENCE.fullmatch(line)]
    positions = [position for position, line in enumerate(lines, 1) if quoted and line.strip() == quoted[0]]
    if len(positions) != 1:
        raise BadRow("quoted line not found once", f"{len(positions)} lines are {(quoted or [''])[0][:60]!r}")
    return positions[0]


def _without_tail(lines: Sequence[str], number: int | None) -> tuple[list[str], str]:
    """The steps' lines, and what follows them from "Solution:" on (empty: nothing does)."""
    for position in range(len(lines) - 1, -1, -1):
        line = lines[position]
        if _TAIL.match(line):
            if number is not None and not _BARE_TAIL.match(line) and line.strip().startswith(f"Step {number}:"):
                break
            return list(lines[:position]), without_step_name("\n".join(lines[position:]))
        if _STEP.match(line):
            break
    return list(lines), ""


def _answer_correct(tail: str, truth: str | None, *, is_correct: bool) -> bool | None:
    """Whether the choice is the right one: None where none or several are named, or where the labels contradict it."""
    chosen = set(_CHOICE.findall(tail))
    if len(chosen) != 1 or not truth:
        return True if is_correct and not chosen else None
    right = chosen == {truth.strip()}
    return None if is_correct and not right else right


def _critique(row: MrBenRow) -> str | None:
    """The first annotator's reason, and the corrected step if there is one."""
    reason, correction = (
        _first_text(row.Model_Solution_Error_Reason),
        _first_text(row.Model_Solution_Rectified_First_Error_Step),
    )
    if not reason:
        return None
    return f"{reason}\nCorrected step: {without_step_name(correction)}" if correction else reason


def _first_text(value: list[str | None] | str | None) -> str:
    texts = value if isinstance(value, list) else [value]
    return next((text.strip() for text in texts if text and text.strip().lower() not in NO_ERROR_CODES), "")


SOURCE: Final = Source(
    name="mrben",
    description="Mr-Ben: questions of several subjects with human labels, reasons and corrections, JSON object",
    labels='Model_Solution_First_Error_Step, a string, from 1, none: "N/A"',
    index_base=1,
    read=read,
)
