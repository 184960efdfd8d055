"""GSM8K (arXiv 2110.14168): problems with worked solutions, one step a line: correct solutions without an error.

Calculator marks (``<<48/2=24>>``) stay in the steps: error injection works on them. The last line, ``#### 72``, is the
answer and no step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from judge.data.items import Item
from judge.data.load_report import BadRow, LoadReport
from judge.data.source import Row, Source, each_row, parse_row
from judge.types import NO_ERROR, Record

ANSWER_MARK: Final = "####"


class WorkedRow(Row):
    """A row of the upstream schema."""

    question: str
    answer: str


def read(items: Iterable[Item], report: LoadReport) -> Iterator[Record]:
    """One record a problem."""
    return each_row(items, report, _record)


def _record(fields: Mapping[str, Any], report: LoadReport) -> Record:
    row = parse_row(WorkedRow, fields)
    solution, mark, answer = row.answer.rpartition(ANSWER_MARK)
    if not mark or not answer.strip():
        raise BadRow("no final answer", f"'answer' does not end with '{ANSWER_MARK} ANSWER'")
    return Record(
        problem=row.question,
        steps=tuple(line.strip() for line in solution.splitlines() if line.strip()),
        label=NO_ERROR,
        reference_answer=answer.strip().replace(",", ""),
        final_answer_correct=True,
        source=report.source,
    )


SOURCE: Final = Source(
    name="gsm8k",
    description="GSM8K: problems with worked solutions, correct step by step, JSON lines or hub",
    labels="none: every solution is correct",
    index_base=None,
    read=read,
)
