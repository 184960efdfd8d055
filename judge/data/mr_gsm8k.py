"""MR-GSM8K (arXiv 2312.17080): solutions of GSM8K problems and of two variations (code, reversed), labelled by people.

``model_output_solution_first_error_step`` names a step's number ("Step k:" in front of each step, from 1), "N/A" for
none. Problems of type "original" and "POT" are GSM8K **test** problems.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from judge.data.items import Item
from judge.data.load_report import BadRow, LoadReport
from judge.data.numbered_steps import numbered_steps
from judge.data.source import Row, Source, each_row, parse_row
from judge.data.upstream_values import step_number, text_list
from judge.types import NO_ERROR, Record

NO_ERROR_CODES: Final = ("n/a", "na", "none", "")


class MrGsm8kRow(Row):
    """A row of the upstream schema."""

    uuid: str
    question: str
    question_type: str
    ground_truth_solution: str | None = None
    ground_truth_answer: int | float | str | None = None
    model_output_steps: list[str] | str
    model_output_answer_correctness: str | None = None
    model_output_solution_correctness: str
    model_output_solution_first_error_step: int | float | str | None
    model_output_solution_first_error_reason: str | None = None


def read(items: Iterable[Item], report: LoadReport) -> Iterator[Record]:
    """One record a row."""
    return each_row(items, report, _record)


def _record(fields: Mapping[str, Any], report: LoadReport) -> Record:
    row = parse_row(MrGsm8kRow, fields)
    steps = numbered_steps(text_list(row.model_output_steps, "model_output_steps", report))
    label = numbered_label(
        step_number(row.model_output_solution_first_error_step, NO_ERROR_CODES),
        [step.number for step in steps],
        is_correct=is_correct(row.model_output_solution_correctness, "model_output_solution_correctness"),
        report=report,
    )
    answer = row.model_output_answer_correctness
    reason = row.model_output_solution_first_error_reason
    return Record(
        problem=row.question,
        steps=tuple(step.text for step in steps),
        label=label,
        reference_solution=row.ground_truth_solution or None,
        reference_answer=None if row.ground_truth_answer is None else str(row.ground_truth_answer),
        final_answer_correct=is_correct(answer, "model_output_answer_correctness") if answer else None,
        source=report.source,
        id=f"{row.question_type}-{row.uuid}",
        critique=reason if label != NO_ERROR and reason else None,
    )


def step_numbers(fields: Mapping[str, Any]) -> list[int]:
    """The numbers that a row gives to its steps with text, from 1; the row is one that makes a record."""
    lines = text_list(fields["model_output_steps"], "model_output_steps", LoadReport("mr_gsm8k", ""))
    return [step.number for step in numbered_steps(lines) if step.text.strip()]


def is_correct(value: str, field: str) -> bool:
    """True for "correct", False for "wrong" or "incorrect".

    Raises:
        BadRow: for any other word.
    """
    word = value.strip().lower()
    if word not in ("correct", "wrong", "incorrect"):
        raise BadRow(
            f"'{field}' is unknown", f"'{field}' = {value[:40]!r}: 'correct', 'wrong' or 'incorrect' is needed"
        )
    return word == "correct"


def numbered_label(number: int | None, numbers: list[int], *, is_correct: bool, report: LoadReport) -> int:
    """The label of a solution with numbered steps.

    Args:
        number: the first wrong step's number as written, None for "no error".
        numbers: the steps' numbers.
        is_correct: what the row says of the whole solution.
        report: counts error labels.

    Raises:
        BadRow: when the row contradicts itself, or the number names no step or several.
    """
    if is_correct != (number is None):
        said = "no error" if number is None else f"an error in step {number}"
        whole = "correct" if is_correct else "wrong"
        raise BadRow("label and correctness disagree", f"the solution is {whole}, but the label says {said}")
    if number is None:
        return NO_ERROR
    if number in numbers:
        if numbers.count(number) > 1:
            raise BadRow("label names several steps", f"{numbers.count(number)} steps are named 'Step {number}'")
        report.error_index("first error step", number, max(numbers))
        return numbers.index(number)
    if not numbers:
        raise BadRow("no steps", "there is no step with text")
    if 0 < number < max(numbers):
        raise BadRow("label names no step", f"no step is named 'Step {number}'")
    return report.error_index("first error step", number, max(numbers))


SOURCE: Final = Source(
    name="mr_gsm8k",
    description="MR-GSM8K: GSM8K problems (original, code, reversed) with human labels and reasons, JSON",
    labels='model_output_solution_first_error_step, from 1, none: "N/A"',
    index_base=1,
    read=read,
)
